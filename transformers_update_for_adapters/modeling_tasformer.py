"""The five networks as Hugging Face models.

As is the custom there, ``pixel_values`` are normalised and logits are at a quarter of the image's
size. Axes: B batch, T tasks, N positions, D channels, H and W the image, h and w a feature map.
"""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
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
from transformers.utils import CONFIG_NAME
from transformers.utils.generic import can_return_tuple
from transformers.utils.output_capturing import capture_outputs

from .adapters import AdapterHypernet, AdapterWeights, apply_adapter
from .configuration_tasformer import TASFormerConfig
from .folded_head import FoldedHead, fold_head
from .fused_head import DefaultConv2d, FusedDecodeHead
from .image_processing_tasformer import TASFormerImageProcessor
from .kept import Kept
from .model_card import is_generated, model_card
from .segmentation import Segmentation, segment_picture
from .task_maps import TaskMaps

__all__ = [
    "SharedFeatures",
    "TASFormerForSemanticSegmentation",
    "TASFormerModel",
    "TASFormerPreTrainedModel",
]


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
            **kwargs: as in Transformers; to start from a backbone, give ``config``.

        Returns:
            The model, or the model and the loading info.

        Raises:
            ValueError: if the file lacks a weight of the backbone; the message names it.
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
        missing = sorted(key for key in info["missing_keys"] if "stages." in key)
        if missing and pretrained_model_name_or_path is not None:  # else the weights are given
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise ValueError(
                f"'{pretrained_model_name_or_path}' lacks {len(missing)} of the backbone's "
                f"weights: {', '.join(missing[:3])}{more}"
            )
        return loaded if output_loading_info else model


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
        """
        hidden_states = pixel_values
        features: tuple[Tensor, ...] = ()
        for stage, adapters in zip(self.stages, self._adapters(task_ids), strict=True):
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

    def features_for_tasks(self, shared: SharedFeatures, task_ids: Tensor) -> list[Tensor]:
        """Go on from ``shared_features``; for the adapter methods.

        Args:
            shared: of B images.
            task_ids: (B,) int64 in [0, num_tasks).

        Returns:
            Per stage (B, D, h, w) float.
        """
        adapters = self._adapters(task_ids)
        features = [cast(TASFormerStage, self.stages[0]).after_adapter(shared, adapters[0])]
        for stage, stage_adapters in zip(self.stages[1:], adapters[1:], strict=True):
            features.append(stage(features[-1], stage_adapters))
        return features

    def _adapters(self, task_ids: Tensor | None) -> list[Any]:
        """Make the adapter weights, or None, per stage and block."""
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
        self._folded: Kept[FoldedHead] = Kept()
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    @filter_output_hidden_states  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        task_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> SemanticSegmenterOutput:
        """Segment images.

        Args:
            pixel_values: (B, 3, H, W) float, normalised.
            task_ids: (B,) int64 in [0, num_tasks), or (1,) for one class that all share; not read
                by ``segformer``.
            labels: (B, H, W) int64: mask of the class in {0, 1}, or channel numbers for
                ``segformer``; ``config.semantic_loss_ignore_index`` is left out.
            **kwargs: as in Transformers.

        Returns:
            ``logits`` (B, num_labels, h, w) float with h and w a quarter of H and W, and ``loss``
            where labels are given: binary cross-entropy, or cross-entropy for ``segformer``.
        """
        outputs = self.segformer(pixel_values, task_ids=task_ids, **kwargs)
        stages = outputs.hidden_states
        task_maps = None
        if self.task_maps is not None:
            task_maps = self.task_maps(_required(task_ids, self.config), stages[0].shape[-2:])
        logits = self.decode_head(stages, task_maps)
        return SemanticSegmenterOutput(
            loss=None if labels is None else self._loss(logits, labels),
            logits=logits,
            hidden_states=stages,
            attentions=outputs.attentions,
        )

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        logits = self.upsample(logits, labels.shape[-2:])
        ignore = self.config.semantic_loss_ignore_index
        if self.config.method == "segformer":
            return F.cross_entropy(logits, labels, ignore_index=ignore)
        valid = labels != ignore
        loss = F.binary_cross_entropy_with_logits(
            logits.squeeze(1),
            labels.to(logits.dtype),
            weight=valid.to(logits.dtype),
            reduction="sum",
        )
        return loss / valid.sum().clamp(min=1)

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

    def shared_features(self, pixel_values: Tensor) -> SharedFeatures | FoldedFeatures | Tensor:
        """Compute what does not depend on the class, to ask many classes of an image.

        Args:
            pixel_values: (B, 3, H, W) float, normalised.

        Returns:
            What ``task_logits`` takes.
        """
        if self.config.uses_adapters:
            return self.segformer.shared_features(pixel_values)
        outputs = self.segformer(pixel_values, output_hidden_states=True)
        if self._may_fold():
            return FoldedFeatures(self._folded_head().fuse(outputs.hidden_states))
        return self.decode_head.fuse(outputs.hidden_states)

    def task_logits(
        self, shared: SharedFeatures | FoldedFeatures | Tensor, task_ids: Tensor
    ) -> Tensor:
        """Ask classes of images whose shared part is known; not for ``segformer``.

        Args:
            shared: what ``shared_features`` gave for B images.
            task_ids: int64 in [0, num_tasks): (T,), asked of every image, or (B, T).

        Returns:
            (B, T, h, w) float logits, equal to those of ``forward`` in evaluation mode.
        """
        if isinstance(shared, SharedFeatures):
            task_ids = task_ids.expand(shared.update.shape[0], -1)
            stages = self.segformer.features_for_tasks(
                shared.repeat(task_ids.shape[1]), task_ids.flatten()
            )
            head = self._folded_head().logits if self._may_fold() else self.decode_head
            logits: Tensor = head(stages)[:, 0].unflatten(0, task_ids.shape)
            return logits
        if self.task_maps is None:
            raise ValueError(f"method '{self.config.method}' has all its classes in its logits")
        if isinstance(shared, FoldedFeatures):
            if task_ids.ndim == 2:
                images = zip(shared.fused.split(1), task_ids, strict=True)
                return torch.cat(
                    [self.task_logits(FoldedFeatures(own), ids) for own, ids in images]
                )
            maps = self.task_maps(task_ids, shared.fused.shape[1:3])
            return self._folded_head().logits_with_maps(shared.fused, maps)
        maps = self.decode_head.fuse_task_maps(
            self.task_maps(task_ids.flatten(), shared.shape[2:])
        ).unflatten(0, task_ids.shape)
        fused = shared.unsqueeze(1) + maps
        logits = self.decode_head.classify(fused.flatten(0, 1))[:, 0]
        return logits.view(*fused.shape[:2], *logits.shape[1:])

    def class_logits(self, pixel_values: Tensor, task_ids: Tensor) -> Tensor:
        """Ask many classes of each image, at its size; in evaluation mode as ``forward`` would.

        What does not depend on the class is computed once per image.

        Args:
            pixel_values: (B, 3, H, W) float, normalised.
            task_ids: (T,) int64 in [0, num_tasks).

        Returns:
            (B, T, H, W) float logits; positive means "this class".
        """
        batch_size, _, height, width = pixel_values.shape
        if self.config.method == "segformer":
            label_logits = self.upsample(self(pixel_values).logits, (height, width))
            return self.margins(label_logits, task_ids.expand(batch_size, -1))
        # The finest stage's map, four times as wide within the Mix-FFN, and copies of it.
        numbers = 16 * self.config.hidden_sizes[0] * (height // 4 + 1) * (width // 4 + 1)
        budget = _CHUNK_BYTES.get(pixel_values.device.type, _CHUNK_BYTES_ELSEWHERE)
        pairs = max(1, budget // (numbers * pixel_values.element_size()))
        logits = []
        for images in torch.split(pixel_values, max(1, pairs // max(1, len(task_ids)))):
            shared = self.shared_features(images)
            chunks = [
                self.upsample(self.task_logits(shared, ids), (height, width))
                for ids in torch.split(task_ids, pairs)
            ]
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

    def save_pretrained(
        self, save_directory: str | PathLike[str], *args: Any, **kwargs: Any
    ) -> None:
        """Save weights, config, preprocessing and a model card, for ``from_pretrained``.

        Args:
            save_directory: a folder; made if it is not there.
            *args: as in Transformers.
            **kwargs: as in Transformers, but that weights keep the names that they have here.
        """
        kwargs.setdefault("save_original_format", False)
        # Transformers would push what it wrote itself only.
        push_to_hub, repo_id = kwargs.pop("push_to_hub", False), kwargs.pop("repo_id", None)
        Path(save_directory).mkdir(parents=True, exist_ok=True)
        super().save_pretrained(save_directory, *args, **kwargs)
        TASFormerImageProcessor.of_model(self.config).save_pretrained(save_directory)
        self._write_card(Path(save_directory), "path/to/this/folder")
        if push_to_hub:
            name = repo_id or Path(save_directory).name
            self.push_to_hub(repo_id=name, token=kwargs.get("token"))  # type: ignore[call-arg]

    def _upload_modified_files(
        self, working_dir: str | PathLike[str], repo_id: str, *args: Any, **kwargs: Any
    ) -> Any:
        """Put the model's card in the place of one that Transformers wrote, or of an older one."""
        self._write_card(Path(working_dir), repo_id)
        return super()._upload_modified_files(working_dir, repo_id, *args, **kwargs)

    def _write_card(self, folder: Path, name: str) -> None:
        """Write the model's card, unless a person wrote the one that is there."""
        card = folder / _CARD
        if not card.is_file() or is_generated(card.read_text(encoding="utf-8")):
            model_card(self.config, self.num_parameters(), name).save(card)

    def _may_fold(self) -> bool:
        """Whether nobody needs the head's weights one by one: in evaluation without gradients."""
        return not (
            self.decode_head.batch_norm.training
            or torch.is_grad_enabled()
            or torch.compiler.is_compiling()
        )

    def _folded_head(self) -> FoldedHead:
        head = self.decode_head
        return self._folded.get([*head.parameters(), *head.buffers()], lambda: fold_head(head))


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
