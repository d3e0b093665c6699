"""Pictures as the networks were trained on them, in Hugging Face's form."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoImageProcessor, BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_transforms import (
    get_resize_output_image_size,
    get_size_with_aspect_ratio,
)
from transformers.image_utils import (
    ChannelDimension,
    PILImageResampling,
    SizeDict,
    get_image_size_for_max_height_width,
)
from transformers.modeling_outputs import SemanticSegmenterOutput
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil
from transformers.utils.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from .configuration_tasformer import TASFormerConfig
from .pictures import (
    check_runs_nothing,
    number_of_frames,
    open_picture,
    picture_name,
    to_eight_bit,
    upright_rgb,
)
from .views import padded, part_of_picture, shown

__all__ = ["TASFormerImageProcessor"]

_DEFAULT_SIZE = (320, 320)  # of the paper's main table
_RESCALE_FACTOR = 1 / 255
_ROUNDING = 1e-3
_IGNORED = 255  # SegFormer's label of pixels that nobody labelled


class TASFormerImageProcessor(SegformerImageProcessorPil):
    """Resize whole pictures to the crop size (their aspect changes) and normalise them.

    Pictures are files, addresses, Pillow's (turned upright as their EXIF data says), arrays or
    tensors; white where they are transparent. Arrays are brought to 0..255 where it is certain what
    their values mean, and refused elsewhere; with a ``rescale_factor`` of one's own, or with
    ``do_rescale=False``, values are taken as they are. Resizing is OpenCV's bilinear one, which
    training uses. What SegFormer's own processor takes, ``segmentation_maps`` and
    ``do_reduce_labels`` too, this one takes.
    """

    size = {"height": _DEFAULT_SIZE[0], "width": _DEFAULT_SIZE[1]}  # noqa: RUF012
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    rescale_factor = _RESCALE_FACTOR
    do_convert_rgb = True
    view = "squeeze"

    @classmethod
    def of_model(cls, config: TASFormerConfig) -> "TASFormerImageProcessor":
        """Make the processor of a network's crop size and view.

        Args:
            config: the network's; without a ``crop_size`` it is 320x320, as published.
        """
        height, width = config.crop_size or _DEFAULT_SIZE
        processor = cls(size={"height": height, "width": width})
        if config.view != "squeeze":  # else nothing is said of it: files stay as they were
            processor.view = config.view
        return processor

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """Open files and addresses; Transformers would drop what is transparent.

        Args:
            image_url_or_urls: files, addresses, pictures, or lists of these.

        Returns:
            The same, with pictures instead of files and addresses.
        """
        if isinstance(image_url_or_urls, PathLike) or _is_file_or_address(image_url_or_urls):
            return open_picture(image_url_or_urls)
        if isinstance(image_url_or_urls, np.ndarray | Tensor) and image_url_or_urls.ndim == 2:
            return image_url_or_urls[None]  # grey; Transformers wants channels
        return super().fetch_images(image_url_or_urls)  # base64, too; it says what is wrong

    def process_image(
        self,
        image: Any,
        do_convert_rgb: bool | None = None,
        input_data_format: str | ChannelDimension | None = None,
        **kwargs: Any,
    ) -> NDArray[Any]:
        """Turn one picture into an array, an upright RGB one of 8 bit where it is Pillow's.

        Args:
            image: Pillow's picture, an array or a tensor.
            do_convert_rgb: not read: networks take RGB only.
            input_data_format: where an array's channels are; by default, where 1, 3 or 4 are.
            **kwargs: as in Transformers.

        Returns:
            (C, H, W) of the array's own type.
        """
        if isinstance(image, Image.Image):
            return np.asarray(upright_rgb(image)).transpose(2, 0, 1)
        if isinstance(image, Tensor):
            image = image.detach().cpu()
            image = (image.float() if image.dtype == torch.bfloat16 else image).numpy()
        pixels: NDArray[Any] = super().process_image(
            image, do_convert_rgb=False, input_data_format=input_data_format, **kwargs
        )
        return pixels

    def _preprocess_image_like_inputs(  # type: ignore[override]  # what is used, by name
        self,
        images: Any,
        segmentation_maps: Any = None,
        *,
        do_convert_rgb: bool | None = None,
        do_reduce_labels: bool | None = None,
        input_data_format: str | ChannelDimension | None = None,
        return_tensors: str | None = None,
        data_format: str | ChannelDimension | None = None,
        device: Any = None,
        **kwargs: Any,
    ) -> BatchFeature:
        if data_format == ChannelDimension.LAST:
            raise ValueError("data_format is channels_last; the networks take channels_first only")
        as_they_are = not (
            kwargs["do_rescale"] and np.isclose(kwargs["rescale_factor"], _RESCALE_FACTOR)
        )
        pictures = [
            _rgb(pixels, as_they_are)
            for pixels in self._prepare_image_like_inputs(
                images, input_data_format=input_data_format
            )
        ]
        if not pictures:
            raise ValueError("there is no picture; expected one, or a list of at least one")
        # SegFormer's own would silently neither crop nor pad.
        data = dict(PilBackend._preprocess(self, pictures, return_tensors=None, **kwargs))
        if segmentation_maps is not None:
            if kwargs["do_center_crop"] or kwargs["do_pad"]:
                raise ValueError(
                    "segmentation_maps can be resized, but not cropped or padded; leave out "
                    "do_center_crop and do_pad"
                )
            maps = _label_maps(segmentation_maps, [pixels.shape[1:] for pixels in pictures])
            if do_reduce_labels:
                maps = [_reduced(labels) for labels in maps]
            if kwargs["do_resize"]:
                nearest = PILImageResampling.NEAREST
                maps = [self.resize(own[None], kwargs["size"], nearest)[0] for own in maps]
            data["labels"] = maps
        features = BatchFeature(data=data, tensor_type=return_tensors)
        return features if device is None else features.to(device)

    def resize(  # type: ignore[override]  # nothing else is used
        self,
        image: NDArray[Any],
        size: SizeDict,
        resample: PILImageResampling | int | None = None,
        **_kwargs: Any,
    ) -> NDArray[Any]:
        """Resize as training does; label maps to the nearest pixel, by the same geometry.

        Where the view pads, it is with a picture's mean colour, and with 255 beside labels.

        Args:
            image: (C, H, W).
            size: with ``height`` and ``width``, or one of the other forms of Transformers.
            resample: bilinear, or nearest.
            **_kwargs: not read.

        Returns:
            (C, height, width) of the same type; of the view ``crop`` of a size of its own.

        Raises:
            ValueError: if ``resample`` is another one, or the size has no known form.
        """
        (height, width), whole = shown(self.view, image.shape[1:], _target_size(image, size))
        if resample == PILImageResampling.NEAREST:
            rows, columns = (
                ((np.arange(target) + 0.5) * source / target).astype(int)
                for source, target in zip(image.shape[1:], (height, width), strict=True)
            )
            labels = image[:, rows[:, None], columns]
            return padded(labels.transpose(1, 2, 0), whole, _IGNORED).transpose(2, 0, 1)
        if resample not in (None, PILImageResampling.BILINEAR):
            raise ValueError(
                f"resample is {resample}; networks are trained on pictures that are resized "
                f"bilinearly ({int(PILImageResampling.BILINEAR)})"
            )
        channels_last = np.ascontiguousarray(image.transpose(1, 2, 0))
        resized = cv2.resize(channels_last, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(padded(resized, whole).transpose(2, 0, 1))

    def normalize(  # type: ignore[override]  # channels come first
        self, image: NDArray[Any], mean: Any, std: Any, **kwargs: Any
    ) -> NDArray[np.floating[Any]]:
        """Normalise values, if they are what the mean is of.

        Args:
            image: (3, H, W).
            mean: per channel, or of all.
            std: per channel, or of all.
            **kwargs: as in Transformers.

        Returns:
            (3, H, W) float.

        Raises:
            ValueError: if the mean is of values in [0, 1], and these are others.
        """
        low, high = float(image.min()), float(image.max())
        if np.max(mean) <= 1 and not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
            raise ValueError(
                f"values from {low:g} to {high:g} would be normalised with image_mean {mean}, "
                "which is of values from 0 to 1. Leave out do_rescale=False and rescale_factor for "
                "values from 0 to 255; give do_normalize=False as well for values that are "
                "normalised already"
            )
        normalized: NDArray[np.floating[Any]] = super().normalize(image, mean, std, **kwargs)
        return normalized

    def post_process_semantic_segmentation(
        self,
        outputs: SemanticSegmenterOutput,
        target_sizes: Sequence[tuple[int, int]] | Tensor | None = None,
        return_segmentation_scores: bool = False,
    ) -> list[Any]:
        """Turn a network's output into label maps, as SegFormer's own processor does.

        Args:
            outputs: with ``logits`` (B, C, h, w).
            target_sizes: (height, width) of each picture, or None for the logits' own.
            return_segmentation_scores: as in Transformers.

        Returns:
            Per picture (height, width) int64: the channel with the largest logit; where there is
            one channel, which is of the class that was asked for, 1 where it is and 0 elsewhere.
        """
        if target_sizes is not None:
            target_sizes = [(int(height), int(width)) for height, width in target_sizes]
        logits = outputs.logits
        if logits is not None and logits.shape[1] == 1:  # the largest of one would be it everywhere
            outputs = SemanticSegmenterOutput(logits=F.pad(logits, (0, 0, 0, 0, 1, 0)))
        if self.view == "pad" and target_sizes is not None and outputs.logits is not None:
            cut: list[Any] = []
            for own, size in zip(outputs.logits, target_sizes, strict=True):
                part = SemanticSegmenterOutput(logits=self._part_of_picture(own, size))
                cut += super().post_process_semantic_segmentation(
                    part, [size], return_segmentation_scores
                )
            return cut
        maps: list[Any] = super().post_process_semantic_segmentation(
            outputs, target_sizes, return_segmentation_scores
        )
        return maps

    def _part_of_picture(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Cut (C, H/4, W/4) at a whole pixel of what the network was shown: (1, C, h, w)."""
        upsampled = F.interpolate(
            logits[None], scale_factor=4, mode="bilinear", align_corners=False
        )
        return part_of_picture(self.view, upsampled, size)

    def post_process_class_probabilities(
        self, logits: Tensor, target_sizes: Sequence[tuple[int, int]]
    ) -> list[Tensor]:
        """Turn logits into probabilities at the pictures' own sizes.

        Args:
            logits: (B, T, H, W) float, one channel per class that was asked for.
            target_sizes: (height, width) of each picture.

        Returns:
            Per picture (T, height, width) float32 in [0, 1].
        """
        return [
            F.interpolate(
                part_of_picture(self.view, own, size)[None].float(),
                size=tuple(size),
                mode="bilinear",
                align_corners=False,
            )[0].sigmoid_()
            for own, size in zip(logits, target_sizes, strict=True)
        ]


def _is_file_or_address(given: Any) -> bool:
    if not isinstance(given, str):
        return False
    try:
        return given.startswith(("http://", "https://")) or Path(given).is_file()
    except OSError:  # too long for a name: base64
        return False


def _rgb(pixels: NDArray[Any], as_they_are: bool) -> NDArray[Any]:
    """Bring (C, H, W) to (3, H, W): uint8 from 0 to 255, or float32 as they are."""
    if pixels.size == 0 or pixels.shape[0] not in (1, 3, 4):
        raise ValueError(
            f"the picture is an array of shape {pixels.shape} (channels first); expected 1, 3 or 4 "
            "channels and at least a pixel"
        )
    if not as_they_are:
        pixels = to_eight_bit(pixels)
    elif pixels.dtype != np.uint8:
        pixels = pixels.astype(np.float32)
        if not np.isfinite(pixels).all():
            raise ValueError("the picture has values that are not finite")
    if pixels.shape[0] == 4:
        if pixels.dtype != np.uint8:
            raise ValueError(
                "the picture has a fourth channel, and its values are taken as they are: what of "
                "it is transparent is not certain; give three channels"
            )
        on_white = upright_rgb(Image.fromarray(pixels.transpose(1, 2, 0)))
        return np.asarray(on_white).transpose(2, 0, 1)
    return pixels.repeat(3, axis=0) if pixels.shape[0] == 1 else pixels


def _target_size(image: NDArray[Any], size: SizeDict) -> tuple[int, int]:
    """Read (height, width) from a size in one of the forms that Transformers knows."""
    own = (image.shape[1], image.shape[2])
    target: tuple[int, int]
    if size.height and size.width:
        target = (size.height, size.width)
    elif size.shortest_edge and size.longest_edge:
        target = get_size_with_aspect_ratio(own, size.shortest_edge, size.longest_edge)
    elif size.shortest_edge:
        target = get_resize_output_image_size(
            image,
            size.shortest_edge,
            default_to_square=False,
            input_data_format=ChannelDimension.FIRST,
        )
    elif size.max_height and size.max_width:
        target = get_image_size_for_max_height_width(own, size.max_height, size.max_width)
    else:
        raise ValueError(
            f"size is {dict(size)}; expected height and width, shortest_edge (with longest_edge), "
            "or max_height and max_width"
        )
    if min(target) < 1:
        raise ValueError(f"size is {dict(size)}; expected at least a pixel")
    return target


def _label_maps(given: Any, sizes: Sequence[tuple[int, ...]]) -> list[NDArray[np.int64]]:
    """Read label maps, which must be as many and as large as the pictures."""
    if not isinstance(given, list | tuple):
        if not isinstance(given, str | PathLike | Image.Image | Tensor):
            given = np.asarray(given)
        several = (
            isinstance(given, np.ndarray | Tensor) and given.ndim > 2 and len(given) == len(sizes)
        )
        given = list(given) if several else [given]
    if len(given) != len(sizes):
        raise ValueError(f"there are {len(sizes)} pictures, but {len(given)} segmentation_maps")
    maps = [_label_map(each) for each in given]
    for place, (labels, size) in enumerate(zip(maps, sizes, strict=True)):
        if labels.shape != size:
            raise ValueError(
                f"segmentation map {place} has (height, width) {labels.shape}, but its picture has "
                f"{tuple(size)}"
            )
    return maps


def _label_map(given: Any) -> NDArray[np.int64]:
    """Read one label map: (H, W), a palette's indices, any whole numbers."""
    if isinstance(given, str | PathLike):
        with Image.open(given) as file:
            check_runs_nothing(file)
            return _label_map(file)
    if isinstance(given, Image.Image):
        if number_of_frames(given) > 1:
            raise ValueError(
                f"segmentation map {picture_name(given)} has several frames or pages; expected one"
            )
        given = ImageOps.exif_transpose(given)
        if given.mode not in ("1", "L", "P") and not given.mode.startswith("I"):
            raise ValueError(
                f"segmentation map {picture_name(given)} is a picture of mode {given.mode}; "
                "expected one channel whose values are labels (grey, or a palette)"
            )
    values = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values.squeeze(0 if values.shape[0] == 1 else 2)
    if values.ndim != 2:
        raise ValueError(
            f"a segmentation map is an array of shape {values.shape}; expected (height, width)"
        )
    with np.errstate(invalid="ignore"):  # what is not finite is no whole number, either
        labels: NDArray[np.int64] = values.astype(np.int64)
    if not (labels == values).all():
        raise ValueError("a segmentation map has values that are no whole numbers")
    return labels


def _reduced(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count labels from 0 that were counted from 1, and ignore 0."""
    return np.where((labels == 0) | (labels == _IGNORED), _IGNORED, labels - 1)


AutoImageProcessor.register(
    TASFormerConfig,
    image_processor_classes={
        "pil": TASFormerImageProcessor,
        "torchvision": TASFormerImageProcessor,  # which Transformers asks for where it is installed
    },
    exist_ok=True,
)
