"""Files of torch.save that describe more than they have are refused before memory is taken."""

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from faults.bounded_memory import bounded_memory

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.restricted_pickle import read_inert
from seg_training.checkpoints.whole_checkpoints import read_whole, write_whole
from seg_training.errors import UserError
from seg_training.networks.stored_tensors import check_tensors

SAID = r"has [\d,]+ bytes, but describes tensors of more\)"


class _Calls:
    """Is pickled as a call."""

    def __init__(self, function: Any, *args: Any) -> None:
        self._called = function, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self._called


@pytest.mark.parametrize(
    "called",
    [
        _Calls(bytearray, 10**13),
        _Calls(torch.Tensor, 10**7, 10**6),
        _Calls(torch.FloatTensor, torch.Size([10**7, 10**6])),
    ],
    ids=["bytes", "numbers", "size"],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_what_pytorch_would_make(called: _Calls, zipped: bool, tmp_path: Path) -> None:
    torch.save({"a": called}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    for read in (read_whole, read_inert):
        with bounded_memory(2**30), pytest.raises(UserError, match=SAID):
            read(tmp_path / "a.pt")


def _with_other_pickle(file: Path, old: bytes, new: bytes) -> None:
    """Change the pickle of a zip file, whose sums stay right."""
    written = io.BytesIO()
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(written, "w") as target:
        for name in source.namelist():
            own = source.read(name)
            assert not name.endswith("data.pkl") or own.count(old) == 1
            target.writestr(name, own.replace(old, new) if name.endswith("data.pkl") else own)
    file.write_bytes(written.getvalue())


def test_a_tensor_larger_than_its_storage(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    torch.save({"a": torch.zeros(777, 7)}, file)
    _with_other_pickle(file, b"M\x09\x03K\x07\x86", b"J\xff\xff\xff\x7fK\x07\x86")
    for read in (read_whole, read_inert):
        with bounded_memory(2**30), pytest.raises(UserError, match=SAID):
            read(file)


def test_a_tensor_with_attributes_that_is_larger_than_its_storage(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    tensor = torch.zeros(777, 7)
    tensor.note = "x"  # type: ignore[attr-defined]
    torch.save({"a": tensor}, file)
    assert read_whole(file)["a"].shape == (777, 7)
    _with_other_pickle(file, b"M\x09\x03K\x07\x86", b"J\xff\xff\xff\x7fK\x07\x86")
    with bounded_memory(2**30), pytest.raises(UserError, match=SAID):
        read_whole(file)


def test_a_storage_larger_than_its_file(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    torch.save({"a": torch.zeros(777)}, file, _use_new_zipfile_serialization=False)
    data = file.read_bytes()
    length = b"X\x03\x00\x00\x00cpu"
    at = data.index(b"M\x09\x03", data.index(length))
    file.write_bytes(data[:at] + b"J\xff\xff\xff\x7f" + data[at + 3 :])
    with bounded_memory(2**30), pytest.raises(UserError, match=SAID):
        read_inert(file)


@pytest.mark.parametrize("zipped", [True, False])
def test_what_is_saved_is_read(zipped: bool, tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    content = {
        "views": [base, base.t(), base[1:, ::2], base[:0], base[2, 3]],
        "kinds": [base.half(), base.bfloat16(), base.long(), base > 3, torch.tensor(1 + 2j)],
        "parameter": torch.nn.Parameter(base),
        "own": OrderedDict(a=torch.Size([10**5, 10**5]), b={10**9, 10**10}, c=b"x" * 300),
        "strange": [2**70, -(10**12), 1e300, None, True, "ä" * 300, (1, (2, 3)), bytearray(b"ab")],
    }
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    data = (tmp_path / "a.pt").read_bytes()
    check_tensors(io.BytesIO(data), tmp_path / "a.pt")
    read = read_whole(tmp_path / "a.pt")
    assert torch.equal(read["views"][2], base[1:, ::2])
    assert read["strange"] == content["strange"]


def test_weights_that_only_say_how_many_they_are(tmp_path: Path) -> None:
    hyper = {"config": {"model": {}}, "task_names": ["a"]}
    weights = {"network.w": torch.zeros(1).expand(10**9)}
    write_whole({"state_dict": weights, "hyper_parameters": hyper}, tmp_path / "a.ckpt")
    with pytest.raises(UserError, match="task names, weights or network are of another"):
        read_checkpoint(tmp_path / "a.ckpt")


def test_code_in_it_is_not_run(tmp_path: Path) -> None:
    data = pickle.dumps(_Calls(exec, "raise SystemExit"))
    check_tensors(io.BytesIO(data), tmp_path / "a.pt")
