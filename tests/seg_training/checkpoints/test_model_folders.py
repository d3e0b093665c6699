import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from own_process import run_script
from safetensors import SafetensorError
from transformers import modeling_utils

from seg_training.checkpoints.folder_sums import SUMS
from seg_training.checkpoints.model_folders import describe_network, load_network, save_network
from seg_training.checkpoints.network_in_checkpoint import NETWORK, network_of, network_to_keep
from seg_training.config import compose_config
from seg_training.errors import UserError
from seg_training.networks import Network, build_network
from transformers_update_for_adapters import TASFormerForSemanticSegmentation

CONFIGS = Path(__file__).parents[3] / "configs"
TINY: dict[str, Any] = {
    "hidden_sizes": [8, 16, 24, 32],
    "num_attention_heads": [1, 2, 3, 4],
    "decoder_hidden_size": 16,
}
RESULTS = {
    "bIoU": 12.5,
    "bIoU_interval": [11.0, 14.0],
    "num_masks": 3,
    "per_class": {"tree": {"bIoU": 12.5, "num_masks": 3}},
    "evaluated_step": 40,
    "seed": 7,
    "commit": "abc",
    "seconds": 1.0,
}


@pytest.fixture
def config() -> dict[str, Any]:
    return compose_config("ade20k_adapter", ["tasks=ade20k_2"], CONFIGS)


@pytest.fixture
def network() -> Network:
    network = build_network("adapter_hf", 2, task_names=["building", "floor"], **TINY).eval()
    network.config.crop_size = [320, 320]
    return network


def test_a_network_is_told_what_is_known_of_it(network: Network, config: dict[str, Any]) -> None:
    describe_network(network, config, RESULTS)
    own = network.config
    assert own.origin == {
        "pretrained": "nvidia/mit-b0",
        "dataset": "ade20k",
        "step": 40,
        "seed": 7,
        "commit": "abc",
    }
    measured = ("bIoU", "bIoU_interval", "num_masks", "per_class")
    assert own.measured == {key: RESULTS[key] for key in measured}


def test_what_was_not_measured_is_null_and_said_so(
    network: Network, config: dict[str, Any], tmp_path: Path
) -> None:
    nothing = {"bIoU": math.nan, "num_masks": 0}
    per_class = {"building": {"bIoU": 12.5, "num_masks": 3}, "floor": nothing}
    for interval in ((math.nan, math.nan), None):
        results = {**RESULTS, "per_class": per_class, "bIoU_interval": interval}
        describe_network(network, config, results)
        save_network(tmp_path, network, config)
        text = (tmp_path / "config.json").read_text()
        assert json.loads(text, parse_constant=pytest.fail)["measured"]["per_class"]["floor"] == {
            "bIoU": None,
            "num_masks": 0,
        }
        card = (tmp_path / "README.md").read_text()
        assert "bIoU 12.5 % on the validation images" in card  # of one image: no interval
        assert "| building | 12.5 | 3 |\n| floor | not measured | 0 |" in card
        assert "Not found" not in card
    assert load_network(tmp_path).config.measured["per_class"]["floor"]["bIoU"] is None


def test_several_datasets_and_own_images_have_names(network: Network) -> None:
    several = compose_config("multitask_sun_trans10k", [], CONFIGS)
    describe_network(network, several)
    assert network.config.origin["dataset"] == "sun + trans10k"
    describe_network(network, compose_config("folder_adapter", ["data.root=/my/kitchen"], CONFIGS))
    assert network.config.origin["dataset"] == "kitchen"


def test_a_saved_network_is_loaded_with_all_of_it(
    network: Network, config: dict[str, Any], tmp_path: Path
) -> None:
    describe_network(network, config, RESULTS)
    save_network(tmp_path / "model", network, config)
    (tmp_path / "model" / "config.yaml").unlink()  # as it is on the hub
    loaded = load_network(tmp_path / "model")
    assert not loaded.training
    assert loaded.task_names == ("building", "floor")
    assert loaded.config.measured == network.config.measured
    images = torch.rand(1, 3, 64, 64)
    ids = torch.tensor([1])
    with torch.no_grad():
        torch.testing.assert_close(loaded(images, ids), network(images, ids))


def test_others_may_read_the_weights_as_they_may_the_rest(
    network: Network, config: dict[str, Any], tmp_path: Path
) -> None:
    save_network(tmp_path / "model", network, config)
    modes = {file.stat().st_mode for file in (tmp_path / "model").iterdir()}
    assert len(modes) == 1


def test_weights_that_find_no_room_are_a_users_error(
    network: Network, config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: Any, **_others: Any) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(modeling_utils, "safe_save_file", full)
    with pytest.raises(UserError, match=r"cannot write .*model: .*No space left on device"):
        save_network(tmp_path / "model", network, config)
    assert list(tmp_path.iterdir()) == []


def test_results_are_of_the_weights_that_were_evaluated(
    network: Network, config: dict[str, Any], tmp_path: Path
) -> None:
    describe_network(network, config, RESULTS)
    with torch.no_grad():
        network.model.decode_head.classifier.bias.add_(1)  # trained on, say
    save_network(tmp_path / "model", network, config)
    loaded = load_network(tmp_path / "model").config
    assert loaded.measured is None
    assert loaded.origin["changed_from"].startswith("dataset ade20k, step 40")
    assert "12.5" not in (tmp_path / "model" / "README.md").read_text()


def test_a_description_without_results_forgets_older_ones(
    network: Network, config: dict[str, Any]
) -> None:
    describe_network(network, config, RESULTS)
    describe_network(network, config)
    assert network.config.measured is None


@pytest.mark.parametrize("field", ["task_names", "crop_size"])
def test_a_folder_that_does_not_say_enough(
    network: Network, config: dict[str, Any], tmp_path: Path, field: str
) -> None:
    describe_network(network, config)
    network.model.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**content, field: None}))
    with pytest.raises(UserError, match=rf"cannot be used: add {field} to its config\.json"):
        load_network(tmp_path)


def test_a_damaged_folder(network: Network, tmp_path: Path) -> None:
    network.model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_text("no weights")
    with pytest.raises(UserError, match=r"holds no network that can be loaded \(.*; give a run"):
        load_network(tmp_path)


@pytest.fixture
def run(config: dict[str, Any], tmp_path: Path) -> Path:
    """A run's folder with two checkpoints; the results are of the best."""
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    own = {**config, "model": {**config["model"], **TINY}}
    network = build_network(
        num_tasks=2, task_names=["building", "floor"], **{**own["model"], "pretrained": None}
    )
    content = {
        "state_dict": {f"network.{name}": w for name, w in network.state_dict().items()},
        "hyper_parameters": {"config": own, "task_names": ["building", "floor"]},
    }
    torch.save({**content, "global_step": 40}, run / "checkpoints" / "best.ckpt")
    torch.save({**content, "global_step": 50}, run / "checkpoints" / "last.ckpt")
    (run / "results.json").write_text(json.dumps(RESULTS))
    return run


def test_a_checkpoint_of_before_is_what_its_config_and_the_datasets_say(run: Path) -> None:
    own = load_network(run).config
    assert list(own.task_names) == ["building", "floor"]
    assert (own.crop_size, own.task_synonyms) == ([320, 320], [["edifice"], ["flooring"]])


def test_a_checkpoint_is_what_it_says_itself(
    run: Path, network: Network, config: dict[str, Any]
) -> None:
    """Whatever its config says: nothing of the training is asked."""
    file = run / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    expected = load_network(run)
    content["hyper_parameters"]["config"] |= {"tasks": {}, "optimizer": {"unknown": 1}}
    kept = network_to_keep(network, (64, 96), [["edifice", "house"], []])
    torch.save({**content, NETWORK: kept}, file)
    loaded = load_network(run)
    assert loaded.crop_size == (64, 96)
    assert loaded.config.task_synonyms == [["edifice", "house"], []]
    assert loaded.config.measured == expected.config.measured
    assert loaded.config.origin == expected.config.origin
    assert not loaded.training
    torch.testing.assert_close(loaded.state_dict(), expected.state_dict(), rtol=0, atol=0)


def test_how_attention_is_computed_stays(run: Path, config: dict[str, Any]) -> None:
    file = run / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    own = {**TINY, "attn_implementation": "eager"}
    network = build_network("adapter_hf", 2, task_names=["building", "floor"], **own)
    torch.save({**content, NETWORK: network_to_keep(network, (64, 96), [[], []])}, file)
    assert load_network(run).config._attn_implementation == "eager"


def test_weights_of_another_network_are_refused(run: Path, network: Network) -> None:
    file = run / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    del content["state_dict"]["network.model.decode_head.classifier.bias"]
    words = r"weights do not fit its own config(.|\n)*decode_head\.classifier\.bias"
    for kept in ({}, {NETWORK: network_to_keep(network, (64, 96), [[], []])}):
        torch.save({**content, **kept}, file)
        with pytest.raises(UserError, match=words):
            load_network(run)


def test_results_are_those_of_the_checkpoint(run: Path) -> None:
    best = load_network(run).config
    assert best.measured["bIoU"] == 12.5
    assert best.origin["pretrained"] == "nvidia/mit-b0"  # although none is fetched now
    last = load_network(run / "checkpoints" / "last.ckpt").config
    assert last.measured is None
    assert last.origin["step"] is None


@pytest.mark.parametrize(
    "edited",
    [
        {"bIoU": "<script>"},
        {"bIoU_interval": 3},
        {"per_class": [1, 2]},
        {"per_class": {"building": {"bIoU": "x", "num_masks": 1}}},
    ],
)
def test_edited_results_are_left_out(
    edited: dict[str, Any], run: Path, config: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    (run / "results.json").write_text(json.dumps({**RESULTS, **edited}))
    network = load_network(run)
    assert network.config.measured is None
    assert "results.json is not what a training wrote, and left out" in caplog.text
    save_network(run / "model", network, config)


def test_results_of_another_run_are_not_taken(run: Path) -> None:
    """Of the same step, in a folder into which the checkpoint was copied."""
    file = run / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    content["callbacks"] = {"BestAndLast": {"run": "a", "best": None, "path": ""}}
    torch.save(content, file)
    for other, known in (("b", False), ("a", True)):
        (run / "results.json").write_text(json.dumps({**RESULTS, "run": other}))
        assert (load_network(run).config.measured is not None) == known


def test_a_checkpoint_becomes_a_folder(run: Path, tmp_path: Path) -> None:
    answer = run_script("save_pretrained", "--ckpt", str(run), "--output", str(tmp_path / "out"))
    assert answer.code == 0, answer.text
    model = TASFormerForSemanticSegmentation.from_pretrained(tmp_path / "out")
    assert model.config.measured["bIoU"] == 12.5
    assert "bIoU 12.5 %" in (tmp_path / "out" / "README.md").read_text()
    again = run_script("save_pretrained", "--ckpt", str(run), "--output", str(tmp_path / "out"))
    assert again.code == 1
    assert "holds something already; choose another --output" in again.text


def test_a_calibration_that_cannot_be_is_one_error(
    network: Network, config: dict[str, Any], tmp_path: Path
) -> None:
    describe_network(network, config)
    save_network(tmp_path, network, config)
    file = tmp_path / "config.json"
    stored = json.loads(file.read_text())
    (tmp_path / SUMS).unlink()
    for name, value, message in (
        ("presence", {"scale": 1.0, "bias": [0.0], "least": 0.5}, "1 biases, but num_tasks is 2"),
        ("thresholds", [0.5, None], "thresholds"),
        ("view", "round", "view is 'round'; known are squeeze"),
    ):
        file.write_text(json.dumps(stored | {name: value}))
        with pytest.raises(UserError, match="holds no network that can be loaded") as caught:
            load_network(tmp_path)
        assert message in str(caught.value)


def test_so_is_one_in_a_checkpoint(network: Network, tmp_path: Path) -> None:
    kept = network_to_keep(network, (320, 320), [[], []]) | {"thresholds": [1.0]}
    weights = {f"network.{name}": each for name, each in network.state_dict().items()}
    with pytest.raises(UserError, match=r"its network is wrong: .*thresholds has 1 entries"):
        network_of({NETWORK: kept, "state_dict": weights})
