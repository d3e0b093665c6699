import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, SegformerImageProcessor
from transformers.modeling_outputs import SemanticSegmenterOutput

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


GREY = PIXELS[..., 0]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (PIXELS / 255, PIXELS),
        ((PIXELS / 255).astype(np.float32), PIXELS),
        ((PIXELS / 255).astype(np.float16), PIXELS),
        (PIXELS.astype(np.float64), PIXELS),
        (PIXELS.astype(np.int64), PIXELS),
        (PIXELS.astype(np.uint16), PIXELS),
        (PIXELS.astype(np.uint16) * 257, PIXELS),
        (PIXELS > 127, (PIXELS > 127) * np.uint8(255)),
        ((PIXELS / 255).transpose(2, 0, 1), PIXELS),
        (GREY / 255, GREY),
        (GREY[..., None] / 255, GREY),
        (torch.from_numpy(PIXELS.astype(np.int64)), PIXELS),
        (torch.from_numpy(PIXELS / 255).requires_grad_(), PIXELS),
        (torch.from_numpy(PIXELS / 255).permute(2, 0, 1).float(), PIXELS),
        ((torch.from_numpy(PIXELS) > 127).bfloat16(), (PIXELS > 127) * np.uint8(255)),
        (np.concatenate([PIXELS, PIXELS[..., :1] * 0], 2) / 255, np.full_like(PIXELS, 255)),
    ],
)
def test_a_picture_is_the_same_in_every_type(
    processor: TASFormerImageProcessor, given: Any, expected: Any
) -> None:
    torch.testing.assert_close(prepared(processor, given), prepared(processor, expected))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (PIXELS.astype(np.uint16) * 16, "type uint16 from 0 to 4080, of which it is not certain"),
        (PIXELS / 127.5 - 1, "type float64 from -1 to 1, of which"),
        (PIXELS / 255 * np.nan, "not finite"),
        (np.zeros((0, 4, 3), np.uint8), "at least a pixel"),
    ],
)
def test_what_is_not_certain_is_refused(
    processor: TASFormerImageProcessor, given: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        prepared(processor, given)


def test_pictures_come_in_batches_and_lists(processor: TASFormerImageProcessor) -> None:
    expected = prepared(processor, PIXELS, PIXELS[::-1].copy())
    batch = np.stack([PIXELS, PIXELS[::-1]])
    for given in (batch, batch / 255, torch.from_numpy(batch).permute(0, 3, 1, 2), [*batch]):
        torch.testing.assert_close(processor(given, return_tensors="pt")["pixel_values"], expected)
    mixed = prepared(processor, PIXELS, PIXELS[:30, :20], Image.fromarray(GREY))
    assert mixed.shape == (3, 3, 24, 32)
    with pytest.raises(ValueError, match="there is no picture; expected one"):
        processor([])


def test_sizes_have_every_form_of_transformers(processor: TASFormerImageProcessor) -> None:
    stock = SegformerImageProcessor()
    for size in (
        *(17, {"height": 20, "width": 30}, {"shortest_edge": 16}),
        *({"shortest_edge": 16, "longest_edge": 20}, {"max_height": 20, "max_width": 20}),
    ):
        own, other = (each(PIXELS, size=size, return_tensors="np") for each in (processor, stock))
        assert own["pixel_values"].shape == other["pixel_values"].shape
    with pytest.raises(ValueError, match="expected height and width, shortest_edge"):
        processor(PIXELS, size={"longest_edge": 20})
    with pytest.raises(ValueError, match="expected at least a pixel"):
        processor(PIXELS, size=-5)
    with pytest.raises(ValueError, match=r"resample is 3; .* bilinearly"):
        processor(PIXELS, resample=3)
    with pytest.raises(ValueError, match="take channels_first only"):
        processor(PIXELS, data_format="channels_last")


def test_steps_that_are_left_out(processor: TASFormerImageProcessor) -> None:
    def values(given: Any = PIXELS, **options: Any) -> np.ndarray:
        [pixels] = processor(given, **options)["pixel_values"]
        return np.asarray(pixels)

    channels_first = PIXELS.transpose(2, 0, 1)
    expected = (channels_first / 255 - MEAN[:, None, None]) / STD[:, None, None]
    np.testing.assert_allclose(values(do_resize=False), expected, atol=1e-5)
    in_0_to_1 = values(do_resize=False, do_normalize=False)
    np.testing.assert_allclose(in_0_to_1, channels_first / 255, atol=1e-6)
    raw = values(do_resize=False, do_normalize=False, do_rescale=False)
    np.testing.assert_array_equal(raw, channels_first)
    given = values(PIXELS / 255, do_resize=False, do_rescale=False)
    np.testing.assert_allclose(given, expected, atol=1e-5)
    twelve_bit = PIXELS.astype(np.uint16) * 16
    given = values(twelve_bit, do_resize=False, rescale_factor=1 / (16 * 255))
    np.testing.assert_allclose(given, expected, atol=1e-5)
    normalized = values(expected, do_resize=False, do_rescale=False, do_normalize=False)
    np.testing.assert_allclose(normalized, expected, atol=1e-5)
    for options in ({"do_rescale": False}, {"rescale_factor": 1 / 127.5}):
        with pytest.raises(ValueError, match=r"values from .* would be normalised with image"):
            values(**options)
    with pytest.raises(ValueError, match="fourth channel"):
        values(np.ones((9, 9, 4)), do_rescale=False)
    with pytest.raises(ValueError, match="not finite"):
        values(PIXELS / 255 * np.nan, do_rescale=False)


LABELS = np.random.default_rng(1).choice([0, 1, 2, 150, 255], (40, 60)).astype(np.uint8)


@pytest.mark.parametrize("reduce", [False, True])
def test_label_maps_are_those_of_transformers(
    processor: TASFormerImageProcessor, reduce: bool, tmp_path: Path
) -> None:
    palette = Image.fromarray(LABELS)
    palette.putpalette([value for k in range(256) for value in (255 - k, k, 7)])
    palette.save(tmp_path / "labels.png")
    original = LABELS.copy()
    size = {"height": 24, "width": 33}
    options = {"size": size, "do_reduce_labels": reduce, "return_tensors": "pt"}
    expected = SegformerImageProcessor()(PIXELS, LABELS.copy(), **options)["labels"]
    for maps in (
        *(LABELS, [LABELS], LABELS[None], LABELS[..., None], torch.from_numpy(LABELS)),
        *(LABELS.astype(np.uint16), LABELS.astype(np.float32), palette),
        *(tmp_path / "labels.png", [str(tmp_path / "labels.png")]),
        Image.fromarray(LABELS.astype(np.uint16)),
    ):
        given = processor(PIXELS, segmentation_maps=maps, **options)
        assert given["labels"].dtype == torch.int64
        torch.testing.assert_close(given["labels"], expected)
        assert given["pixel_values"].shape == (1, 3, 24, 33)
    np.testing.assert_array_equal(LABELS, original)  # the user's own array
    both = processor([PIXELS, PIXELS[:20]], [LABELS, LABELS[:20]], **options)["labels"]
    assert both.shape == (2, 24, 33)
    torch.testing.assert_close(both[:1], expected)
    whole = processor(PIXELS, LABELS, do_resize=False)["labels"]
    np.testing.assert_array_equal(whole[0], LABELS)


def test_label_maps_that_do_not_fit(processor: TASFormerImageProcessor, tmp_path: Path) -> None:
    for maps, words in (
        ([LABELS, LABELS], "there are 1 pictures, but 2 segmentation_maps"),
        (LABELS[:20], r"map 0 has \(height, width\) \(20, 60\), but its picture has \(40, 60\)"),
        (PIXELS, r"an array of shape \(40, 60, 3\); expected \(height, width\)"),
        (Image.fromarray(PIXELS), "a picture of mode RGB; expected one channel"),
        (LABELS / 2, "values that are no whole numbers"),
        (torch.full((40, 60), torch.nan).requires_grad_(), "values that are no whole numbers"),
    ):
        with pytest.raises(ValueError, match=words):
            processor(PIXELS, segmentation_maps=maps)
    with pytest.raises(ValueError, match="leave out do_center_crop and do_pad"):
        processor(PIXELS, LABELS, do_center_crop=True, crop_size=20)
    frames = [Image.fromarray(LABELS), Image.fromarray(LABELS[::-1])]
    frames[0].save(tmp_path / "labels.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=r"labels\.tif has several frames or pages"):
        processor(PIXELS, tmp_path / "labels.tif")


def test_outputs_become_label_maps(processor: TASFormerImageProcessor) -> None:
    outputs = SemanticSegmenterOutput(logits=torch.randn(2, 5, 6, 8))
    for sizes in (None, [(40, 60), (7, 5)], torch.tensor([[40, 60], [7, 5]])):
        listed = sizes.tolist() if isinstance(sizes, torch.Tensor) else sizes
        expected = SegformerImageProcessor().post_process_semantic_segmentation(outputs, listed)
        given = processor.post_process_semantic_segmentation(outputs, sizes)
        for own, other in zip(given, expected, strict=True):
            torch.testing.assert_close(own, other)
    of_a_class = SemanticSegmenterOutput(logits=outputs.logits[:, :1])
    given = processor.post_process_semantic_segmentation(of_a_class)
    torch.testing.assert_close(torch.stack(given), (outputs.logits[:, 0] > 0).long())
    [first, _] = processor.post_process_semantic_segmentation(of_a_class, [(40, 60), (7, 5)])
    resized = torch.nn.functional.interpolate(outputs.logits[:1, :1], (40, 60), mode="bilinear")
    torch.testing.assert_close(first, (resized[0, 0] > 0).long())
    with pytest.raises(ValueError, match="as many target sizes"):
        processor.post_process_semantic_segmentation(of_a_class, [(40, 60)])


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    own = TASFormerImageProcessor(size={"shortest_edge": 16}, do_reduce_labels=True)
    own.save_pretrained(tmp_path)
    loaded = AutoImageProcessor.from_pretrained(tmp_path)
    assert loaded.to_dict() == own.to_dict()
    for key in ("pixel_values", "labels"):
        np.testing.assert_array_equal(
            *(each(PIXELS, LABELS, return_tensors="np")[key] for each in (own, loaded))
        )


def test_a_path_is_a_picture(processor: TASFormerImageProcessor, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "photo.png")
    torch.testing.assert_close(
        prepared(processor, tmp_path / "photo.png"), prepared(processor, PIXELS)
    )
    stored = (tmp_path / "photo.png").read_bytes()
    (tmp_path / "photo.png").write_bytes(stored[:3000])
    with pytest.raises(OSError, match=r"truncated"):
        prepared(processor, str(tmp_path / "photo.png"))
