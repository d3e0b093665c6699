"""A network as graphs of tensors: whole, or cut where the class comes in."""

import torch
from torch import Tensor, nn

from seg_training.networks import Network
from transformers_update_for_adapters.modeling_tasformer import (
    Encoded,
    Recognition,
    Shared,
    SharedFeatures,
)
from transformers_update_for_adapters.presence_scores import presence_scores

__all__ = ["ClassGraph", "ImageGraph", "WholeGraph", "image_outputs", "whole_outputs"]

Outputs = Tensor | tuple[Tensor, ...]


def whole_outputs(network: Network) -> tuple[str, ...]:
    """Name what :class:`WholeGraph` gives.

    Args:
        network: whose presence is given where it is calibrated.
    """
    return ("logits", "presence") if network.tells_presence else ("logits",)


def image_outputs(network: Network) -> tuple[str, ...]:
    """Name what :class:`ImageGraph` gives; all but the presence is what :class:`ClassGraph` takes.

    Args:
        network: whose scores are given where it has a recogniser.
    """
    scores = ("scores",) if network.model.recogniser is not None else ()
    return ("features", *scores, *(("presence",) if network.tells_presence else ()))


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
        is brought to just beyond the end, where PyTorch and ONNX Runtime stop; OpenVINO reads
        whatever lies there (and drops a clamp of it), goes on with class 0, and its logits are not
        a number in the end.
        """
        num_tasks = self.network.num_tasks
        known = (class_ids >= 0) & (class_ids < num_tasks)
        places = torch.where(known, class_ids, num_tasks).flatten()
        found = torch.arange(num_tasks, device=places.device).index_select(0, places)
        return torch.where(known, found.view_as(class_ids), 0), known


class WholeGraph(_ClassesGraph):
    """An image and classes in, the logits of these classes out, and which classes are there."""

    def forward(self, images: Tensor, class_ids: Tensor) -> Outputs:
        """Ask classes of each image; each image has its own.

        Args:
            images: (B, 3, H, W) uint8 RGB.
            class_ids: (B, T) int64 in [0, num_tasks).

        Returns:
            (B, T, H, W) float logits; positive means "this class". With :func:`whole_outputs`'
            presence, (B, K) float in [0, 1], nan where it is not known.
        """
        network, model = self.network, self.network.model
        class_ids, known = self._known(class_ids)
        pixel_values, size = network.normalised(images), images.shape[-2:]
        if not network.recognises:
            logits = model.logits_for_tasks(model.shared_features(pixel_values), class_ids)
            return _where(known, model.upsample(logits, size))
        recognition = model.recognise(pixel_values)
        if network.prompted:
            logits = model.upsample(model.logits_for_tasks(recognition, class_ids), size)
        else:
            label_logits = model.upsample_labels(recognition.label_logits, size)
            logits = model.margins(label_logits, class_ids)
        logits = _where(known, logits)
        return (logits, recognition.presence) if network.tells_presence else logits


class ImageGraph(_Graph):
    """All of a network that does not depend on the class."""

    def forward(self, images: Tensor) -> Outputs:
        """Compute what all classes share.

        Args:
            images: (B, 3, H, W) uint8 RGB, H and W multiples of 4.

        Returns:
            What :func:`image_outputs` names. Features (B, C, H/4, W/4) float: the inside of the
            first block where a hypernetwork conditions the encoder, the fused features where task
            maps condition the decoder, all logits where nothing does. Scores (B, N, H/4, W/4) float
            of the recogniser; presence (B, K) float.
        """
        network, model = self.network, self.network.model
        pixel_values = network.normalised(images)
        if not network.recognises:
            return self._features(pixel_values)[0]
        channels = model.label_channels
        outputs: list[Tensor] = []
        if network.prompted:
            features, seen = self._features(pixel_values)
            label_logits = model.label_logits(pixel_values, seen)
            outputs += [features, channels.scores(label_logits)]
        else:
            label_logits = model.label_logits(pixel_values)
            outputs.append(label_logits)
        if network.tells_presence:
            outputs.append(presence_scores(label_logits, channels, network.config.presence))
        return tuple(outputs) if len(outputs) > 1 else outputs[0]

    def _features(self, pixel_values: Tensor) -> tuple[Tensor, Encoded]:
        """Give the class-prompted path's features, and what the encoder made of the images."""
        model = self.network.model
        if model.segformer.hypernet is None:
            stages = model.segformer(pixel_values, output_hidden_states=True).hidden_states
            return model.decode_head.fuse(stages), stages
        # Of a later block, maps of several sizes would be shared.
        shared = model.segformer.shared_features(pixel_values, first_block=0)
        both = torch.cat([shared.update, shared.residual], dim=-1)
        batch_size, _, channels = both.shape
        return both.mT.reshape(batch_size, channels, shared.height, shared.width), shared


class ClassGraph(_ClassesGraph):
    """All of a network that depends on the class."""

    def forward(self, features: Tensor, class_ids: Tensor, scores: Tensor | None = None) -> Tensor:
        """Ask classes of images whose features are known.

        Args:
            features: (B, C, h, w) float, from :class:`ImageGraph`.
            class_ids: (B, T) int64 in [0, num_tasks).
            scores: (B, N, h, w) float, from there, of a network with a recogniser.

        Returns:
            (B, T, 4h, 4w) float logits; positive means "this class".
        """
        class_ids, known = self._known(class_ids)
        return _where(known, self._logits(features, class_ids, scores))

    def _logits(self, features: Tensor, class_ids: Tensor, scores: Tensor | None) -> Tensor:
        model = self.network.model
        height, width = features.shape[-2:]
        size = (4 * height, 4 * width)
        if not self.network.prompted:
            return model.margins(model.upsample(features, size), class_ids)
        shared: Shared = features
        if model.segformer.hypernet is not None:
            update, residual = features.flatten(2).mT.chunk(2, dim=-1)
            shared = SharedFeatures(update, residual, height, width)
        if scores is None:
            return model.upsample(model.logits_for_tasks(shared, class_ids), size)
        # Labels and presence are of no use here.
        recognition = Recognition(scores, scores, scores, shared)
        return model.upsample(model.logits_for_tasks(recognition, class_ids), size)


def _where(known: Tensor, logits: Tensor) -> Tensor:
    """Keep the logits (B, T, H, W) of ids that are known (B, T); the others are no number."""
    return logits.masked_fill(~known[:, :, None, None], torch.nan)
