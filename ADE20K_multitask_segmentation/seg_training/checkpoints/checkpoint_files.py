"""Finding checkpoint files, run folders and model folders, without PyTorch."""

from collections.abc import Sequence
from pathlib import Path

from seg_training.errors import UserError, suggest
from seg_training.files.user_paths import user_path

__all__ = ["CONFIG", "WEIGHTS", "find_checkpoint", "missing_file"]

# A model folder holds a network without what a training needs to go on, as Hugging Face has it:
# weights, and beside them the experiment's config.
WEIGHTS, CONFIG = "model.safetensors", "config.yaml"


def find_checkpoint(
    path: str | Path, names: Sequence[str] = ("best.ckpt", "last.ckpt", WEIGHTS)
) -> Path:
    """Find the checkpoint that a path means.

    Args:
        path: a file, a run's folder or a model folder.
        names: which checkpoint of a folder to take, the first that is there.

    Raises:
        UserError: if there is none.
    """
    path = user_path(path)
    if path.is_file():
        if path.name == WEIGHTS and WEIGHTS not in names:
            raise _weights_alone(path)
        return path
    if path.is_dir():
        for folder in (path / "checkpoints", path):
            for name in names:
                if (folder / name).is_file():
                    return folder / name
        if (path / WEIGHTS).is_file():
            raise _weights_alone(path)
        raise UserError(
            f"folder {path} holds no checkpoint (looked for checkpoints/{names[0]}); give a run's "
            "folder, as train.py names it in its last line"
        )
    raise missing_file(path, "checkpoint")


def _weights_alone(path: Path) -> UserError:
    return UserError(
        f"{path} holds weights alone: they can be evaluated, but no training can go on from them; "
        "give a run's folder or a checkpoint of train.py. Classes that were added to a network "
        "learn on from more pictures by scripts/add_classes.py, from the network before them"
    )


def missing_file(path: Path, what: str) -> UserError:
    """Say that a file does not exist, and which files there have names like it.

    Or that what has its name is none: a link that leads nowhere, a pipe, a device.
    """
    if path.is_symlink() and not path.exists():
        return UserError(
            f"{what} {path} is a link to {path.readlink()}, which is not there or leads back to it"
        )
    if path.exists():
        return UserError(f"{what} {path} is no file; give a file or a folder")
    # Names alone: with the folders in front, everything beside it would be close.
    beside = [file.name for file in path.parent.glob("*")] if path.parent.is_dir() else []
    return UserError(f"{what} {path} does not exist{suggest(path.name, beside)}")
