"""Every experiment's config on made-up data: the files are drawn where it looks for them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import multitask_segmentation  # noqa: F401 - adds its datasets
from fake_datasets import (
    ade20k,
    cityscapes,
    coco,
    floor,
    folder,
    gdd,
    glass,
    gta5,
    mask_folders,
    metalbot,
    msd,
    scenenet,
    sun_rgbd,
    trans10k,
)
from seg_training.config import compose_config

CONFIGS = Path(__file__).parents[2] / "configs"

MAKERS: dict[str, Callable[[Path], None]] = {
    "ade20k": ade20k.make,
    "cityscapes": cityscapes.make,
    "coco": coco.make,
    "floor": floor.make,
    "folder": folder.make,
    "gdd": gdd.make,
    "glass": glass.make,
    "gta5": gta5.make,
    "mask_folders": mask_folders.make,
    "metalbot": metalbot.make,
    "msd": msd.make,
    "scenenet": scenenet.make,
    "sun_rgbd": sun_rgbd.make,
    "synthetic": lambda root: None,  # draws itself
    "trans10k": trans10k.make,
}
"""Generators by the datasets' names in configs."""

CHANGES: dict[str, dict[str, Any]] = {
    "folder": {"classes": folder.CLASSES},
    "synthetic": {"num_training": 6, "num_validation": 3},
}
"""What a made-up dataset needs besides its root."""


def config_on_fake_data(
    experiment: str, folder: Path, overrides: Sequence[str] = ()
) -> dict[str, Any]:
    """Compose an experiment and draw its datasets, with small images and batches.

    Args:
        experiment: its file in ``configs``.
        folder: where to draw; a dataset that is there already is left as it is.
        overrides: as on the command line.
    """
    small = ["data.crop_size=[32,40]", "data.batch_size=2", "data.eval_batch_size=2"]
    config = compose_config(experiment, [*small, "data.num_workers=0", *overrides], CONFIGS)
    for section in config["data"].get("datasets", {"": config["data"]}).values():
        name = section["dataset"]
        section |= {"root": str(folder / name), **CHANGES.get(name, {})}
        if not (folder / name).is_dir():
            MAKERS[name](folder / name)
    return config
