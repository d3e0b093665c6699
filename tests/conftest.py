"""What every test runs under: a fixed seed, no network, caches in a folder of its own."""

import os
import random
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_datasets.folder import fake_classes, fake_folder
from hypothesis import settings
from stand_in_encoder import stand_in_encoder

from transformers_update_for_adapters import word_encoder

__all__ = ["fake_classes", "fake_folder", "stand_in_encoder"]  # fixtures for every test

if "PYTEST_XDIST_WORKER" in os.environ:  # the other cores have tests of their own
    torch.set_num_threads(1)

# How long a case takes is what else the machine does.
settings.register_profile("whenever", deadline=None)
settings.load_profile("whenever")

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared"


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - libraries may still draw from it
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections to anything but this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        local = self.family == socket.AF_UNIX or address[0] in ("127.0.0.1", "::1", "localhost")
        if not local:
            raise OSError(f"tests use no network, but {address} was asked for")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("WANDB_MODE", "offline")


@pytest.fixture(autouse=True)
def own_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Keep indexes away from the user's cache folder, and nothing of them for the next tests."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def no_text_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let names be found as they are written, whatever is installed; see stand_in_encoder.py."""
    monkeypatch.setattr(word_encoder, "PACKAGE", "no_such_text_encoder")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden numbers and real images; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared")
    return SHARED
