import io
import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from seg_training.errors import UserError
from seg_training.evaluation.label_map_metrics import LabelMapResult
from seg_training.evaluation.mask_metrics import BinaryIoUResult
from seg_training.evaluation.presence_metrics import PresenceResult
from seg_training.files.output_checks import check_output, check_outputs
from seg_training.files.text_files import write_json
from seg_training.results.number_texts import interval_text
from seg_training.results.printed_table import show_result
from seg_training.results.results_json import result_to_json

NAMES = ["sky", "road", "lamp"]
NAN = pytest.approx(math.nan, nan_ok=True)
RESULT = BinaryIoUResult(
    bIoU=61.25,
    num_masks=3,
    per_class={0: (50.0, 1), 2: (66.875, 2)},
    paint_everything=12.5,
    by_size={"small": (math.nan, 0), "medium": (50.0, 1), "large": (66.875, 2)},
    by_share={-5: (50.0, 1), -1: (66.875, 2)},
    interval=(40.0, 80.0),
    bIoU_calibrated=61.25,
    per_class_calibrated={0: 50.0, 2: 66.875},
    interval_calibrated=(40.0, 80.0),
    iou_batch=33.0,
)
CALIBRATED = replace(
    RESULT,
    calibrated=True,
    bIoU_calibrated=71.0,
    per_class_calibrated={0: 55.0, 2: 79.0},
    interval_calibrated=(60.0, 82.5),
)
PRESENCE = PresenceResult(
    presence_mAP=35.75,
    presence_frequency_mAP=22.7,
    presence_MCC=0.456,
    presence_MCC_calibrated=0.2,
    absent_painted=15.0,
    absent_painted_calibrated=61.0,
    absent_area=1.25,
    absent_area_calibrated=9.0,
    cg_bIoU=12.7,
    cg_bIoU_calibrated=math.nan,
    biou_at_absent_painted={5: 27.5, 50: math.nan},
)
LABEL_MAP = LabelMapResult(
    mIoU=14.5,
    fwIoU=50.25,
    mACC=20.0,
    pACC=61.0,
    mIoU_interval=(10.0, 19.5),
    mIoU_with_other=11.75,
    mIoU_with_other_interval=(9.0, 12.5),
)


def test_result_as_plain_values() -> None:
    assert result_to_json(RESULT, NAMES) == {
        "bIoU": 61.25,
        "bIoU_calibrated": 61.25,
        "num_masks": 3,
        "paint_everything_bIoU": 12.5,
        "per_class": {
            "sky": {"bIoU": 50.0, "bIoU_calibrated": 50.0, "num_masks": 1},
            "lamp": {"bIoU": 66.875, "bIoU_calibrated": 66.875, "num_masks": 2},
        },
        "per_size": {
            "small": {"bIoU": pytest.approx(math.nan, nan_ok=True), "num_masks": 0},
            "medium": {"bIoU": 50.0, "num_masks": 1},
            "large": {"bIoU": 66.875, "num_masks": 2},
        },
        "per_share": [
            {"from_percent": 3.125, "below_percent": 6.25, "bIoU": 50.0, "num_masks": 1},
            {"from_percent": 50.0, "below_percent": 100.0, "bIoU": 66.875, "num_masks": 2},
        ],
        "bIoU_interval": (40.0, 80.0),
        "bIoU_calibrated_interval": (40.0, 80.0),
        "iou_batch": 33.0,
    }


def test_label_map_metrics_are_there_where_they_were_asked_for() -> None:
    content = result_to_json(replace(RESULT, label_map=LABEL_MAP), NAMES)
    assert {key: content[key] for key in content if key.startswith(("mIoU", "fw", "mA", "pA"))} == {
        "mIoU": 14.5,
        "fwIoU": 50.25,
        "mACC": 20.0,
        "pACC": 61.0,
        "mIoU_interval": (10.0, 19.5),
        "mIoU_with_other": 11.75,
        "mIoU_with_other_interval": (9.0, 12.5),
    }
    assert content["bIoU"] == 61.25


def test_presence_is_there_where_absent_classes_were_asked(tmp_path: Path) -> None:
    assert "cg_bIoU" not in result_to_json(RESULT, NAMES)
    write_json(result_to_json(replace(RESULT, presence=PRESENCE), NAMES), tmp_path / "r.json")
    content = json.loads((tmp_path / "r.json").read_text())
    for name in ("presence_mAP", "presence_MCC", "absent_painted", "absent_area_calibrated"):
        assert content[name] == getattr(PRESENCE, name)
    assert (content["cg_bIoU"], content["cg_bIoU_calibrated"]) == (12.7, None)
    assert content["biou_at_absent_painted"] == {"5": 27.5, "50": None}


def test_the_calibrated_number_stands_beside_the_one_at_zero() -> None:
    text = shown(CALIBRATED)
    rows = [line.replace("│", " ").split() for line in text.splitlines()]
    assert ["sky", "1", "50.0", "55.0"] in rows
    assert ["all", "masks", "3", "61.2", "71.0"] in rows
    assert "each class painted above its own threshold" in text
    assert "calibrated: 71.0 (60.0 to 82.5)" in text
    assert "calibrated" not in shown(RESULT)  # where no threshold changes anything
    several = replace(
        CALIBRATED, per_source={0: CALIBRATED, 1: replace(RESULT, label_map=LABEL_MAP)}
    )
    text = shown(several, ["sun", "gdd"])
    rows = [line.replace("│", " ").split() for line in text.splitlines()]
    assert ["sun", "lamp", "2", "66.9", "79.0"] in rows
    assert ["gdd", "lamp", "2", "66.9", "66.9"] in rows
    assert "gdd: one label map per image: mIoU 14.5" in text


def test_what_is_painted_of_absent_classes_is_said_below() -> None:
    text = " ".join(shown(replace(RESULT, presence=PRESENCE)).split())
    painted = (
        "cg_bIoU 12.7, correlation of painted and there 0.46, 15.0 % of absent classes painted"
    )
    assert f"all classes asked of every image: {painted}, on 1.2 % of the pixels" in text
    assert "presence score: mAP 35.8, by frequency 22.7; bIoU 27.5 / not measured where" in text
    assert "at most 5 / 50 % of absent classes be painted" in text
    # Whatever thresholds do: the presence score alone may leave classes out.
    assert "calibrated: cg_bIoU not measured, correlation of painted and there 0.20, 61.0 %" in text
    names = ("cg_bIoU", "presence_MCC", "absent_painted", "absent_area")
    same = {f"{name}_calibrated": getattr(PRESENCE, name) for name in names}
    assert "calibrated:" not in shown(replace(RESULT, presence=replace(PRESENCE, **same)))


def test_what_the_table_has_no_room_for_is_said_below() -> None:
    console = Console(file=io.StringIO(), width=200)
    show_result(replace(RESULT, label_map=LABEL_MAP), NAMES, console=console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "95 % interval over images: 40.0 to 80.0" in text
    assert "medium 50.0 (1), large 66.9 (2)" in text
    assert "small" not in text
    assert "mIoU 14.5 (10.0 to 19.5), fwIoU 50.2, mACC 20.0, pACC 61.0" in text
    assert "pACC 61.0; mIoU with other 11.8 (9.0 to 12.5)" in text


UNMEASURED = replace(RESULT, per_class={**RESULT.per_class, 1: (math.nan, 0)})
ONE_IMAGE = replace(
    RESULT,
    interval=(math.nan, math.nan),
    label_map=replace(LABEL_MAP, mIoU_interval=(math.nan, math.nan)),
)


def shown(result: BinaryIoUResult, names: Sequence[str] = ()) -> str:
    console = Console(file=io.StringIO(), width=200)
    show_result(result, NAMES, names, console=console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_a_class_that_no_image_shows_is_not_measured(tmp_path: Path) -> None:
    rows = [line.replace("│", " ").split() for line in shown(UNMEASURED).splitlines()]
    assert ["road", "0", "not", "measured"] in rows
    write_json(result_to_json(UNMEASURED, NAMES), tmp_path / "r.json")
    content = json.loads((tmp_path / "r.json").read_text())
    assert content["per_class"]["road"] == {"bIoU": None, "bIoU_calibrated": None, "num_masks": 0}
    assert (content["bIoU"], content["num_masks"]) == (61.25, 3)


def test_of_several_datasets_as_well() -> None:
    empty = BinaryIoUResult(math.nan, 0, {1: (math.nan, 0)}, math.nan)
    several = replace(SEVERAL, per_source={0: SEVERAL.per_source[0], 1: empty})
    rows = [line.replace("│", " ").split() for line in shown(several, ["sun", "gdd"]).splitlines()]
    assert ["gdd", "road", "0", "not", "measured"] in rows
    assert "nan" not in shown(several, ["sun", "gdd"])


def test_one_image_has_no_interval(tmp_path: Path) -> None:
    text = shown(ONE_IMAGE)
    assert "95 % interval over images: none, which takes two images or more; by size" in text
    assert "one label map per image: mIoU 14.5, fwIoU 50.2" in text
    assert "nan" not in text
    content = result_to_json(ONE_IMAGE, NAMES)
    assert (content["bIoU_interval"], content["mIoU_interval"]) == (None, None)


@pytest.mark.parametrize("bounds", [None, (None, None), [None, 2.0], (math.nan, math.nan)])
def test_an_interval_that_is_not_known_is_empty(bounds: Any) -> None:
    assert interval_text(bounds) == ""


def test_json_has_no_infinity(tmp_path: Path) -> None:
    write_json({"a": [math.inf, -math.inf, 1.0]}, tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text()) == {"a": [None, None, 1.0]}


def test_json_has_null_for_nan_everywhere(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "results.json"
    content = {"bIoU": math.nan, "per_class": {"sky": {"bIoU": math.nan}}, "list": [1.5, math.nan]}
    write_json({**content, "name": "tür"}, file)
    assert json.loads(file.read_text()) == {
        "bIoU": None,
        "per_class": {"sky": {"bIoU": None}},
        "list": [1.5, None],
        "name": "tür",
    }
    assert [path.name for path in file.parent.iterdir()] == ["results.json"]


def test_writing_again_replaces_the_file(tmp_path: Path) -> None:
    for number in (1, 2):
        write_json({"a": number}, tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text()) == {"a": 2}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*/file/r\.json"):
        write_json({}, tmp_path / "file" / "r.json")


def test_the_table_has_every_class_with_masks_and_the_mean() -> None:
    console = Console(file=io.StringIO(), width=80)
    show_result(RESULT, NAMES, console=console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    rows = [line.replace("│", " ").split() for line in text.splitlines()]
    assert ["sky", "1", "50.0"] in rows
    assert ["lamp", "2", "66.9"] in rows
    assert ["all", "masks", "3", "61.2"] in rows
    assert ["painting", "everything", "3", "12.5"] in rows
    assert "road" not in text


SEVERAL = BinaryIoUResult(
    bIoU=61.25,
    num_masks=3,
    per_class={0: (50.0, 1), 2: (66.875, 2)},
    paint_everything=12.5,
    per_source={
        0: BinaryIoUResult(50.0, 1, {0: (50.0, 1)}, 10.0),
        1: BinaryIoUResult(66.875, 2, {2: (66.875, 2)}, 15.0),
    },
)


def test_several_datasets_have_their_own_results_in_json() -> None:
    content = result_to_json(SEVERAL, NAMES, ["sun", "gdd"])
    assert content["bIoU"] == 61.25
    sun, gdd = content["per_dataset"]["sun"], content["per_dataset"]["gdd"]
    assert (sun["bIoU"], sun["num_masks"], sun["paint_everything_bIoU"]) == (50.0, 1, 10.0)
    assert sun["per_class"] == {"sky": {"bIoU": 50.0, "bIoU_calibrated": NAN, "num_masks": 1}}
    assert (gdd["bIoU"], gdd["num_masks"], gdd["paint_everything_bIoU"]) == (66.875, 2, 15.0)
    assert gdd["per_class"] == {"lamp": {"bIoU": 66.875, "bIoU_calibrated": NAN, "num_masks": 2}}


def test_several_datasets_have_their_own_rows() -> None:
    console = Console(file=io.StringIO(), width=80)
    show_result(SEVERAL, NAMES, ["sun", "gdd"], console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    rows = [line.replace("│", " ").split() for line in text.splitlines()]
    for row in (
        ["sun", "sky", "1", "50.0"],
        ["gdd", "lamp", "2", "66.9"],
        ["all", "sky", "1", "50.0"],
        ["all", "all", "masks", "3", "61.2"],
        ["all", "painting", "everything", "3", "12.5"],
    ):
        assert row in rows


def test_json_takes_names_of_files_that_are_no_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"ros\xe9 \xff.png")
    write_json({name: name}, tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_bytes()) == {name: name}


def test_outputs_that_cannot_be_written_are_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    check_output(tmp_path / "new" / "deep" / "out.json", "--json")
    check_output(tmp_path / "file", "--json")  # is replaced
    check_output(Path("out.json"), "--json")
    with pytest.raises(UserError, match=r"--json .* is a folder; give a file"):
        check_output(tmp_path, "--json")
    with pytest.raises(UserError, match=r"--page .*out\.html: .*file is no folder; give another"):
        check_output(tmp_path / "file" / "new" / "out.html", "--page")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UserError, match=r"nothing can be written to .*; give another place"):
        check_output(tmp_path / "new" / "out.json", "--json")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "name", ["results.json", "predictions.png", "checkpoints/best.ckpt", "model/config.json"]
)
def test_a_runs_own_files_are_not_replaced(name: str, tmp_path: Path) -> None:
    for own in (name, "checkpoints/last.ckpt", "model/model.safetensors", "evaluated.json"):
        (tmp_path / own).parent.mkdir(exist_ok=True)
        (tmp_path / own).touch()
    with pytest.raises(UserError, match=r"is a file of a run or a model, which would be lost"):
        check_output(tmp_path / name, "--json")
    check_output(tmp_path / "evaluated.json", "--json")  # of an evaluation before
    (tmp_path / "other").mkdir()
    for own in ("results.json", "config.yaml"):
        (tmp_path / "other" / own).touch()
    check_output(tmp_path / "other" / "results.json", "--json")  # no run is there


def test_two_outputs_are_two_files(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "a.json")
    check_outputs({"--json": tmp_path / "a.json", "--page": tmp_path / "a.html", "--sheet": None})
    for other in ("a.json", "link.json", "../" + tmp_path.name + "/a.json"):
        with pytest.raises(UserError, match=r"--json and --page are the same file, .*; give two"):
            check_outputs({"--json": tmp_path / "a.json", "--page": tmp_path / other})
