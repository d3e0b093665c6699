"""The benchmark as a user starts it, on images so small that the figures mean nothing."""

import json
from pathlib import Path

import pytest
from own_process import run_script
from small_benchmark import NUM_EVALUATED, QUICK, WHOLE_BENCHMARK, shrink


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")
def test_everything_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)
    monkeypatch.chdir(tmp_path)
    options = WHOLE_BENCHMARK.split()[2:]
    answer = run_script("benchmark", *options, "--json", "benchmark.json", *QUICK)
    assert answer.code == 0, answer.text
    assert "times faster" in answer.text
    content = json.loads((tmp_path / "benchmark.json").read_text())
    figures = {each["name"]: each for each in content["networks"]}
    stock = figures["stock, Hugging Face"]
    for name in ("emb", "vsa_emb", "adapter_hf", "adapter_hf++"):
        # Fusing before upsampling: fewer multiply-adds, and less is kept. Of images so small making
        # the adapters is a part that counts.
        assert figures[name]["multiply_adds"] < 0.75 * stock["multiply_adds"]
        assert figures[name]["training"]["saved_bytes"] < stock["training"]["saved_bytes"]
        assert f"│ {name} " in answer.text
    assert figures["adapter_hf"]["parameters"] == 7_275_297  # the paper's, at 150 classes
    for each in figures.values():
        for timing in (each["forward"], each["forward_batch"], each["training"]["step"]):
            assert len(timing["seconds"]) == 1
            assert min(timing["seconds"]) > 0
    assert [each["name"] for each in content["training"]] == [
        "stock, Hugging Face",
        "plain",
        "one class in the batch",
        "activation_checkpointing=true",
        "precision=bf16-mixed",
    ]
    assert [each["classes"] for each in content["many_classes"]] == [1, 3]
    assert all(each["difference"] < 1e-5 for each in content["many_classes"])
    assert all(each["peak_bytes"] > 2**16 for each in content["many_classes"])
    assert len(content["known_classes"]) == 2 * 2 + 2
    assert [each["method"] for each in content["recipes"]] == [
        "adapter_hf",
        "adapter_hf++",
        "channels",
    ]
    assert all(len(each["first"]["seconds"]) == 1 for each in content["recipes"])
    assert content["present_curve"] == []  # of a trained network alone
    present = content["present_classes"]
    assert (present["classes"], present["present"]) == (150, 9)
    assert present["present_asked"]["seconds"][0] < present["all_asked"]["seconds"][0]
    assert [each["name"] for each in content["exports"]] == [
        "PyTorch",
        "ONNX Runtime",
        "OpenVINO",
        "ONNX Runtime, 8 bits",
        "OpenVINO, 8 bits",
    ]
    assert content["exports"][0]["bytes"] is None
    assert content["exports"][3]["bytes"] < 0.3 * content["exports"][1]["bytes"]
    for each in content["exports"]:
        assert each["classes"] == [1, 10]
        one, ten = each["timings"]
        assert min(one["seconds"][0], ten["seconds"][0]) > 0  # of one round: no comparison
    assert all(figure > 0 for figure in content["data"].values())
    evaluation = content["evaluation"]
    assert evaluation["biou"] == pytest.approx(evaluation["plain_biou"], abs=1e-2)
    assert evaluation["images"] == NUM_EVALUATED
    assert all(len(timing["seconds"]) == 1 for timing in content["start"].values())
    assert [each["over"] for each in content["growth"]] == [
        "classes",
        "images in the batch",
        "height and width",
    ]
    assert [each["name"] for each in content["profiles"]] == [
        "training step of 2 images",
        "3 classes of one image",
    ]
    assert (tmp_path / "benchmark.html").read_text(encoding="utf-8").count("<svg") == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "networs"], "unknown --only 'networs'; did you mean 'networks'?"),
        (["--device", "cud"], "unknown --device 'cud'; did you mean 'cuda'"),
        (["--rounds", "0"], "--rounds 0: expected a whole number of at least 1"),
        (["--batch-size", "0"], "--batch-size 0: expected a whole number of at least 1"),
        (["--size", "16"], "--size 16: expected a whole number of at least 32"),
        (["--classes", "0"], "--classes 0: expected a whole number of at least 1"),
        (["--page", "."], "--page . is a folder; give a file"),
        (["--ckpt", "nowhere", "--only", "evaluation"], "nowhere"),
    ],
)
def test_a_wrong_setting_is_one_message(arguments: list[str], words: str) -> None:
    answer = run_script("benchmark", *arguments)
    assert answer.code == 1
    assert words in answer.text
