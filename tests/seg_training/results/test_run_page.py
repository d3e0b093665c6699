import re
from html import unescape
from pathlib import Path
from typing import Any

import torch

from seg_training.results.prediction_examples import Example
from seg_training.results.run_page import run_html

RESULTS: dict[str, Any] = {
    "bIoU": 42.18,
    "num_masks": 1111,
    "paint_everything_bIoU": 9.1,
    "bIoU_interval": [40.0, 44.26],
    "iou_batch": None,
    "per_class": {"sky": {"bIoU": 90.5, "num_masks": 101}},
    "per_share": [{"from_percent": 25, "below_percent": 50, "bIoU": 60.0, "num_masks": 5}],
    "curves": {"loss": [[1, 0.5], [2, 0.4]], "bIoU": [[2, 42.18]]},
    "method": "adapter_hf",
    "config_name": "folder_adapter",
    "num_tasks": 11,
    "crop_size": [160, 320],
    "parameters": 7204129,
    "steps": 5000,
    "evaluated_step": 4000,
    "seed": 3,
    "seconds": 1998.0,
    "hardware": "1 x cpu, 2 threads",
    "versions": {"python": "3.11.9", "torch": "2.14.1"},
    "commit": None,
}


def rows(html: str) -> dict[str, list[str]]:
    """First cell, without its small print, to the others."""
    found = re.findall("<tr>(.*?)</tr>", html)
    cells = [re.findall("<td>(.*?)</td>", row) for row in found]
    return {unescape(re.sub("<small>.*", "", row[0])): row[1:] for row in cells if row}


def test_numbers_and_what_they_were_measured_with(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 3 # <here>")
    html = run_html(RESULTS, [], tmp_path)
    assert "<h1>adapter_hf, folder_adapter: bIoU 42.2 %</h1>" in html
    assert "the checkpoint of step 4,000" in html
    assert rows(html) == {
        "bIoU": ["42.2", "40.0 to 44.3"],
        "masks that cover the whole image": ["9.1", ""],
        "iou_batch": ["not measured", ""],
        "recipe": ["published"],
        "method": ["adapter_hf"],
        "classes": ["11"],
        "crop size": ["160x320"],
        "view": ["squeeze"],
        "parameters": ["7,204,129"],
        "steps": ["5,000"],
        "seed": ["3"],
        "time": ["33.3 minutes"],
        "hardware": ["1 x cpu, 2 threads"],
        "versions": ["python 3.11.9, torch 2.14.1"],
        "commit": ["unknown"],
    }
    assert f"<pre>python eval.py --ckpt {tmp_path}</pre>" in html
    assert "<summary>config.yaml</summary><pre>seed: 3 # &lt;here&gt;</pre>" in html
    assert html.count("<svg") == 3
    assert "<img" not in html
    assert ">Pictures<" not in html


def test_without_a_validation_no_checkpoint_is_called_the_best(tmp_path: Path) -> None:
    assert "step 4,000, the best in training." in run_html(RESULTS, [], tmp_path)
    unvalidated = {**RESULTS, "curves": {"loss": [[1, 0.5], [2, 0.4]], "bIoU": []}}
    html = run_html(unvalidated, [], tmp_path)
    assert "step 4,000, the end&#39;s." in html
    assert "the best in training" not in html
    assert "no validation in training" in html


def test_label_map_metrics_and_several_datasets_have_rows(tmp_path: Path) -> None:
    own = {
        "bIoU": 50.0,
        "num_masks": 10,
        "bIoU_interval": [None, None],
        "per_class": {"floor": {"bIoU": 49.0, "num_masks": 10}},
    }
    more = {"mIoU": 14.56, "mIoU_interval": [14.0, 15.0], "pACC": 61.0, "per_dataset": {"sun": own}}
    html = run_html({**RESULTS, **more}, [], tmp_path)
    found = rows(html)
    assert found["mIoU"] == ["14.6", "14.0 to 15.0"]
    assert found["pACC"] == ["61.0", ""]
    assert "mIoU with other" not in found  # earlier results have none
    assert found["sun"] == ["all", "10", "50.0", ""]
    assert found[""] == ["floor", "10", "49.0", ""]
    assert "config.yaml" not in html


def test_what_is_calibrated_stands_beside_what_is_not(tmp_path: Path) -> None:
    per_class = {"sky": {"bIoU": 90.5, "bIoU_calibrated": 95.0, "num_masks": 101}}
    more = {"bIoU_calibrated": 51.0, "bIoU_calibrated_interval": [49.0, 53.0]}
    results = {**RESULTS, **more, "per_class": per_class}
    html = run_html({**results, "per_dataset": {"sun": results}}, [], tmp_path)
    assert "<h1>adapter_hf, folder_adapter: bIoU 42.2 %, calibrated 51.0 %</h1>" in html
    found = rows(html)
    assert found["bIoU, calibrated"] == ["51.0", "49.0 to 53.0"]
    assert found["sun"] == ["all", "1,111", "42.2", "40.0 to 44.3", "51.0"]
    assert found[""] == ["sky", "101", "90.5", "", "95.0"]
    assert "Calibrated: painted above a threshold of its own, or by rankseg." in html
    for same in ({"bIoU_calibrated": 42.18}, {"bIoU_calibrated": None}):
        assert "bIoU, calibrated" not in run_html({**RESULTS, **same}, [], tmp_path)


def test_what_is_painted_of_absent_classes(tmp_path: Path) -> None:
    more = {
        "presence_mAP": 35.75,
        "presence_frequency_mAP": 22.7,
        "presence_MCC": 0.456,
        "absent_painted": 15.0,
        "absent_area": 1.25,
        "cg_bIoU": 12.7,
        "biou_at_absent_painted": {"5": 27.5, "50": None},
    }
    html = run_html({**RESULTS, **more}, [], tmp_path)
    found = rows(html)
    assert found["cg_bIoU"] == ["12.7"]
    assert found["correlation of painted and there"] == ["0.46"]
    assert found["absent classes painted, %"] == ["15.0"]
    assert found["bIoU, %"] == ["27.5", "not measured"]
    assert "mean average precision 35.8 %, answering by frequency 22.7 %" in html
    calibrated = {f"{name}_calibrated": 0.5 for name in more} | {"bIoU_calibrated": 51.0}
    html = run_html({**RESULTS, **more, **calibrated}, [], tmp_path)
    assert rows(html)["correlation of painted and there"] == ["0.46", "0.50"]
    assert rows(html)["bIoU, calibrated, %"] == ["27.5", "not measured"]
    # Thresholds of 0 leave the bIoU as it is, and the presence score alone leaves classes out.
    html = run_html({**RESULTS, **more, **calibrated, "bIoU_calibrated": 42.18}, [], tmp_path)
    assert rows(html)["correlation of painted and there"] == ["0.46", "0.50"]
    assert rows(html)["bIoU, %"] == ["27.5", "not measured"]
    assert "What is there" not in run_html(RESULTS, [], tmp_path)


def test_what_no_image_shows_is_not_measured(tmp_path: Path) -> None:
    own = {"bIoU": None, "num_masks": 0, "per_class": {"lamp": {"bIoU": None, "num_masks": 0}}}
    per_class = {**RESULTS["per_class"], "lamp": {"bIoU": None, "num_masks": 0}}
    html = run_html({**RESULTS, "per_class": per_class, "per_dataset": {"sun": own}}, [], tmp_path)
    assert rows(html)["sun"] == ["all", "0", "not measured", ""]
    assert rows(html)[""] == ["lamp", "0", "not measured", ""]
    assert "lamp (not measured)" in html  # below the bars
    assert "nan" not in html.lower().replace("lenan", "")


def test_examples_are_one_picture(tmp_path: Path) -> None:
    mask = torch.ones(2, 8, 8, dtype=torch.bool)
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    html = run_html(RESULTS, [Example("a", image, ("sky", "road"), mask, mask)], tmp_path)
    assert html.count("<img") == 1
    assert f'width="{3 * 8 + 2 * 4}"' in html
