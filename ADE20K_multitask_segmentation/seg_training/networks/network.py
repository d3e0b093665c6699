"""Network: uint8 images in, logits of their size out, around a Hugging Face model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from seg_training.errors import UserError
from transformers_update_for_adapters import TASFormerForSemanticSegmentation
from transformers_update_for_adapters.class_thresholds import has_own_thresholds
from transformers_update_for_adapters.expected_iou import least_painted, masks_of_largest_iou
from transformers_update_for_adapters.input_checks import can_look_at, check_known_ids
from transformers_update_for_adapters.modeling_tasformer import Recognition
from transformers_update_for_adapters.views import part_of_picture

__all__ = ["Network", "Recognition"]

# Of float images: some resizings leave [0, 1] a little, and what is no such image goes far beyond.
_LEAST, _MOST = -0.5, 1.5

# ImageNet's mean and standard deviation in thousandths: whole numbers, and so exact in every
# floating-point type that the network is cast to.
_MEAN = (485.0, 456.0, 406.0)
_STD = (229.0, 224.0, 225.0)


class Network(nn.Module):
    """A class-prompted segmentation network: an image and a task id in, the class's logits out.

    Attributes:
        model: the Hugging Face model.
        config: its configuration.
        method: the method's name.
        num_tasks: the number of classes K.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: TASFormerForSemanticSegmentation) -> None:
        """Wrap a Hugging Face model."""
        super().__init__()
        self.model = model
        self.config = model.config
        self.method: str = model.config.method
        self.num_tasks: int = model.config.num_tasks
        for name, values in (("mean", _MEAN), ("std", _STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    @property
    def prompted(self) -> bool:
        """Whether it is asked one class at a time; else it has a channel per class."""
        return self.config.method_class.prompted

    @property
    def trains_on_label_maps(self) -> bool:
        """Whether its channels compete for each pixel; else it learns masks of single classes."""
        return not (self.prompted or self.config.overlapping)

    @property
    def recognises(self) -> bool:
        """Whether something labels every pixel: a recogniser, or the network itself."""
        return self.model.task_channels is not None

    @property
    def tells_presence(self) -> bool:
        """Whether it says which classes are in a picture, and was calibrated for it."""
        return self.model.tells_presence

    @property
    def unknown_tasks(self) -> tuple[int, ...]:
        """Tasks that a recogniser does not know: no margin says what else a pixel may be.

        In a label map they are where they are found and no other task is.
        """
        channels = self.model.task_channels
        known = (True,) * self.num_tasks if channels is None else channels.with_margin
        return tuple(task for task, is_known in enumerate(known) if not is_known)

    @property
    def task_names(self) -> tuple[str, ...]:
        """Task k's name; empty where they are not known."""
        return tuple(self.config.task_names or ())

    @property
    def crop_size(self) -> tuple[int, int]:
        """(height, width) that images were resized to in training.

        Raises:
            ValueError: if it is not known.
        """
        if self.config.crop_size is None:
            raise ValueError("the network does not know its crop size: set config.crop_size")
        height, width = self.config.crop_size
        return height, width

    def bounds(self, logits: Tensor, task_ids: Tensor) -> Tensor | None:
        """Say above which logits classes are painted on a picture when calibrated.

        Args:
            logits: (T, h, w) float, of the whole picture.
            task_ids: (T,) int64.

        Returns:
            (T,) float32; None where it is 0 for all classes of the network.

        Raises:
            ImportError: if the package ``rankseg`` is needed, and is not installed.
        """
        if self.config.iou_temperature is not None:
            masks = masks_of_largest_iou(logits, self.config.iou_temperature)
            least = least_painted(logits.float(), masks)
            return least.nextafter(least.new_tensor(-torch.inf))  # it is painted itself
        # Whether all are 0 is seen here: a GPU's tensor would make the host wait.
        if not any(self.config.thresholds or ()):
            return None
        return torch.tensor(self.config.thresholds, dtype=torch.float32, device=task_ids.device)[
            task_ids
        ]

    @property
    def gate(self) -> float:
        """The presence, from 0 to 1, from which on a class is painted when calibrated.

        0 where no class is left out: without thresholds nothing is calibrated.
        """
        presence = self.config.presence if has_own_thresholds(self.config) else None
        return float((presence or {}).get("gate", 0.0))

    def part_of_picture(self, maps: Tensor, picture: Sequence[int]) -> Tensor:
        """Cut off what the network was shown beyond a picture: padding, if its view pads.

        Args:
            maps: (..., H, W), of the size that it was shown: logits, say.
            picture: (height, width) of the picture itself.

        Returns:
            (..., h, w).
        """
        return part_of_picture(self.config.view, maps, picture)

    def forward(
        self, pixel_values: Tensor, task_ids: Tensor, image_rows: Tensor | None = None
    ) -> Tensor:
        """Ask one class of each image, or several.

        Args:
            pixel_values: (B, 3, H, W) uint8, or float in [0, 1].
            task_ids: (N,) int64, each in [0, num_tasks); N is B where each image is asked one.
            image_rows: (N,) int64 in [0, B), of which image each id is; by default of one each.

        Returns:
            (N, 1, H, W) float logits; positive means "this class".
        """
        number = (pixel_values if image_rows is None else image_rows).shape[0]
        # Sizes are compared one by one: comparing shapes would fix them in an export.
        if task_ids.ndim != 1 or task_ids.shape[0] != number:
            raise ValueError(
                f"task_ids has shape {tuple(task_ids.shape)}; expected one id per image, "
                f"({number},)"
            )
        task_ids = self._checked_ids(task_ids, pixel_values)
        if not self.prompted and self.config.overlapping:  # only channels asked are resized
            label_logits = self.model.label_logits(self.normalised(pixel_values))
            if image_rows is not None:
                label_logits = label_logits[image_rows]
            margins = self.model.margins(label_logits, task_ids[:, None])
            return self.model.upsample(margins, pixel_values.shape[-2:])
        if not self.prompted:
            label_logits = self.label_logits(pixel_values)
            if image_rows is not None:
                label_logits = label_logits[image_rows]
            return self.model.margins(label_logits, task_ids[:, None])
        normalised = self.normalised(pixel_values)
        logits = self.model(normalised, task_ids=task_ids, image_rows=image_rows).logits
        return self.model.upsample(logits, pixel_values.shape[-2:])

    def label_logits(self, pixel_values: Tensor) -> Tensor:
        """Give the logits of all channels, of ``segformer`` or of the recogniser.

        Args:
            pixel_values: (B, 3, H, W) uint8, or float in [0, 1].

        Returns:
            (B, C, H, W) float: of ``segformer`` with ``other_channel``, channel 0 is "other" and
            task k is in channel k + 1; without, channel k is task k. Of a recogniser, its labels.
        """
        if not self.recognises:
            raise ValueError(
                "label_logits is for method 'segformer' and for networks with a recogniser, this "
                f"is '{self.method}' without; use task_logits"
            )
        logits = self.model.label_logits(self.normalised(pixel_values))
        return self.model.upsample_labels(logits, pixel_values.shape[-2:])

    def recognise(self, pixel_values: Tensor) -> Recognition | None:
        """Ask the recogniser what there is, once for all classes.

        Args:
            pixel_values: (B, 3, H, W) uint8, or float in [0, 1].

        Returns:
            What :meth:`task_logits` takes, with ``presence``, (B, K) in [0, 1], nan where a class
            is unknown; None where nothing recognises.
        """
        return self.model.recognise(self.normalised(pixel_values)) if self.recognises else None

    def margin_logits(
        self, pixel_values: Tensor, task_ids: Tensor, recognition: Recognition | None = None
    ) -> Tensor:
        """Give what the recogniser alone makes of classes, where there is one.

        Args:
            pixel_values: (B, 3, H, W) uint8, or float in [0, 1].
            task_ids: (T,) int64, each in [0, num_tasks).
            recognition: what :meth:`recognise` gave for these images, if it was asked.

        Returns:
            (B, T, H, W) float logits: those of :meth:`task_logits` before anything is painted.
        """
        recognition = recognition or self.model.recognise(self.normalised(pixel_values))
        asked = task_ids.to(pixel_values.device).expand(len(pixel_values), -1)
        margins = self.model.margins(recognition.label_logits, asked)
        return self.model.upsample(margins, pixel_values.shape[-2:])

    def task_logits(
        self, pixel_values: Tensor, task_ids: Tensor, recognition: Recognition | None = None
    ) -> Tensor:
        """Ask many classes of each image; in evaluation mode as ``forward`` would, but faster.

        What does not depend on the class is computed once per image.

        Args:
            pixel_values: (B, 3, H, W) uint8, or float in [0, 1].
            task_ids: (T,) int64, each in [0, num_tasks).
            recognition: what :meth:`recognise` gave for these images, if it was asked.

        Returns:
            (B, T, H, W) float logits; positive means "this class".
        """
        if task_ids.ndim != 1:
            raise ValueError(f"task_ids has shape {tuple(task_ids.shape)}; expected (T,)")
        task_ids = self._checked_ids(task_ids, pixel_values)
        return self.model.class_logits(self.normalised(pixel_values), task_ids, recognition)

    @contextmanager
    def kept(self) -> Iterator["Network"]:
        """Promise to hold the weights still: ``with network.kept(): ...`` many calls are faster.

        As :meth:`TASFormerForSemanticSegmentation.kept`.

        Yields:
            The network.
        """
        with self.model.kept():
            yield self

    def _checked_ids(self, task_ids: Tensor, pixel_values: Tensor) -> Tensor:
        if can_look_at(task_ids):
            check_known_ids(task_ids, self.num_tasks)
        return task_ids.to(pixel_values.device)

    def normalised(self, pixel_values: Tensor) -> Tensor:
        """Bring images into the form that the Hugging Face model takes.

        Args:
            pixel_values: (B, 3, H, W) uint8, or float in [0, 1].

        Returns:
            (B, 3, H, W) float, with ImageNet's mean and standard deviation taken out.

        Raises:
            ValueError: if it is something else: of the values on a GPU we do not know, for looking
                at them would make the host wait.
        """
        if pixel_values.ndim != 4 or pixel_values.shape[1] != 3:
            raise ValueError(
                f"pixel_values has shape {tuple(pixel_values.shape)}; expected (B, 3, H, W)"
            )
        if pixel_values.dtype != torch.uint8 and not pixel_values.is_floating_point():
            raise ValueError(
                f"pixel_values is {pixel_values.dtype}; expected uint8, or float in [0, 1]"
            )
        if pixel_values.is_floating_point() and can_look_at(pixel_values):
            low, high = (float(value) for value in pixel_values.detach().aminmax())
            if not _LEAST <= low <= high <= _MOST:
                raise ValueError(
                    f"pixel_values is float, from {low:.3g} to {high:.3g}; expected values in "
                    "[0, 1], or uint8. Mean and standard deviation are taken out here, not before"
                )
        self.check_size(*pixel_values.shape[-2:])
        scale = 1000 / 255 if pixel_values.dtype == torch.uint8 else 1000
        return (pixel_values.to(self.mean.dtype) * scale - self.mean) / self.std

    def check_size(self, height: int, width: int) -> None:
        """Refuse images of a size that the network does not take.

        Raises:
            UserError: if task maps are of another size; the message says of which.
        """
        if self.model.task_maps is None:
            return
        try:
            self.model.task_maps.check_size(((height + 3) // 4, (width + 3) // 4), (height, width))
        except ValueError as error:
            raise UserError(str(error)) from error
