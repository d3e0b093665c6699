"""Released checkpoints from a Google Drive that has them, has others, or says it has none."""

import hashlib
import sys
from pathlib import Path

import pytest
import torch
from released_files import released_weights, saved, with_drive

from seg_training.checkpoints.model_folders import load_network
from seg_training.checkpoints.released_fetching import convert_released
from seg_training.checkpoints.released_links import RELEASED
from seg_training.errors import UserError

CONFIGS = Path(__file__).parents[3] / "configs"
TWO = RELEASED["adapter_hf/2"]
PAGE = b"\n<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head></html>"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_it_is_fetched_once_and_converted(
    output: Path,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    asked = with_drive(monkeypatch, saved(2))
    file = own_cache / "tasformer" / "released" / "adapter_hf_2_320.ckpt"
    assert convert_released(TWO, output, config_dir=CONFIGS) == output
    assert asked == [
        {
            "id": "1XIq5DM08hGA3tv9PcvDzizrgfNLh4k0h",
            "output": f"{file}.part",
            "quiet": True,
            "resume": True,
        }
    ]
    assert [each.name for each in file.parent.iterdir()] == ["adapter_hf_2_320.ckpt"]
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert f"{file}: {file.stat().st_size} bytes, sha256 {sha256}" in caplog.messages
    network = load_network(output)
    assert (network.method, network.task_names) == ("adapter_hf", ("building", "floor"))
    convert_released(TWO, output.with_name("again"), config_dir=CONFIGS)
    assert len(asked) == 1


def test_the_size_and_overrides_are_kept(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gdown", None)  # as if it were not installed: not needed
    saved(150)(tmp_path / "mine.ckpt")
    convert_released(
        *(RELEASED["adapter_hf/150/640"], output),
        source=tmp_path / "mine.ckpt",
        overrides=["data.eval_batch_size=3"],
        config_dir=CONFIGS,
    )
    assert load_network(output).config.crop_size == [640, 640]
    assert "eval_batch_size: 3" in (output / "config.yaml").read_text()


def test_by_default_each_has_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with_drive(monkeypatch, saved(2))
    folder = convert_released(TWO, config_dir=CONFIGS)
    assert folder == Path("outputs/released_checkpoints/adapter_hf_2_320")
    assert (folder / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("name", "num_tasks", "words"),
    [
        (
            "adapter_hf/12",
            2,
            r"\.ckpt is a checkpoint of 'adapter_hf' of 2 classes, not of 'adapter_hf' of 12 "
            r"classes: it is not adapter_hf/12, so nothing was converted\. Remove it and fetch it ",
        ),
        ("emb/2", 2, r"of 'adapter_hf' of 2 classes, not of 'emb' of 2 classes: it is not emb/2, "),
        ("vsa_emb/2", 2, r"of 'adapter_hf' of 2 classes, not of 'vsa_emb' of 2 classes"),
    ],
)
def test_another_checkpoint_is_refused(
    name: str, num_tasks: int, words: str, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_drive(monkeypatch, saved(num_tasks))
    with pytest.raises(UserError, match=words):
        convert_released(RELEASED[name], output, config_dir=CONFIGS)
    assert not output.exists()


def test_a_weight_of_another_shape_is_refused(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = released_weights(2)
    name = "mask_net.decode_head.classifier.weight"
    weights[name] = torch.zeros(2, 256, 1, 1)
    with_drive(monkeypatch, lambda file: torch.save({"state_dict": weights}, file))
    with pytest.raises(UserError, match=r"classifier\.weight is \(2, 256, 1, 1\) in the file, but"):
        convert_released(TWO, output, config_dir=CONFIGS)
    assert not output.exists()


def test_a_page_in_place_of_the_file_is_refused_and_not_kept(
    output: Path, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_drive(monkeypatch, lambda file: file.write_bytes(PAGE) and None)
    words = (
        r"is a web page \('Google Drive - Quota exceeded'\), not a checkpoint: Google Drive may "
        r"have had too many downloads of adapter_hf/2 today\. Open https://drive\.google\.com/file/"
        r"d/1XIq5DM08hGA3tv9PcvDzizrgfNLh4k0h/view\?usp=drive_link in a browser, and give the file "
        "by --input"
    )
    with pytest.raises(UserError, match=words):
        convert_released(TWO, output, config_dir=CONFIGS)
    assert list((own_cache / "tasformer" / "released").iterdir()) == []
    (tmp_path / "saved.ckpt").write_bytes(b"<HTML>no title</HTML>")
    with pytest.raises(UserError, match=r"saved\.ckpt is a web page, not a checkpoint"):
        convert_released(TWO, output, source=tmp_path / "saved.ckpt", config_dir=CONFIGS)
    assert (tmp_path / "saved.ckpt").is_file()


def test_what_gdown_says_is_handed_on(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise RuntimeError("Cannot retrieve the public link of the file.\n\tYou may need to change")

    with_drive(monkeypatch, refuse)
    words = (
        r"cannot fetch adapter_hf/2 from Google Drive: Cannot retrieve the public link of the "
        r"file\. You may need to change\. Open https://"
    )
    with pytest.raises(UserError, match=words):
        convert_released(TWO, output, config_dir=CONFIGS)
    with_drive(monkeypatch, lambda _: None)  # of older versions
    with pytest.raises(UserError, match=r"cannot fetch adapter_hf/2 from Google Drive\. Open http"):
        convert_released(TWO, output, config_dir=CONFIGS)


def test_without_gdown_it_says_how_to_install_it(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gdown", None)
    words = r"needs gdown: pip install -e '\.\[fetch\]'\. Or open https://.* and give the file "
    with pytest.raises(UserError, match=words):
        convert_released(TWO, output, config_dir=CONFIGS)


def test_a_folder_that_holds_something_is_refused_before_anything_is_fetched(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = with_drive(monkeypatch, saved(2))
    output.mkdir()
    (output / "mine").touch()
    with pytest.raises(UserError, match=r"out holds something already; choose another --output"):
        convert_released(TWO, output, config_dir=CONFIGS)
    assert asked == []


def test_an_input_that_is_not_there(output: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"checkpoint .*no\.ckpt does not exist"):
        convert_released(TWO, output, source=tmp_path / "no.ckpt", config_dir=CONFIGS)
