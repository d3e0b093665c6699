"""The paper's tables as data: rows, columns, each cell's config, the paper's numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from seg_training.errors import UserError, suggest
from seg_training.tables.recipe_cells import RECIPE_SCALES
from seg_training.tables.table_layout import (
    CALIBRATED,
    ONE_TRAINING,
    Cell,
    Comparison,
    Entry,
    Scale,
    Table,
)

__all__ = ["ROWS", "SCALES", "Cell", "Comparison", "Entry", "Scale", "Table", "select_cells"]


def select_cells(scale: Scale, patterns: Sequence[str] = ()) -> list[Cell]:
    """Pick the cells whose name fits one of the patterns.

    Args:
        scale: whose cells.
        patterns: as file names have them, ``table1/*/12``; none means all.

    Raises:
        UserError: if a pattern fits no cell; close names are suggested.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in scale.cells):
            hint = suggest(pattern, scale.cells)
            raise UserError(
                f"no cell of scale '{scale.name}' fits '{pattern}'{hint} "
                f"(known: {', '.join(scale.cells)})"
            )
    asked = {
        cell.name
        for name, cell in scale.cells.items()
        if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
    }
    return [cell for cell in scale.each_cell() if cell.name in asked]


@dataclass(frozen=True)
class Row:
    """A row of table 1.

    Attributes:
        label: what it is called in print.
        config: the experiment of the paper.
        biou: what was published, by the number of classes.
        whole_images: whether it trains on every image once, and all its labels; otherwise on pairs
            of image and class, of which there are more with more classes.
        seeds: which are trained where a table shows how much results vary.
    """

    label: str
    config: str
    biou: Mapping[int, float]
    whole_images: bool = False
    seeds: tuple[int, ...] = (0,)


ROWS = {
    "segformer": Row(
        "SegFormer (B0)",
        "ade20k_segformer.yaml",
        {2: 63.2, 12: 52.4, 150: 37.9},
        whole_images=True,
    ),
    "emb": Row("TASFormer (emb)", "ade20k_emb.yaml", {2: 60.8, 12: 6.1, 150: 14.1}),
    "vsa_emb": Row("TASFormer (VSA emb)", "ade20k_vsa_emb.yaml", {2: 48.6, 12: 0.1, 150: 0.1}),
    "adapter_hf": Row(
        "TASFormer (HF adapter)",
        "ade20k_adapter.yaml",
        {2: 67.9, 12: 59.4, 150: 48.3},
        seeds=(0, 1),
    ),
    "adapter_pp": Row(
        "TASFormer (HF adapter++)",
        "ade20k_adapter_pp.yaml",
        {2: 67.9, 12: 58.4, 150: 47.6},
        seeds=(0, 1),
    ),
}
"""The rows of table 1, by their names in cells and in ``configs/model``."""

_PUBLISHED_BY_CROP_SIZE = {  # table 2
    320: {"mIoU": 14.6, "bIoU": 48.3},
    640: {"mIoU": 14.7, "bIoU": 51.1},
    896: {"mIoU": 14.4, "bIoU": 52.0},
}
# Frequent classes that look unlike: the smaller columns of the smaller tables.
_DEMO_CLASSES = {
    2: ("sky", "rug"),
    6: ("sky", "brick wall", "wooden floor", "tree", "ball", "rug"),
    12: None,  # all
}
_CAMVID_CLASSES = {
    2: ("building", "road"),
    5: ("sky", "building", "road", "tree", "car"),
    11: None,  # all
}

_DEMO_STEPS = 400
_CAMVID_STEPS = {2: 900, 5: 900, 11: 2700}

_WITH_LABEL_MAPS = "metrics=all"  # table 2 has mIoU, too


def _first(method: str, num_classes: int) -> str:
    return f"table1/{method}/{num_classes}"


def _second(crop_size: int) -> str:
    return f"table2/adapter_hf/{crop_size}"


def _table_1(num_classes: Iterable[int], crop_size: int, published: bool = False) -> Table:
    columns = {
        column: (number, metric)
        for number in num_classes
        for column, metric in (
            (str(number), "bIoU"),
            (f"{number}, {CALIBRATED}", "bIoU_calibrated"),
        )
    }

    def entry(name: str, row: Row, number: int, metric: str) -> Entry:
        is_published = published and metric == "bIoU"
        return Entry(_first(name, number), metric, row.biou.get(number) if is_published else None)

    rows = {
        row.label: tuple(entry(name, row, *column) for column in columns.values())
        for name, row in ROWS.items()
    }
    title = f"Table 1: bIoU in percent at {crop_size}x{crop_size}, by number of classes"
    return Table(title, "method", tuple(columns), rows, "classes")


def _table_2(
    crop_sizes: Iterable[int],
    num_classes: int,
    published: Mapping[int, Mapping[str, float]],
    cells: Mapping[str, Cell],
) -> Table:
    columns = {"mIoU": "mIoU", "bIoU": "bIoU", f"bIoU, {CALIBRATED}": "bIoU_calibrated"}
    rows = {
        f"{size}x{size}": tuple(
            # A cell that stands in table 1, too, has its name from there.
            Entry(cells[_second(size)].name, metric, published.get(size, {}).get(metric))
            for metric in columns.values()
        )
        for size in crop_sizes
    }
    title = f"Table 2: {ROWS['adapter_hf'].label}, {num_classes} classes, in percent, by crop size"
    return Table(title, "crop size", tuple(columns), rows)


def _by_name(cells: Iterable[Cell]) -> dict[str, Cell]:
    return {cell.name: cell for cell in cells}


def _paper() -> Scale:
    shared = _first("adapter_hf", 150)  # of both tables

    def cell(name: str, row: Row, num_classes: int) -> Cell:
        own = _first(name, num_classes)
        more = (_WITH_LABEL_MAPS,) if own == shared else ()
        return Cell(
            own,
            row.config,
            (f"tasks=ade20k_{num_classes}", *more),
            effort=2 if row.whole_images else num_classes,
        )

    def larger(crop_size: int) -> Cell:
        return Cell(
            _second(crop_size),
            ROWS["adapter_hf"].config,
            ("tasks=ade20k_150", f"data.crop_size=[{crop_size},{crop_size}]", _WITH_LABEL_MAPS),
            effort=150 * (crop_size / 320) ** 2,
        )

    cells = _by_name(cell(*row, number) for row in ROWS.items() for number in (2, 12, 150))
    cells[_second(320)] = cells[shared]
    cells |= _by_name(larger(size) for size in (640, 896))
    return Scale(
        "paper",
        "The paper's tables: ADE20K's validation images, with the published settings.",
        "ADEChallengeData2016",
        cells,
        (
            _table_1((2, 12, 150), 320, published=True),
            _table_2((320, 640, 896), 150, _PUBLISHED_BY_CROP_SIZE, cells),
        ),
    )


def _from_random_weights(method: str, classes: Sequence[str] | None, steps: int) -> list[str]:
    overrides = [f"model={method}_scratch", ONE_TRAINING, "data.calibration_share=0"]
    if classes is not None:
        overrides.append(f"tasks.classes=[{','.join(classes)}]")
    sampler = "images" if ROWS[method].whole_images else "mixed"
    return [
        *overrides,
        f"data.sampler={sampler}",
        f"trainer.max_steps={steps}",
        f"trainer.val_check_interval={steps // 4}",
    ]


def _demo() -> Scale:
    def cell(name: str, method: str, num_classes: int, *more: str, effort: float = 1) -> Cell:
        overrides = _from_random_weights(method, _DEMO_CLASSES[num_classes], _DEMO_STEPS)
        return Cell(name, "demo.yaml", (*overrides, *more), effort=effort)

    def sized(name: str, size: int) -> Cell:
        crop_size = f"data.crop_size=[{size},{size}]"
        effort = (size / 96) ** 2
        return cell(name, "adapter_hf", 12, crop_size, _WITH_LABEL_MAPS, effort=effort)

    cells = _by_name(
        cell(_first(method, number), method, number) for method in ROWS for number in _DEMO_CLASSES
    )
    shared = sized(_first("adapter_hf", 12), 96)
    cells[shared.name] = cells[_second(96)] = shared
    cells |= _by_name(sized(_second(size), size) for size in (64, 128))
    return Scale(
        "demo",
        "Synthetic scenes, from random weights, a few steps only: this shows that the machinery "
        "works, and says nothing about the methods.",
        None,
        cells,
        (_table_1(_DEMO_CLASSES, 96), _table_2((64, 96, 128), 12, {}, cells)),
    )


def _camvid() -> Scale:
    def cell(method: str, num_classes: int) -> Cell:
        steps = _CAMVID_STEPS[num_classes]
        return Cell(
            _first(method, num_classes),
            "folder_adapter.yaml",
            (
                "data.crop_size=[160,160]",
                *_from_random_weights(method, _CAMVID_CLASSES[num_classes], steps),
            ),
            seeds=ROWS[method].seeds if num_classes == 11 else (0,),
            effort=steps,
        )

    return Scale(
        "camvid",
        "CamVid's validation images, from random weights; within a column, every cell has the same "
        "number of steps.",
        "camvid",
        _by_name(cell(method, number) for method in ROWS for number in _CAMVID_CLASSES),
        (_table_1(_CAMVID_CLASSES, 160),),
    )


SCALES = {scale.name: scale for scale in (_paper(), _demo(), _camvid(), *RECIPE_SCALES)}
"""Everything that ``--scale`` may be."""
