"""Task embeddings that come from the classes' names: near names have near embeddings."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init

from .plain_modules import DrawsItself
from .word_encoder import WORD_WIDTH

if TYPE_CHECKING:
    from .configuration_tasformer import TASFormerConfig

__all__ = ["WordEmbeddings"]

_NOTHING_BETWEEN = 1e-3  # names so near each other are one name to the encoder


class WordEmbeddings(DrawsItself, nn.Module):
    """``projection @ (vector of the name) + residual of the class``, in place of a table.

    The vectors of the known names are kept with the weights, so that the text encoder is needed
    only for further names. They are brought to mean 0 and mean square 1, and the projection is
    drawn from N(0, 1): so embeddings begin as those of a table do, each number of N(0, 1) and
    classes far from each other, but the nearer the names the nearer the embeddings. The residual
    begins at 0: it tells classes apart whose names are one to the encoder.
    """

    vectors: Tensor
    """(K, 384) float: unit vectors of the known names; random ones until they are taken."""
    centre: Tensor
    """(384,) float: the mean of the names that the network was trained with."""
    spread: Tensor
    """() float: how far they are from it, as the root of the mean square."""

    def __init__(self, config: "TASFormerConfig") -> None:
        """Build it.

        Args:
            config: the model's configuration.
        """
        super().__init__()
        self.register_buffer("vectors", torch.empty(config.num_tasks, WORD_WIDTH))
        self.register_buffer("centre", torch.empty(WORD_WIDTH))
        self.register_buffer("spread", torch.empty(()))
        self.projection = nn.Parameter(torch.empty(config.task_embedding_dim, WORD_WIDTH))
        self.residual = nn.Parameter(torch.empty(config.num_tasks, config.task_embedding_dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the projection, and vectors in place of those of names."""
        init.normal_(self.vectors, std=WORD_WIDTH**-0.5)
        init.zeros_(self.centre)
        init.ones_(self.spread)
        init.normal_(self.projection)
        init.zeros_(self.residual)

    @torch.no_grad()
    def take(self, vectors: Tensor) -> None:
        """Take the vectors of the names that the network is going to be trained with.

        Args:
            vectors: (K, 384) float, unit vectors.
        """
        self.vectors.copy_(vectors)
        centre = vectors.mean(0)
        spread = (vectors - centre).square().sum(1).mean().sqrt()
        if spread < _NOTHING_BETWEEN:  # one name, or names that are one to the encoder
            centre, spread = torch.zeros_like(centre), torch.ones_like(spread)
        self.centre.copy_(centre)
        self.spread.copy_(spread)

    def of_vectors(self, vectors: Tensor) -> Tensor:
        """Embed names, known ones or others.

        Args:
            vectors: (N, 384) float, unit vectors.

        Returns:
            (N, D) float: what the names alone say, without residuals.
        """
        return F.linear((vectors - self.centre) / self.spread, self.projection)

    def forward(self, task_ids: Tensor) -> Tensor:
        """Look up the embeddings of known classes.

        Args:
            task_ids: (B,) int64, each in [0, num_tasks).

        Returns:
            (B, D) float.
        """
        return self.of_vectors(self.vectors[task_ids]) + self.residual[task_ids]
