"""Pictures as the networks were trained on them, in Hugging Face's form."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoImageProcessor
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import PILImageResampling, SizeDict
from transformers.utils.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from .configuration_tasformer import TASFormerConfig
from .pictures import open_picture, upright_rgb

__all__ = ["TASFormerImageProcessor"]

_DEFAULT_SIZE = (320, 320)  # of the paper's main table


class TASFormerImageProcessor(PilBackend):
    """Resize whole pictures to the crop size (their aspect changes) and normalise them.

    Pictures are files, addresses, Pillow's (turned upright as their EXIF data says), arrays or
    tensors; white where they are transparent, but of floats alpha is left out. Resizing is OpenCV's
    bilinear one, which training uses.
    """

    resample = PILImageResampling.BILINEAR
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    size = {"height": _DEFAULT_SIZE[0], "width": _DEFAULT_SIZE[1]}  # noqa: RUF012
    do_resize = True
    do_rescale = True
    do_normalize = True
    do_convert_rgb = True

    @classmethod
    def of_model(cls, config: TASFormerConfig) -> "TASFormerImageProcessor":
        """Make the processor of a network's crop size.

        Args:
            config: the network's; without a ``crop_size`` it is 320x320, as published.
        """
        height, width = config.crop_size or _DEFAULT_SIZE
        return cls(size={"height": height, "width": width})

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """Open files and addresses; Transformers would drop what is transparent.

        Args:
            image_url_or_urls: files, addresses, pictures, or lists of these.

        Returns:
            The same, with pictures instead of files and addresses.
        """
        if isinstance(image_url_or_urls, str):
            with suppress(OSError):
                return open_picture(image_url_or_urls)
        return super().fetch_images(image_url_or_urls)  # base64, too; it says what is wrong

    def process_image(self, image: Any, *args: Any, **kwargs: Any) -> NDArray[Any]:
        """Turn one picture into an upright RGB array.

        Args:
            image: Pillow's picture, an array or a tensor.
            *args: as in Transformers.
            **kwargs: as in Transformers.

        Returns:
            (3, H, W), uint8 for whole numbers.
        """
        if isinstance(image, Image.Image):
            image = upright_rgb(image)
        pixels: NDArray[Any] = super().process_image(image, *args, **kwargs)
        if pixels.shape[0] == 4 and pixels.dtype == np.uint8:
            on_white = upright_rgb(Image.fromarray(pixels.transpose(1, 2, 0)))
            return np.asarray(on_white).transpose(2, 0, 1)
        return pixels.repeat(3, axis=0) if pixels.shape[0] == 1 else pixels[:3]

    def resize(
        self, image: NDArray[Any], size: SizeDict, *_args: Any, **_kwargs: Any
    ) -> NDArray[Any]:
        """Resize as training does.

        Args:
            image: (3, H, W).
            size: with ``height`` and ``width``.
            *_args: not read.
            **_kwargs: not read.

        Returns:
            (3, height, width) of the same type.
        """
        channels_last = np.ascontiguousarray(image.transpose(1, 2, 0))
        width_and_height = [size["width"], size["height"]]
        resized = cv2.resize(channels_last, width_and_height, interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(resized.transpose(2, 0, 1)).astype(image.dtype, copy=False)

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
                own[None].float(), size=tuple(size), mode="bilinear", align_corners=False
            )[0].sigmoid_()
            for own, size in zip(logits, target_sizes, strict=True)
        ]


AutoImageProcessor.register(
    TASFormerConfig,
    image_processor_classes={
        "pil": TASFormerImageProcessor,
        "torchvision": TASFormerImageProcessor,  # which Transformers asks for where it is installed
    },
    exist_ok=True,
)
