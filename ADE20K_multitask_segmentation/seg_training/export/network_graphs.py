"""A network as graphs of tensors: whole, or cut where the class comes in."""

import torch
from torch import Tensor, nn

from seg_training.networks import Network
from transformers_update_for_adapters.modeling_tasformer import SharedFeatures

__all__ = ["ClassGraph", "ImageGraph", "WholeGraph"]


class _Graph(nn.Module):
    """Something that a network computes."""

    def __init__(self, network: Network) -> None:
        """Wrap a network.

        Args:
            network: in evaluation mode.
        """
        super().__init__()
        self.network = network


class _ClassesGraph(_Graph):
    """Something that is asked classes: an id that is none of theirs never gives another's mask."""

    def _known(self, class_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Give ids that are safe to look up, and which of the given ones were right.

        Runtimes count negative ids from the end, and some take what lies beyond the end. A wrong id
        is brought to just beyond the end, where PyTorch and ONNX Runtime stop; OpenVINO goes on,
        with logits that are not a number in the end.
        """
        num_tasks = self.network.num_tasks
        known = (class_ids >= 0) & (class_ids < num_tasks)
        places = torch.where(known, class_ids, num_tasks).flatten()
        found = (
            torch.arange(num_tasks, device=places.device)
            .index_select(0, places)
            .clamp(0, num_tasks - 1)
        )
        return found.view_as(class_ids), known


class WholeGraph(_ClassesGraph):
    """An image and classes in, the logits of these classes out."""

    def forward(self, images: Tensor, class_ids: Tensor) -> Tensor:
        """Ask classes of each image; each image has its own.

        Args:
            images: (B, 3, H, W) uint8 RGB.
            class_ids: (B, T) int64 in [0, num_tasks).

        Returns:
            (B, T, H, W) float logits; positive means "this class".
        """
        class_ids, known = self._known(class_ids)
        return _where(known, self._logits(images, class_ids))

    def _logits(self, images: Tensor, class_ids: Tensor) -> Tensor:
        model = self.network.model
        if not self.network.prompted:
            return model.margins(self.network.label_logits(images), class_ids)
        shared = model.shared_features(self.network.normalised(images))
        return model.upsample(model.logits_for_tasks(shared, class_ids), images.shape[-2:])


class ImageGraph(_Graph):
    """All of a network that does not depend on the class."""

    def forward(self, images: Tensor) -> Tensor:
        """Compute what all classes share.

        Args:
            images: (B, 3, H, W) uint8 RGB, H and W multiples of 4.

        Returns:
            (B, C, H/4, W/4) float, what :class:`ClassGraph` takes: the inside of the first block
            where a hypernetwork conditions the encoder, the fused features where task maps
            condition the decoder, all logits where nothing does.
        """
        model, pixel_values = self.network.model, self.network.normalised(images)
        if not self.network.prompted:
            logits: Tensor = model(pixel_values).logits
            return logits
        if model.segformer.hypernet is None:
            return model.decode_head.fuse(
                model.segformer(pixel_values, output_hidden_states=True).hidden_states
            )
        # Of a later block, maps of several sizes would be shared.
        shared = model.segformer.shared_features(pixel_values, first_block=0)
        both = torch.cat([shared.update, shared.residual], dim=-1)
        batch_size, _, channels = both.shape
        return both.mT.reshape(batch_size, channels, shared.height, shared.width)


class ClassGraph(_ClassesGraph):
    """All of a network that depends on the class."""

    def forward(self, features: Tensor, class_ids: Tensor) -> Tensor:
        """Ask classes of images whose features are known.

        Args:
            features: (B, C, h, w) float, from :class:`ImageGraph`.
            class_ids: (B, T) int64 in [0, num_tasks).

        Returns:
            (B, T, 4h, 4w) float logits; positive means "this class".
        """
        class_ids, known = self._known(class_ids)
        return _where(known, self._logits(features, class_ids))

    def _logits(self, features: Tensor, class_ids: Tensor) -> Tensor:
        model = self.network.model
        height, width = features.shape[-2:]
        size = (4 * height, 4 * width)
        if not self.network.prompted:
            return model.margins(model.upsample(features, size), class_ids)
        if model.segformer.hypernet is None:
            return model.upsample(model.logits_for_tasks(features, class_ids), size)
        update, residual = features.flatten(2).mT.chunk(2, dim=-1)
        shared = SharedFeatures(update, residual, height, width)
        return model.upsample(model.logits_for_tasks(shared, class_ids), size)


def _where(known: Tensor, logits: Tensor) -> Tensor:
    """Keep the logits (B, T, H, W) of ids that are known (B, T); the others are no number."""
    return logits.masked_fill(~known[:, :, None, None], torch.nan)
