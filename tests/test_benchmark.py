"""The benchmark as a user starts it, on images so small that the figures mean nothing."""

import json
from pathlib import Path

import pytest
from own_process import run_script

SMALL = ["--rounds", "2", "--size", "64", "--batch-size", "2", "--classes", "1", "3"]


@pytest.mark.slow
def test_everything_is_measured(tmp_path: Path) -> None:
    answer = run_script("benchmark", *SMALL, "--json", str(tmp_path / "b.json"))
    assert answer.code == 0, answer.text
    content = json.loads((tmp_path / "b.json").read_text())
    figures = {each["name"]: each for each in content["networks"]}
    stock = figures["stock, Hugging Face"]
    for name in ("emb", "vsa_emb", "adapter_hf", "adapter_hf++"):
        # Fusing before upsampling: fewer multiply-adds, and less is kept.
        assert figures[name]["multiply_adds"] < 0.7 * stock["multiply_adds"]
        assert figures[name]["saved_bytes"] < stock["saved_bytes"]
        assert f"│ {name} " in answer.text
    assert figures["adapter_hf"]["parameters"] == 7_275_297  # the paper's, at 150 classes
    for each in figures.values():
        for kind in ("forward", "forward_batch", "step"):
            assert len(each[kind]["seconds"]) == 2
            assert min(each[kind]["seconds"]) > 0
    assert [each["classes"] for each in content["many_classes"]] == [1, 3]
    assert all(each["difference"] < 1e-5 for each in content["many_classes"])
    assert all(seconds > 0 for seconds in content["data"].values())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "networs"], "unknown --only 'networs'; did you mean 'networks'?"),
        (["--device", "cud"], "unknown --device 'cud'; did you mean 'cuda'"),
        (["--rounds", "0"], "--rounds 0: expected at least 1"),
        (["--batch-size", "0"], "--batch-size 0: expected at least 1"),
        (["--size", "16"], "--size 16: expected at least 32"),
    ],
)
def test_a_wrong_setting_is_one_message(arguments: list[str], words: str) -> None:
    answer = run_script("benchmark", *arguments)
    assert answer.code == 1
    assert words in answer.text
