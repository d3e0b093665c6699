import base64
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor

from transformers_update_for_adapters import TASFormerConfig, TASFormerImageProcessor

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.fixture
def processor() -> TASFormerImageProcessor:
    return TASFormerImageProcessor.of_model(TASFormerConfig(crop_size=[24, 32]))


def prepared(processor: TASFormerImageProcessor, *pictures: object) -> torch.Tensor:
    values: torch.Tensor = processor(list(pictures), return_tensors="pt")["pixel_values"]
    return values


def test_the_whole_picture_is_resized_as_in_training(processor: TASFormerImageProcessor) -> None:
    resized = cv2.resize(PIXELS, (32, 24), interpolation=cv2.INTER_LINEAR)
    expected = ((resized / 255 - MEAN) / STD).transpose(2, 0, 1)
    values = prepared(processor, Image.fromarray(PIXELS), PIXELS, torch.from_numpy(PIXELS))
    assert values.dtype == torch.float32
    for own in values.numpy():
        np.testing.assert_allclose(own, expected, atol=1e-6)


def test_pictures_of_every_kind(processor: TASFormerImageProcessor, tmp_path: Path) -> None:
    picture = Image.fromarray(PIXELS)
    of_colour = prepared(processor, picture)
    torch.testing.assert_close(prepared(processor, picture.convert("RGBA")), of_colour)
    grey = picture.convert("L")
    of_grey = prepared(processor, grey.convert("RGB"))
    torch.testing.assert_close(prepared(processor, grey), of_grey)
    torch.testing.assert_close(prepared(processor, np.asarray(grey)[None]), of_grey)
    sixteen_bit = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    torch.testing.assert_close(prepared(processor, sixteen_bit), of_grey)
    palette = picture.convert("P")
    torch.testing.assert_close(
        prepared(processor, palette), prepared(processor, palette.convert("RGB"))
    )


def test_words_are_files_or_base64(processor: TASFormerImageProcessor, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "photo.png")
    encoded = base64.b64encode((tmp_path / "photo.png").read_bytes()).decode()
    expected = prepared(processor, PIXELS)
    for words in (str(tmp_path / "photo.png"), encoded):
        torch.testing.assert_close(prepared(processor, words), expected)
    with pytest.raises(ValueError, match="Incorrect image source"):
        prepared(processor, str(tmp_path / "nowhere.png"))


def test_a_picture_is_turned_upright(processor: TASFormerImageProcessor, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(PIXELS).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        upright = np.ascontiguousarray(np.rot90(PIXELS, -1))
        torch.testing.assert_close(prepared(processor, turned), prepared(processor, upright))


def test_probabilities_at_the_pictures_own_size(processor: TASFormerImageProcessor) -> None:
    logits = torch.tensor([[[[0.0, 2.0]]], [[[-1.0, -1.0]]]])
    first, second = processor.post_process_class_probabilities(logits, [(1, 4), (2, 2)])
    # Bilinear between the middles of the two pixels: 0, 0.5, 1.5, 2.
    expected = torch.tensor([[[0.0, 0.5, 1.5, 2.0]]]).sigmoid()
    torch.testing.assert_close(first, expected)
    torch.testing.assert_close(second, torch.full((1, 2, 2), -1.0).sigmoid())


def test_it_is_found_by_its_name(
    processor: TASFormerImageProcessor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    processor.save_pretrained(tmp_path)
    loaded = AutoImageProcessor.from_pretrained(tmp_path)
    assert type(loaded) is TASFormerImageProcessor
    assert loaded.to_dict() == processor.to_dict()
    assert dict(loaded.size) == {"height": 24, "width": 32}
    assert "Falling back" not in caplog.text


def test_without_a_crop_size_it_is_the_papers() -> None:
    assert dict(TASFormerImageProcessor.of_model(TASFormerConfig()).size) == {
        "height": 320,
        "width": 320,
    }
