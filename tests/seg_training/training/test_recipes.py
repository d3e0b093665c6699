"""Recipes: a recogniser first, and then what is painted on it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_datasets import folder
from short_runs import SHORT_RUNS, small_config

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.model_folders import load_network
from seg_training.checkpoints.network_in_checkpoint import CHOSEN, NETWORK
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.training.recipes import (
    InterruptedPhase,
    Phases,
    by_its_own_recipe,
    phases_of,
    phases_to_train,
)
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS

PAINTED = (
    "recipe={name: painted, share: 0.5, optimizer: {lr: 2e-3}}",
    "loss=bce_dice",
    "trainer.max_steps=4",
    "trainer.val_check_interval=100",
)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder.make(tmp_path / "data")
    return tmp_path / "data"


def still(run: Path) -> dict[str, torch.Tensor]:
    """The weights of a run's network that are held still."""
    weights = read_checkpoint(run)["state_dict"]
    return {
        name.removeprefix("network.model."): tensor
        for name, tensor in weights.items()
        if ".recogniser." in name or ".segformer.stages." in name
    }


def test_what_fails_before_it_wrote_anything_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = {**small_config(tmp_path / "none", tmp_path / "run", *PAINTED), "run_dir": None}
    with pytest.raises(UserError, match=r"dataset folder .*none does not exist"):
        train(config)
    [experiment] = (tmp_path / "outputs").iterdir()
    assert not list(experiment.iterdir())


def test_both_phases_in_one_run(images: Path, tmp_path: Path) -> None:
    run = train(small_config(images, tmp_path / "run", *PAINTED)).run_dir
    first = read_checkpoint(run / "recogniser")
    assert first["global_step"] == 2
    assert first["hyper_parameters"]["config"]["optimizer"]["lr"] == 2e-3
    second = read_checkpoint(run)
    assert second["global_step"] == 2
    plain = {name.removeprefix("network.model."): own for name, own in first["state_dict"].items()}
    held = still(run)
    assert held
    for name, tensor in held.items():
        assert torch.equal(tensor, plain[name.removeprefix("recogniser.")]), name
    # As every network of ours, from the run and from its model's folder.
    picture = torch.rand(1, 3, 32, 64)
    network, saved = load_network(run), load_network(run / "model")
    with torch.no_grad():
        ids = torch.arange(network.num_tasks)
        assert torch.equal(network.task_logits(picture, ids), saved.task_logits(picture, ids))
        recogniser = load_network(run / "recogniser")
        assert torch.equal(network.label_logits(picture), recogniser.label_logits(picture))
    assert network.config.thresholds is not None
    results = json.loads((run / "results.json").read_text())
    assert results["recipe"] == "painted"
    assert results["first_phase"]["steps"] == 2
    assert results["first_phase"]["source"] == str(run / "recogniser")
    assert results["steps"] == 2


@pytest.mark.parametrize("interrupted", ["one", "two"])
def test_interrupted_in_either_phase_it_ends_with_the_same_weights(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: str
) -> None:
    from seg_training.pl_module import LitSeg

    whole = train(small_config(images, tmp_path / "whole", *PAINTED)).run_dir
    original = LitSeg.on_train_batch_end

    def stop(self: LitSeg, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if self.network.prompted == (interrupted == "two") and self.global_step == 1:
            raise KeyboardInterrupt

    config = small_config(images, tmp_path / "part", *PAINTED)
    with monkeypatch.context() as patched:
        patched.setattr(LitSeg, "on_train_batch_end", stop)
        with pytest.raises(BaseException):  # noqa: B017, PT011
            train(config)
    resumed = small_config(images, tmp_path / "resumed", *PAINTED, f"ckpt_path={tmp_path / 'part'}")
    again = train(resumed).run_dir
    expected, found = (read_checkpoint(run)["state_dict"] for run in (whole, again))
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []


def test_an_evaluation_keeps_how_much_of_what_is_painted_counts(
    images: Path, tmp_path: Path
) -> None:
    """Else other thresholds, of other images, would change what is painted at 0."""
    run = train(small_config(images, tmp_path / "run", *PAINTED)).run_dir
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    gains = [0.3] * len(content["hyper_parameters"]["task_names"])  # none that would be chosen
    for name, own in (("calibrated", {"painted_gains": gains}), ("bare", dict.fromkeys(CHOSEN))):
        changed = content[NETWORK] | own | {"fingerprint": None}
        torch.save({**content, NETWORK: changed}, tmp_path / f"{name}.ckpt")
    pytest.importorskip("rankseg")
    plain, _ = evaluate(tmp_path / "calibrated.ckpt")
    result, module = evaluate(tmp_path / "calibrated.ckpt", ["thresholds=rankseg"])
    assert module.network.config.painted_gains == gains
    assert module.network.config.iou_temperature is not None
    assert (result.bIoU, result.num_masks) == (plain.bIoU, plain.num_masks)
    # Of one that was never calibrated they are chosen as at a training's end.
    _, module = evaluate(tmp_path / "bare.ckpt", ["thresholds=per_class"])
    assert module.network.config.painted_gains == content[NETWORK]["painted_gains"]


def test_a_run_is_a_recogniser_for_another(images: Path, tmp_path: Path) -> None:
    """Phase two alone, on a SegFormer of the same classes."""
    segformer = ("model=segformer_scratch", "data.sampler=images")
    train(small_config(images, tmp_path / "first", *segformer))
    run = train(
        small_config(images, tmp_path / "second", f"model.recogniser={tmp_path / 'first'}")
    ).run_dir
    recognition = load_network(run).config.recognition
    assert recognition is not None
    assert recognition["channels"] == [[task + 1] for task in range(len(recognition["channels"]))]
    assert recognition["source"] == "first"  # nothing of the machine goes where the model does
    for file in (run / "model" / "README.md", run / "model" / "config.json"):
        assert str(tmp_path) not in file.read_text(encoding="utf-8")
    assert json.loads((run / "results.json").read_text())["view"] == "squeeze"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("recipe=paintd",), "unknown recipe 'paintd'; did you mean 'painted'"),
        (("recipe={name: painted, share: 1.5}",), r"recipe\.share=1\.5"),
        (("recipe={name: painted, part: 1}",), "'painted' does not read 'part'"),
        (
            ("recipe=painted", "trainer.max_steps=-1", "trainer.max_epochs=-1"),
            "nothing limits this one: give trainer.max_steps",
        ),
        (("recipe={name: painted, optimizer: {rate: 1}}",), "recipe.optimizer"),
    ],
)
def test_what_cannot_be_is_refused(
    images: Path, tmp_path: Path, overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(small_config(images, tmp_path / "run", *overrides))
    assert not (tmp_path / "run").exists()


def test_the_published_recipe_has_no_first_phase(images: Path, tmp_path: Path) -> None:
    config = small_config(images, tmp_path / "run", "recipe=published")
    assert phases_of(config) == Phases(None, config)


@pytest.mark.parametrize(
    ("limits", "first", "second"),
    [
        ({"max_steps": 20, "max_epochs": 3}, (17, -1, None), (3, -1, None)),
        ({"max_steps": 0}, (0, -1, None), (0, -1, None)),
        ({"max_steps": 2}, (1, -1, None), (1, -1, None)),
        ({"max_steps": 1}, (1, -1, None), (1, -1, None)),
        ({"max_steps": -1, "max_epochs": 20}, (-1, 17, None), (-1, 3, None)),
        (
            {"max_steps": -1, "max_epochs": -1, "max_time": "00:00:10:00"},
            (-1, -1, 510),
            (-1, -1, 90),
        ),
        ({"max_steps": 20, "max_time": {"minutes": 1}}, (17, -1, 51), (3, -1, 9)),
    ],
)  # fmt: skip
def test_what_limits_a_training_is_divided(
    images: Path, tmp_path: Path, limits: dict[str, Any], first: Any, second: Any
) -> None:
    config = small_config(
        images, tmp_path / "run", "recipe=painted", "trainer.val_check_interval=20"
    )
    config["trainer"] |= limits
    phases = phases_of(config)
    assert phases.first is not None
    for phase, expected in ((phases.first, first), (phases.second, second)):
        steps, epochs, seconds = expected
        trainer = phase["trainer"]
        assert (trainer["max_steps"], trainer["max_epochs"]) == (steps, epochs)
        if seconds is None:
            assert trainer.get("max_time") is None
        else:
            assert trainer["max_time"]["seconds"] == pytest.approx(seconds)
    # As often as without a first phase.
    assert phases.second["trainer"]["val_check_interval"] == 3


def test_epochs_that_do_not_count_are_said(
    images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = small_config(images, tmp_path / "run", "recipe=painted")
    phases_to_train(config, phases_of(config), None)
    assert not caplog.text  # no limit of its own
    config["trainer"]["max_epochs"] = 3
    phases_to_train(config, phases_of(config), None)
    assert "divides trainer.max_steps=2; trainer.max_epochs=3, of which" in caplog.text
    assert "does not count: give trainer.max_steps=-1 to count epochs" in caplog.text


def test_the_second_phase_warms_up_for_less_and_has_a_lower_rate(
    images: Path, tmp_path: Path
) -> None:
    more = ("recipe={name: painted, share: 0.8, optimizer: {lr: 2e-3}}", "optimizer=adamw")
    phases = phases_of(small_config(images, tmp_path / "run", *more))
    assert phases.first is not None
    assert (phases.first["optimizer"]["warmup_steps"], phases.first["optimizer"]["lr"]) == (
        100,
        2e-3,
    )
    assert phases.second["optimizer"]["warmup_steps"] == 20
    assert phases.second["optimizer"]["lr"] == pytest.approx(3e-4)
    alone = phases_of(small_config(images, tmp_path / "run", *more, "model.recogniser=run"))
    assert alone.second["optimizer"]["warmup_steps"] == 100
    assert alone.second["optimizer"]["lr"] == 1e-3


def test_from_random_weights_the_recogniser_starts_by_fan_in(images: Path, tmp_path: Path) -> None:
    scratch = small_config(images, tmp_path / "run", "recipe=painted", "model=adapter_hf_scratch")
    phases = phases_of(scratch)
    assert phases.first is not None
    assert phases.first["model"]["fan_in_linears"] is True
    assert phases.second["model"]["fan_in_linears"] is False  # the hypernetwork's as published
    lr = scratch["optimizer"]["lr"]
    assert phases.first["optimizer"]["lr"] == pytest.approx(3 * lr)
    assert phases.second["optimizer"]["lr"] == pytest.approx(0.3 * lr)
    loaded = phases_of({**scratch, "model": {**scratch["model"], "pretrained": "nvidia/mit-b0"}})
    assert loaded.first is not None
    assert loaded.first["model"]["fan_in_linears"] is False
    assert loaded.first["optimizer"]["lr"] == lr
    without = phases_of({**scratch, "recipe": {"name": "painted", "fan_in": False}})
    assert without.first is not None
    assert without.first["model"]["fan_in_linears"] is False
    assert without.first["optimizer"]["lr"] == lr
    for name in ("fan_in", "muon"):
        with pytest.raises(UserError, match=rf"recipe\.{name}='yes': expected true or false"):
            phases_of({**scratch, "recipe": {"name": "painted", name: "yes"}})


def test_its_matrices_are_moved_by_muon(images: Path, tmp_path: Path) -> None:
    """In the place of AdamW, where nothing else is asked for."""
    usual = small_config(images, tmp_path / "run", "recipe=painted", "optimizer=adamw")
    for changed, recipe, first in (
        ({}, {}, "muon"),
        ({}, {"muon": False}, "adamw"),
        ({}, {"fan_in": False}, "adamw"),
        ({}, {"optimizer": {"name": "adam"}}, "adam"),
        ({"name": "adam"}, {}, "adam"),
        ({"name": {"name": "adamw", "eps": 1e-6}}, {}, {"name": "adamw", "eps": 1e-6}),
    ):
        optimizer = {**usual["optimizer"], **changed}
        phases = phases_of(
            {**usual, "optimizer": optimizer, "recipe": {"name": "painted", **recipe}}
        )
        assert phases.first is not None
        assert phases.first["optimizer"]["name"] == first
        assert phases.second["optimizer"]["name"] == optimizer["name"]


def test_a_first_phase_of_before_goes_on_as_it_began(images: Path, tmp_path: Path) -> None:
    scratch = small_config(images, tmp_path / "run", "recipe=painted", "model=adapter_hf_scratch")
    began = phases_of({**scratch, "recipe": {"name": "painted", "fan_in": False}}).first
    assert began is not None
    model = {name: own for name, own in began["model"].items() if name != "fan_in_linears"}
    before = InterruptedPhase(tmp_path / "last.ckpt", {**began, "model": model})
    first = phases_of(by_its_own_recipe(scratch, before)).first
    assert first == began
    now = phases_of(scratch).first
    assert now is not None
    again = InterruptedPhase(tmp_path / "last.ckpt", now)
    assert phases_of(by_its_own_recipe(scratch, again)).first == now
    # What is asked for is another training, and a recipe without this start has none to leave out.
    asked = {**scratch, "recipe": {"name": "painted", "fan_in": True}}
    assert phases_of(by_its_own_recipe(asked, before)).first == now
    # Of the recipe with one of the two alone, in both phases.
    scratch["optimizer"]["name"] = "adamw"
    middle = phases_of({**scratch, "recipe": {"name": "painted", "muon": False}})
    assert middle.first is not None
    for phase in middle:
        cut = InterruptedPhase(tmp_path / "last.ckpt", phase)
        assert by_its_own_recipe(scratch, cut)["recipe"] == {"name": "painted", "muon": False}
    published = {**scratch, "recipe": "published"}
    assert by_its_own_recipe(published, before)["recipe"] == "published"


def test_each_phase_has_a_loss_of_its_own(images: Path, tmp_path: Path) -> None:
    for loss, expected in (("null", "bce_dice"), ("bce", "bce")):
        more = ("recipe=painted", f"loss={loss}")
        phases = phases_of(small_config(images, tmp_path / "run", *more))
        assert phases.first is not None
        assert (phases.first["loss"], phases.second["loss"]) == ("cross_entropy_dice", expected)
        given = phases_of(small_config(images, tmp_path / "run", *more, "model.recogniser=run"))
        assert (given.first, given.second["loss"]) == (None, expected)
    own = ("recipe={name: painted, loss: cross_entropy}",)
    phases = phases_of(small_config(images, tmp_path / "run", *own))
    assert phases.first is not None
    assert phases.first["loss"] == "cross_entropy"


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        ("mixed", {"name": "mixed", "absent": 0.3}),
        ("{name: mixed, absent: 0.1}", {"name": "mixed", "absent": 0.1}),
        (
            "{name: mixed, absent_by: frequent}",
            {"name": "mixed", "absent_by": "frequent", "absent": 0.3},
        ),
        ("images", "images"),
    ],
)
def test_a_share_of_the_prompts_is_in_vain(
    images: Path, tmp_path: Path, sampler: str, expected: Any
) -> None:
    more = ("recipe=painted", f"data.sampler={sampler}")
    phases = phases_of(small_config(images, tmp_path / "run", *more))
    assert phases.first is not None
    assert (phases.first["data"]["sampler"], phases.second["data"]["sampler"]) == (
        "images",
        expected,
    )
    none = phases_of(
        small_config(
            images, tmp_path / "run", "recipe={name: painted, absent: 0}", "data.sampler=mixed"
        )
    )
    assert none.second["data"]["sampler"] == {"name": "mixed", "absent": 0}


def test_a_segformer_is_what_the_first_phase_gives(images: Path, tmp_path: Path) -> None:
    more = ("model=segformer_scratch", "data.sampler=images", "recipe=painted")
    config = small_config(images, tmp_path / "run", *more)
    assert phases_of(config) == Phases(None, config)
    results = json.loads((train(config).run_dir / "results.json").read_text())
    assert (results["method"], results["steps"], results["first_phase"]) == ("segformer", 2, None)


def test_epochs_are_divided(images: Path, tmp_path: Path) -> None:
    epochs = ("trainer.max_steps=-1", "trainer.max_epochs=2", "trainer.check_val_every_n_epoch=1")
    share = "recipe={name: painted, share: 0.5}"
    run = train(small_config(images, tmp_path / "run", share, *epochs)).run_dir
    for each in (run / "recogniser", run):
        progress = read_checkpoint(each)["loops"]["fit_loop"]["epoch_progress"]["total"]
        assert progress["started"] == 1


def test_a_recogniser_that_paints_one_class_is_refused(images: Path, tmp_path: Path) -> None:
    train(small_config(images, tmp_path / "first"))
    with pytest.raises(UserError, match="of method 'adapter_hf', which paints one class at a time"):
        train(small_config(images, tmp_path / "second", f"model.recogniser={tmp_path / 'first'}"))
    with pytest.raises(UserError, match=r"does nothing with model\.method=segformer"):
        train(
            small_config(
                images,
                tmp_path / "third",
                f"model.recogniser={tmp_path / 'first'}",
                "model=segformer_scratch",
                "data.sampler=images",
            )
        )
