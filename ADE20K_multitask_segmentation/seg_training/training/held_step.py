"""The last step, held until loss and gradient are known to be finite; else a file, to replay."""

import logging
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from seg_training.checkpoints.whole_checkpoints import write_whole
from seg_training.datasets.batches import Batch
from seg_training.errors import UnwritableError, UserError

__all__ = [
    "BAD_STEP",
    "CURE",
    "MOST_SKIPPED",
    "HeldStep",
    "NonFiniteLossError",
    "random_states",
    "restore_random_states",
]

BAD_STEP = "bad_step.pt"
"""What a run keeps of a step that was not finite; of other processes ``bad_step_rank1.pt``."""

MOST_SKIPPED = 20
"""Steps in a row that a loss scaler may skip: it looks for a scale, and by then has found none."""

_log = logging.getLogger(__name__)

CURE = (
    "Lower optimizer.lr, warm up longer (optimizer.warmup_steps), or train in full precision "
    "(trainer.precision=32-true)"
)
"""What to do about numbers that are not finite."""


class NonFiniteLossError(UserError):
    """The loss or its gradient became infinite or not a number."""


class HeldStep:
    """What a step began with: batches, random states, weights.

    All of it stays on the device. Whether loss and gradient are finite is asked once a step: of a
    GPU when the next one begins, because asking at once would make the CPU wait in its middle;
    there the weights are copied before they change, which costs a GPU next to nothing. On the CPU
    it is asked before the weights change, so that there is nothing to copy.
    """

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._batches: list[Mapping[str, Batch]] = []
        self._random: list[dict[str, Any]] = []
        self._weights: dict[str, Tensor] = {}
        self._over = True
        self._loss: Tensor | None = None
        self._gradient: Tensor | None = None
        self._scale: Tensor | None = None
        self._skipped = 0
        self._step = 0  # the number of the one that is held, from 1

    def hold(self, batches: Mapping[str, Batch], module: pl.LightningModule) -> None:
        """Hold what a batch is about to be trained with.

        Args:
            batches: each dataset's; with accumulation a step has several of them.
            module: whose weights a step is about to change.
        """
        if self._over:
            self._over = False
            self._step = module.global_step + 1
            self._batches, self._random = [], []
            if module.device.type != "cpu":
                self._copy_weights(module)
        self._batches.append(batches)
        self._random.append(random_states(module.device))

    def _copy_weights(self, module: nn.Module) -> None:
        trained = {
            name: parameter.detach()
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
        }
        if self._weights.keys() != trained.keys():
            self._weights = {name: own.clone() for name, own in trained.items()}
        else:
            torch._foreach_copy_(list(self._weights.values()), list(trained.values()))

    def note_loss(self, loss: Tensor) -> None:
        """Note a batch's loss: a scalar, finite or not."""
        self._loss = loss.detach()

    def note_gradient(self, module: pl.LightningModule) -> None:
        """Note the step's gradient, before it is clipped and used.

        Args:
            module: whose parameters have it; a loss scaler's scale is taken off by now.
        """
        gradients = [own.grad for own in module.parameters() if own.grad is not None]
        # Where its squares overflow, so do Adam's, whose state would never get well again.
        self._gradient = torch.nn.utils.get_total_norm(gradients)
        scaler = _scaler(module.trainer)
        self._scale = scaler.scale(torch.ones((), device=module.device)) if scaler else None
        self._over = True
        if module.device.type == "cpu":
            self.check(module)

    def check(self, module: pl.LightningModule) -> None:
        """Stop on a loss or a gradient that is not finite, and keep the step as a file.

        A loss scaler skips steps whose gradient is not finite, so that only many in a row stop.

        Args:
            module: that is trained.

        Raises:
            NonFiniteLossError: if one is not finite.
        """
        loss, gradient = self._loss, self._gradient
        self._loss = self._gradient = None
        if loss is None:
            return
        # One answer to wait for.
        noted = torch.stack([own.float() for own in (loss, gradient) if own is not None]).tolist()
        if not np.isfinite(noted[0]):
            raise self._stopping(module, f"the loss became {noted[0]}", noted[0])
        if gradient is None or np.isfinite(noted[1]):
            self._skipped = 0 if gradient is not None else self._skipped
            return
        what = f"the gradient's norm became {noted[1]}, of a loss of {noted[0]:.6g},"
        if self._scale is not None:
            self._skipped += 1
            if self._skipped < MOST_SKIPPED:
                return
            what = f"{MOST_SKIPPED} steps in a row were skipped, and again {what}"
        raise self._stopping(module, what, noted[0])

    def _stopping(self, module: pl.LightningModule, what: str, loss: float) -> NonFiniteLossError:
        kept = self._keep(module, loss)
        return NonFiniteLossError(
            f"{what} at step {self._step}; the weights of that step are not saved. {CURE}"
            + (
                f"\nThe step: {kept}; scripts/replay_batch.py {kept} says where it began"
                if kept
                else ""
            )
        )

    def _keep(self, module: pl.LightningModule, loss: float) -> Path | None:
        """Write the step, to be run again; a disk that takes no more hides no reason to stop."""
        rank = module.global_rank
        file = Path(module.trainer.default_root_dir) / BAD_STEP
        file = file.with_stem(f"{file.stem}_rank{rank}") if rank else file
        content = {
            "hyper_parameters": dict(module.hparams),
            "state_dict": {**module.state_dict(), **self._weights},
            "step": self._step,
            "loss": loss,
            "scale": None if self._scale is None else float(self._scale),
            "batches": [
                {name: own._asdict() for name, own in batches.items()} for batches in self._batches
            ],
            "random": self._random,
        }
        try:
            write_whole(content, file)
        except UnwritableError as error:
            _log.warning("the step is not kept: %s", error)
            return None
        return file


def random_states(device: torch.device) -> dict[str, Any]:
    """Note where all random numbers of a step come from; as plain values and tensors.

    Args:
        device: that the step runs on.
    """
    version, numbers, next_gauss = random.getstate()
    own: Any = np.random.get_state()  # noqa: NPY002 - a component of one's own may draw from it
    states: dict[str, Any] = {
        "python": [version, list(numbers), next_gauss],
        "numpy": [own[0], torch.from_numpy(own[1].astype(np.int64)), *own[2:]],
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_states(states: Mapping[str, Any], device: torch.device) -> None:
    """Let random numbers come again as they came after :func:`random_states`.

    Args:
        states: as that function gave them.
        device: that the step runs on; the numbers of a GPU come again on a GPU alone.
    """
    version, numbers, next_gauss = states["python"]
    random.setstate((version, tuple(numbers), next_gauss))
    name, keys, *others = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *others))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def _scaler(trainer: pl.Trainer) -> Any:
    return getattr(trainer.precision_plugin, "scaler", None)
