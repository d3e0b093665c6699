"""The files that a description is written as: a config, a classes file, lists of splits."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seg_training.as_written.hydra_overrides import literal
from seg_training.config import default_config_dir, experiment_names
from seg_training.errors import UserError, counted
from seg_training.files.file_names import file_name
from seg_training.files.output_checks import check_output
from seg_training.tasks import LabelClasses

__all__ = ["CALIBRATION_SHARE", "DescribedFiles", "classes_text", "config_text", "described_files"]

_EXPERIMENT = "folder_adapter"

CALIBRATION_SHARE = 0.1
"""What that experiment holds out of all training."""


class DescribedFiles(NamedTuple):
    """Where a description is written to.

    Attributes:
        config: the config.
        classes: the classes file beside it.
        lists: the folder for lists of splits, where the folder itself has no splits.
        sheet: the picture of images with their annotations.
        names: YOLO's names, where the folder itself has no file of them that is read.
    """

    config: Path
    classes: Path
    lists: Path
    sheet: Path
    names: Path


def described_files(
    root: Path, output: Path | None, overwrite: bool, config_dir: Path | None = None
) -> DescribedFiles:
    """Say where a description is written to, and check that it may be.

    Args:
        root: the dataset's folder, which nothing is written to.
        output: the config that was asked for; named after the folder by default.
        overwrite: whether files that are there may be replaced.
        config_dir: where the project's configs are; :func:`default_config_dir` by default.

    Raises:
        UserError: if it lies in the dataset's folder, has the name of one of the project's configs
            or another suffix, cannot be written, or is there already.
    """
    config_dir = config_dir or default_config_dir()
    if output is None:
        name = file_name(root.absolute().name) or "my_data"
        if f"{name}.yaml" in experiment_names(config_dir):
            name = f"my_{name}"
        output = Path(f"{name}.yaml")
    if output.suffix != ".yaml":
        raise UserError(f"--output {output}: a config ends in .yaml; give {output.stem}.yaml, say")
    if output.name in experiment_names(config_dir):
        raise UserError(
            f"--output {output} has the name of a config of the project; give another, my_data.yaml"
        )
    if output.absolute().resolve().is_relative_to(root.resolve()):
        raise UserError(
            f"{output.absolute()} lies in the dataset's folder, which nothing is written to: give "
            "another place by --output"
        )
    beside = output.absolute()
    files = DescribedFiles(
        output,
        beside.with_name(f"{output.stem}_classes.yaml"),
        beside.with_name(f"{output.stem}_splits"),
        beside.with_name(f"{output.stem}_sheet.png"),
        beside.with_name(f"{output.stem}_names.yaml"),
    )
    for path in (files.config, files.classes, files.sheet, files.names):
        check_output(path, "--output")
    there = [path for path in (files.config, files.classes) if path.exists()]
    if there and not overwrite:
        raise UserError(
            f"{there[0]} is there already, and may hold changes of yours: --overwrite replaces it, "
            "--output writes another"
        )
    return files


def config_text(settings: Mapping[str, Any], about: Sequence[str]) -> str:
    """Write the config.

    Args:
        settings: the data section.
        about: lines for the reader.
    """
    lines = [*(f"# {line}" for line in about), f"defaults: [{_EXPERIMENT}, _self_]", "data:"]
    lines += [f"  {key}: {_written(value)}" for key, value in settings.items()]
    return "\n".join(lines) + "\n"


def classes_text(
    classes: LabelClasses, images: Mapping[int, int], comments: Mapping[int, str], about: str
) -> str:
    """Write the classes file, with how many images show each class.

    Args:
        classes: what values mean.
        images: how many images show each value.
        comments: what else to say of a value.
        about: a line for the reader.
    """

    def comment(value: int) -> str:
        said = [f"in {counted(images.get(value, 0), 'image')}", comments.get(value, "")]
        return "; ".join(filter(None, said))

    lines = [f"# {about}", "classes:"]
    lines += [
        f"  {value}: {json.dumps(name, ensure_ascii=False)} # {comment(value)}"
        for value, name in sorted(classes.names.items())
    ]
    for entry, values, meaning in (
        ("other", classes.other, "values of no class: background for every class"),
        ("ignore", classes.ignore, "values that nobody labelled: left out of loss and metric"),
    ):
        if not values:
            lines.append(f"{entry}: [] # {meaning}")
            continue
        lines.append(f"{entry}: # {meaning}")
        lines += [f"  - {value} # {comment(value)}" for value in sorted(values)]
    return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    """Write a setting as JSON, which is YAML, too."""
    return json.dumps(literal(value), ensure_ascii=False)
