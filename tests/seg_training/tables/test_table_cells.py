from pathlib import Path

import pytest

from seg_training.config import compose_config
from seg_training.errors import UserError
from seg_training.tables.table_cells import SCALES, Cell, Scale, select_cells

CONFIGS = Path(__file__).parents[3] / "configs"
METHODS = ["segformer", "emb", "vsa_emb", "adapter_hf", "adapter_hf++"]


def names(scale: str, *patterns: str) -> list[str]:
    return [cell.name for cell in select_cells(SCALES[scale], patterns)]


def test_the_papers_numbers() -> None:
    first, second = SCALES["paper"].tables
    both = [f"{number}{how}" for number in (2, 12, 150) for how in ("", ", calibrated")]
    assert first.columns == tuple(both)
    papers = {row: [entry.paper for entry in entries] for row, entries in first.rows.items()}
    assert {paper for row in papers.values() for paper in row[1::2]} == {None}
    assert {row: numbers[::2] for row, numbers in papers.items()} == {
        "SegFormer (B0)": [63.2, 52.4, 37.9],
        "TASFormer (emb)": [60.8, 6.1, 14.1],
        "TASFormer (VSA emb)": [48.6, 0.1, 0.1],
        "TASFormer (HF adapter)": [67.9, 59.4, 48.3],
        "TASFormer (HF adapter++)": [67.9, 58.4, 47.6],
    }
    assert second.columns == ("mIoU", "bIoU", "bIoU, calibrated")
    assert {row: [entry.paper for entry in entries] for row, entries in second.rows.items()} == {
        "320x320": [14.6, 48.3, None],
        "640x640": [14.7, 51.1, None],
        "896x896": [14.4, 52.0, None],
    }


@pytest.mark.parametrize("name", SCALES)
def test_every_bIoU_stands_beside_the_calibrated_one_of_the_same_cell(name: str) -> None:
    for table in SCALES[name].tables:
        for entries in table.rows.values():
            cells = {
                metric: [entry.cell for entry in entries if entry.metric == metric]
                for metric in ("bIoU", "bIoU_calibrated")
            }
            assert cells["bIoU_calibrated"]
            assert cells["bIoU"] in ([], cells["bIoU_calibrated"])
    [whole] = {table.whole_name("12, calibrated") for table in SCALES["paper"].tables[:1]}
    assert whole == "12 classes, calibrated"


@pytest.mark.parametrize("name", [name for name in SCALES if name != "paper"])
def test_other_data_have_no_number_of_the_papers(name: str) -> None:
    tables = SCALES[name].tables
    rows = [entry for table in tables for entries in table.rows.values() for entry in entries]
    assert {entry.paper for entry in rows} == {None}


@pytest.mark.parametrize(
    ("name", "cells"),
    [("paper", 17), ("demo", 17), ("camvid", 15), ("recipes_camvid", 22), ("recipes_ccp", 22)],
)
def test_every_number_has_a_cell_and_every_cell_a_number(name: str, cells: int) -> None:
    scale = SCALES[name]
    used = {entry.cell for table in scale.tables for row in table.rows.values() for entry in row}
    assert used == {cell.name for cell in scale.each_cell()}  # what results are found by
    assert len(scale.each_cell()) == cells


def test_what_stands_in_both_tables_is_trained_once() -> None:
    for scale, first, second in (
        ("paper", "table1/adapter_hf/150", "table2/adapter_hf/320"),
        ("demo", "table1/adapter_hf/12", "table2/adapter_hf/96"),
    ):
        assert SCALES[scale].cells[first] is SCALES[scale].cells[second]
        assert names(scale, second) == [first]
        assert names(scale, first, second) == [first]


def test_cells_are_compared_within_a_column_or_a_table() -> None:
    first, second = SCALES["paper"].tables
    assert [each.title for each in first.comparisons()] == [
        "Table 1, 2 classes",
        "Table 1, 12 classes",
        "Table 1, 150 classes",
    ]
    assert first.comparisons()[1].cells == {
        "SegFormer (B0)": "table1/segformer/12",
        "TASFormer (emb)": "table1/emb/12",
        "TASFormer (VSA emb)": "table1/vsa_emb/12",
        "TASFormer (HF adapter)": "table1/adapter_hf/12",
        "TASFormer (HF adapter++)": "table1/adapter_pp/12",
    }
    [only] = second.comparisons()  # its two columns are numbers of the same cells
    assert only.title == "Table 2, by crop size"
    assert only.cells == {
        "320x320": "table1/adapter_hf/150",
        "640x640": "table2/adapter_hf/640",
        "896x896": "table2/adapter_hf/896",
    }


def composed(scale: Scale) -> list[tuple[Cell, dict[str, dict[str, object]]]]:
    return [
        (cell, compose_config(cell.config, cell.overrides, CONFIGS)) for cell in scale.each_cell()
    ]


def test_the_papers_cells_have_the_published_settings() -> None:
    table_1 = {}
    for cell, config in composed(SCALES["paper"]):
        assert config["optimizer"]["lr"] == 5e-5
        assert (config["trainer"]["max_epochs"], config["data"]["batch_size"]) == (1, 10)
        assert config["model"]["pretrained"] == "nvidia/mit-b0"
        # Table 2 needs mIoU, which the others are spared.
        in_table_2 = cell.name.startswith("table2") or cell.name == "table1/adapter_hf/150"
        assert config["metrics"] == ("all" if in_table_2 else "biou")
        classes = config["tasks"]["classes"]
        num_classes = 150 if classes == "all" else len(classes)  # type: ignore[arg-type]
        table_1[cell.name] = (config["model"]["method"], num_classes, config["data"]["crop_size"])
    names = ["segformer", "emb", "vsa_emb", "adapter_hf", "adapter_pp"]
    assert table_1 == {
        f"table1/{name}/{number}": (method, number, [320, 320])
        for name, method in zip(names, METHODS, strict=True)
        for number in (2, 12, 150)
    } | {f"table2/adapter_hf/{size}": ("adapter_hf", 150, [size, size]) for size in (640, 896)}


@pytest.mark.parametrize(
    ("scale", "sizes", "steps"),
    [
        ("demo", {2: 2, 6: 6, 12: None}, {2: 400, 6: 400, 12: 400}),
        ("camvid", {2: 2, 5: 5, 11: None}, {2: 900, 5: 900, 11: 2700}),
    ],
)
def test_smaller_scales_start_from_random_weights(
    scale: str, sizes: dict[int, int | None], steps: dict[int, int]
) -> None:
    methods = {}
    for cell, config in composed(SCALES[scale]):
        model, trainer = config["model"], config["trainer"]
        assert (model["pretrained"], model["drop_path_rate"]) == (None, 0.0)
        assert model["fan_out_convolutions"] is True
        assert model.get("resize_embedding", True) is True
        sampler = "images" if model["method"] == "segformer" else "mixed"
        assert config["data"]["sampler"] == sampler
        table, name, column = cell.name.split("/")
        number = int(column) if table == "table1" else 12
        classes = config["tasks"]["classes"]
        assert (None if classes == "all" else len(classes)) == sizes[number]  # type: ignore[arg-type]
        assert trainer["max_steps"] == steps[number]
        # The last step is validated as well, or the best checkpoint could not be the last.
        assert trainer["max_steps"] % trainer["val_check_interval"] == 0  # type: ignore[operator]
        size = {"demo": 96, "camvid": 160}[scale] if table == "table1" else int(column)
        assert config["data"]["crop_size"] == [size, size]
        methods[name] = model["method"]
    assert list(methods.values()) == METHODS


def test_only_the_adapters_of_eleven_classes_have_a_second_seed() -> None:
    twice = [cell.name for cell in SCALES["camvid"].each_cell() if cell.seeds == (0, 1)]
    assert twice == ["table1/adapter_hf/11", "table1/adapter_pp/11"]
    assert {cell.seeds for cell in SCALES["paper"].each_cell()} == {(0,)}


def test_patterns_pick_cells_in_their_own_order() -> None:
    assert names("camvid", "table1/emb/*", "*/segformer/2") == [
        "table1/segformer/2",
        "table1/emb/2",
        "table1/emb/5",
        "table1/emb/11",
    ]
    assert names("paper", "table2/*") == [
        "table1/adapter_hf/150",
        "table2/adapter_hf/640",
        "table2/adapter_hf/896",
    ]
    assert len(names("paper")) == 17


def test_a_pattern_that_fits_nothing_is_refused() -> None:
    with pytest.raises(UserError, match=r"no cell of scale 'paper' fits 'table1/adapter_hf/15'; "):
        names("paper", "table1/emb/*", "table1/adapter_hf/15")
    with pytest.raises(UserError, match=r"did you mean 'table1/adapter_hf/150'"):
        names("paper", "table1/adapter_hf/15")
    with pytest.raises(UserError, match=r"fits 'x' \(known: table1/segformer/2, table1/"):
        names("demo", "x")
