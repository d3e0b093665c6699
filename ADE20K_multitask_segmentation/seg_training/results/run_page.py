"""The HTML page that a training ends with: its numbers, curves and pictures."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seg_training.results.html_page import (
    Command,
    Noted,
    Section,
    Table,
    Text,
    page_html,
    picture_figure,
)
from seg_training.results.number_texts import calibrated_of, interval_text, measured_text
from seg_training.results.plot_figures import plot_figures
from seg_training.results.prediction_examples import Example, examples_picture

__all__ = ["run_html"]

_LABEL_MAP_METRICS: dict[str, str | Noted] = {
    "mIoU": Noted("mIoU", "one label map per image; what is painted on other is not seen"),
    "mIoU_with_other": Noted("mIoU with other", "the same with other as a class and an answer"),
    "fwIoU": "fwIoU",
    "mACC": "mACC",
    "pACC": "pACC",
}

_PAINTED: dict[str, str | Noted] = {
    "cg_bIoU": Noted(
        "cg_bIoU", "mean IoU of the classes that are there, times the correlation below"
    ),
    "presence_MCC": Noted(
        "correlation of painted and there", "Matthews': 1 is without a mistake, 0 is chance"
    ),
    "absent_painted": Noted("absent classes painted, %", "with a pixel or more"),
    "absent_area": Noted("area painted of absent classes, %", "of the image, on average"),
}


def run_html(results: Mapping[str, Any], examples: Sequence[Example], run_dir: Path) -> str:
    """Write a run's page.

    Args:
        results: what ``results.json`` holds.
        examples: images with what the network painted on them.
        run_dir: the run's folder, with its ``config.yaml``.
    """
    measured, calibrated = measured_text(results["bIoU"]), calibrated_of(results)
    title = f"{results['method']}, {results['config_name']}: bIoU {measured} %"
    if calibrated is not None:
        title += f", calibrated {measured_text(calibrated)} %"
    which = "the best in training" if _was_validated(results) else "the end's"
    lead = f"{run_dir}: the checkpoint of step {results['evaluated_step']:,}, {which}."
    picture = examples_picture(examples) if examples else None
    config = run_dir / "config.yaml"
    sections = [
        Section("Results", [_numbers(results), _datasets(results)]),
        Section("What is there", _presence(results)),
        Section("Pictures", [picture_figure(picture, "Painted in orange, the truth in blue.")]),
        Section("Plots", plot_figures({results["method"]: [results]})),
        Section(
            "Behind it",
            [
                _facts(results),
                Command(
                    "Evaluate again", shlex.join(["python", "eval.py", "--ckpt", str(run_dir)])
                ),
                Command("config.yaml", config.read_text(encoding="utf-8"), folded=True)
                if config.is_file()
                else None,
            ],
        ),
    ]
    return page_html(title, lead, sections)


def _was_validated(results: Mapping[str, Any]) -> bool:
    """Say whether a best was chosen: without a validation in training there is none."""
    return "curves" not in results or bool(results["curves"]["bIoU"])


def _numbers(results: Mapping[str, Any]) -> Table:
    rows: list[Sequence[str | Noted]] = [
        [
            Noted("bIoU", f"mean over all {results['num_masks']:,} masks"),
            measured_text(results["bIoU"]),
            interval_text(results.get("bIoU_interval")),
        ],
        *_calibrated_rows(results),
        [
            Noted("masks that cover the whole image", "what painting everything would reach"),
            measured_text(results["paint_everything_bIoU"]),
            "",
        ],
        [
            Noted("iou_batch", "as the released training code validates: a recall, not to compare"),
            measured_text(results.get("iou_batch")),
            "",
        ],
    ]
    rows += [
        [name, measured_text(results[metric]), interval_text(results.get(f"{metric}_interval"))]
        for metric, name in _LABEL_MAP_METRICS.items()
        if metric in results
    ]
    return Table(["metric", "percent", "95 % interval over images"], rows)


def _calibrated_rows(results: Mapping[str, Any]) -> list[list[str | Noted]]:
    """Say the calibrated bIoU, where thresholds make it another one."""
    calibrated = calibrated_of(results)
    if calibrated is None:
        return []
    name = Noted(
        "bIoU, calibrated", "each class painted above a threshold of its own, or by rankseg"
    )
    interval = interval_text(results.get("bIoU_calibrated_interval"))
    return [[name, measured_text(calibrated), interval]]


def _presence(results: Mapping[str, Any]) -> list[Table | Text | None]:
    """Say what is painted where classes are asked that are not there; nothing if none was."""
    if "cg_bIoU" not in results:
        return []
    suffixes = {"": "at 0"}
    # Thresholds may be 0 for all classes, where the presence score still leaves some out.
    if any(results[key] != results.get(f"{key}_calibrated", results[key]) for key in _PAINTED):
        suffixes["_calibrated"] = "calibrated"
    gated = "bIoU, %" if calibrated_of(results) is None else "bIoU, calibrated, %"
    painted = [
        [name, *(_number_text(key, results[f"{key}{suffix}"]) for suffix in suffixes)]
        for key, name in _PAINTED.items()
    ]
    shares = results["biou_at_absent_painted"]
    return [
        Text("Every class was asked of every image, whether the image shows it or not."),
        Table(["", *suffixes.values()], painted),
        Text(
            "How sure the network is that a class is there, one score for each image and class: "
            f"mean average precision {measured_text(results['presence_mAP'])} %, answering by "
            f"frequency {measured_text(results['presence_frequency_mAP'])} %. Where a class is "
            "painted only if this score is high enough:"
        ),
        Table(
            ["absent classes painted, at most", *(f"{share} %" for share in shares)],
            [[gated, *map(measured_text, shares.values())]],
        ),
    ]


def _number_text(key: str, number: float | None) -> str:
    if key == "presence_MCC" and number is not None:
        return f"{number:.2f}"
    return measured_text(number)


def _datasets(results: Mapping[str, Any]) -> Table | None:
    """Say what each of several datasets and each of its tasks came to."""
    datasets = results.get("per_dataset", {})
    if not datasets:
        return None
    with_calibrated = any(calibrated_of(own) is not None for own in datasets.values())

    def row(dataset: str, task: str, own: Mapping[str, Any]) -> list[str]:
        calibrated = [measured_text(own["bIoU_calibrated"])] if with_calibrated else []
        interval = interval_text(own.get("bIoU_interval"))
        masks = f"{own['num_masks']:,}"
        return [dataset, task, masks, measured_text(own["bIoU"]), interval, *calibrated]

    rows = []
    for name, own in datasets.items():
        rows.append(row(name, "all", own))
        rows += [row("", task, entry) for task, entry in own["per_class"].items()]
    header = ["dataset", "task", "masks", "bIoU, %", "95 % interval"]
    return Table([*header, *(["calibrated, %"] if with_calibrated else [])], rows)


def _facts_of_first_phase(first: Mapping[str, Any]) -> dict[str, str]:
    """Tell of the recogniser, which was trained before; its own page is in its run's folder."""
    if not first:
        return {}
    facts = {"recogniser": str(first["source"])}
    if "steps" in first:
        facts["steps before, of the recogniser"] = f"{first['steps']:,}"
    if "seconds" in first:
        facts["time of these"] = f"{first['seconds'] / 60:.1f} minutes"
    if "bIoU" in first:
        facts["bIoU of the recogniser alone"] = f"{measured_text(first['bIoU'])} %"
    return facts


def _facts(results: Mapping[str, Any]) -> Table:
    """List what a reader needs to weigh the numbers."""
    height, width = results.get("crop_size") or ("?", "?")
    versions = results.get("versions", {})
    first = results.get("first_phase") or {}
    facts = {
        "recipe": str(results.get("recipe", "published")),
        "method": results["method"],
        "classes": str(results["num_tasks"]),
        "crop size": f"{height}x{width}",
        "view": str(results.get("view", "squeeze")),
        "parameters": f"{results['parameters']:,}",
        "steps": f"{results['steps']:,}",
        "seed": str(results["seed"]),
        "time": f"{results['seconds'] / 60:.1f} minutes",
        **_facts_of_first_phase(first),
        "hardware": str(results["hardware"]),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "commit": str(results.get("commit") or "unknown"),
    }
    return Table([], [[name, value] for name, value in facts.items()])
