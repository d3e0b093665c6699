"""The five networks as Hugging Face models.

As is the custom there, ``pixel_values`` are normalised and logits are at a quarter of the image's
size. Axes: B batch, T tasks, N positions, D channels, H and W the image, h and w a feature map.
"""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from huggingface_hub import ModelCard
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSemanticSegmentation,
    SegformerPreTrainedModel,
)
from transformers import initialization as init
from transformers.backbone_utils import filter_output_hidden_states
from transformers.conversion_mapping import (
    get_checkpoint_conversion_mapping,
    register_checkpoint_conversion_mapping,
)
from transformers.modeling_outputs import BaseModelOutput, SemanticSegmenterOutput
from transformers.models.segformer.modeling_segformer import (
    SegformerAttention,
    SegformerLayer,
    SegformerStage,
)
from transformers.utils import CONFIG_NAME, hub
from transformers.utils.generic import can_return_tuple
from transformers.utils.output_capturing import capture_outputs

from .adapters import (
    MOST_ADAPTER_NUMBERS,
    AdapterHypernet,
    AdapterWeights,
    apply_adapter,
    select_adapters,
)
from .configuration_tasformer import TASFormerConfig
from .folded_head import FoldedHead, fold_head, may_fold
from .fused_head import DefaultConv2d, FusedDecodeHead
from .image_processing_tasformer import TASFormerImageProcessor
from .input_checks import (
    can_look_at,
    check_asked_ids,
    check_images_and_ids,
    check_labels,
)
from .kept import Kept
from .label_counting import let_trainers_count
from .model_card import is_generated, model_card
from .plain_modules import is_plain
from .segmentation import Segmentation, segment_picture
from .task_maps import TaskMaps
from .weights_fingerprint import DESCRIBING, describe_saved_weights, forget_other_weights

__all__ = [
    "SharedFeatures",
    "TASFormerForSemanticSegmentation",
    "TASFormerModel",
    "TASFormerPreTrainedModel",
]


_log = logging.getLogger(__name__)

_CARD = "README.md"
_MODEL_OF_A_RUN = "model"  # which trainings write into their folders

# Pairs of image and class are asked in chunks of about this many bytes: what a CPU's cache holds
# some of, what fills a GPU.
_CHUNK_BYTES = {"cpu": 40 * 2**20}
_CHUNK_BYTES_ELSEWHERE = 2**30


class SharedFeatures(NamedTuple):
    """The inside of the encoder's first block, up to where the first adapter acts."""

    update: Tensor
    """(B, N, D) float, the Mix-FFN's output."""
    residual: Tensor
    """(B, N, D) float, what the adapted update is added to."""
    height: int
    """Height of the map whose N positions these are."""
    width: int
    """Width of that map."""

    def repeat(self, num_tasks: int) -> "SharedFeatures":
        """Repeat each image for T tasks: row b * T + t is image b."""

        def repeated(each: Tensor) -> Tensor:
            # repeat_interleave becomes wrong ONNX where sizes are not fixed.
            return each.unsqueeze(1).expand(-1, num_tasks, -1, -1).flatten(0, 1)

        return self._replace(update=repeated(self.update), residual=repeated(self.residual))


class FoldedFeatures(NamedTuple):
    """All that ``emb`` and ``vsa_emb`` compute of an image before the task map comes in."""

    fused: Tensor
    """(B, h, w, D) float, fused and normalised, before the activation."""
    head: FoldedHead
    """The constants that it was fused with."""


class UnsharedImages(NamedTuple):
    """Images of a model in which a library changed what could be shared: nothing is."""

    pixel_values: Tensor
    """(B, 3, H, W) float, normalised."""


Shared = SharedFeatures | FoldedFeatures | UnsharedImages | Tensor
"""What is computed of images once for all classes; a tensor (B, D, h, w) is a fused map."""


def _required(task_ids: Tensor | None, config: TASFormerConfig) -> Tensor:
    """Return the task ids, or raise ValueError where a method that reads them was given none."""
    if task_ids is None:
        raise ValueError(
            f"method '{config.method}' needs task_ids: which class? In a pipeline, the task is "
            "'class-prompted-segmentation'"
        )
    return task_ids


class TASFormerLayer(SegformerLayer):
    """A SegFormer block with an adapter after its Mix-FFN."""

    def forward(
        self,
        hidden_states: Tensor,
        height: int,
        width: int,
        *adapter: Tensor,
        **kwargs: Any,
    ) -> Tensor:
        """Apply the block; without an adapter it is the stock one.

        Args:
            hidden_states: (B, N, D) float, N = height * width.
            height: height of the map.
            width: width of the map.
            *adapter: the tensors of ``AdapterWeights``, for each sample, or one that all share;
                none at all without. One by one, as gradient checkpointing with ``use_reentrant``
                hands gradients on to nothing else.
            **kwargs: for the attention.

        Returns:
            (B, N, D) float.
        """
        update, residual = self.before_adapter(hidden_states, height, width, **kwargs)
        return self.after_adapter(update, residual, AdapterWeights(*adapter) if adapter else None)

    def before_adapter(
        self, hidden_states: Tensor, height: int, width: int, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Apply attention and Mix-FFN, which do not read the class.

        Args:
            hidden_states: (B, N, D) float, N = height * width.
            height: height of the map.
            width: width of the map.
            **kwargs: for the attention.

        Returns:
            The Mix-FFN's output and the residual that it will be added to, (B, N, D) float each.
        """
        attended, _ = self.attention(self.layernorm_before(hidden_states), height, width, **kwargs)
        residual = self.drop_path(self.hidden_dropout(attended)) + hidden_states
        return self.mlp(self.layernorm_after(residual), height, width), residual

    def after_adapter(
        self, update: Tensor, residual: Tensor, adapter: AdapterWeights | None
    ) -> Tensor:
        """Adapt the Mix-FFN's output, before stochastic depth and the residual.

        Args:
            update: (B, N, D) float, from ``before_adapter``.
            residual: (B, N, D) float, from ``before_adapter``.
            adapter: for each sample, or one that all share.

        Returns:
            (B, N, D) float.
        """
        if adapter is not None:
            update = apply_adapter(update, adapter)
        output: Tensor = self.drop_path(update) + residual
        return output


class TASFormerStage(SegformerStage):
    """A SegFormer stage whose blocks take adapters."""

    def __init__(
        self, config: TASFormerConfig, stage_idx: int, drop_path_decays: list[float]
    ) -> None:
        """Build the stock stage with blocks of ours.

        Args:
            config: the model's configuration.
            stage_idx: 0 for the finest stage.
            drop_path_decays: each block's rate of stochastic depth, for all stages.
        """
        super().__init__(config, stage_idx, drop_path_decays)
        first = sum(config.depths[:stage_idx])
        self.blocks = nn.ModuleList(
            TASFormerLayer(
                config,
                hidden_size=config.hidden_sizes[stage_idx],
                num_attention_heads=config.num_attention_heads[stage_idx],
                drop_path=drop_path,
                sequence_reduction_ratio=config.sr_ratios[stage_idx],
                mlp_ratio=config.mlp_ratios[stage_idx],
            )
            for drop_path in drop_path_decays[first : first + config.depths[stage_idx]]
        )

    def forward(  # type: ignore[override]  # only TASFormerModel calls it, always with adapters
        self, hidden_states: Tensor, adapters: Sequence[AdapterWeights | None], **kwargs: Any
    ) -> Tensor:
        """Apply the stage.

        Args:
            hidden_states: (B, D', H', W') float, the image or the output of the stage before.
            adapters: one per block.
            **kwargs: for the attention.

        Returns:
            (B, D, h, w) float.
        """
        hidden_states, height, width = self.patch_embeddings(hidden_states)
        for block, adapter in zip(self.blocks, adapters, strict=True):
            hidden_states = block(hidden_states, height, width, *(adapter or ()), **kwargs)
        return self._to_map(hidden_states, height, width)

    def before_adapter(self, pixel_values: Tensor) -> SharedFeatures:
        """Apply what comes before the stage's first adapter.

        Args:
            pixel_values: (B, D', H', W') float.

        Returns:
            What ``after_adapter`` takes.
        """
        hidden_states, height, width = self.patch_embeddings(pixel_values)
        first = cast(TASFormerLayer, self.blocks[0])
        update, residual = first.before_adapter(hidden_states, height, width)
        return SharedFeatures(update, residual, height, width)

    def after_adapter(self, shared: SharedFeatures, adapters: Sequence[AdapterWeights]) -> Tensor:
        """Go on from ``before_adapter``.

        Args:
            shared: of B images.
            adapters: one per block.

        Returns:
            (B, D, h, w) float, as from ``forward``.
        """
        update, residual, height, width = shared
        first = cast(TASFormerLayer, self.blocks[0])
        hidden_states = first.after_adapter(update, residual, adapters[0])
        for block, adapter in zip(self.blocks[1:], adapters[1:], strict=True):
            hidden_states = block(hidden_states, height, width, *adapter)
        return self._to_map(hidden_states, height, width)

    def _to_map(self, hidden_states: Tensor, height: int, width: int) -> Tensor:
        """Normalise (B, N, D) and reshape it to (B, D, h, w)."""
        hidden_states = self.layer_norm(hidden_states)
        return hidden_states.mT.reshape(hidden_states.shape[0], -1, height, width)


class TASFormerPreTrainedModel(SegformerPreTrainedModel):
    """Initialisation and loading, for the encoder alone and with the head."""

    config: TASFormerConfig
    config_class = TASFormerConfig
    _no_split_modules = ["TASFormerStage"]  # noqa: RUF012
    # Hidden states are collected by the encoder's own loop, without hooks.
    _can_record_outputs = {"attentions": SegformerAttention}  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            # Task and block embeddings; Transformers would draw N(0, 0.02^2).
            init.normal_(module.weight)
        elif isinstance(module, TaskMaps | DefaultConv2d):
            module.reset_parameters()
        else:
            super()._init_weights(module)
            # The head's convolutions are the 1x1 ones.
            if (
                self.config.fan_out_convolutions
                and isinstance(module, nn.Conv2d)
                and module.kernel_size != (1, 1)
            ):
                outputs = module.out_channels // module.groups
                fan_out = math.prod(module.kernel_size) * outputs
                init.normal_(module.weight, std=math.sqrt(2 / fan_out))

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: Any,
        *model_args: Any,
        output_loading_info: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Load a saved model, or a MiT backbone with the key names of Transformers 4 or 5.

        Args:
            pretrained_model_name_or_path: a hub name or a folder.
            *model_args: as in Transformers.
            output_loading_info: whether to return the loading info too.
            **kwargs: as in Transformers; to start from a backbone, give ``config``. For other
                classes than the saved ones' give ``task_names`` or ``num_tasks``, and
                ``ignore_mismatched_sizes=True``; ``num_labels``, ``id2label`` and ``label2id`` are
                the output channels of ``segformer``, and of another method refused.

        Returns:
            The model, or the model and the loading info.

        Raises:
            ValueError: if the file lacks a weight of the backbone, or has one of another size; the
                message names it.
            OSError: if there is no such model; of a training's folder, the message names the
                model's in it.
        """
        folder = Path(str(pretrained_model_name_or_path))
        if len(folder.parts) > 2 and not folder.exists():  # names on the hub have two parts
            raise OSError(f"'{folder}' does not exist")
        if folder.suffix == ".ckpt" and folder.is_file():
            raise OSError(
                f"'{folder}' is a checkpoint of a training; give the folder '{_MODEL_OF_A_RUN}' of "
                "the training, or one that scripts/save_pretrained.py wrote from the checkpoint"
            )
        model = folder / _MODEL_OF_A_RUN
        if (model / CONFIG_NAME).is_file() and not (folder / CONFIG_NAME).is_file():
            raise OSError(f"'{folder}' is the folder of a training; its model is '{model}'")
        loaded: Any = super().from_pretrained(
            pretrained_model_name_or_path, *model_args, output_loading_info=True, **kwargs
        )
        model, info = loaded
        for key, found, expected in sorted(info["mismatched_keys"]):
            if "stages." in key:  # of a head this is what fine-tuning asks for
                raise ValueError(
                    f"the backbone's weights in '{pretrained_model_name_or_path}' do not fit: "
                    f"{key} is {tuple(found)}, but the network has {tuple(expected)}"
                )
        missing = sorted(key for key in info["missing_keys"] if "stages." in key)
        if missing and pretrained_model_name_or_path is not None:  # else the weights are given
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise ValueError(
                f"'{pretrained_model_name_or_path}' lacks {len(missing)} of the backbone's "
                f"weights: {', '.join(missing[:3])}{more}"
            )
        _own_memory(model)
        if isinstance(model, TASFormerForSemanticSegmentation):
            forget_other_weights(model.config, model.state_dict())
        return loaded if output_loading_info else model

    @contextmanager
    def kept(self) -> Iterator["TASFormerPreTrainedModel"]:
        """Promise to hold the weights still: ``with model.kept(): ...`` many calls are faster.

        In evaluation without gradients, the adapters of all classes and the folded head are then
        made once, at their first use. Without it, every call computes them from the weights, and
        adapters only of the classes that are asked.

        Yields:
            The model.

        Raises:
            RuntimeError: if weights were changed meanwhile in a way that was not noticed at once:
                what in-place operations, optimisers, ``load_state_dict`` and moving averages change
                is noticed, and acts; single numbers written through ``.data``, and on a GPU all
                that is written so, only at the end.
        """
        with ExitStack() as stack:
            for part in self.modules():
                for value in vars(part).values():
                    if isinstance(value, Kept):
                        stack.enter_context(value.held())
            yield self


def _own_memory(model: nn.Module) -> None:
    """Copy weights out of the file that they are mapped from.

    There they lie at any address, by which kernels round differently, and they would change with
    the file.
    """
    for tensor in chain(model.parameters(), model.buffers()):
        if type(tensor.data) is Tensor and tensor.device.type == "cpu":
            tensor.data = tensor.data.clone()


class TASFormerModel(TASFormerPreTrainedModel):
    """The encoder: a Mix Transformer, with adapters for ``adapter_hf`` and ``adapter_hf++``."""

    def __init__(self, config: TASFormerConfig) -> None:
        """Build the encoder and, for the adapter methods, the hypernetwork.

        Args:
            config: the model's configuration.
        """
        super().__init__(config)
        num_blocks = sum(config.depths)
        drop_path_decays = [
            config.drop_path_rate * block / max(num_blocks - 1, 1) for block in range(num_blocks)
        ]
        self.stages = nn.ModuleList(
            TASFormerStage(config, stage, drop_path_decays)
            for stage in range(config.num_encoder_blocks)
        )
        self.hypernet = AdapterHypernet(config) if config.uses_adapters else None
        self.post_init()

    @capture_outputs  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        task_ids: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutput:
        """Encode images.

        Args:
            pixel_values: (B, 3, H, W) float, normalised.
            task_ids: (B,) int64 in [0, num_tasks), or (1,) for one class that all share; read by
                the adapter methods only.
            output_hidden_states: whether to return every stage's output.
            **kwargs: for the attention.

        Returns:
            ``last_hidden_state`` (B, D, h, w) float, and ``hidden_states`` if asked for.

        Raises:
            ValueError: if ids are not as above, as far as looking at them is free.
        """
        check_images_and_ids(self.config, pixel_values, task_ids)
        hidden_states = pixel_values
        features: tuple[Tensor, ...] = ()
        for stage, adapters in zip(self.stages, self.adapters(task_ids), strict=True):
            hidden_states = stage(hidden_states, adapters, **kwargs)
            features += (hidden_states,)
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        return BaseModelOutput(
            last_hidden_state=hidden_states,
            hidden_states=features if output_hidden_states else None,
        )

    def shared_features(self, pixel_values: Tensor) -> SharedFeatures:
        """Compute what comes before the first adapter and so does not depend on the class.

        Args:
            pixel_values: (B, 3, H, W) float, normalised.

        Returns:
            What ``features_for_tasks`` takes.
        """
        return cast(TASFormerStage, self.stages[0]).before_adapter(pixel_values)

    def features_for_tasks(
        self, shared: SharedFeatures, adapters: Sequence[Sequence[AdapterWeights]]
    ) -> list[Tensor]:
        """Go on from ``shared_features``; for the adapter methods.

        Args:
            shared: of B images.
            adapters: from ``adapters``, of B tasks.

        Returns:
            Per stage (B, D, h, w) float.
        """
        features = [cast(TASFormerStage, self.stages[0]).after_adapter(shared, adapters[0])]
        for stage, stage_adapters in zip(self.stages[1:], adapters[1:], strict=True):
            features.append(stage(features[-1], stage_adapters))
        return features

    def may_share(self) -> bool:
        """Tell whether ``shared_features`` leaves nothing out that a library put around modules."""
        first = cast(TASFormerStage, self.stages[0])
        return (
            is_plain(self, TASFormerModel)
            and is_plain(first, TASFormerStage)
            and is_plain(first.blocks[0], TASFormerLayer)
        )

    def adapters(self, task_ids: Tensor | None) -> list[Any]:
        """Make the adapters of classes.

        Args:
            task_ids: (B,) int64 in [0, num_tasks).

        Returns:
            Per stage, per block, ``AdapterWeights``; None for methods that have no adapters.

        Raises:
            ValueError: if the method has adapters and no ids were given.
        """
        if self.hypernet is None:
            return [[None] * depth for depth in self.config.depths]
        return cast(list[Any], self.hypernet(_required(task_ids, self.config)))


class TASFormerForSemanticSegmentation(TASFormerPreTrainedModel):
    """Encoder and decode head: logits of the asked class, or of all labels for ``segformer``."""

    def __init__(self, config: TASFormerConfig) -> None:
        """Build the encoder, the head and, for ``emb`` and ``vsa_emb``, the task maps.

        Args:
            config: the model's configuration.
        """
        super().__init__(config)
        self.segformer = TASFormerModel(config)
        self.task_maps = TaskMaps(config) if config.uses_task_maps else None
        self.decode_head = FusedDecodeHead(config)
        self._saw_the_class = False
        self._folded: Kept[FoldedHead] = Kept()
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    @filter_output_hidden_states  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        task_ids: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> SemanticSegmenterOutput:
        """Segment images.

        Args:
            pixel_values: (B, 3, H, W) float, normalised.
            task_ids: (B,) int64 in [0, num_tasks), or (1,) for one class that all share; not read
                by ``segformer``.
            labels: (B, H, W) int64: mask of the class in {0, 1}, or channel numbers for
                ``segformer``; ``config.semantic_loss_ignore_index`` is left out.
            num_items_in_batch: what the loss is summed over the pixels and divided by: with
                gradient accumulation the step's pixels that are not left out, of all its batches.
                Transformers' Trainer gives it; without, those of ``labels`` are counted.
            **kwargs: as in Transformers.

        Returns:
            ``logits`` (B, num_labels, h, w) float with h and w a quarter of H and W, and ``loss``
            where labels are given: binary cross-entropy, or cross-entropy for ``segformer``.

        Raises:
            ValueError: if ids or labels are not as above, as far as looking at them is free.
        """
        outputs = self.segformer(pixel_values, task_ids=task_ids, **kwargs)  # checks both
        if labels is not None:
            self._check_labels(labels, pixel_values.shape[0])
        stages = outputs.hidden_states
        task_maps = None
        if self.task_maps is not None:
            task_maps = self.task_maps(_required(task_ids, self.config), stages[0].shape[-2:])
        logits = self.decode_head(stages, task_maps)
        return SemanticSegmenterOutput(
            loss=None if labels is None else self._loss(logits, labels, num_items_in_batch),
            logits=logits,
            hidden_states=stages,
            attentions=outputs.attentions,
        )

    def _check_labels(self, labels: Tensor, batch_size: int) -> None:
        is_baseline = self.config.method == "segformer"
        if is_baseline and self.config.num_labels == 1:
            raise ValueError(
                "with one channel the cross-entropy is 0 whatever the logits are, and nothing is "
                "learnt; train with other_channel=True, or with several classes"
            )
        if labels.ndim != 3 or labels.shape[0] != batch_size:
            raise ValueError(
                f"labels has shape {tuple(labels.shape)}; expected (B, H, W) with B {batch_size}"
            )
        ignore = self.config.semantic_loss_ignore_index
        num_values = len(self.config.id2label or ()) if is_baseline else 2
        check_labels(labels, num_values, ignore, "labels", " (semantic_loss_ignore_index)")
        if not is_baseline and not self._saw_the_class and can_look_at(labels):
            values = set(labels.unique().tolist())
            if values == {0, ignore}:
                doubt = (
                    f"labels hold 0 and {ignore}, and no 1 so far; expected 1 where the class is, "
                    f"for {ignore} (semantic_loss_ignore_index) does not count. Divide masks of 0 "
                    "and 255 by 255; if no class is there, begin with a batch that shows one, or "
                    "set another semantic_loss_ignore_index"
                )
                if torch.is_grad_enabled():
                    raise ValueError(doubt)
                _log.warning("%s", doubt)  # an evaluation's order is not to matter
            self._saw_the_class = 1 in values

    def _loss(
        self, logits: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None
    ) -> Tensor:
        # The sum over a batch's pixels is beyond the range of half precision.
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        logits = self.upsample(logits, labels.shape[-2:])
        ignore = self.config.semantic_loss_ignore_index
        labels = labels.long()
        valid = labels != ignore
        if self.config.method == "segformer":
            total = F.cross_entropy(logits, labels, ignore_index=ignore, reduction="sum")
        else:
            total = F.binary_cross_entropy_with_logits(
                logits.squeeze(1),
                labels.to(logits.dtype),
                weight=valid.to(logits.dtype),
                reduction="sum",
            )
        if num_items_in_batch is None:
            num_items_in_batch = valid.sum()
        return total / torch.as_tensor(num_items_in_batch, device=total.device).clamp(min=1)

    @property
    def accepts_loss_kwargs(self) -> bool:
        """Whether the loss takes ``num_items_in_batch``; for Trainers, which ask when made."""
        return let_trainers_count()

    def countable_labels(self, labels: Tensor) -> Tensor:
        """Mark ignored labels as Transformers' Trainer does; by them it counts a step's pixels.

        Args:
            labels: (B, H, W), as ``forward`` takes them.

        Returns:
            (B, H, W) int64, -100 where they are left out.
        """
        labels = labels.long()
        return labels.masked_fill(labels == self.config.semantic_loss_ignore_index, -100)

    def upsample(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        """Resize logits to the image's size, the way the method was published.

        Args:
            logits: (B, C, h, w) float.
            size: (H, W).

        Returns:
            (B, C, H, W) float.
        """
        return F.interpolate(
            logits, size=tuple(size), mode="bilinear", align_corners=self.config.align_corners
        )

    def shared_features(self, pixel_values: Tensor) -> Shared:
        """Compute what does not depend on the class, to ask many classes of an image.

        Args:
            pixel_values: (B, 3, H, W) float, normalised.

        Returns:
            What ``task_logits`` takes.
        """
        return self._share(pixel_values, self._head())

    def _share(self, pixel_values: Tensor, head: FoldedHead | nn.Module) -> Shared:
        if not self._may_share():
            return UnsharedImages(pixel_values)
        if self.config.uses_adapters:
            return self.segformer.shared_features(pixel_values)
        stages = self.segformer(pixel_values, output_hidden_states=True).hidden_states
        if isinstance(head, FoldedHead):
            return FoldedFeatures(head.fuse(stages), head)
        return self.decode_head.fuse(stages)

    def _may_share(self) -> bool:
        """Whether asking the parts is asking the model: no library changed it or what they read."""
        cls = TASFormerForSemanticSegmentation
        if type(self).forward is not cls.forward or not is_plain(self, type(self)):
            return False
        if self.config.uses_adapters:
            return self.segformer.may_share()
        return is_plain(self.decode_head, FusedDecodeHead) and self.decode_head.may_fuse()

    def _head(self) -> FoldedHead | nn.Module:
        """The head, folded where it may be."""
        head = self.decode_head
        if not may_fold(head):
            return head
        sources = [*head.parameters(), *head.buffers()]
        return self._folded.get(sources, lambda: fold_head(head), head.batch_norm.eps)

    def task_logits(self, shared: Shared, task_ids: Tensor) -> Tensor:
        """Ask classes of images whose shared part is known; not for ``segformer``.

        Args:
            shared: what ``shared_features`` gave for B images.
            task_ids: int64 in [0, num_tasks): (T,), asked of every image, or (B, T).

        Returns:
            (B, T, h, w) float logits, equal to those of ``forward`` in evaluation mode.
        """
        if self.config.method == "segformer":
            raise ValueError(f"method '{self.config.method}' has all its classes in its logits")
        check_asked_ids(self.config, task_ids, (1, 2))
        if isinstance(shared, UnsharedImages):
            return self._ask_whole(shared.pixel_values, task_ids)
        if not isinstance(shared, SharedFeatures):
            return self._ask_maps(shared, task_ids)
        task_ids = task_ids.expand(shared.update.shape[0], -1)
        adapters = self.segformer.adapters(task_ids.flatten())
        return self._ask_adapters(shared, adapters, self._head())

    def _ask_adapters(
        self,
        shared: SharedFeatures,
        adapters: Sequence[Sequence[AdapterWeights]],
        head: FoldedHead | nn.Module,
    ) -> Tensor:
        """Ask T classes of each of B images, with adapters of (B T) samples: (B, T, h, w)."""
        num_images = shared.update.shape[0]
        num_tasks = adapters[0][0].beta.shape[0] // num_images
        stages = self.segformer.features_for_tasks(shared.repeat(num_tasks), adapters)
        logits = head.logits(stages) if isinstance(head, FoldedHead) else head(stages)
        return cast(Tensor, logits[:, 0].unflatten(0, (num_images, num_tasks)))

    def _ask_maps(self, shared: FoldedFeatures | Tensor, task_ids: Tensor) -> Tensor:
        """Ask T classes of each of B images, with task maps: (B, T, h, w)."""
        task_maps = cast(nn.Module, self.task_maps)
        if isinstance(shared, FoldedFeatures):
            if task_ids.ndim == 2:
                images = zip(shared.fused.split(1), task_ids, strict=True)
                return torch.cat(
                    [self._ask_maps(FoldedFeatures(own, shared.head), ids) for own, ids in images]
                )
            maps = task_maps(task_ids, shared.fused.shape[1:3])
            return shared.head.logits_with_maps(shared.fused, maps)
        maps = self.decode_head.fuse_task_maps(
            task_maps(task_ids.flatten(), shared.shape[2:])
        ).unflatten(0, task_ids.shape)
        fused = shared.unsqueeze(1) + maps
        logits = self.decode_head.classify(fused.flatten(0, 1))[:, 0]
        return cast(Tensor, logits.unflatten(0, fused.shape[:2]))

    def _ask_whole(self, pixel_values: Tensor, task_ids: Tensor) -> Tensor:
        """Call the whole model for each of B images and T classes: (B, T, h, w)."""
        task_ids = task_ids.expand(pixel_values.shape[0], -1)
        images = pixel_values.repeat_interleave(task_ids.shape[1], dim=0)
        logits: Tensor = self(images, task_ids=task_ids.flatten()).logits
        return cast(Tensor, logits[:, 0].unflatten(0, task_ids.shape))

    def class_logits(self, pixel_values: Tensor, task_ids: Tensor) -> Tensor:
        """Ask many classes of each image, at its size; in evaluation mode as ``forward`` would.

        What does not depend on the class is computed once per image.

        Args:
            pixel_values: (B, 3, H, W) float, normalised.
            task_ids: (T,) int64 in [0, num_tasks).

        Returns:
            (B, T, H, W) float logits; positive means "this class".
        """
        check_asked_ids(self.config, task_ids, (1,))
        batch_size, _, height, width = pixel_values.shape
        if not len(task_ids):
            return pixel_values.new_zeros(batch_size, 0, height, width)
        if self.config.method == "segformer":
            label_logits = self.upsample(self(pixel_values).logits, (height, width))
            return self.margins(label_logits, task_ids.expand(batch_size, -1))
        # The finest stage's map, four times as wide within the Mix-FFN, and copies of it.
        numbers = 16 * self.config.hidden_sizes[0] * (height // 4 + 1) * (width // 4 + 1)
        budget = _CHUNK_BYTES.get(pixel_values.device.type, _CHUNK_BYTES_ELSEWHERE)
        pairs = max(1, budget // (numbers * pixel_values.element_size()))
        return torch.cat(
            [
                self._ask_in_chunks(pixel_values, own, pairs)
                for own in torch.split(task_ids, self._most_tasks())
            ],
            dim=1,
        )

    def _most_tasks(self) -> int:
        """Of how many classes adapters are made at once."""
        hypernet = self.segformer.hypernet
        return (
            2**31 if hypernet is None else max(1, MOST_ADAPTER_NUMBERS // hypernet.numbers_per_task)
        )

    def _ask_in_chunks(self, pixel_values: Tensor, task_ids: Tensor, pairs: int) -> Tensor:
        """Ask T classes of B images, some pairs at a time: (B, T, H, W)."""
        head = self._head()
        adapters = self.segformer.adapters(task_ids) if self._may_share() else None
        logits = []
        for images in torch.split(pixel_values, max(1, pairs // max(1, len(task_ids)))):
            shared = self._share(images, head)
            chunks = []
            for rows in torch.split(torch.arange(len(task_ids), device=task_ids.device), pairs):
                if isinstance(shared, SharedFeatures) and adapters is not None:
                    own = select_adapters(adapters, rows.repeat(len(images)))
                    answer = self._ask_adapters(shared, own, head)
                else:
                    answer = self.task_logits(shared, task_ids[rows])
                chunks.append(self.upsample(answer, pixel_values.shape[-2:]))
            logits.append(torch.cat(chunks, dim=1))
        return torch.cat(logits)

    def margins(self, label_logits: Tensor, task_ids: Tensor) -> Tensor:
        """Turn logits of all channels into those of single classes; for ``segformer``.

        Args:
            label_logits: (B, C, H, W) float.
            task_ids: (B, T) int64 in [0, num_tasks).

        Returns:
            (B, T, H, W) float: z_k - max(z_j, j != k), positive where the class is the argmax;
            z_k itself where it is the only channel.
        """
        channels = task_ids + 1 if self.config.other_channel else task_ids
        channels = channels[:, :, None, None].expand(-1, -1, *label_logits.shape[-2:])
        own = label_logits.gather(1, channels)
        if label_logits.shape[1] == 1:
            return own
        best, winner = label_logits.topk(2, dim=1)
        return own - torch.where(winner[:, :1] == channels, best[:, 1:], best[:, :1])

    def segment(
        self,
        picture: Any,
        classes: Sequence[str],
        threshold: float = 0.5,
        max_pixels: int | None = None,
    ) -> Segmentation:
        """Ask classes of a picture: ``model.segment("photo.jpg", ["tree", "sky"]).masks["tree"]``.

        Args:
            picture: a file, an address, Pillow's picture, or an (H, W), (H, W, 3) or (H, W, 4)
                uint8 RGB array. Of several frames or pages it is the first; a warning is logged.
            classes: names, or synonyms of ``config.task_synonyms``; or ``["all"]``.
            threshold: probabilities from it on are the class, in (0, 1).
            max_pixels: that a file may have; by default Pillow's limit, 179 million.

        Returns:
            Probabilities and masks at the picture's own size, by the names that were asked for.

        Raises:
            ValueError: if a name is not known, if the threshold is no probability, or if the
                picture has more pixels, is an array of another form, or grey of which it is not
                certain which value is white.
            OSError: if the file is missing or damaged, or no picture.
        """
        return segment_picture(self, picture, classes, threshold, max_pixels)

    def save_pretrained(  # the parameters and their order are those of Transformers
        self,
        save_directory: str | PathLike[str],
        is_main_process: bool = True,
        state_dict: dict[str, Tensor] | None = None,
        push_to_hub: bool = False,
        max_shard_size: int | str = "50GB",
        variant: str | None = None,
        token: str | bool | None = None,
        save_peft_format: bool = True,
        save_original_format: bool = False,
        distributed_checkpoint: bool = False,
        **kwargs: Any,
    ) -> None:
        """Save weights, config, preprocessing and a model card, for ``from_pretrained``.

        What was measured with other weights is left out, of the model's config, too.

        Args:
            save_directory: a folder; made if it is not there.
            is_main_process: as in Transformers: others write nothing.
            state_dict: the weights to save, instead of the model's own.
            push_to_hub: whether to upload what was written as well.
            max_shard_size: as in Transformers.
            variant: as in Transformers.
            token: for the hub.
            save_peft_format: as in Transformers.
            save_original_format: as in Transformers, but weights keep the names they have here.
            distributed_checkpoint: as in Transformers.
            **kwargs: of ``push_to_hub`` (``repo_id``, ``commit_message``, ``commit_description``,
                ``create_pr``, ``revision``, ``tags``) and of the hub's ``create_repo``
                (``private`` and so on).
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        timestamps = self._get_files_timestamps(folder)
        is_writer = self.should_save_on_this_rank(is_main_process)
        if is_writer:
            self._check_config(state_dict)
        with ExitStack() as stack:
            if is_writer:
                stack.enter_context(self._described(state_dict))
            super().save_pretrained(
                folder,
                is_main_process=is_main_process,
                state_dict=state_dict,
                max_shard_size=max_shard_size,
                variant=variant,
                token=token,
                save_peft_format=save_peft_format,
                save_original_format=save_original_format,
                distributed_checkpoint=distributed_checkpoint,
            )
            if not is_writer:
                return
            TASFormerImageProcessor.of_model(self.config).save_pretrained(folder)
            self._write_card(folder, "path/to/this/folder")
            if push_to_hub:
                self._push(folder, timestamps, token, **kwargs)

    @contextmanager
    def _described(self, state_dict: dict[str, Tensor] | None) -> Iterator[None]:
        """Let the config say what is true of the weights that are saved; if given, only now."""
        if state_dict is None:
            describe_saved_weights(self.config, self.state_dict())
            yield
            return
        own = {name: getattr(self.config, name) for name in DESCRIBING}
        try:
            describe_saved_weights(self.config, state_dict)
            yield
        finally:
            for name, value in own.items():
                setattr(self.config, name, value)

    def _check_config(self, state_dict: dict[str, Tensor] | None) -> None:
        """Refuse to save what could not be loaded: a config that was changed after building."""
        if getattr(self, "_hf_peft_config_loaded", False) or getattr(self, "hf_quantizer", None):
            return
        saved = self.state_dict() if state_dict is None else state_dict
        with torch.device("meta"):
            described = TASFormerForSemanticSegmentation(self.config).state_dict()
        for name, tensor in described.items():
            if name in saved and saved[name].shape == tensor.shape:
                continue
            if name not in saved and state_dict is not None:  # a part may be saved
                continue
            found = f"is {tuple(saved[name].shape)}" if name in saved else "is not there"
            raise ValueError(
                f"the config does not describe these weights: {name} {found}, but would be "
                f"{tuple(tensor.shape)}. It was changed after the network was built; build another "
                "network instead, by from_pretrained(..., ignore_mismatched_sizes=True)"
            )

    def _push(
        self,
        folder: Path,
        timestamps: dict[str, float],
        token: str | bool | None,
        repo_id: str | None = None,
        commit_message: str | None = None,
        commit_description: str | None = None,
        create_pr: bool = False,
        revision: str | None = None,
        tags: list[str] | str | None = None,
        **of_repository: Any,
    ) -> None:
        """Upload a folder that was saved: Transformers' own pushing knows nothing of our files."""
        repo_id = (
            hub.hf_api()
            .create_repo(repo_id or folder.name, token=token, exist_ok=True, **of_repository)
            .repo_id
        )
        if tags:
            self.add_model_tags(tags)
        card = folder / _CARD
        if is_generated(card.read_text(encoding="utf-8")):  # else the folder's own is uploaded
            there = hub.create_and_tag_model_card(repo_id, self.model_tags, token)  # type: ignore[arg-type]
            there.save(card)
        timestamps.pop(_CARD, None)
        self._upload_modified_files(
            folder,
            repo_id,
            timestamps,
            commit_message=commit_message,
            token=token,
            create_pr=create_pr,
            revision=revision,
            commit_description=commit_description,
        )

    def _upload_modified_files(
        self, working_dir: str | PathLike[str], repo_id: str, *args: Any, **kwargs: Any
    ) -> Any:
        """Put the model's card in the place of one that Transformers wrote, or of an older one."""
        self._write_card(Path(working_dir), repo_id)
        return super()._upload_modified_files(working_dir, repo_id, *args, **kwargs)

    def _write_card(self, folder: Path, name: str) -> None:
        """Write the model's card, with the tags of the one there, unless a person wrote that."""
        card = folder / _CARD
        tags = list(self.model_tags or ())
        if card.is_file():
            text = card.read_text(encoding="utf-8")
            if not is_generated(text):
                return
            tags += ModelCard(text).data.get("tags") or ()
        model_card(self.config, self.num_parameters(), name, tags).save(card)


# Without a mapping of their own, subclasses silently ignore files with Transformers 4 key names.
register_checkpoint_conversion_mapping(
    "TASFormerModel", get_checkpoint_conversion_mapping("SegformerModel"), overwrite=True
)
register_checkpoint_conversion_mapping(
    "TASFormerForSemanticSegmentation",
    get_checkpoint_conversion_mapping("SegformerForSemanticSegmentation"),
    overwrite=True,
)
AutoConfig.register("tasformer", TASFormerConfig, exist_ok=True)
AutoModel.register(TASFormerConfig, TASFormerModel, exist_ok=True)
AutoModelForSemanticSegmentation.register(
    TASFormerConfig, TASFormerForSemanticSegmentation, exist_ok=True
)
