"""Whole trainings on a small fake dataset: what they leave, how they go on, how they fail."""

import csv
import json
import os
import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from own_process import heeding_ctrl_c
from short_runs import ONE_TRAINING, SHORT_RUNS, TINY
from small_networks import SMALL
from torch import Tensor
from transformers import SegformerConfig, SegformerForImageClassification

from seg_training.config import compose_config
from seg_training.datasets.batches import Batch
from seg_training.errors import Interrupted, UserError
from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.pictures.picture_reading import read_image
from seg_training.results.prediction_examples import load_examples
from seg_training.training import training_progress as progress
from seg_training.training import training_run as training
from seg_training.training.losses import LOSSES
from seg_training.training.trainer import build_trainer
from seg_training.training.training_record import TrainingRecord
from seg_training.training.training_run import TrainingResult, train

pytestmark = SHORT_RUNS

CONFIGS = Path(__file__).parents[3] / "configs"
Settings = Callable[..., dict[str, Any]]


@pytest.fixture
def settings(
    fake_folder: Callable[[], Path], fake_classes: Mapping[str, Any], tmp_path: Path
) -> Settings:
    """Compose a small experiment: ``settings("experiment", "key=value", ...)``."""
    root = fake_folder()

    def compose(
        experiment: str = "folder_adapter", *overrides: str, size: Mapping[str, Any] = TINY
    ) -> dict[str, Any]:
        common = [
            *(ONE_TRAINING if experiment == "folder_adapter" else ()),
            f"data.root={root}",
            "data.crop_size=[32,64]",
            "data.batch_size=2",
            "data.num_workers=0",
            "model.pretrained=null",
            "optimizer.warmup_steps=0",
            "trainer.accelerator=cpu",
            "trainer.max_steps=2",
            "trainer.check_val_every_n_epoch=null",
            "trainer.val_check_interval=2",
            "trainer.num_sanity_val_steps=0",
            "trainer.log_every_n_steps=1",
            "log_plot_freq=2",
            "logger=csv",
        ]
        config = compose_config(experiment, [*common, *overrides], CONFIGS)
        config["data"]["classes"] = dict(fake_classes)
        config["model"] |= size
        config["run_dir"] = config["run_dir"] or str(tmp_path / "run")
        return config

    return compose


def weights(checkpoint: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(checkpoint, weights_only=True)["state_dict"]
    return state


def test_a_run_leaves_everything_in_its_folder(settings: Settings) -> None:
    trained = train(settings("folder_adapter", "logger=tensorboard", size={}))

    run_dir = trained.run_dir
    results = json.loads((run_dir / "results.json").read_text())
    assert results["bIoU"] == trained.result.bIoU
    assert results["num_masks"] == trained.result.num_masks > 0
    assert results["steps"] == results["evaluated_step"] == 2
    assert results["parameters"] == 7_199_521 + 512 * (5 - 2)  # the paper's count at K = 2
    assert results["versions"]["pytorch-lightning"] == pl.__version__
    assert results["seed"] == results["config"]["seed"] == 0
    assert results["config"]["optimizer"]["warmup_steps"] == 0
    kept = torch.load(run_dir / "checkpoints" / "best.ckpt", weights_only=True)
    assert results["data"] == kept["SegmentationDataModule"]["contents"]
    assert len(results["data"][""]["train"]["content"]) > 20
    with (run_dir / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["val/bIoU"]) == pytest.approx(trained.result.bIoU, abs=1e-4)
    assert sum(bool(row["train/loss"]) for row in rows) == 2
    assert read_image(run_dir / "predictions.png").shape[1] > 224
    assert f": bIoU {trained.result.bIoU:.1f} %" in (run_dir / "results.html").read_text()
    [example, *_] = load_examples(run_dir / "examples")
    assert set(example.prompts) <= set(trained.task_names)
    assert read_image(run_dir / "pictures" / "step_0000002.png").shape[1] > 3 * 64
    assert list(run_dir.glob("events.out.tfevents.*"))
    assert (run_dir / "config.yaml").is_file()


def test_pictures_that_cannot_be_written_cost_nothing_that_was_trained(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: Tensor, file: Path) -> None:
        raise UserError(f"cannot write {file}: No space left on device")

    monkeypatch.setattr("seg_training.training.training_pictures.save_picture", full)
    monkeypatch.setattr("seg_training.training.run_results.save_picture", full)
    config = settings()
    config["model"] |= SMALL
    with pytest.raises(UserError, match=r"cannot write .*predictions\.png: No space left"):
        train(config)
    run_dir = Path(config["run_dir"])
    assert json.loads((run_dir / "results.json").read_text())["steps"] == 2
    assert (run_dir / "checkpoints" / "last.ckpt").is_file()
    assert (run_dir / "model" / "model.safetensors").is_file()
    assert (run_dir / "results.html").is_file()
    assert f"cannot write {run_dir}/pictures/step_0000002.png: No space" in caplog.text


def test_eval_gives_what_training_measured_whatever_the_batch_size(settings: Settings) -> None:
    trained = train(settings())

    for batch_size in (1, 3):
        # The training split is not looked at: it need not be on this machine.
        overrides = [f"data.eval_batch_size={batch_size}", "data.train_split=nowhere"]
        result, module = evaluate(trained.run_dir, overrides, CONFIGS)
        assert result == trained.result
        assert module.task_names == trained.task_names


def test_eval_of_fewer_tasks_keeps_the_networks_ids(settings: Settings) -> None:
    trained = train(settings())
    some = trained.task_names[1:3]

    result, _ = evaluate(trained.run_dir, [f"tasks.classes=[{','.join(some)}]"], CONFIGS)

    assert result.per_class == {task_id: trained.result.per_class[task_id] for task_id in (1, 2)}


def test_eval_refuses_another_network_and_unknown_keys(settings: Settings) -> None:
    run_dir = train(settings()).run_dir
    with pytest.raises(UserError, match="cannot be changed"):
        evaluate(run_dir, ["model.method=emb"], CONFIGS)
    with pytest.raises(UserError, match=r"unknown key 'data.rot'; did you mean 'data.root'"):
        evaluate(run_dir, ["data.rot=x"], CONFIGS)
    with pytest.raises(UserError, match="no tasks=ade20k_13; did you mean 'ade20k_12'"):
        evaluate(run_dir, ["tasks=ade20k_13"], CONFIGS)
    with pytest.raises(UserError, match="unknown class 'building'"):
        evaluate(run_dir, ["tasks=ade20k_2"], CONFIGS)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TrainingResult]:
    """Train to the end, once with the same overrides: interrupted runs are compared with it."""
    done: dict[tuple[str, ...], TrainingResult] = {}

    def run(settings: Settings, *overrides: str) -> TrainingResult:
        if overrides not in done:
            run_dir = tmp_path_factory.mktemp("uninterrupted") / "run"
            done[overrides] = train(settings("folder_adapter", *overrides, f"run_dir={run_dir}"))
        return done[overrides]

    return run


@pytest.mark.parametrize("sampler", ["mixed", "homogeneous"])
@pytest.mark.parametrize(
    ("hook", "interrupted_at"),
    # Four batches an epoch: in the middle of one, at its end, and in the second epoch.
    [
        ("on_train_batch_end", 3),
        ("on_train_batch_end", 4),
        ("on_train_batch_end", 6),
        ("on_train_batch_start", 2),  # with a batch drawn that was not trained on
    ],
)
def test_a_resumed_run_ends_with_the_same_weights(
    settings: Settings,
    uninterrupted: Callable[..., TrainingResult],
    tmp_path: Path,
    sampler: str,
    hook: str,
    interrupted_at: int,
) -> None:
    common = [
        f"data.sampler={sampler}",
        "trainer.limit_train_batches=4",
        "trainer.max_steps=8",
        "trainer.val_check_interval=4",
        "log_plot_freq=0",
    ]
    whole = uninterrupted(settings, *common)
    expected = weights(whole.run_dir / "checkpoints" / "last.ckpt")

    def interrupt(trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        if trainer.global_step == interrupted_at:
            raise KeyboardInterrupt

    interruption = pl.Callback()
    setattr(interruption, hook, interrupt)
    first = settings("folder_adapter", *common, f"run_dir={tmp_path / 'first'}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "LearningRateMonitor", lambda _interval: interruption)
        with pytest.raises(UserError, match="interrupted; go on with ckpt_path="):
            train(first)
    last = tmp_path / "first" / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == interrupted_at

    # A run's folder means its last checkpoint here.
    resumed = train(
        settings(
            "folder_adapter",
            *common,
            f"run_dir={tmp_path / 'second'}",
            f"ckpt_path={tmp_path / 'first'}",
        )
    )

    actual = weights(resumed.run_dir / "checkpoints" / "last.ckpt")
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(actual[name], value), name


@pytest.mark.parametrize(
    ("hook", "interrupted_at", "number"),
    # Within a step, in the optimiser's own; in a validation; in the last step.
    [
        ("on_before_optimizer_step", 2, signal.SIGINT),
        ("on_before_zero_grad", 3, signal.SIGINT),
        ("on_validation_batch_start", 4, signal.SIGINT),
        ("on_validation_batch_start", 4, signal.SIGTERM),
        ("on_before_optimizer_step", 7, signal.SIGINT),
        ("on_before_optimizer_step", 4, signal.SIGTERM),
        ("on_before_zero_grad", 3, signal.SIGHUP),
    ],
)
def test_who_ends_a_training_waits_for_the_step_and_nothing_is_seen_of_it(
    settings: Settings,
    uninterrupted: Callable[..., TrainingResult],
    tmp_path: Path,
    hook: str,
    interrupted_at: int,
    number: signal.Signals,
) -> None:
    common = [
        "trainer.max_steps=8",
        "trainer.limit_train_batches=3",
        "trainer.val_check_interval=2",
    ]
    whole = uninterrupted(settings, *common)

    pressed = []

    def press(trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        if trainer.global_step == interrupted_at and not pressed:
            pressed.append(True)
            os.kill(os.getpid(), number)

    keyboard = pl.Callback()
    setattr(keyboard, hook, press)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "LearningRateMonitor", lambda _interval: keyboard)
        stopped = pytest.raises(Interrupted, match="interrupted; go on with ckpt_path=")
        with heeding_ctrl_c(), stopped:
            train(settings("folder_adapter", *common, f"run_dir={tmp_path / 'first'}"))
    last = torch.load(tmp_path / "first" / "checkpoints" / "last.ckpt", weights_only=True)
    within_step = hook != "on_validation_batch_start"
    assert last["global_step"] == interrupted_at + within_step

    more = [f"run_dir={tmp_path / 'second'}", f"ckpt_path={tmp_path / 'first'}"]
    resumed = train(settings("folder_adapter", *common, *more))

    results = [json.loads((run.run_dir / "results.json").read_text()) for run in (whole, resumed)]
    # Validated at the same steps, to the same numbers; BatchNorm saw every batch once.
    assert [step for step, _ in results[0]["curves"]["bIoU"]] == [2, 4, 6, 8]
    assert results[1]["curves"] == results[0]["curves"]
    expected = weights(whole.run_dir / "checkpoints" / "last.ckpt")
    trained_in = "first" if interrupted_at == 7 else "second"  # after the last step nothing is left
    actual = weights(tmp_path / trained_in / "checkpoints" / "last.ckpt")
    for name, value in expected.items():
        assert torch.equal(actual[name], value), name


def test_going_on_with_another_network_is_refused(settings: Settings, tmp_path: Path) -> None:
    run_dir = train(settings()).run_dir
    other = settings(
        "folder_adapter", "model=adapter_pp", "model.pretrained=null", f"ckpt_path={run_dir}"
    )
    other["run_dir"] = str(tmp_path / "other")
    with pytest.raises(UserError, match=r"another network .*repeat its overrides"):
        train(other)


def test_weights_that_are_not_finite_are_not_saved(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A finite loss whose gradient is not: as from another process, or from half precision.
    real = LOSSES["bce"]

    def spoilt(logits: Tensor, mask: Tensor) -> Tensor:
        loss = real(logits, mask)
        loss.register_hook(lambda gradient: gradient * float("nan"))
        return loss

    monkeypatch.setitem(LOSSES, "bce", spoilt)
    config = settings("folder_adapter", "trainer.checkpoint_every_n_steps=1")
    with pytest.raises(UserError, match=r"gradient's norm became nan, of a loss of .* at step 1"):
        train(config)
    assert not list(Path(config["run_dir"]).rglob("*.ckpt"))


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter(range(1, 100))
    real = LOSSES["bce"]

    def spoilt(logits: Tensor, mask: Tensor) -> Tensor:
        loss = real(logits, mask)
        return loss * float("nan") if next(losses) == 4 else loss

    monkeypatch.setitem(LOSSES, "bce", spoilt)
    config = settings("folder_adapter", "trainer.max_steps=8", "trainer.checkpoint_every_n_steps=1")

    with pytest.raises(
        UserError, match=r"(?s)loss became nan at step 4.*optimizer.lr.*Kept: .*last"
    ):
        train(config)

    last = torch.load(Path(config["run_dir"]) / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 3
    assert all(value.isfinite().all() for value in last["state_dict"].values())


@pytest.mark.parametrize("experiment", ["segformer", "emb", "vsa_emb", "adapter", "adapter_pp"])
def test_every_method_trains_and_evaluates(
    settings: Settings, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(
        "folder_adapter", f"model={'adapter_hf' if experiment == 'adapter' else experiment}"
    )
    if "emb" in experiment:
        config["model"]["resize_embedding"] = True
    if experiment == "segformer":
        config["data"]["sampler"] = "images"

    trained = train(config)

    assert 0 <= trained.result.bIoU <= 100
    assert trained.result.num_masks == sum(n for _, n in trained.result.per_class.values())


def test_two_epochs_differ_in_order_and_augmentation(settings: Settings) -> None:
    seen: list[Batch] = []

    class Recorder(pl.Callback):
        def on_train_batch_start(self, _t: Any, _m: Any, batch: Batch, _i: int) -> None:
            seen.append(batch)

    config = settings(
        "folder_adapter",
        "trainer.max_steps=6",
        "trainer.limit_train_batches=3",
        "trainer.limit_val_batches=1",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "LearningRateMonitor", lambda _interval: Recorder())
        train(config)

    first, second = seen[:3], seen[3:]
    assert [batch.name for batch in first] != [batch.name for batch in second]
    pictures = {
        (name, image.numpy().tobytes())
        for batch in seen
        for name, image in zip(batch.name, batch.image, strict=True)
    }
    assert len(pictures) > len({name for name, _ in pictures})


def test_training_learns_one_batch_by_heart(settings: Settings) -> None:
    config = settings(
        "folder_adapter",
        "trainer.max_steps=40",
        "trainer.val_check_interval=40",
        "trainer.limit_train_batches=1",
        "trainer.limit_val_batches=1",
        "data.augmentation=none",
        "optimizer=adamw",
        "log_plot_freq=0",
        size={},  # one that can
    )
    run_dir = train(config).run_dir
    with (run_dir / "metrics.csv").open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=0", "optimizer.lr=0: expected a number above 0"),
        ("optimizer.schedule=cosin", "unknown optimizer.schedule 'cosin'; did you mean 'cosine'"),
        ("data.sampler=mix", "unknown data.sampler 'mix'; did you mean 'mixed'"),
        ("data.crop_size=[8,8]", "expected .height, width., each at least 32"),
        ("model.method=adaptor_hf", "unknown method 'adaptor_hf'; did you mean 'adapter_hf'"),
        ("trainer.accelerator=gpuu", "trainer: "),
        ("trainer.max_steps=abc", "trainer.max_steps='abc': expected a whole number"),
        ("+trainer.max_stepz=3", "unknown setting 'trainer.max_stepz'; did you mean 'max_steps'"),
        ("+data.batchsize=3", "unknown setting 'data.batchsize'; did you mean 'batch_size'"),
        ("model=segformer", "segformer with data.sampler=mixed: the baseline trains on whole"),
        ("logger.names=csv", "logger.names='csv': expected a list"),
        ("trainer.checkpoint_every_n_steps=0", "every_n_steps=0: expected a whole number"),
        ("ckpt_path=/nowhere/x.ckpt", "checkpoint /nowhere/x.ckpt does not exist"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_is_written(
    settings: Settings, override: str, message: str
) -> None:
    config = settings("folder_adapter", override)
    with pytest.raises(UserError, match=message):
        train(config)
    assert not list(Path(config["run_dir"]).rglob("*.ckpt"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=-1", r"optimizer\.lr=-1: expected a number above 0"),
        ("optimizer.lr=abc", r"optimizer\.lr='abc': expected a number above 0"),
        ("optimizer.name=sgd", "unknown optimizer.name 'sgd'"),
        ("trainer.gradient_clip_val=-1", r"trainer\.gradient_clip_val=-1: expected .* at least 0"),
        ("trainer.gradient_clip_val=nan", "gradient_clip_val=nan: expected a number of at least"),
        ("trainer.gradient_clip_val=abc", "gradient_clip_val='abc': expected a number"),
        ("trainer.log_every_n_steps=-5", "log_every_n_steps=-5: expected a number of at least 0"),
        ("trainer.val_check_interval=0", "val_check_interval=0: expected a number above 0"),
        ("log_plot_freq=-2", r"log_plot_freq=-2: expected a whole number of batches; 0 for no"),
        ("log_plot_freq=1.5", r"log_plot_freq=1\.5: expected a whole number"),
        ("log_plot_freq=null", "log_plot_freq=None: expected a whole number"),
    ],
)
def test_a_wrong_number_is_named_before_the_data_are_read(
    settings: Settings, override: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: Any) -> None:
        raise AssertionError("the data were read")

    config = settings("folder_adapter", override)
    monkeypatch.setattr(training, "build_data_module", read)
    with pytest.raises(UserError, match=message):
        train(config)
    assert not Path(config["run_dir"]).exists()


@pytest.mark.parametrize(
    ("every", "said"),
    [
        (2, "best checkpoint, of step 2: "),
        (100, "none is the best; the end's checkpoint, of step "),
    ],
)
def test_what_is_evaluated_is_called_best_only_where_it_is(
    every: int, said: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        run_dir = train(settings("folder_adapter", f"trainer.val_check_interval={every}")).run_dir
    assert (run_dir / "checkpoints" / "best.ckpt").is_file() == (every == 2)
    [line] = [text for text in caplog.messages if "checkpoint, of step " in text]
    assert said in line
    assert line.startswith("best") == (every == 2)


def test_a_run_beyond_the_last_step_is_refused(settings: Settings, tmp_path: Path) -> None:
    run_dir = train(settings()).run_dir
    more = [f"ckpt_path={run_dir}", f"run_dir={tmp_path / 'again'}", "trainer.max_steps=1"]
    with pytest.raises(UserError, match=r"is at step 2 already, beyond .*max_steps=1; raise it"):
        train(settings("folder_adapter", *more))


@pytest.mark.parametrize("bound", ["trainer.max_steps=2", "trainer.max_epochs=1"])
def test_a_run_interrupted_in_its_final_evaluation_is_evaluated(
    settings: Settings, tmp_path: Path, bound: str
) -> None:
    common = [bound, "trainer.limit_train_batches=2"]
    if "epochs" in bound:
        common.append("trainer.max_steps=-1")
    first = train(settings("folder_adapter", *common))
    results = json.loads((first.run_dir / "results.json").read_text())
    more = [f"ckpt_path={first.run_dir}", f"run_dir={tmp_path / 'again'}"]

    again = train(settings("folder_adapter", *common, *more))

    assert again.result == first.result
    assert (again.run_dir / "checkpoints" / "best.ckpt").is_file()
    own = json.loads((again.run_dir / "results.json").read_text())
    for key in ("steps", "evaluated_step", "curves", "bIoU"):
        assert own[key] == results[key], key
    last = torch.load(first.run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    [earlier] = [kept["seconds"] for kept in last["callbacks"].values() if "seconds" in kept]
    assert own["seconds"] >= round(earlier, 1)  # evaluating comes on top of the training


def test_the_curves_of_a_resumed_run_are_whole(settings: Settings, tmp_path: Path) -> None:
    common = ["trainer.limit_train_batches=4", "trainer.val_check_interval=2"]
    first = train(settings("folder_adapter", *common))
    more = ["trainer.max_steps=4", f"ckpt_path={first.run_dir}", f"run_dir={tmp_path / 'again'}"]

    second = train(settings("folder_adapter", *common, *more))

    curves = json.loads((second.run_dir / "results.json").read_text())["curves"]
    logged = []
    for run_dir in (first.run_dir, second.run_dir):
        with (run_dir / "metrics.csv").open() as file:
            logged += [
                float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]
            ]
    assert [step for step, _ in curves["loss"]] == [1, 2, 3, 4]
    assert [loss for _, loss in curves["loss"]] == pytest.approx(logged, abs=1e-5)
    assert [step for step, _ in curves["bIoU"]] == [2, 4]
    assert max(biou for _, biou in curves["bIoU"]) == pytest.approx(second.result.bIoU)


def test_whose_weights_it_began_with_is_known_after_resuming(
    settings: Settings, tmp_path: Path
) -> None:
    """The licence in the model card depends on it."""
    backbone = tmp_path / "mit-b0"
    SegformerForImageClassification(SegformerConfig(**TINY)).save_pretrained(backbone)
    first = train(settings("folder_adapter", f"model.pretrained={backbone}"))
    more = ["trainer.max_steps=3", f"ckpt_path={first.run_dir}", f"run_dir={tmp_path / 'again'}"]
    second = train(settings("folder_adapter", *more))
    for run_dir in (first.run_dir, second.run_dir):
        origin = json.loads((run_dir / "model" / "config.json").read_text())["origin"]
        assert origin["pretrained"] == str(backbone)
        assert "non-commercial" in (run_dir / "model" / "README.md").read_text()


def test_the_loss_curve_averages_in_pairs_when_it_grows_long(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingRecord, "_most_points", 4)
    config = settings("folder_adapter", "trainer.max_steps=8", "trainer.val_check_interval=8")
    run_dir = train(config).run_dir
    curve = json.loads((run_dir / "results.json").read_text())["curves"]["loss"]
    with (run_dir / "metrics.csv").open() as file:
        logged = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    # Four points of one batch become two of two; again four become two of four batches.
    assert [step for step, _ in curve] == [4, 8]
    assert [loss for _, loss in curve] == pytest.approx(
        [np.mean(logged[:4]), np.mean(logged[4:])], abs=1e-5
    )


def test_evaluation_draws_no_scenes_where_there_are_none(tmp_path: Path) -> None:
    small = [
        "data.num_training=20",
        "data.num_validation=4",
        "data.num_workers=0",
        "trainer.max_steps=1",
        f"data.root={tmp_path / 'scenes'}",
        f"run_dir={tmp_path / 'run'}",
    ]
    config = compose_config("demo", small, CONFIGS)
    run_dir = train(config).run_dir
    with pytest.raises(UserError, match=r"nowhere does not exist; set data\.root"):
        evaluate(run_dir, [f"data.root={tmp_path / 'nowhere'}"], CONFIGS)
    assert not (tmp_path / "nowhere").exists()


def test_a_run_folder_that_cannot_be_made_is_named(settings: Settings, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    with pytest.raises(UserError, match=f"cannot make the run's folder {in_the_way / 'run'}"):
        train(settings("folder_adapter", f"run_dir={in_the_way / 'run'}"))


def test_a_log_without_a_terminal_has_lines_of_progress(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    with caplog.at_level("INFO"):
        trained = train(settings())
    losses = json.loads((trained.run_dir / "results.json").read_text())["curves"]["loss"]
    lines = [each.getMessage() for each in caplog.records if each.name == progress.__name__]
    assert len(lines) == 2
    for line, (step, loss) in zip(lines, losses, strict=True):
        assert line.startswith(f"step {step} of 2, ")
        assert " steps a second, loss " in line
        assert float(line.split()[-1]) == pytest.approx(loss, rel=1e-3)


def test_a_run_folder_is_not_overwritten(settings: Settings) -> None:
    config = settings()
    train(config)
    with pytest.raises(UserError, match="holds a run already"):
        train(config)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_training_on_a_gpu_measures_what_the_cpu_does(settings: Settings, precision: str) -> None:
    trained = train(
        settings("folder_adapter", "trainer.accelerator=cuda", f"trainer.precision={precision}")
    )
    on_cpu, _ = evaluate(
        trained.run_dir, ["trainer.accelerator=cpu", "trainer.precision=32-true"], CONFIGS
    )
    assert on_cpu.num_masks == trained.result.num_masks
    assert on_cpu.bIoU == pytest.approx(trained.result.bIoU, abs=0.5)


@pytest.mark.slow
def test_a_compiled_run_goes_on_and_is_evaluated_like_any_other(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Traced as for the real compiler, which would take minutes, then run as it is.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    trained = train(settings("folder_adapter", "trainer.compile=true"))
    result, _ = evaluate(trained.run_dir, (), CONFIGS)
    assert result == trained.result
    further = settings("folder_adapter", f"ckpt_path={trained.run_dir}", "trainer.max_steps=3")
    further["run_dir"] = str(tmp_path / "further")
    assert json.loads((train(further).run_dir / "results.json").read_text())["steps"] == 3


def test_mixed_precision_and_accumulation_train_and_evaluate(settings: Settings) -> None:
    config = settings(
        "folder_adapter", "trainer.precision=bf16-mixed", "trainer.accumulate_grad_batches=2"
    )
    config["trainer"]["val_check_interval"] = 4
    trained = train(config)
    last = torch.load(trained.run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["completed"] == 4
    assert {value.dtype for value in last["state_dict"].values()} == {
        torch.float32,
        torch.int64,  # how many batches BatchNorm has seen
    }
    result, _ = evaluate(trained.run_dir, (), CONFIGS)
    assert result == trained.result
    whole, _ = evaluate(trained.run_dir, ["trainer.precision=32-true"], CONFIGS)
    assert whole.bIoU == pytest.approx(result.bIoU, abs=2)


def test_two_runs_are_the_same_to_the_bit_whatever_the_workers(
    settings: Settings, tmp_path: Path
) -> None:
    states = []
    for workers in (0, 2):
        config = settings(
            "folder_adapter",
            *("trainer.deterministic=true", "trainer.max_steps=3", "log_plot_freq=0"),
            *(f"data.num_workers={workers}", f"run_dir={tmp_path / str(workers)}"),
        )
        folder = train(config).run_dir
        states.append(torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True))
    torch.use_deterministic_algorithms(False)

    for name, own in states[0]["state_dict"].items():
        assert torch.equal(own, states[1]["state_dict"][name]), name
    [first], [second] = (each["optimizer_states"] for each in states)
    assert first["state"].keys() == second["state"].keys()
    for number, moments in first["state"].items():
        for name, own in moments.items():
            assert torch.equal(own, second["state"][number][name]), (number, name)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_an_operation_that_has_no_deterministic_form_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def undetermined(logits: Tensor, mask: Tensor) -> Tensor:  # as PyTorch does on a GPU
        raise RuntimeError(
            "nll_loss2d_forward_out_cuda_template does not have a deterministic implementation, "
            "but you set 'torch.use_deterministic_algorithms(True)'."
        )

    monkeypatch.setitem(LOSSES, "bce", undetermined)
    with pytest.raises(UserError, match=r"but nll_loss2d_forward\S+ gives other numbers each time"):
        train(settings("folder_adapter", "trainer.deterministic=true"))
    torch.use_deterministic_algorithms(False)


def test_deterministic_and_benchmark_contradict_each_other() -> None:
    with pytest.raises(UserError, match=r"deterministic and trainer.benchmark contradict"):
        build_trainer({"deterministic": True, "benchmark": True})
