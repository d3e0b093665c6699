"""A small dataset to audit, and how."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from seg_training.audit.audit_findings import DatasetAudit
from seg_training.audit.dataset_audit import audit_dataset
from seg_training.datasets.own_folder import Folder
from seg_training.datasets.segmentation_dataset import OfficialCounts
from seg_training.tasks import TaskTable


@pytest.fixture
def root(fake_folder: Callable[..., Path]) -> Path:
    return fake_folder()


@pytest.fixture
def dataset(root: Path, fake_classes: dict[str, Any]) -> Folder:
    return Folder(root, fake_classes)


@pytest.fixture
def published(root: Path, fake_classes: dict[str, Any]) -> Callable[..., Folder]:
    """Make the dataset one of whose training split it is known what it should hold."""

    def make(images: int, per_value: Mapping[int, int]) -> Folder:
        class Published(Folder):
            def official_counts(self, split: str) -> OfficialCounts | None:
                return OfficialCounts(images, per_value) if split == "train" else None

        return Published(root, fake_classes)

    return make


@pytest.fixture
def audit() -> Callable[..., DatasetAudit]:
    """Audit the splits ``train`` and ``val`` of a folder, with mixed batches of two by default."""

    def run(dataset: Folder, tasks: Any = "all", **settings: Any) -> DatasetAudit:
        settings = {
            "splits": {"fit": "train", "validate": "val"},
            "batch_size": 2,
            "sampler": "mixed",
            **settings,
        }
        return audit_dataset(dataset, TaskTable(dataset.classes, tasks), **settings)

    return run
