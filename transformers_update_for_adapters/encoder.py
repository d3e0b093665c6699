"""The encoder: SegFormer's, whose blocks a method conditions for a class.

Axes: B batch, N positions, D channels, H and W the image, h and w a feature map.
"""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from transformers import SegformerPreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.segformer.modeling_segformer import (
    SegformerAttention,
    SegformerLayer,
    SegformerMixMLP,
    SegformerMLP,
    SegformerStage,
)
from transformers.utils import CONFIG_NAME
from transformers.utils.output_capturing import capture_outputs

from .configuration_tasformer import TASFormerConfig
from .input_checks import check_images_and_ids
from .kept_values import Kept
from .methods import Method
from .plain_modules import DrawsItself, is_plain
from .task_conditions import Conditions
from .weights_fingerprint import forget_other_weights

__all__ = ["SharedFeatures", "TASFormerModel", "TASFormerPreTrainedModel", "required_ids"]

_WITH_LINEARS = (SegformerAttention, SegformerMixMLP, SegformerMLP)  # stock SegFormer's
_MODEL_OF_A_RUN = "model"  # which trainings write into their folders


class SharedFeatures(NamedTuple):
    """The encoder up to the inside of the first block that depends on the class."""

    update: Tensor
    """(B, N, D) float, the output of its Mix-FFN."""
    residual: Tensor
    """(B, N, D) float, what the update is added to."""
    height: int
    """Height of the map whose N positions these are."""
    width: int
    """Width of that map."""
    block: int = 0
    """Which block of its stage it is."""
    maps: tuple[Tensor, ...] = ()
    """(B, D, h, w) float of each stage before."""

    def of(self, rows: Tensor) -> "SharedFeatures":
        """Take images by their places, any of them several times: (N,) int64."""
        return self._replace(
            update=self.update[rows],
            residual=self.residual[rows],
            maps=tuple(each[rows] for each in self.maps),
        )

    def repeat(self, num_tasks: int) -> "SharedFeatures":
        """Repeat each image for T tasks: row b * T + t is image b."""

        def repeated(each: Tensor) -> Tensor:
            # repeat_interleave becomes wrong ONNX where sizes are not fixed.
            return each.unsqueeze(1).expand(-1, num_tasks, *[-1] * (each.ndim - 1)).flatten(0, 1)

        return self._replace(
            update=repeated(self.update),
            residual=repeated(self.residual),
            maps=tuple(map(repeated, self.maps)),
        )


def required_ids(task_ids: Tensor | None, config: TASFormerConfig) -> Tensor:
    """Return the task ids, or raise ValueError where a method that reads them was given none.

    Args:
        task_ids: as a model was given them.
        config: the model's.
    """
    if task_ids is None:
        raise ValueError(
            f"method '{config.method}' needs task_ids: which class? In a pipeline, the task is "
            "'class-prompted-segmentation'"
        )
    return task_ids


class TASFormerLayer(SegformerLayer):
    """A SegFormer block that the method finishes."""

    def __init__(self, config: TASFormerConfig, **sizes: Any) -> None:
        """Build the stock block."""
        super().__init__(config, **sizes)
        self.method = config.method_class

    def forward(
        self,
        hidden_states: Tensor,
        height: int,
        width: int,
        *conditions: Tensor,
        **kwargs: Any,
    ) -> Tensor:
        """Apply the block; without conditions it is the stock one.

        Args:
            hidden_states: (B, N, D) float, N = height * width.
            height: height of the map.
            width: width of the map.
            *conditions: the block's, for each sample, or those that all share. One by one, as
                gradient checkpointing with ``use_reentrant`` hands gradients on to nothing else.
            **kwargs: for the attention.

        Returns:
            (B, N, D) float.
        """
        update, residual = self.shared_part(hidden_states, height, width, **kwargs)
        return self.task_part(update, residual, conditions)

    def shared_part(
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

    def task_part(self, update: Tensor, residual: Tensor, conditions: Sequence[Tensor]) -> Tensor:
        """Finish the block, as the method does where there are conditions.

        Args:
            update: (B, N, D) float, from ``shared_part``.
            residual: (B, N, D) float, from ``shared_part``.
            conditions: for each sample, or those that all share.

        Returns:
            (B, N, D) float.
        """
        method = self.method if conditions else Method
        return method.finish_block(update, residual, self.drop_path, conditions)


class TASFormerStage(SegformerStage):
    """A SegFormer stage whose blocks take conditions."""

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

    def forward(  # type: ignore[override]  # only TASFormerModel calls it, always with conditions
        self, hidden_states: Tensor, conditions: Sequence[Sequence[Tensor]], **kwargs: Any
    ) -> Tensor:
        """Apply the stage.

        Args:
            hidden_states: (B, D', H', W') float, the image or the output of the stage before.
            conditions: those of each block.
            **kwargs: for the attention.

        Returns:
            (B, D, h, w) float.
        """
        hidden_states, height, width = self.patch_embeddings(hidden_states)
        for block, own in zip(self.blocks, conditions, strict=True):
            hidden_states = block(hidden_states, height, width, *own, **kwargs)
        return self._to_map(hidden_states, height, width)

    def shared_part(self, hidden_states: Tensor, block: int) -> SharedFeatures:
        """Apply what comes before a block depends on the class.

        Args:
            hidden_states: (B, D', H', W') float.
            block: which one.

        Returns:
            What ``task_part`` takes.
        """
        hidden_states, height, width = self.patch_embeddings(hidden_states)
        for each in self.blocks[:block]:
            hidden_states = each(hidden_states, height, width)
        first = cast(TASFormerLayer, self.blocks[block])
        update, residual = first.shared_part(hidden_states, height, width)
        return SharedFeatures(update, residual, height, width, block)

    def task_part(self, shared: SharedFeatures, conditions: Sequence[Sequence[Tensor]]) -> Tensor:
        """Go on from ``shared_part``.

        Args:
            shared: of B images.
            conditions: those of each block of the stage.

        Returns:
            (B, D, h, w) float, as from ``forward``.
        """
        first, height, width = shared.block, shared.height, shared.width
        layer = cast(TASFormerLayer, self.blocks[first])
        hidden_states = layer.task_part(shared.update, shared.residual, conditions[first])
        for block, own in zip(self.blocks[first + 1 :], conditions[first + 1 :], strict=True):
            hidden_states = block(hidden_states, height, width, *own)
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
        elif isinstance(module, DrawsItself):
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
            if self.config.fan_in_linears and isinstance(module, nn.Linear):
                parents = (each for each in self.modules() if isinstance(each, _WITH_LINEARS))
                if any(module is own for parent in parents for own in parent.children()):
                    init.normal_(module.weight, std=1 / math.sqrt(module.in_features))

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
        model.hold_recogniser_still()
        if not isinstance(model, TASFormerModel):  # what is measured is of whole ones
            forget_other_weights(model.config, model.state_dict())
        return loaded if output_loading_info else model

    def hold_recogniser_still(self) -> None:
        """Keep gradients from the recogniser, where there is one."""

    @contextmanager
    def kept(self) -> Iterator["TASFormerPreTrainedModel"]:
        """Promise to hold the weights still: ``with model.kept(): ...`` many calls are faster.

        In evaluation without gradients, the adapters of all classes, if these are at most 256, and
        the folded head are then made once, at their first use. Without it, every call computes them
        from the weights, and adapters only of the classes that are asked.

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
    """The encoder: a Mix Transformer, and the method's hypernetwork if it has one."""

    def __init__(self, config: TASFormerConfig) -> None:
        """Build the encoder and, if the method has one, the hypernetwork."""
        super().__init__(config)
        num_blocks = sum(config.depths)
        drop_path_decays = [
            config.drop_path_rate * block / max(num_blocks - 1, 1) for block in range(num_blocks)
        ]
        self.stages = nn.ModuleList(
            TASFormerStage(config, stage, drop_path_decays)
            for stage in range(config.num_encoder_blocks)
        )
        self.hypernet = config.method_class.hypernet(config)
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
            task_ids: (B,) int64 in [0, num_tasks), or (1,) for one class that all share; read
                where there is a hypernetwork.
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
        for stage, conditions in zip(self.stages, self.conditions(task_ids), strict=True):
            hidden_states = stage(hidden_states, conditions, **kwargs)
            features += (hidden_states,)
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        return BaseModelOutput(
            last_hidden_state=hidden_states,
            hidden_states=features if output_hidden_states else None,
        )

    def no_conditions(self) -> Conditions:
        """Give what leaves every block as the stock one."""
        return [[()] * depth for depth in self.config.depths]

    def plain_features(self, pixel_values: Tensor) -> list[Tensor]:
        """Encode images without a class, as the stock encoder does.

        Args:
            pixel_values: (B, 3, H, W) float, normalised.

        Returns:
            Per stage (B, D, h, w) float.
        """
        features = []
        for stage, nothing in zip(self.stages, self.no_conditions(), strict=True):
            pixel_values = stage(pixel_values, nothing)
            features.append(pixel_values)
        return features

    def shared_features(
        self, pixel_values: Tensor, first_block: int | None = None
    ) -> SharedFeatures:
        """Compute what does not depend on the class.

        Args:
            pixel_values: (B, 3, H, W) float, normalised.
            first_block: up to which block, over all stages; by default the first that depends on
                the class. One before it is right as well.

        Returns:
            What ``features_for_tasks`` takes.
        """
        first, block = self._place(first_block)
        hidden_states = pixel_values
        maps: tuple[Tensor, ...] = ()
        for stage, depth in zip(self.stages[:first], self.config.depths, strict=False):
            hidden_states = stage(hidden_states, [()] * depth)
            maps += (hidden_states,)
        shared = cast(TASFormerStage, self.stages[first]).shared_part(hidden_states, block)
        return shared._replace(maps=maps)

    def features_for_tasks(self, shared: SharedFeatures, conditions: Conditions) -> list[Tensor]:
        """Go on from ``shared_features``.

        Args:
            shared: of B images.
            conditions: from ``conditions``, of B tasks.

        Returns:
            Per stage (B, D, h, w) float.
        """
        first = len(shared.maps)
        stage = cast(TASFormerStage, self.stages[first])
        features = [*shared.maps, stage.task_part(shared, conditions[first])]
        for later, own in zip(self.stages[first + 1 :], conditions[first + 1 :], strict=True):
            features.append(later(features[-1], own))
        return features

    def may_share(self) -> bool:
        """Tell whether ``shared_features`` leaves nothing out that a library put around modules."""
        stage, block = self._place()
        first = cast(TASFormerStage, self.stages[stage])
        return (
            is_plain(self, TASFormerModel)
            and is_plain(first, TASFormerStage)
            and is_plain(first.blocks[block], TASFormerLayer)
        )

    def _place(self, block: int | None = None) -> tuple[int, int]:
        """Find stage and place in it of a block; of the first that depends on the class."""
        if block is None:
            block = self.config.method_class.first_block(self.config)
        stage = 0
        while block >= self.config.depths[stage]:
            block -= self.config.depths[stage]
            stage += 1
        return stage, block

    def conditions(self, task_ids: Tensor | None) -> Conditions:
        """Make what conditions the blocks for classes.

        Args:
            task_ids: (B,) int64 in [0, num_tasks).

        Returns:
            Per stage, per block, what the method reads; nothing where there is no hypernetwork.

        Raises:
            ValueError: if there is one, and no ids were given.
        """
        if self.hypernet is None:
            return self.no_conditions()
        conditions: Conditions = self.hypernet(required_ids(task_ids, self.config))
        return conditions
