"""Weights and activations of an ONNX file in 8 bits, by ONNX Runtime's quantiser."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from seg_training.datasets.batches import by_dataset
from seg_training.datasets.data_module_base import DataModule
from seg_training.export.onnx_files import OUTPUT
from seg_training.files.atomic_writes import replacing
from seg_training.files.cleaning_up import scratch_folder

__all__ = ["calibration_batches", "quantise"]

_OPERATIONS = ["Conv", "Gemm", "MatMul"]


def calibration_batches(data: DataModule, number: int) -> Iterator[dict[str, NDArray[Any]]]:
    """Take images and classes as they are trained on.

    Args:
        data: whose training split to take.
        number: of batches.

    Yields:
        ``images`` (B, 3, H, W) uint8 and ``class_ids`` (B, 1) int64.
    """
    data.setup("fit")
    for batch in islice(data.train_dataloader(), number):
        for own in by_dataset(batch).values():
            yield {"images": own.sample_images.numpy(), "class_ids": own.task_ids[:, None].numpy()}


def quantise(exact: Path, small: Path, batches: Iterator[Mapping[str, NDArray[Any]]]) -> None:
    """Write a file whose matrix products and convolutions are of 8-bit whole numbers.

    The ranges of activations are those that occur in the batches. Weights have a scale per output
    channel; products of two activations, as in attention, stay in float.

    Args:
        exact: an ONNX file of a whole network.
        small: replaced if it is there.
        batches: inputs of the file.

    Raises:
        UserError: if the file cannot be written.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> Mapping[str, NDArray[Any]] | None:
            return next(batches, None)

    with scratch_folder() as folder, replacing(small, OUTPUT) as unfinished:
        prepared = folder / "prepared.onnx"
        quant_pre_process(exact, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            unfinished,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_OPERATIONS,
            per_channel=True,
            extra_options={"MatMulConstBOnly": True},
        )
