"""The recipes as rows of tables: what each step changes, with the same data and number of steps."""

from collections.abc import Sequence
from dataclasses import dataclass

from seg_training.tables.table_layout import CALIBRATED, ONE_TRAINING, Cell, Entry, Scale, Table

__all__ = ["RECIPE_ROWS", "RECIPE_SCALES", "RecipeRow"]


@dataclass(frozen=True)
class RecipeRow:
    """A row of a table of recipes.

    Attributes:
        label: what it is called in print.
        model: a file of ``configs/model``.
        about: what its training is, for the reader.
        phase: ``whole``, all steps at once; ``first``, the recogniser alone; ``second``, what is
            painted on that of the same seed.
        overrides: how it is trained, besides.
        on: of ``second``, the row whose recogniser it is painted on.
        rate: learning rate from random weights.
        main: whether it is trained with three seeds; else with one.
    """

    label: str
    model: str
    about: str
    phase: str = "whole"
    overrides: tuple[str, ...] = ()
    on: str = "recogniser"
    rate: str = "1e-3"
    main: bool = True


_WHOLE_LABEL_MAPS = ("data.sampler=images",)
_WITH_DICE = (*_WHOLE_LABEL_MAPS, "loss=cross_entropy_dice")
_SHARE = 0.85  # of phase one
_BETTER_LOSS = ("loss=bce_dice", "data.sampler={name:mixed,absent:0.3}")
_GOING_ON = ("optimizer.lr=3e-4", "optimizer.warmup_steps=15")  # as recipe=painted has them
_BY_FAN_IN = "model.fan_in_linears=true"
_BY_MUON = (_BY_FAN_IN, "optimizer.name=muon")

RECIPE_ROWS = {
    "segformer": RecipeRow(
        "SegFormer (B0)",
        "segformer_scratch",
        "all steps on whole label maps, cross-entropy; asked for a class, by its margin over all "
        "other channels",
        overrides=_WHOLE_LABEL_MAPS,
    ),
    "segformer_dice": RecipeRow(
        "SegFormer (B0), CE + Dice",
        "segformer_scratch",
        "the same with Dice of every class of an image beside the cross-entropy",
        overrides=_WITH_DICE,
    ),
    "published": RecipeRow(
        "TASFormer (HF adapter), published",
        "adapter_hf_scratch",
        "all steps on one class of each image, binary cross-entropy",
        overrides=("data.sampler=mixed",),
    ),
    "losses": RecipeRow(
        "TASFormer (HF adapter), BCE + Dice, absent",
        "adapter_hf_scratch",
        "the same with BCE + Dice, and 30 % of the prompts for a class that is not there",
        overrides=_BETTER_LOSS,
        main=False,
    ),
    "recogniser": RecipeRow(
        "SegFormer (B0), phase one alone",
        "segformer_scratch",
        "the first 85 % of the steps alone, CE + Dice: the recogniser of the rows below",
        phase="first",
        overrides=_WITH_DICE,
    ),
    "adapter_hf": RecipeRow(
        "TASFormer (HF adapter), painted",
        "adapter_hf_scratch",
        "the recogniser held still, and 15 % of the steps for what adapters add to its margin; "
        "BCE + Dice, 30 % absent",
        phase="second",
        overrides=_BETTER_LOSS,
    ),
    "adapter_pp": RecipeRow(
        "TASFormer (HF adapter++), painted",
        "adapter_pp_scratch",
        "the same, the adapters' generators shared within a stage",
        phase="second",
        overrides=_BETTER_LOSS,
    ),
    "emb": RecipeRow(
        "TASFormer (emb), painted",
        "emb_scratch",
        "the same with a learned map per class in place of adapters",
        phase="second",
        overrides=_BETTER_LOSS,
        main=False,
    ),
    "vsa_emb": RecipeRow(
        "TASFormer (VSA emb), painted",
        "vsa_emb_scratch",
        "the same with fixed random maps",
        phase="second",
        overrides=_BETTER_LOSS,
        main=False,
    ),
    "channels": RecipeRow(
        "control: a channel per class, painted",
        "channels_scratch",
        "the same without adapters or maps: a channel of the class's own on the frozen features",
        phase="second",
        overrides=_BETTER_LOSS,
    ),
    "recogniser_fan_in": RecipeRow(
        "SegFormer (B0), phase one alone, fan-in start",
        "segformer_scratch",
        "phase one with linear layers drawn from N(0, 1 / inputs), not N(0, 0.02^2), and at three "
        "times the rate",
        phase="first",
        overrides=(*_WITH_DICE, _BY_FAN_IN),
        rate="3e-3",
        main=False,
    ),
    "segformer_muon": RecipeRow(
        "SegFormer (B0), fan-in start, Muon",
        "segformer_scratch",
        "the first row with this start, its matrices moved by Muon",
        overrides=(*_WHOLE_LABEL_MAPS, *_BY_MUON),
        rate="3e-3",
    ),
    "recogniser_muon": RecipeRow(
        "SegFormer (B0), phase one alone, Muon",
        "segformer_scratch",
        "phase one with both: the recogniser of the rows below",
        phase="first",
        overrides=(*_WITH_DICE, *_BY_MUON),
        rate="3e-3",
    ),
    "adapter_hf_muon": RecipeRow(
        "TASFormer (HF adapter), painted, Muon",
        "adapter_hf_scratch",
        "painted on it as above, the recipe of now",
        phase="second",
        overrides=_BETTER_LOSS,
        on="recogniser_muon",
    ),
    "adapter_pp_muon": RecipeRow(
        "TASFormer (HF adapter++), painted, Muon",
        "adapter_pp_scratch",
        "the same, the adapters' generators shared within a stage",
        phase="second",
        overrides=_BETTER_LOSS,
        on="recogniser_muon",
    ),
    "channels_muon": RecipeRow(
        "control: a channel per class, painted, Muon",
        "channels_scratch",
        "the same without adapters",
        phase="second",
        overrides=_BETTER_LOSS,
        on="recogniser_muon",
    ),
}
"""By the names of their cells."""

_MAIN_SEEDS = (0, 1, 2)
_CURVE_STEPS = (400, 1200, 3000)
_CURVE_ROWS = ("adapter_hf", "channels")
_COLUMNS = {
    "bIoU": "bIoU",
    f"bIoU, {CALIBRATED}": "bIoU_calibrated",
    "mIoU": "mIoU",
    "mIoU with other": "mIoU_with_other",
    "presence mAP": "presence_mAP",
    "cg_bIoU": "cg_bIoU",
    f"cg_bIoU, {CALIBRATED}": "cg_bIoU_calibrated",
}


def _recipes(data: str, title: str, num_classes: int, steps: int, settings: Sequence[str]) -> Scale:
    first = round(_SHARE * steps)
    of_phase = {"whole": steps, "first": first, "second": steps - first}

    def cell(name: str, row: RecipeRow, own: int, seeds: tuple[int, ...]) -> Cell:
        return Cell(
            name,
            "folder_adapter.yaml",
            (
                f"model={row.model}",
                ONE_TRAINING,  # a recogniser is shared by the rows of its seed
                *settings,
                *row.overrides,
                *(_GOING_ON if row.phase == "second" else [f"optimizer.lr={row.rate}"]),
                "data.calibration_share=0.1",
                f"trainer.max_steps={own}",
                # Nothing is chosen by validation images, so none are looked at before the end.
                f"trainer.val_check_interval={2 * own}",
                *("trainer.num_sanity_val_steps=0", "log_plot_freq=0", "metrics=all"),
            ),
            seeds=seeds,
            effort=own,
            recogniser=_named(row.on) if row.phase == "second" else None,
        )

    cells = {
        _named(name): cell(
            _named(name), row, of_phase[row.phase], _MAIN_SEEDS if row.main else _MAIN_SEEDS[:1]
        )
        for name, row in RECIPE_ROWS.items()
    }
    cells |= {
        _at(name, own): cell(_at(name, own), RECIPE_ROWS[name], own, _MAIN_SEEDS[:1])
        for name in _CURVE_ROWS
        for own in _CURVE_STEPS
    }
    table = Table(
        f"Table 1: {title}, {num_classes} classes, {steps:,} steps in all, in percent",
        "recipe",
        tuple(_COLUMNS),
        {
            row.label: tuple(Entry(_named(name), metric) for metric in _COLUMNS.values())
            for name, row in RECIPE_ROWS.items()
        },
    )
    curve = Table(
        f"Table 2: {title}, {CALIBRATED} bIoU in percent, by steps of phase two after {first:,} "
        "of phase one",
        "recipe",
        tuple(f"{own:,}" for own in _CURVE_STEPS),
        {
            RECIPE_ROWS[name].label: tuple(
                Entry(_at(name, own), "bIoU_calibrated") for own in _CURVE_STEPS
            )
            for name in _CURVE_ROWS
        },
        "steps",
    )
    return Scale(
        f"recipes_{data}",
        f"Recipes on {title}: ten samples a step, from random weights, a tenth of the training "
        "images held out of all training for thresholds and presence. Steps and minutes count both "
        "phases; the recogniser of a seed is trained once for all rows.",
        data,
        cells,
        (table, curve),
    )


def _named(name: str) -> str:
    return f"table1/{name}"


def _at(name: str, steps: int) -> str:
    return f"table2/{name}/{steps}"


RECIPE_SCALES = (
    _recipes("camvid", "CamVid at 160x160", 11, 2000, ["data.crop_size=[160,160]"]),
    _recipes(
        "ccp",
        "CCP at 192x128",
        35,
        1500,
        [
            *("tasks=ccp_35", "data.classes=configs/classes/ccp.yaml"),
            "data.crop_size=[192,128]",
        ],
    ),
)
"""A scale for each of two kinds of data."""
