"""The recipes' rows: equal data, steps and options, but for what the row is about."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from seg_training.config import compose_config
from seg_training.tables.table_cells import SCALES
from seg_training.tables.table_layout import Cell

CONFIGS = Path(__file__).parents[3] / "configs"
SCALE_NAMES = [name for name in SCALES if name.startswith("recipes_")]
STEPS = {"recipes_camvid": (2000, 1700), "recipes_ccp": (1500, 1275)}
"""In all, and of phase one."""
SECOND = {name: "recogniser" for name in ("adapter_hf", "adapter_pp", "emb", "vsa_emb", "channels")}
SECOND |= {f"{name}_muon": "recogniser_muon" for name in ("adapter_hf", "adapter_pp", "channels")}
FIRST = ("recogniser", "recogniser_fan_in", "recogniser_muon")
METHODS = {
    **{"segformer": "segformer", "segformer_dice": "segformer"},
    **{"published": "adapter_hf", "losses": "adapter_hf"},
    **{"recogniser": "segformer", "adapter_hf": "adapter_hf", "adapter_pp": "adapter_hf++"},
    **{"emb": "emb", "vsa_emb": "vsa_emb", "channels": "channels"},
    **{"recogniser_fan_in": "segformer", "segformer_muon": "segformer"},
    **{"recogniser_muon": "segformer", "adapter_hf_muon": "adapter_hf"},
    **{"adapter_pp_muon": "adapter_hf++", "channels_muon": "channels"},
}


def composed(scale: str) -> dict[str, tuple[Cell, dict[str, Any]]]:
    cells = {cell.name: cell for cell in SCALES[scale].each_cell()}
    return {
        name: (cell, compose_config(cell.config, cell.overrides, CONFIGS))
        for name, cell in cells.items()
    }


@pytest.mark.parametrize("scale", SCALE_NAMES)
def test_all_rows_have_the_same_data_and_number_of_steps(scale: str) -> None:
    cells = composed(scale)
    rows = {name[7:]: own for name, own in cells.items() if name.startswith("table1/")}
    assert {name: config["model"]["method"] for name, (_, config) in rows.items()} == METHODS
    whole, first = STEPS[scale]
    for name, (cell, config) in rows.items():
        own = dict.fromkeys(FIRST, first) | dict.fromkeys(SECOND, whole - first)
        assert config["trainer"]["max_steps"] == own.get(name, whole)
        assert cell.recogniser == (f"table1/{SECOND[name]}" if name in SECOND else None)
        by_muon = name.endswith("_muon") and name not in SECOND
        by_fan_in = by_muon or name == "recogniser_fan_in"
        assert config["optimizer"]["name"] == ("muon" if by_muon else "adamw")
        assert config["model"].get("fan_in_linears", False) is by_fan_in
        main = name not in ("losses", "emb", "vsa_emb", "recogniser_fan_in")
        assert cell.seeds == ((0, 1, 2) if main else (0,))
        is_segformer = config["model"]["method"] == "segformer"
        better = {"name": "mixed", "absent": 0.3}
        samplers = {"published": "mixed"} | ({name: "images"} if is_segformer else {})
        assert config["data"]["sampler"] == samplers.get(name, better)
        losses = dict.fromkeys(("segformer", "segformer_muon", "published"))
        with_dice = "cross_entropy_dice" if is_segformer else "bce_dice"
        assert config["loss"] == losses.get(name, with_dice)
        rate, warmup = config["optimizer"]["lr"], config["optimizer"]["warmup_steps"]
        shorter = round(100 * (whole - first) / whole)
        drawn = (3e-3 if by_fan_in else 1e-3, 100)
        assert (rate, warmup) == ((3e-4, shorter) if name in SECOND else drawn)


@pytest.mark.parametrize("scale", SCALE_NAMES)
def test_what_is_the_same_in_every_cell(scale: str) -> None:
    for _, config in composed(scale).values():
        data, trainer = config["data"], config["trainer"]
        assert (data["calibration_share"], data["batch_size"], data["view"]) == (0.1, 10, "squeeze")
        assert (config["metrics"], config["thresholds"]) == ("all", "per_class")
        assert (config["model"]["pretrained"], config["model"]["drop_path_rate"]) == (None, 0.0)
        # Validation images are not looked at before the end.
        assert trainer["val_check_interval"] > trainer["max_steps"]
        assert trainer["num_sanity_val_steps"] == 0
        if scale == "recipes_ccp":
            assert data["crop_size"] == [192, 128]
            assert len(config["tasks"]["classes"]) == 35
        else:
            assert (data["crop_size"], config["tasks"]["classes"]) == ([160, 160], "all")


@pytest.mark.parametrize("scale", SCALE_NAMES)
def test_the_curve_goes_on_from_the_same_recogniser(scale: str) -> None:
    cells = composed(scale)
    for row, steps in ((row, steps) for row in ("adapter_hf", "channels") for steps in (400, 3000)):
        cell, config = cells[f"table2/{row}/{steps}"]
        assert (cell.recogniser, config["trainer"]["max_steps"]) == ("table1/recogniser", steps)
        assert config["model"] == cells[f"table1/{row}"][1]["model"]


def test_a_row_has_all_that_is_asked_of_a_recipe() -> None:
    for name in SCALE_NAMES:
        table = SCALES[name].tables[0]
        assert {tuple(entry.metric for entry in row) for row in table.rows.values()} == {
            (
                "bIoU",
                "bIoU_calibrated",
                "mIoU",
                "mIoU_with_other",
                "presence_mAP",
                "cg_bIoU",
                "cg_bIoU_calibrated",
            )
        }


def test_the_control_is_in_no_table_of_the_papers_methods() -> None:
    for name in ("paper", "demo", "camvid"):
        for cell in SCALES[name].each_cell():
            assert "channels" not in " ".join((cell.name, *cell.overrides))


def test_ccps_classes_are_those_of_the_photos(shared: Path) -> None:
    own = yaml.safe_load((CONFIGS / "classes" / "ccp.yaml").read_text())
    assert own == yaml.safe_load((shared / "data" / "ccp" / "classes.yaml").read_text())
    asked = yaml.safe_load((CONFIGS / "tasks" / "ccp_35.yaml").read_text())["classes"]
    assert len(asked) == 35
    assert set(asked) <= set(own["classes"].values())
