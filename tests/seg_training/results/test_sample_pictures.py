import errno
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seg_training.errors import UserError
from seg_training.results.sample_pictures import save_picture


def test_a_picture_is_saved_in_a_new_folder(tmp_path: Path) -> None:
    picture = torch.arange(24, dtype=torch.uint8).reshape(3, 2, 4)
    save_picture(picture, tmp_path / "new" / "a.png")
    saved = np.asarray(Image.open(tmp_path / "new" / "a.png"))
    assert saved.tolist() == picture.permute(1, 2, 0).tolist()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file/a\.png: "):
        save_picture(torch.zeros(3, 2, 2, dtype=torch.uint8), tmp_path / "file" / "a.png")


def test_a_full_disk_leaves_the_picture_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_picture(torch.zeros(3, 2, 2, dtype=torch.uint8), tmp_path / "a.png")

    def full(_: Image.Image, file: Path, **__: object) -> None:
        Path(file).write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(UserError, match=r"cannot write .*a\.png: .*No space left on device"):
        save_picture(torch.ones(3, 2, 2, dtype=torch.uint8), tmp_path / "a.png")
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[[0] * 3] * 2] * 2
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
