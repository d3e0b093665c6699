"""The optimiser Muon: matrices move by orthogonal steps, all else by AdamW."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Muon", "orthogonal"]

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of Jordan's quintic iteration
_ITERATIONS = 5
_RMS = 0.2  # of AdamW's steps, about: of Liu et al.


class Muon(torch.optim.AdamW):
    """Momentum of matrices, made orthogonal (Jordan et al., 2024), beside AdamW.

    A step of a matrix has the size of AdamW's (Liu et al., 2025, "Muon is scalable for LLM
    training"), so that both share a rate and a schedule. Convolutions, biases, norms, and the
    groups of parameters that say ``orthogonal: False``, embeddings say, are AdamW's.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.01,
        matrix_rate: float = 3.0,
        momentum: float = 0.95,
    ) -> None:
        """Make the optimiser.

        Args:
            params: parameters, or groups of them.
            lr: AdamW's learning rate.
            betas: AdamW's.
            weight_decay: of both, decoupled.
            matrix_rate: times ``lr``, the learning rate of matrices.
            momentum: of matrices, Nesterov's.

        Raises:
            ValueError: if a number is out of its bounds.
        """
        for name, value, most in (
            ("matrix_rate", matrix_rate, math.inf),
            ("momentum", momentum, 1.0),
        ):
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not 0 < value < most:
                below = "" if most == math.inf else f" and below {most:g}"
                raise ValueError(f"{name}={value}: expected a number above 0{below}")
        first, second = betas
        super().__init__(params, lr=lr, betas=(first, second), weight_decay=weight_decay)
        self._matrix_rate, self._momentum = matrix_rate, momentum

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step.

        Args:
            closure: computes the loss and its gradients.

        Returns:
            What the closure gave.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        matrices = [
            (group, parameter, parameter.grad)
            for group in self.param_groups
            if group.get("orthogonal", True)
            for parameter in group["params"]
            if parameter.ndim == 2 and parameter.grad is not None
        ]
        for _, parameter, _ in matrices:
            parameter.grad = None  # AdamW passes them over
        super().step()
        for group, parameter, gradient in matrices:
            parameter.grad = gradient
            self._move(parameter, gradient, group["lr"] * self._matrix_rate, group["weight_decay"])
        return loss

    def _move(self, matrix: nn.Parameter, gradient: Tensor, rate: float, decay: float) -> None:
        state = self.state[matrix]
        if not state:
            state["step"] = torch.zeros(())  # which AdamW expects of every state
            state["momentum"] = torch.zeros_like(matrix)
        state["step"] += 1
        state["momentum"].lerp_(gradient, 1 - self._momentum)
        ahead = gradient.lerp(state["momentum"], self._momentum)  # Nesterov's
        matrix.mul_(1 - rate * decay)
        matrix.add_(orthogonal(ahead), alpha=-rate * _RMS * math.sqrt(max(matrix.shape)))


def orthogonal(matrix: Tensor, coefficients: Sequence[float] = _COEFFICIENTS) -> Tensor:
    """Bring the singular values of a matrix near 1, by five steps of a Newton-Schulz iteration.

    Args:
        matrix: (M, N) floating.
        coefficients: of the iteration ``a X + b X X'X + c X X'X X'X``.

    Returns:
        (M, N), of the same singular vectors; singular values that were not nearly 0 are between 0.5
        and 1.5.
    """
    a, b, c = coefficients
    is_tall = matrix.shape[0] > matrix.shape[1]
    wide: Tensor = matrix.T if is_tall else matrix
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        square = wide @ wide.T
        wide = a * wide + (b * square + c * square @ square) @ wide
    return wide.T if is_tall else wide
