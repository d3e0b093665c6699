"""The networks as Hugging Face models.

As is the custom there, ``pixel_values`` are normalised and logits are at a quarter of the image's
size. Axes: B batch, T tasks, N positions, D channels, H and W the image, h and w a feature map.
"""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoModelForSemanticSegmentation
from transformers.backbone_utils import filter_output_hidden_states
from transformers.conversion_mapping import (
    get_checkpoint_conversion_mapping,
    register_checkpoint_conversion_mapping,
)
from transformers.modeling_outputs import SemanticSegmenterOutput
from transformers.utils.generic import can_return_tuple

from .class_learning import LearningSettings, learn_classes
from .class_thresholds import Threshold
from .configuration_tasformer import TASFormerConfig
from .encoder import SharedFeatures, TASFormerModel, TASFormerPreTrainedModel, required_ids
from .few_pictures import read_few_pictures
from .folded_head import FoldedHead, fold_head, may_fold
from .fused_head import FusedDecodeHead
from .input_checks import (
    can_look_at,
    check_asked_ids,
    check_images_and_ids,
    check_labels,
)
from .kept_values import Kept
from .methods import MultiClassBaseline
from .model_saving import SavedWithCard
from .near_words import NEAREST
from .new_names import start_vector, with_names
from .plain_modules import is_plain
from .presence_scores import presence_scores
from .recogniser import Recogniser, channels_of_tasks
from .segmentation import Segmentation, segment_picture
from .task_channels import TaskChannels
from .task_conditions import MOST_NUMBERS, Conditions, select_conditions
from .trainer_label_counts import let_trainers_count

__all__ = [
    "Encoded",
    "Recognition",
    "SharedFeatures",
    "TASFormerForSemanticSegmentation",
    "TASFormerModel",
    "TASFormerPreTrainedModel",
]


_log = logging.getLogger(__name__)

_ALWAYS_GIVEN = {"output_hidden_states", "return_dict"}  # by Transformers' decorators

# Pairs of image and class are asked in chunks of about this many bytes: what a CPU's cache holds
# some of, what fills a GPU.
_CHUNK_BYTES = {"cpu": 40 * 2**20}
_CHUNK_BYTES_ELSEWHERE = 2**30


class FoldedFeatures(NamedTuple):
    """All that is computed of an image before a task map comes in."""

    fused: Tensor
    """(B, h, w, D) float, fused and normalised, before the activation."""
    head: FoldedHead
    """The constants that it was fused with."""


class ChannelLogits(NamedTuple):
    """The answers to all classes, of a head with a channel for each."""

    logits: Tensor
    """(B, K, h, w) float."""


class UnsharedImages(NamedTuple):
    """Images of a model in which a library changed what could be shared: nothing is."""

    pixel_values: Tensor
    """(B, 3, H, W) float, normalised."""


Shared = SharedFeatures | FoldedFeatures | ChannelLogits | UnsharedImages | Tensor
"""What is computed of images once for all classes; a tensor (B, D, h, w) is a fused map."""


Encoded = SharedFeatures | Sequence[Tensor]
"""What the encoder made of images without a class: its beginning, or per stage (B, D, h, w)."""


class Recognition(NamedTuple):
    """What the recogniser says of images, and what is computed of them once for all classes."""

    label_logits: Tensor
    """(B, C, h, w) float, of each label."""
    scores: Tensor
    """(B, N, h, w) float, the same in the order of the tasks, as ``TaskChannels.scores`` has it."""
    presence: Tensor
    """(B, K) float in [0, 1], how likely each class is to be there; nan where it is unknown."""
    shared: Shared | None
    """For the class-prompted path; None of ``segformer``, which has none."""


class TASFormerForSemanticSegmentation(SavedWithCard):
    """Encoder and decode head: logits of the asked class, or of all labels for ``segformer``."""

    def __init__(self, config: TASFormerConfig) -> None:
        """Build the encoder, the head and, if the method has such, the task maps."""
        super().__init__(config)
        self.segformer = TASFormerModel(config)
        self.task_maps = config.method_class.task_maps(config)
        self.decode_head = FusedDecodeHead(config, self.task_maps)
        self.recogniser = None if config.recognition is None else Recogniser(config)
        self.task_channels = channels_of_tasks(config)
        self.unknown_margins: nn.Parameter | None = None
        if self.recogniser is not None and not all(self.label_channels.with_margin):
            self.unknown_margins = nn.Parameter(torch.zeros(config.num_tasks))
        self._saw_the_class = False
        self._folded: Kept[FoldedHead] = Kept()
        self.post_init()
        self.hold_recogniser_still()

    @property
    def label_channels(self) -> TaskChannels:
        """Which channels are which task, of a network that labels every pixel.

        Raises:
            ValueError: if this one does not.
        """
        if self.task_channels is None:
            raise ValueError(f"method '{self.config.method}' has no recogniser here")
        return self.task_channels

    @property
    def tells_presence(self) -> bool:
        """Whether something says which classes are in an image, and was calibrated for it."""
        return self.task_channels is not None and self.config.presence is not None

    @property
    def _shares_backbone(self) -> bool:
        return self.recogniser is not None and self.recogniser.segformer is None

    @property
    def _has_class_channels(self) -> bool:
        return self.config.method_class.class_channels

    def hold_recogniser_still(self) -> None:
        """Keep gradients from the recogniser, and from the backbone where that is its own, too."""
        if self.recogniser is not None:
            self.recogniser.requires_grad_(False).eval()
        if self._shares_backbone:
            self.segformer.stages.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """Choose training or evaluation; what is held still stays in evaluation."""
        super().train(mode)
        if self._shares_backbone:
            self.segformer.stages.eval()
        return self

    @can_return_tuple  # type: ignore[untyped-decorator]
    @filter_output_hidden_states  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        task_ids: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        image_rows: Tensor | None = None,
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
            image_rows: (N,) int64 in [0, B), of which image each of N ids and labels is, where
                several classes are asked of an image; what they share is computed once.
            **kwargs: as in Transformers.

        Returns:
            ``logits`` (B, num_labels, h, w) float with h and w a quarter of H and W, and ``loss``
            where labels are given: binary cross-entropy, or cross-entropy for ``segformer``.

        Raises:
            ValueError: if ids or labels are not as above, as far as looking at them is free.
        """
        attentions = None
        if self.recogniser is None and image_rows is None:
            outputs = self.segformer(pixel_values, task_ids=task_ids, **kwargs)  # checks both
            stages, attentions = outputs.hidden_states, outputs.attentions
            margins = None
        else:
            check_images_and_ids(self.config, pixel_values, task_ids, image_rows)
            stages, margins, attentions = self._asked(pixel_values, task_ids, image_rows, kwargs)
        if labels is not None:
            self._check_labels(labels, stages[0].shape[0])
        logits = self._decode(stages, task_ids, self.decode_head)
        if margins is not None:
            logits = self._weighted(logits, required_ids(task_ids, self.config)[:, None]) + margins
        return SemanticSegmenterOutput(
            loss=None if labels is None else self._loss(logits, labels, num_items_in_batch),
            logits=logits,
            hidden_states=stages,
            attentions=attentions,
        )

    def _asked(
        self,
        pixel_values: Tensor,
        task_ids: Tensor | None,
        image_rows: Tensor | None,
        kwargs: dict[str, Any],
    ) -> tuple[Sequence[Tensor], Tensor | None, Any]:
        """Encode images for N classes, and what they share once: maps, margins, attentions."""
        encoder, attentions = self.segformer, None
        seen: Encoded | None = None
        stages: Sequence[Tensor]
        if encoder.hypernet is None:  # nothing that is encoded depends on the class
            outputs = encoder(pixel_values, **kwargs)
            seen = stages = outputs.hidden_states
            attentions = outputs.attentions
            if image_rows is not None:
                stages = [each[image_rows] for each in stages]
        elif self._may_share() and kwargs.keys() <= _ALWAYS_GIVEN:
            seen = shared = encoder.shared_features(pixel_values)
            own = shared if image_rows is None else shared.of(image_rows)
            stages = encoder.features_for_tasks(own, encoder.conditions(task_ids))
        else:
            images = pixel_values if image_rows is None else pixel_values[image_rows]
            outputs = encoder(images, task_ids=task_ids, **kwargs)
            stages, attentions = outputs.hidden_states, outputs.attentions
        if self.recogniser is None:
            return stages, None, attentions
        scores = self.label_channels.scores(self.label_logits(pixel_values, seen))
        if image_rows is not None:
            scores = scores[image_rows]
        asked = required_ids(task_ids, self.config).expand(len(scores))[:, None]
        return stages, self._margins(scores, asked), attentions

    def _decode(
        self, stages: Sequence[Tensor], task_ids: Tensor | None, head: FoldedHead | nn.Module
    ) -> Tensor:
        """Turn the encoder's maps (B, D, h, w) into logits (B, L, h, w), with task maps if any."""
        if self.task_maps is None:
            all_logits = head.logits(stages) if isinstance(head, FoldedHead) else head(stages)
            if not self._has_class_channels:
                return all_logits
            return _of_tasks(all_logits, required_ids(task_ids, self.config)[:, None])
        task_ids = required_ids(task_ids, self.config)
        maps = self.task_maps(task_ids, stages[0].shape[-2:])
        logits: Tensor = self.decode_head(stages, maps)
        return logits

    def label_logits(self, pixel_values: Tensor, seen: Encoded | None = None) -> Tensor:
        """Label every pixel of images: what ``segformer`` does, or the recogniser.

        Args:
            pixel_values: (B, 3, H, W) float, normalised.
            seen: what the class-prompted path's encoder made of them already, without a class: the
                beginning, or per stage (B, D, h, w) float. Read where the backbone is shared.

        Returns:
            (B, C, h, w) float.
        """
        recogniser = self.recogniser
        if recogniser is None:
            logits: Tensor = self(pixel_values).logits
            return logits
        # Not folded: its answers are those of the SegFormer that it was, to the bit.
        return cast(Tensor, recogniser(self._recognisers_stages(pixel_values, seen)))

    def _recognisers_stages(
        self, pixel_values: Tensor, seen: Encoded | None = None
    ) -> Sequence[Tensor]:
        """Encode images for the recogniser, or for a network that labels every pixel itself."""
        recogniser = self.recogniser
        if recogniser is not None and recogniser.segformer is not None:
            outputs = recogniser.segformer(pixel_values, output_hidden_states=True)
            return cast(Sequence[Tensor], outputs.hidden_states)
        if isinstance(seen, SharedFeatures):
            return self.segformer.features_for_tasks(seen, self.segformer.no_conditions())
        return seen if seen is not None else self.segformer.plain_features(pixel_values)

    def label_features(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Give what the labels' logits are linear in, where something labels every pixel.

        Args:
            pixel_values: (B, 3, H, W) float, normalised.

        Returns:
            (B, D, h, w) float; and (B, 1, h, w), what a further class is compared with: 0 where
            classes do not compete.

        Raises:
            ValueError: if nothing has a row for each class.
        """
        head = self.row_head
        if head is None:
            raise ValueError(f"method '{self.config.method}' has no rows of classes here")
        features = head.features(head.fused(self._recognisers_stages(pixel_values)))
        channels = self.task_channels
        if channels is None:
            return features, torch.zeros_like(features[:, :1])
        return features, channels.rivals(channels.scores(head.classify_features(features)))

    @property
    def row_head(self) -> FusedDecodeHead | None:
        """The head whose last layer has a row for each class; None where there is none."""
        if self.recogniser is not None:
            return self.recogniser.decode_head
        is_prompted = self.config.method_class.prompted
        return None if is_prompted and not self._has_class_channels else self.decode_head

    def _margins(self, scores: Tensor, task_ids: Tensor) -> Tensor:
        """Say what the recogniser makes of (B, T) tasks: (B, T, h, w) logits."""
        task_ids = self.label_channels.margins_of(task_ids)
        margins = self.label_channels.margins(scores, task_ids)
        if self.unknown_margins is None:
            return margins
        known = torch.tensor(self.label_channels.known, device=task_ids.device)[task_ids]
        learnt = self.unknown_margins[task_ids]
        return torch.where(known[:, :, None, None], margins, learnt[:, :, None, None])

    def _weighted(self, painted: Tensor, task_ids: Tensor) -> Tensor:
        """Multiply what is painted, (B, T, h, w), by the gains of (B, T) tasks, or (1, 1)."""
        if self.config.painted_gains is None:
            return painted
        gains = painted.new_tensor(self.config.painted_gains)[task_ids]
        return painted * gains[:, :, None, None]

    def recognise(self, pixel_values: Tensor) -> Recognition:
        """Ask the recogniser what there is; of ``segformer`` that is the network itself.

        Args:
            pixel_values: (B, 3, H, W) float, normalised.

        Returns:
            What ``class_logits`` and ``logits_for_tasks`` take, so that nothing is computed twice.

        Raises:
            ValueError: if the network has no recogniser.
        """
        channels = self.label_channels
        shared, seen = None, None
        if self.config.method_class.prompted:
            shared, seen = self._share(pixel_values, self._head())
        label_logits = self.label_logits(pixel_values, seen)
        presence = presence_scores(label_logits, channels, self.config.presence)
        return Recognition(label_logits, channels.scores(label_logits), presence, shared)

    def _check_labels(self, labels: Tensor, batch_size: int) -> None:
        prompted = self.config.method_class.prompted
        if not prompted and self.config.overlapping:
            raise ValueError(
                "labels say one class of each pixel, but the classes of this model may overlap: "
                "give no labels, and compute the loss of the channels whose masks you have"
            )
        if not prompted and self.config.num_labels == 1:
            raise ValueError(
                "with one channel the cross-entropy is 0 whatever the logits are, and nothing is "
                "learnt; train with other_channel=True, or with several classes"
            )
        if labels.ndim != 3 or labels.shape[0] != batch_size:
            raise ValueError(
                f"labels has shape {tuple(labels.shape)}; expected (B, H, W) with B {batch_size}"
            )
        ignore = self.config.semantic_loss_ignore_index
        num_values = 2 if prompted else len(self.config.id2label or ())
        check_labels(labels, num_values, ignore, "labels", " (semantic_loss_ignore_index)")
        if prompted and not self._saw_the_class and can_look_at(labels):
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
        if self.config.method_class.prompted:
            total = F.binary_cross_entropy_with_logits(
                logits.squeeze(1),
                labels.to(logits.dtype),
                weight=valid.to(logits.dtype),
                reduction="sum",
            )
        else:
            total = F.cross_entropy(logits, labels, ignore_index=ignore, reduction="sum")
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
        return _upsampled(logits, size, self.config.align_corners)

    def upsample_labels(self, label_logits: Tensor, size: Sequence[int]) -> Tensor:
        """Resize logits of all labels to the image's size, as SegFormer's, whatever asks it.

        Args:
            label_logits: (B, C, h, w) float, of all C channels.
            size: (H, W).

        Returns:
            (B, C, H, W) float. Channels that were added are resized apart, each round by itself:
            PyTorch rounds otherwise where there are more, and those of before stay what they were.
        """
        rounds = cast(FusedDecodeHead, self.row_head).channels_of_rounds
        if len(rounds) == 1:
            return _upsampled(label_logits, size, MultiClassBaseline.align_corners)
        parts = label_logits.split(rounds, dim=1)
        return torch.cat(
            [_upsampled(own, size, MultiClassBaseline.align_corners) for own in parts], dim=1
        )

    def shared_features(self, pixel_values: Tensor) -> Shared:
        """Compute what does not depend on the class, to ask many classes of an image.

        Args:
            pixel_values: (B, 3, H, W) float, normalised.

        Returns:
            What ``logits_for_tasks`` takes.
        """
        return self._share(pixel_values, self._head())[0]

    def _share(
        self, pixel_values: Tensor, head: FoldedHead | nn.Module
    ) -> tuple[Shared, Encoded | None]:
        """Compute it, and give with it what the encoder made of the images on the way."""
        if not self._may_share():
            return UnsharedImages(pixel_values), None
        if self.segformer.hypernet is not None:
            shared = self.segformer.shared_features(pixel_values)
            return shared, shared
        stages = self.segformer(pixel_values, output_hidden_states=True).hidden_states
        if self._has_class_channels:
            all_logits = head.logits(stages) if isinstance(head, FoldedHead) else head(stages)
            return ChannelLogits(all_logits), stages
        if isinstance(head, FoldedHead):
            return FoldedFeatures(head.fuse(stages), head), stages
        return self.decode_head.fuse(stages), stages

    def _may_share(self) -> bool:
        """Whether asking the parts is asking the model: no library changed it or what they read."""
        cls = TASFormerForSemanticSegmentation
        if type(self).forward is not cls.forward or not is_plain(self, type(self)):
            return False
        if self.segformer.hypernet is not None:
            return self.segformer.may_share()
        return is_plain(self.decode_head, FusedDecodeHead) and self.decode_head.may_fuse()

    def _head(self) -> FoldedHead | nn.Module:
        """The head, folded where it may be."""
        head = self.decode_head
        if not may_fold(head):
            return head
        sources = [*head.parameters(), *head.buffers()]
        return self._folded.get(sources, lambda: fold_head(head), head.batch_norm.eps)

    def logits_for_tasks(self, shared: Shared | Recognition, task_ids: Tensor) -> Tensor:
        """Ask classes of images whose shared part is known; not for ``segformer``.

        Args:
            shared: what ``shared_features`` gave for B images; of a network with a recogniser, what
                ``recognise`` gave.
            task_ids: int64 in [0, num_tasks): (T,), asked of every image, or (B, T).

        Returns:
            (B, T, h, w) float logits, equal to those of ``forward`` in evaluation mode.
        """
        if not self.config.method_class.prompted:
            raise ValueError(f"method '{self.config.method}' has all its classes in its logits")
        check_asked_ids(self.config, task_ids, (1, 2))
        if self.recogniser is not None:
            if not isinstance(shared, Recognition) or shared.shared is None:
                raise ValueError("a network with a recogniser takes what recognise() gave")
            if isinstance(shared.shared, UnsharedImages):  # whole calls have the margins, too
                return self.painted(shared.shared, task_ids)
            asked = task_ids.expand(shared.scores.shape[0], -1)  # len() would fix it in exports
            painted = self._weighted(self.painted(shared.shared, task_ids), asked)
            return painted + self._margins(shared.scores, asked)
        return self.painted(cast(Shared, shared), task_ids)

    def painted(self, shared: Shared, task_ids: Tensor) -> Tensor:
        """Say what the class-prompted path makes of classes, without the recogniser.

        Args:
            shared: what ``shared_features`` gave for B images.
            task_ids: (T,) or (B, T) int64 in [0, num_tasks).

        Returns:
            (B, T, h, w) float logits.
        """
        if isinstance(shared, UnsharedImages):
            return self._ask_whole(shared.pixel_values, task_ids)
        if self._has_class_channels:
            if isinstance(shared, Tensor):
                shared = ChannelLogits(self.decode_head.classify(shared))
            return _of_tasks(cast(ChannelLogits, shared).logits, task_ids)
        if not isinstance(shared, SharedFeatures):
            return self._ask_maps(cast(FoldedFeatures | Tensor, shared), task_ids)
        task_ids = task_ids.expand(shared.update.shape[0], -1)
        conditions = self.segformer.conditions(task_ids.flatten())
        return self._ask_encoder(shared, conditions, task_ids, self._head())

    def _ask_encoder(
        self,
        shared: SharedFeatures,
        conditions: Conditions,
        task_ids: Tensor,
        head: FoldedHead | nn.Module,
    ) -> Tensor:
        """Ask (B, T) classes of B images, with conditions of (B T) samples: (B, T, h, w)."""
        stages = self.segformer.features_for_tasks(shared.repeat(task_ids.shape[1]), conditions)
        logits = self._decode(stages, task_ids.flatten(), head)
        return cast(Tensor, logits[:, 0].unflatten(0, task_ids.shape))

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

    def class_logits(
        self, pixel_values: Tensor, task_ids: Tensor, recognition: Recognition | None = None
    ) -> Tensor:
        """Ask many classes of each image, at its size; in evaluation mode as ``forward`` would.

        What does not depend on the class is computed once per image.

        Args:
            pixel_values: (B, 3, H, W) float, normalised.
            task_ids: (T,) int64 in [0, num_tasks).
            recognition: what ``recognise`` gave for these images, if it was asked.

        Returns:
            (B, T, H, W) float logits; positive means "this class".
        """
        check_asked_ids(self.config, task_ids, (1,))
        batch_size, _, height, width = pixel_values.shape
        if not len(task_ids):
            return pixel_values.new_zeros(batch_size, 0, height, width)
        if not self.config.method_class.prompted:
            label_logits = recognition.label_logits if recognition else self(pixel_values).logits
            asked = task_ids.expand(batch_size, -1)
            if self.config.overlapping:  # channels do not compete: only these are resized
                return self.upsample(self.margins(label_logits, asked), (height, width))
            return self.margins(self.upsample_labels(label_logits, (height, width)), asked)
        # The finest stage's map, four times as wide within the Mix-FFN, and copies of it.
        numbers = 16 * self.config.hidden_sizes[0] * (height // 4 + 1) * (width // 4 + 1)
        budget = _CHUNK_BYTES.get(pixel_values.device.type, _CHUNK_BYTES_ELSEWHERE)
        pairs = max(1, budget // (numbers * pixel_values.element_size()))
        if self.recogniser is not None and recognition is None:
            return torch.cat(
                [
                    self.class_logits(images, task_ids, self.recognise(images))
                    for images in torch.split(pixel_values, max(1, pairs // len(task_ids)))
                ]
            )
        return torch.cat(
            [
                self._ask_in_chunks(pixel_values, own, pairs, recognition)
                for own in torch.split(task_ids, self._most_tasks())
            ],
            dim=1,
        )

    def _most_tasks(self) -> int:
        """Of how many classes conditions are made at once."""
        numbers = getattr(self.segformer.hypernet, "numbers_per_task", 1)
        return max(1, MOST_NUMBERS // numbers)

    def _ask_in_chunks(
        self, pixel_values: Tensor, task_ids: Tensor, pairs: int, recognition: Recognition | None
    ) -> Tensor:
        """Ask T classes of B images, some pairs at a time: (B, T, H, W)."""
        head = self._head()
        conditions = self.segformer.conditions(task_ids) if self._may_share() else []
        at_once = max(1, pairs // max(1, len(task_ids)))
        if recognition is not None:  # of all these images at once
            at_once, pairs = len(pixel_values), max(1, pairs // len(pixel_values))
        logits = []
        for images in torch.split(pixel_values, at_once):
            shared = recognition.shared if recognition else self._share(images, head)[0]
            chunks = []
            for rows in torch.split(torch.arange(len(task_ids), device=task_ids.device), pairs):
                asked = task_ids[rows].expand(len(images), -1)
                if isinstance(shared, SharedFeatures):
                    own = select_conditions(conditions, rows.repeat(len(images)))
                    answer = self._ask_encoder(shared, own, asked, head)
                else:
                    answer = self.painted(cast(Shared, shared), task_ids[rows])
                if recognition is not None and not isinstance(shared, UnsharedImages):
                    answer = self._weighted(answer, asked)
                    answer = answer + self._margins(recognition.scores, asked)
                chunks.append(self.upsample(answer, pixel_values.shape[-2:]))
            logits.append(torch.cat(chunks, dim=1))
        return torch.cat(logits)

    def margins(self, label_logits: Tensor, task_ids: Tensor) -> Tensor:
        """Turn logits of all channels into those of single classes.

        Args:
            label_logits: (B, C, H, W) float, of ``segformer`` or of the recogniser.
            task_ids: (B, T) int64 in [0, num_tasks).

        Returns:
            (B, T, H, W) float: z_k - max(z_j, j != k), positive where the class is the argmax;
            z_k itself where it is the only channel, or where labels may overlap.
        """
        if self.recogniser is None:
            return self.label_channels.margins_of_labels(label_logits, task_ids)
        return self._margins(self.label_channels.scores(label_logits), task_ids)

    def segment(
        self,
        picture: Any,
        classes: Sequence[str],
        threshold: Threshold = None,
        max_pixels: int | None = None,
        unknown: str = NEAREST,
    ) -> Segmentation:
        """Ask classes of a picture: ``model.segment("photo.jpg", ["tree", "sky"]).masks["tree"]``.

        Args:
            picture: a file, an address, Pillow's picture, or an (H, W), (H, W, 3) or (H, W, 4)
                uint8 RGB array. Of several frames or pages it is the first; a warning is logged.
            classes: names, or synonyms of ``config.task_synonyms``; or ``["all"]``.
            threshold: probabilities from it on are the class, in (0, 1); or ``rankseg``, for each
                class the mask whose expected IoU is largest; by default what the network was
                calibrated with, and 0.5 where it was not.
            max_pixels: that a file may have; by default Pillow's limit, 179 million.
            unknown: what a name is that the network does not know: ``nearest``, the class whose
                name is nearest in meaning, if that is near and the text encoder is installed;
                ``zero_shot``, a class of its own (of networks trained with ``words``); or
                ``error``.

        Returns:
            Probabilities and masks at the picture's own size, and how likely each class is to be
            there, by the names that were asked for.

        Raises:
            ValueError: if a name is not known, if the threshold is no probability, or if the
                picture has more pixels, is an array of another form, or grey of which it is not
                certain which value is white.
            OSError: if the file is missing or damaged, or no picture.
            ImportError: if the package ``rankseg`` is needed, and is not installed.
        """
        return segment_picture(self, picture, classes, threshold, max_pixels, unknown)

    def with_names(self, names: Sequence[str]) -> "TASFormerForSemanticSegmentation":
        """Make a copy that paints further names, which it was never trained on.

        Args:
            names: that the network, which was trained with ``words``, does not know.

        Returns:
            A network in evaluation mode; known classes answer as before.

        Raises:
            ValueError: if it was trained without words, or if a name is known already.
            ImportError: if the text encoder is not installed.
        """
        return with_names(self, names)

    def start_vector(self, name: str) -> Tensor:
        """Say where the embedding of a new class may begin, by its name.

        Args:
            name: any.

        Returns:
            (D,) float; of a network trained without ``words``, the embedding of the class whose
            name is nearest in meaning.

        Raises:
            ValueError: if the method has no task embeddings.
            ImportError: if the text encoder is not installed.
        """
        return start_vector(self, name)

    def learn_class(
        self,
        name: str,
        images: Sequence[Any],
        masks: Sequence[Any],
        settings: LearningSettings | None = None,
        max_pixels: int | None = None,
    ) -> "TASFormerForSemanticSegmentation":
        """Learn a class from a few pictures: ``model.learn_class("mug", pictures, masks)``.

        Args:
            name: of the new class.
            images: files, addresses, pictures of Pillow or arrays, as ``segment`` takes them.
            masks: per picture (H, W), of its own size: bool, 0 and 1, or 0 and 255; or a file or
                picture of Pillow, bright where the class is, or of 0 and 1 alone. What nobody knows
                is -1, or 255 in a mask that has ones.
            settings: what is learnt, and how.
            max_pixels: that a file may have; by default Pillow's limit, 179 million.

        Returns:
            A model that knows the class, too, in evaluation mode. This one stays as it is, and so
            do the weights, logits and thresholds of its classes. What the class is expected to
            reach is in ``config.origin["learnt"][name]``.

        Raises:
            ValueError: if the name is taken, if a picture or mask cannot be used, or if the method
                cannot learn in this way.
            OSError: if a file is missing or damaged.
        """
        pictures = read_few_pictures(self.config, images, masks, max_pixels)
        return learn_classes(self, [name], pictures, settings)[0]


def _upsampled(logits: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=align_corners)


def _of_tasks(logits: Tensor, task_ids: Tensor) -> Tensor:
    """Take the channels of (T,) or (B, T) tasks from (B, K, h, w): (B, T, h, w)."""
    task_ids = task_ids.expand(logits.shape[0], -1)
    return logits.gather(1, task_ids[:, :, None, None].expand(-1, -1, *logits.shape[-2:]).long())


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
