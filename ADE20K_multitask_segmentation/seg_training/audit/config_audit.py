"""Auditing all datasets of a config, and showing what was found."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg_training.audit.audit_report import (
    audits_to_json,
    count_problems,
    show_counts,
    show_problems,
)
from seg_training.audit.contact_sheet import contact_sheet
from seg_training.audit.dataset_audit import audit_dataset
from seg_training.commands.terminal_text import plain, standard_output
from seg_training.datasets.data_module import build_data_module
from seg_training.errors import UserError
from seg_training.files.output_checks import check_outputs
from seg_training.files.text_files import write_json
from seg_training.results.sample_pictures import save_picture

__all__ = ["audit_config"]


def audit_config(
    config: Mapping[str, Any], name: str, *, json: Path | None = None, sheet: Path | None = None
) -> int:
    """Audit the datasets of an experiment, both splits, file by file, and print the findings.

    Args:
        config: the experiment's, composed.
        name: what it is called.
        json: where all that was found is written, if anywhere.
        sheet: where the picture goes; ``outputs/check_dataset/<name>.png`` by default.

    Returns:
        How many errors there are; training would be wrong where there is one.

    Raises:
        UserError: if the only dataset is not there, or a file that was asked for cannot be written.
    """
    check_outputs({"--json": json, "--sheet": sheet})
    data_module = build_data_module(config["data"], config["tasks"], config["seed"])
    one_stream = config["data"].get("mode") == "mixed"  # which takes pairs one by one
    audits = [
        audit_dataset(
            source.dataset,
            source.tasks,
            source.splits,
            batch_size=1 if one_stream else source.batch_size,
            sampler=source.sampler,
            name=source_name,
        )
        for source_name, source in data_module.sources().items()
    ]
    console = standard_output()
    try:  # written before it is printed, and printed also where it cannot be written
        if json:
            write_json({"config": name, **audits_to_json(audits)}, json)
    finally:
        show_counts(audits, console)
    try:
        place = sheet or Path("outputs") / "check_dataset" / f"{name}.png"
        picture = contact_sheet(audits)
        if picture is None:
            console.print("no image with a label map can be drawn: there is no contact sheet")
        else:
            try:
                save_picture(picture, place)
                said = f"contact sheet: {place}"
            except UserError as error:
                if sheet:
                    raise
                said = f"warning: no contact sheet: {error}; give a place by --sheet"
            console.print(plain(said), soft_wrap=True)
    finally:
        show_problems(audits, console)
    return count_problems(audits, "error")
