"""The methods: how a task conditions the network, and what follows from it.

What depends on the method asks its class, ``config.method_class``. A new one is a class and a line,
``METHODS["name"] = Class``.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from .adapters import AdapterHypernet, AdapterWeights, apply_adapter
from .task_maps import TaskMaps

if TYPE_CHECKING:
    from .configuration_tasformer import TASFormerConfig

__all__ = ["METHODS", "Method", "methods_that_read"]

_TASK_EMBEDDING = re.compile(r"(^|\.)task_embeddings\.\d+$")
_BASELINE_BIAS = re.compile(r"(^|\.)segformer\.decode_head\.classifier\.bias$")


class Method:
    """A way to condition the network; subclasses override what differs.

    Attributes:
        fields: the configuration's fields that not all methods read. One that ``TASFormerConfig``
            does not have is declared in the class, with its type and default.
        prompted: whether it is asked one class at a time: it reads ids, has one output channel and
            trains on masks. Otherwise all classes have channels, and it trains on label maps,
            or, where classes may overlap, on masks.
        class_channels: of a prompted one: whether its head has a channel for each class all the
            same, of which that of the asked class is the answer.
        align_corners: how logits were upsampled to the image's size when it was published.
        released_prefix: what names of the authors' released weights begin with, by which they are
            told from the others'; None where there are none.
    """

    fields: ClassVar[tuple[str, ...]] = ()
    prompted: ClassVar[bool] = True
    class_channels: ClassVar[bool] = False
    align_corners: ClassVar[bool] = True
    released_prefix: ClassVar[str | None] = None

    @classmethod
    def own_fields(cls) -> dict[str, Any]:
        """List the defaults of the fields that the class declares."""
        return {name: getattr(cls, name) for name in cls.fields if hasattr(cls, name)}

    @classmethod
    def check(cls, config: "TASFormerConfig") -> None:
        """Refuse a configuration that the method cannot take.

        Args:
            config: whose fields are right by themselves.

        Raises:
            ValueError: says which field, and why.
        """

    @classmethod
    def channels(cls, config: "TASFormerConfig") -> list[str]:
        """Say what each output channel is."""
        return ["the class that was asked for"]

    @classmethod
    def head_channels(cls, config: "TASFormerConfig") -> int:
        """Count the head's channels."""
        return config.num_tasks if cls.class_channels else len(cls.channels(config))

    @classmethod
    def hypernet(cls, config: "TASFormerConfig") -> nn.Module | None:
        """Make what conditions the encoder's blocks, or None.

        Returns:
            A module that turns ids, (B,) int64, into ``Conditions``. Where these are many numbers,
            it says how many: ``numbers_per_task``; so many classes are then made at once as fit.
        """
        return None

    @classmethod
    def first_block(cls, config: "TASFormerConfig") -> int:
        """Say from which block on, over all stages, the hypernetwork conditions the encoder.

        Its attention and Mix-FFN, and all before, are computed once for all classes of an image.
        """
        return 0

    @staticmethod
    def finish_block(
        update: Tensor,
        residual: Tensor,
        drop_path: Callable[[Tensor], Tensor],
        conditions: Sequence[Tensor],
    ) -> Tensor:
        """Finish a block of the encoder, from where it may depend on the class.

        Args:
            update: (B, N, D) float, the Mix-FFN's output.
            residual: (B, N, D) float, what it is added to.
            drop_path: stochastic depth.
            conditions: the block's, of B samples or of 1 that all share.

        Returns:
            (B, N, D) float.
        """
        return drop_path(update) + residual

    @classmethod
    def task_maps(cls, config: "TASFormerConfig") -> TaskMaps | None:
        """Make the maps that are joined to the decoder's, or None."""
        return None

    @classmethod
    def released_counts(cls, weights: Mapping[str, Tensor]) -> list[int]:
        """List how many tasks released weights may be of; none where they do not tell.

        Args:
            weights: with the released names.
        """
        return [sum(bool(_TASK_EMBEDDING.search(name)) for name in weights)]

    @classmethod
    def released_maps(cls, num_tasks: int) -> Tensor | None:
        """Say which of the released task maps each class had: called with ids from 0, another.

        Returns:
            (N,) int64, the rows of the N maps that are kept; None where nothing is to be sorted.
        """
        return None


class MultiClassBaseline(Method):
    """SegFormer with a channel per class: the task conditions nothing."""

    fields = ("other_channel", "overlapping")
    prompted = False
    released_prefix = "segformer.segformer."

    @classmethod
    def check(cls, config: "TASFormerConfig") -> None:
        """Of channels that do not compete, none is what the others leave."""
        if config.overlapping and config.other_channel:
            raise ValueError(
                "overlapping is True, and so is other_channel: where classes may overlap, each "
                "channel says for itself whether its class is there, and 'other' has none; set "
                "other_channel to False"
            )

    @classmethod
    def channels(cls, config: "TASFormerConfig") -> list[str]:
        """Name the tasks, after "other" if that has a channel."""
        names = list(config.task_names or (f"class {task}" for task in range(config.num_tasks)))
        if not config.other_channel:
            return names
        return ["no class" if "other" in names else "other", *names]

    @classmethod
    def released_counts(cls, weights: Mapping[str, Tensor]) -> list[int]:
        """One channel per task, or "other" before them."""
        channels = sum(len(weights[name]) for name in weights if _BASELINE_BIAS.search(name))
        return [channels, channels - 1]


class LearnedMaps(Method):
    """A learned map per task, joined to the decoder's."""

    fields: ClassVar[tuple[str, ...]] = ("task_map_shape", "resize_embedding")
    align_corners = False
    released_prefix = "task_embeddings."

    @classmethod
    def task_maps(cls, config: "TASFormerConfig") -> TaskMaps:
        """Make trained maps."""
        return TaskMaps(config, config.num_tasks)

    @classmethod
    def released_maps(cls, num_tasks: int) -> Tensor:
        """Map id - 1, for id 0 the last."""
        return (torch.arange(num_tasks) - 1) % num_tasks


class RandomMaps(LearnedMaps):
    """A fixed random map per task, joined to the decoder's."""

    fields = (*LearnedMaps.fields, "num_vectors", "vector_seed")
    released_prefix = "task_emb_"

    @classmethod
    def task_maps(cls, config: "TASFormerConfig") -> TaskMaps:
        """Make maps that depend on the seed alone."""
        return TaskMaps(config, config.num_vectors, config.vector_seed)

    @classmethod
    def released_counts(cls, weights: Mapping[str, Tensor]) -> list[int]:
        """The number of vectors does not depend on that of the tasks."""
        return []

    @classmethod
    def released_maps(cls, num_tasks: int) -> Tensor:
        """The first vector for id 1, the second for every other."""
        # The tasks after the last vector have that one, too.
        return (torch.arange(num_tasks) != 1).long()[:3]


class Adapters(Method):
    """Adapters in the encoder's blocks, made by a generator per block."""

    fields = (
        *("task_embedding_dim", "projector_hidden_dim", "projector_dim", "adapter_reduction"),
        *("words", "corrections"),
    )
    released_prefix = "tasformer."

    @classmethod
    def check(cls, config: "TASFormerConfig") -> None:
        """The bottleneck's width must be whole."""
        for width in config.hidden_sizes:
            if width % config.adapter_reduction:
                raise ValueError(
                    f"adapter_reduction is {config.adapter_reduction}, which does not divide "
                    f"the block width {width}; hidden_sizes are {tuple(config.hidden_sizes)}"
                )

    @classmethod
    def hypernet(cls, config: "TASFormerConfig") -> AdapterHypernet:
        """Make the hypernetwork."""
        return AdapterHypernet(config)

    @staticmethod
    def finish_block(
        update: Tensor,
        residual: Tensor,
        drop_path: Callable[[Tensor], Tensor],
        conditions: Sequence[Tensor],
    ) -> Tensor:
        """Adapt the Mix-FFN's output, before stochastic depth and the residual."""
        return drop_path(apply_adapter(update, AdapterWeights(*conditions))) + residual


class StageAdapters(Adapters):
    """Adapters made by a generator per stage, which a block's embedding tells what block it is."""

    released_prefix = "tasformer.segformer.encoder.layer_id_embeddings."

    @classmethod
    def hypernet(cls, config: "TASFormerConfig") -> AdapterHypernet:
        """Make the hypernetwork."""
        return AdapterHypernet(config, block_embeddings=True)


class ClassChannels(Method):
    """A channel per class at the head's end, of which that of the asked class is the answer.

    Nothing before it knows the class: the control that shows what adapters add to features.
    """

    class_channels = True


METHODS: dict[str, type[Method]] = {
    "segformer": MultiClassBaseline,
    "emb": LearnedMaps,
    "vsa_emb": RandomMaps,
    "adapter_hf": Adapters,
    "adapter_hf++": StageAdapters,
    "channels": ClassChannels,
}
"""By the names that configurations use: those of the paper's table in its order, then a control."""


def methods_that_read(field: str) -> list[str]:
    """List the methods that read a field which not all of them do; none if it is no such field."""
    return [name for name, method in METHODS.items() if field in method.fields]
