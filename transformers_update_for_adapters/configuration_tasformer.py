"""What describes a TASFormer: the SegFormer fields plus the method and its classes."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from math import prod
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import SegformerConfig

__all__ = ["METHODS", "METHOD_FIELDS", "TASFormerConfig"]

_OF_MAPS = ("task_map_shape", "resize_embedding")
_OF_ADAPTERS = ("task_embedding_dim", "projector_hidden_dim", "projector_dim", "adapter_reduction")

METHOD_FIELDS: dict[str, tuple[str, ...]] = {
    "segformer": ("other_channel",),
    "emb": _OF_MAPS,
    "vsa_emb": (*_OF_MAPS, "num_vectors", "vector_seed"),
    "adapter_hf": _OF_ADAPTERS,
    "adapter_hf++": _OF_ADAPTERS,
}
"""By method, the fields that not all methods read."""

METHODS = tuple(METHOD_FIELDS)


@strict
class TASFormerConfig(SegformerConfig):
    """Configuration of the five class-prompted networks; the defaults are MiT-B0 as published.

    Args:
        method: one of ``METHODS``. ``segformer`` is the multi-class baseline; ``emb`` and
            ``vsa_emb`` join a learned or a fixed random map per task to the decoder;
            ``adapter_hf`` and ``adapter_hf++`` put adapters into the encoder, whose weights a
            hypernetwork makes from the task's embedding.
        num_tasks: number of classes K; task ids are 0..K-1.
        task_names: the K class names in the order of their ids, or None.
        task_synonyms: per class the other words it answers to, or None.
        other_channel: ``segformer`` only: whether channel 0 is "other", so that task k is in
            channel k + 1. Without it channel k is task k.
        task_embedding_dim: width of the task and block embeddings (adapters).
        projector_hidden_dim: hidden width of the projector (adapters).
        projector_dim: width of the projected embedding, from which weights are made (adapters).
        adapter_reduction: block width divided by adapter bottleneck.
        task_map_shape: (channels, height, width) of a task's map (``emb``, ``vsa_emb``).
        num_vectors: ``vsa_emb`` only: number of random vectors. Task k has vector k, and every
            task from ``num_vectors - 1`` on has the last one: 2, as published, tells only the
            first class from the rest; ``num_tasks`` tells all apart.
        vector_seed: ``vsa_emb`` only: the seed that the vectors are made from.
        resize_embedding: ``emb`` and ``vsa_emb``: resize the task map to the decoder's map where
            the sizes differ, instead of refusing the image.
        fan_out_convolutions: draw the encoder's convolutions as MiT's authors do, N(0, 2 / fan
            out), instead of Transformers' N(0, 0.02^2): random weights then learn faster.
        crop_size: (height, width) that whole images are resized to, or None where it is not known.
        origin: what the weights come from, for the model card, or None: ``pretrained`` (the
            backbone's weights, None for random ones), ``dataset``, ``step``, ``seed``, ``commit``.
        measured: what evaluation gave, for the model card, or None: ``bIoU`` in percent,
            ``num_masks`` and, by class, ``per_class`` with ``bIoU`` and ``num_masks``.
        **kwargs: fields of ``SegformerConfig``.
    """

    model_type = "tasformer"

    method: str = "adapter_hf"
    num_tasks: int = 150
    task_names: list[str] | tuple[str, ...] | None = None
    task_synonyms: list[list[str]] | None = None
    other_channel: bool = True
    task_embedding_dim: int = 512
    projector_hidden_dim: int = 256
    projector_dim: int = 64
    adapter_reduction: int = 8
    task_map_shape: list[int] | tuple[int, ...] = (10, 80, 80)
    num_vectors: int = 2
    vector_seed: int = 0
    resize_embedding: bool = False
    fan_out_convolutions: bool = False
    crop_size: list[int] | tuple[int, ...] | None = None
    origin: dict[str, Any] | None = None
    measured: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Check the fields and derive the number of output channels."""
        kwargs.pop("num_labels", None)  # it follows from the method and the number of tasks
        self._check()
        super().__post_init__(**kwargs)
        channels = self._channels()
        self.num_labels = len(channels)
        self.id2label = dict(enumerate(channels))
        self.label2id = {name: channel for channel, name in self.id2label.items()}

    def _channels(self) -> list[str]:
        """Say what each output channel is."""
        if self.method != "segformer":
            return ["the class that was asked for"]
        names = list(self.task_names or (f"class {task}" for task in range(self.num_tasks)))
        return ["other", *names] if self.other_channel else names

    def _check(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method is '{self.method}'; known are {', '.join(METHODS)}")
        positive = (
            "num_tasks",
            "task_embedding_dim",
            "projector_hidden_dim",
            "projector_dim",
            "adapter_reduction",
            "num_vectors",
        )
        for name in positive:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name in ("task_names", "task_synonyms"):
            entries = getattr(self, name)
            if entries is not None and len(entries) != self.num_tasks:
                raise ValueError(
                    f"{name} has {len(entries)} entries, but num_tasks is {self.num_tasks}"
                )
        if self.crop_size is not None and (len(self.crop_size) != 2 or min(self.crop_size) < 1):
            raise ValueError(
                f"crop_size is {tuple(self.crop_size)}; expected (height, width), each 1 or more"
            )
        if len(self.task_map_shape) != 3 or prod(self.task_map_shape) < 1:
            raise ValueError(
                f"task_map_shape is {tuple(self.task_map_shape)}; "
                "expected (channels, height, width), each 1 or more"
            )
        if self.uses_adapters:
            for width in self.hidden_sizes:
                if width % self.adapter_reduction:
                    raise ValueError(
                        f"adapter_reduction is {self.adapter_reduction}, which does not divide "
                        f"the block width {width}; hidden_sizes are {tuple(self.hidden_sizes)}"
                    )

    @property
    def uses_adapters(self) -> bool:
        """Whether the class enters the encoder through adapters."""
        return self.method.startswith("adapter")

    @property
    def uses_task_maps(self) -> bool:
        """Whether the class enters the decoder as a map."""
        return self.method in ("emb", "vsa_emb")

    @property
    def align_corners(self) -> bool:
        """How the logits were upsampled to the image's size when the method was published."""
        return not self.uses_task_maps
