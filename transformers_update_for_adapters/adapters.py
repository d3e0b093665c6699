"""Adapters whose weights a hypernetwork makes from the class.

Making the weights and applying them are apart: ``AdapterHypernet`` turns task ids into one
``AdapterWeights`` per block, and ``apply_adapter`` uses them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .class_corrections import ClassCorrections
from .kept_values import Kept
from .plain_modules import is_plain
from .task_conditions import MOST_NUMBERS, Conditions, join_conditions, select_conditions
from .word_embeddings import WordEmbeddings

if TYPE_CHECKING:
    from .configuration_tasformer import TASFormerConfig

__all__ = [
    "AdapterHypernet",
    "AdapterWeights",
    "apply_adapter",
]


# Of more classes only the adapters that are asked for are made: images show few of them.
_MOST_KEPT = 256


class AdapterWeights(NamedTuple):
    """The weights of one block's adapter, for each sample; D block width, R bottleneck.

    The first dimension is B, or 1 where all samples share one class.
    """

    down: Tensor
    """(B, R, D) float."""
    down_bias: Tensor
    """(B, R) float."""
    up: Tensor
    """(B, D, R) float."""
    up_bias: Tensor
    """(B, D) float."""
    gamma: Tensor
    """(B, D) float, the scale of the closing layer norm."""
    beta: Tensor
    """(B, D) float, the shift of the closing layer norm."""

    def corrected(self, own: Sequence[Tensor]) -> "AdapterWeights":
        """Add what :class:`ClassCorrections` have for a block."""
        down_bias, up_bias, gamma, beta = own
        return self._replace(
            down_bias=self.down_bias + down_bias,
            up_bias=self.up_bias + up_bias,
            gamma=self.gamma + gamma,
            beta=self.beta + beta,
        )


def apply_adapter(hidden_states: Tensor, weights: AdapterWeights) -> Tensor:
    """Apply ``LayerNorm(W_up GELU(W_down x + b_down) + b_up; gamma, beta) + x``.

    Args:
        hidden_states: (B, N, D) float, N positions.
        weights: of B samples, or of 1 that all samples share.

    Returns:
        (B, N, D) float.
    """
    # In place where autograd keeps nothing of the result.
    bottleneck = (hidden_states @ weights.down.mT).add_(weights.down_bias.unsqueeze(1))
    update = (F.gelu(bottleneck) @ weights.up.mT).add_(weights.up_bias.unsqueeze(1))
    # The affine part differs per sample, so it cannot be given to layer_norm.
    update = F.layer_norm(update, update.shape[-1:], eps=1e-5)
    update = torch.addcmul(weights.beta.unsqueeze(1), update, weights.gamma.unsqueeze(1))
    return update.add_(hidden_states)


class AdapterGenerator(nn.Module):
    """Six linear layers that make the weights of one adapter from a projected embedding."""

    def __init__(self, in_features: int, width: int, bottleneck: int) -> None:
        """Build the layers.

        Args:
            in_features: width E of the projected embedding.
            width: width D of the block.
            bottleneck: width R inside the adapter.
        """
        super().__init__()
        self.width = width
        self.bottleneck = bottleneck
        self.down = nn.Linear(in_features, bottleneck * width)
        self.down_bias = nn.Linear(in_features, bottleneck)
        self.up = nn.Linear(in_features, width * bottleneck)
        self.up_bias = nn.Linear(in_features, width)
        self.gamma = nn.Linear(in_features, width)
        self.beta = nn.Linear(in_features, width)

    def forward(self, features: Tensor) -> AdapterWeights:
        """Make the weights.

        Args:
            features: (B, E) float.

        Returns:
            The weights of B adapters.
        """
        return AdapterWeights(
            down=self.down(features).unflatten(-1, (self.bottleneck, self.width)),
            down_bias=self.down_bias(features),
            up=self.up(features).unflatten(-1, (self.width, self.bottleneck)),
            up_bias=self.up_bias(features),
            gamma=self.gamma(features),
            beta=self.beta(features),
        )


# What a hypernetwork is made of.
_PARTS = (
    *(nn.Embedding, WordEmbeddings, ClassCorrections),
    *(nn.Sequential, nn.Linear, nn.ReLU, nn.ModuleList, AdapterGenerator),
)


class AdapterHypernet(nn.Module):
    """Make the adapter weights of every block from task ids.

    It has a generator per block, all fed with the same projected task embedding; or a generator per
    stage, and a block embedding, joined to the task embedding, tells the blocks of a stage apart.
    """

    def __init__(self, config: "TASFormerConfig", block_embeddings: bool = False) -> None:
        """Build embeddings, projector and generators.

        Args:
            config: the model's configuration.
            block_embeddings: whether there are such, and a generator per stage.
        """
        super().__init__()
        self.depths = tuple(config.depths)
        self.num_tasks = config.num_tasks
        num_blocks = sum(self.depths)
        dim = config.task_embedding_dim
        self.task_embeddings = (
            WordEmbeddings(config) if config.words else nn.Embedding(config.num_tasks, dim)
        )
        self.block_embeddings = nn.Embedding(num_blocks, dim) if block_embeddings else None
        self.projector = nn.Sequential(
            nn.Linear(
                dim if self.block_embeddings is None else 2 * dim, config.projector_hidden_dim
            ),
            nn.ReLU(),
            nn.Linear(config.projector_hidden_dim, config.projector_dim),
        )
        widths = [
            width
            for width, depth in zip(config.hidden_sizes, self.depths, strict=True)
            for _ in range(depth if self.block_embeddings is None else 1)
        ]
        self.generators = nn.ModuleList(
            AdapterGenerator(config.projector_dim, width, width // config.adapter_reduction)
            for width in widths
        )
        of_blocks = [
            width
            for width, depth in zip(config.hidden_sizes, self.depths, strict=True)
            for _ in range(depth)
        ]
        self.corrections = ClassCorrections(config, of_blocks) if config.corrections else None
        reduction = config.adapter_reduction
        self.numbers_per_task = sum(
            depth * (2 * (width // reduction) * width + width // reduction + 3 * width)
            for width, depth in zip(config.hidden_sizes, self.depths, strict=True)
        )
        # Made at once: of more classes, matrices are larger, and may be rounded otherwise.
        self.rounds = list(config.rounds or [config.num_tasks])
        self._of_all: Kept[Conditions] = Kept()

    def forward(self, task_ids: Tensor) -> Conditions:
        """Make the weights; while they are held still, look them up.

        Args:
            task_ids: (B,) int64, each in [0, num_tasks).

        Returns:
            Per stage, per block, the weights of B adapters, as those of ``AdapterWeights``.
        """
        if self._may_look_up():
            weights = [*self.parameters(), *self.buffers()]
            of_all = self._of_all.get(weights, lambda: self._make_all(task_ids.device))
            return select_conditions(of_all, task_ids)
        return self._make(task_ids)

    def _make_all(self, device: torch.device) -> Conditions:
        """Make the weights of all classes, those of a round at a time."""
        every = torch.arange(self.num_tasks, device=device)
        made = [self._make(own) for own in torch.split(every, self.rounds)]
        return made[0] if len(made) == 1 else join_conditions(made)

    def _may_look_up(self) -> bool:
        """Whether weights of all classes can be kept, and those here be taken from them."""
        return (
            self._of_all.is_held
            and not (self.training or torch.is_grad_enabled() or torch.compiler.is_compiling())
            and self.num_tasks <= _MOST_KEPT
            and self.numbers_per_task * self.num_tasks <= MOST_NUMBERS
            and all(is_plain(part, *_PARTS) for part in self.modules() if part is not self)
        )

    def _make(self, task_ids: Tensor) -> list[list[AdapterWeights]]:
        """Make the weights, calling every module: each may be another than it was."""
        features = self._block_features(self.task_embeddings(task_ids))
        corrections = None if self.corrections is None else self.corrections(task_ids)
        weights: list[list[AdapterWeights]] = []
        block = 0
        for stage, depth in enumerate(self.depths):
            weights.append([])
            for _ in range(depth):
                generator = self.generators[block if self.block_embeddings is None else stage]
                made: AdapterWeights = generator(features[block])
                if corrections is not None:
                    made = made.corrected(corrections[block])
                weights[stage].append(made)
                block += 1
        return weights

    def _block_features(self, tasks: Tensor) -> list[Tensor]:
        """Project task embeddings (B, D) to what each block's generator reads: (B, E) each."""
        num_blocks = sum(self.depths)
        if self.block_embeddings is None:
            return [self.projector(tasks)] * num_blocks
        blocks = self.block_embeddings(torch.arange(num_blocks, device=tasks.device))
        pairs = torch.cat(
            (
                tasks.unsqueeze(0).expand(num_blocks, -1, -1),
                blocks.unsqueeze(1).expand(-1, tasks.shape[0], -1),
            ),
            dim=-1,
        )
        return list(self.projector(pairs).unbind(0))
