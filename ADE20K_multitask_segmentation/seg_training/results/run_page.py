"""The HTML page that a training ends with: its numbers, curves and pictures."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seg_training.results.html_page import Command, Noted, Section, Table, page_html, picture_figure
from seg_training.results.number_texts import interval_text, measured_text
from seg_training.results.plot_figures import plot_figures
from seg_training.results.prediction_examples import Example, examples_picture

__all__ = ["run_html"]

_LABEL_MAP_METRICS = ("mIoU", "fwIoU", "mACC", "pACC")


def run_html(results: Mapping[str, Any], examples: Sequence[Example], run_dir: Path) -> str:
    """Write a run's page.

    Args:
        results: what ``results.json`` holds.
        examples: images with what the network painted on them.
        run_dir: the run's folder, with its ``config.yaml``.
    """
    measured = measured_text(results["bIoU"])
    title = f"{results['method']}, {results['config_name']}: bIoU {measured} %"
    lead = f"{run_dir}: the checkpoint of step {results['evaluated_step']:,}, the best in training."
    picture = examples_picture(examples) if examples else None
    config = run_dir / "config.yaml"
    sections = [
        Section("Results", [_numbers(results), _datasets(results)]),
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


def _numbers(results: Mapping[str, Any]) -> Table:
    rows: list[Sequence[str | Noted]] = [
        [
            Noted("bIoU", f"mean over all {results['num_masks']:,} masks"),
            measured_text(results["bIoU"]),
            interval_text(results.get("bIoU_interval")),
        ],
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
        [metric, measured_text(results[metric]), interval_text(results.get(f"{metric}_interval"))]
        for metric in _LABEL_MAP_METRICS
        if metric in results
    ]
    return Table(["metric", "percent", "95 % interval over images"], rows)


def _datasets(results: Mapping[str, Any]) -> Table | None:
    """Say what each of several datasets and each of its tasks came to."""
    rows = []
    for name, own in results.get("per_dataset", {}).items():
        masks, interval = f"{own['num_masks']:,}", interval_text(own.get("bIoU_interval"))
        rows.append([name, "all", masks, measured_text(own["bIoU"]), interval])
        rows += [
            ["", task, f"{entry['num_masks']:,}", measured_text(entry["bIoU"]), ""]
            for task, entry in own["per_class"].items()
        ]
    return Table(["dataset", "task", "masks", "bIoU, %", "95 % interval"], rows) if rows else None


def _facts(results: Mapping[str, Any]) -> Table:
    """List what a reader needs to weigh the numbers."""
    height, width = results.get("crop_size") or ("?", "?")
    versions = results.get("versions", {})
    facts = {
        "method": results["method"],
        "classes": str(results["num_tasks"]),
        "crop size": f"{height}x{width}",
        "parameters": f"{results['parameters']:,}",
        "steps": f"{results['steps']:,}",
        "seed": str(results["seed"]),
        "time": f"{results['seconds'] / 60:.1f} minutes",
        "hardware": str(results["hardware"]),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "commit": str(results.get("commit") or "unknown"),
    }
    return Table([], [[name, value] for name, value in facts.items()])
