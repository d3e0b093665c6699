"""One label per pixel from the probabilities of classes that may overlap."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["JointLabelMap"]


class JointLabelMap:
    """The most probable class of each pixel, put together class by class.

    Attributes:
        labels: (H, W) unsigned, of the smallest type that the classes so far need: task id + 1; 0
            where no class reaches its threshold.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        """Start with no class anywhere.

        Args:
            shape: (H, W).
        """
        self.labels: NDArray[np.unsignedinteger[Any]] = np.zeros(shape, np.uint8)
        self._best = np.full(shape, -np.inf, np.float32)

    def add(
        self,
        task_id: int,
        probability: NDArray[np.float32],
        threshold: float,
        competes: bool = True,
    ) -> NDArray[np.bool_]:
        """Add a class.

        Args:
            task_id: of the network.
            probability: (H, W) float32 in [0, 1].
            threshold: probabilities from it on are the class.
            competes: else it is where none is that does, whatever its probability is: that of a
                class which a recogniser does not know is compared with nothing.

        Returns:
            (H, W) bool: the class's own mask, also where another class is more probable.
        """
        mask = probability >= threshold
        rank = probability if competes else probability - 1
        better = mask & (rank > self._best)
        self._best[better] = rank[better]
        if task_id + 1 > np.iinfo(self.labels.dtype).max:
            self.labels = self.labels.astype(np.min_scalar_type(task_id + 1))
        self.labels[better] = task_id + 1
        return mask
