"""How Lightning writes and reads a training's checkpoints: whole, and checked."""

from pathlib import Path
from typing import Any

from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from seg_training.checkpoints.whole_checkpoints import read_whole, write_whole

__all__ = ["WholeCheckpointIO"]


class WholeCheckpointIO(TorchCheckpointIO):
    """Files that no full disk, kill or loss of power leaves half there.

    Lightning's own writes where temporary files lie, and copies over the good file if that is on
    another disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint beside its place, and then put it there.

        Args:
            checkpoint: its content.
            path: the file.
            storage_options: for other kinds of storage.

        Raises:
            UnwritableError: if it cannot be written; what was there stays.
        """
        write_whole(checkpoint, Path(path))

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint, and run nothing that is in it.

        Args:
            path: the file.
            map_location: tensors come to the CPU, and go where they belong as they are loaded.
            weights_only: always.

        Raises:
            UserError: if it is damaged.
        """
        content: dict[str, Any] = read_whole(Path(path))
        return content
