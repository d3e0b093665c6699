"""CONTRIBUTING's checklist, followed for CamVid as SegNet's authors lay it out."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from seg_training.datasets import data_module
from seg_training.datasets.data_module import DATASETS, SegmentationDataModule
from seg_training.pictures.picture_reading import read_label_map

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def camvid(shared: Path, tmp_path: Path) -> Path:
    """Some of CamVid's real pairs in SegNet's layout."""
    for split in ("train", "val"):
        for kind, folder in (("images", split), ("annotations", f"{split}annot")):
            (tmp_path / folder).mkdir()
            for file in sorted((shared / "data" / "camvid" / kind / split).iterdir())[::15]:
                (tmp_path / folder / file.name).symlink_to(file)
    return tmp_path


def test_the_checklists_file_is_a_whole_dataset(
    camvid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [file] = re.findall(
        r"```python\n(.*?class CamVid.*?)```",
        (REPOSITORY / "CONTRIBUTING.md").read_text(),
        re.DOTALL,
    )
    assert len(file.splitlines()) < 40
    monkeypatch.setattr(data_module, "DATASETS", dict(DATASETS))
    exec(compile(file, "camvid.py", "exec"), {"__name__": "camvid"})

    module = SegmentationDataModule.from_config(
        {
            "dataset": "camvid",
            "root": str(camvid),
            "train_split": "train",
            "val_split": "val",
            "crop_size": [64, 80],
            "batch_size": 2,
            "sampler": "mixed",
            "num_workers": 0,
        },
        {"classes": "all"},
        seed=0,
    )
    module.setup("fit")
    assert module.task_names[:4] == ("sky", "building", "pole", "road")
    batches = list(module.train_dataloader())
    asked = Counter(task_id for batch in batches for task_id in batch.task_ids.tolist())
    assert asked.keys() == set(range(11))
    pairs = set()
    for batch in module.val_dataloader():
        for _, task_ids, truth, name, *_ in batch.samples():
            raw = read_label_map(camvid / "valannot" / f"{name}.png")
            assert np.array_equal(truth.label_map.numpy(), np.where(raw == 11, 255, raw + 1))
            pairs |= {(name, task_id) for task_id in task_ids.tolist()}
            assert task_ids.tolist() == [int(value) for value in np.unique(raw) if value < 11]
    assert len(pairs) > 50
