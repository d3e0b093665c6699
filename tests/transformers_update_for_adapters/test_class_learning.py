"""Classes learnt from a few pictures: what was known stays, and what is new is found."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_networks import SMALL, photo, recognising_network, small_network

from seg_training.networks import Network, build_network
from transformers_update_for_adapters import TASFormerForSemanticSegmentation
from transformers_update_for_adapters import class_learning as learning
from transformers_update_for_adapters.added_classes import class_tensors
from transformers_update_for_adapters.class_learning import (
    LearningSettings,
    learn_classes,
    part_pictures,
)
from transformers_update_for_adapters.class_starts import STARTS
from transformers_update_for_adapters.few_pictures import LabelledPicture, read_few_pictures

PICTURES = [photo(64, 96, seed) for seed in range(4)]
MASKS = [picture[..., 0] > 128 for picture in PICTURES]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "_ROW_STOPS", (10, 40))
    monkeypatch.setattr(learning, "_PAINTED_STOPS", (2, 4))


def networks() -> dict[str, Network]:
    return {
        "recognising": recognising_network(),
        "recognising emb": recognising_network("emb"),
        **{
            name: small_network(name)
            for name in ("segformer", "adapter_hf", "adapter_hf++", "emb", "channels")
        },
    }


@pytest.mark.parametrize("name", networks())
def test_what_was_known_stays_to_the_bit(name: str) -> None:
    before = networks()[name]
    weights = {key: own.clone() for key, own in before.model.state_dict().items()}
    after = Network(before.model.learn_class("mug", PICTURES, MASKS))
    for key, own in after.model.state_dict().items():
        if key in weights:
            assert torch.equal(own[tuple(map(slice, weights[key].shape))], weights[key]), key
            assert torch.equal(before.model.state_dict()[key], weights[key])
    images, known = torch.from_numpy(PICTURES[0]).permute(2, 0, 1)[None], torch.arange(5)
    with torch.inference_mode():
        logits = before.task_logits(images, known)
        assert torch.equal(after.task_logits(images, known), logits)
        assert torch.equal(after(images, known[:1]), before(images, known[:1]))
        with before.kept(), after.kept():
            together = after.task_logits(images, torch.arange(6))
            torch.testing.assert_close(together[:, :5], logits, rtol=0, atol=1e-6)
        if before.recognises:
            recognised, now = before.recognise(images), after.recognise(images)
            assert recognised is not None
            assert now is not None
            assert torch.equal(now.presence[:, :5].nan_to_num(), recognised.presence.nan_to_num())
    assert after.config.thresholds is not None
    assert after.config.thresholds[:5] == (before.config.thresholds or [0.0] * 5)
    assert after.task_names == (*before.task_names, "mug")


def test_a_learnt_class_is_saved_and_described(tmp_path: Path) -> None:
    model = recognising_network().model
    bright = [picture.mean(2) > 140 for picture in PICTURES]
    learnt = model.learn_class("bright", PICTURES, bright, LearningSettings(seed=1))
    expected = learnt.config.origin["learnt"]["bright"]
    assert expected["pictures"] == 4
    assert expected["interval"][0] <= expected["expected_bIoU"] <= expected["interval"][1]
    learnt.save_pretrained(tmp_path)
    again: Any = TASFormerForSemanticSegmentation.from_pretrained(tmp_path)
    assert again.config.thresholds == learnt.config.thresholds
    asked = [learnt.segment(PICTURES[0], ["all"]), again.segment(PICTURES[0], ["all"])]
    assert list(asked[0].probabilities) == [*(model.config.task_names or ()), "bright"]
    for name, own in asked[0].probabilities.items():
        np.testing.assert_array_equal(asked[1].probabilities[name], own)


@pytest.mark.parametrize("name", ["recognising", "recognising emb", "adapter_hf"])
def test_the_embedding_is_learnt_alone_or_beside_the_row(name: str) -> None:
    before = networks()[name].model
    rows = class_tensors(before)
    alone = before.learn_class("mug", PICTURES, MASKS, LearningSettings("embedding"))
    gains = before.config.painted_gains
    assert alone.config.painted_gains == (None if gains is None else [*gains, 1.0])
    assert {key for key, own in class_tensors(alone).items() if own[5].any()} >= {
        key for key in rows if key != "unknown_margins"
    }
    if before.recogniser is not None:
        both = before.learn_class("mug", PICTURES, MASKS, LearningSettings("row+embedding"))
        assert both.config.painted_gains[:5] == gains
    assert not any(own.grad is not None for own in alone.parameters())


@pytest.mark.parametrize("name", networks())
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_networks_of_half_precision_learn(name: str, dtype: torch.dtype) -> None:
    before = networks()[name].model.to(dtype)
    learnt = before.learn_class("mug", PICTURES[:2], MASKS[:2])
    after = learnt.state_dict()
    for key, own in before.state_dict().items():
        assert torch.equal(after[key][tuple(map(slice, own.shape))], own), key
    assert learnt.dtype == dtype
    assert all(own.isfinite().all() for own in after.values())


@pytest.mark.parametrize("name", ["recognising", "segformer", "adapter_hf"])
def test_what_a_caller_is_in_changes_nothing(name: str) -> None:
    model = networks()[name].model.train()
    model.segformer.stages.eval()
    modes = [part.training for part in model.modules()]
    usual = model.learn_class("mug", PICTURES[:2], MASKS[:2])
    assert [part.training for part in model.modules()] == modes
    around = [torch.inference_mode(), torch.no_grad(), torch.autocast("cpu", torch.bfloat16)]
    for each in around:
        with each:
            learnt = model.learn_class("mug", PICTURES[:2], MASKS[:2])
        assert learnt.config.fingerprint == usual.config.fingerprint
        assert not any(own.is_inference() for own in learnt.parameters())


def test_a_network_without_names_learns() -> None:
    model = small_network("segformer").model
    model.config.task_names = model.config.task_synonyms = None
    learnt = model.learn_class("mug", PICTURES[:2], [mask | True for mask in MASKS[:2]])
    assert learnt.config.task_names == [*(f"class {task}" for task in range(5)), "mug"]


def test_any_name_may_be_followed_by_another() -> None:
    model = small_network().model
    for name in ("one more", "a, b = c\nd", np.str_("e\u0301")):
        model = model.learn_class(name, PICTURES[:1], MASKS[:1])
    assert model.segment(PICTURES[0], ["\u00c9"]).masks.keys() == {"\u00c9"}


def test_the_seed_decides_every_bit() -> None:
    model = recognising_network().model
    torch.manual_seed(1)
    first = model.learn_class("mug", PICTURES, MASKS)
    torch.manual_seed(2)
    assert model.learn_class("mug", PICTURES, MASKS).config.fingerprint == first.config.fingerprint


def test_an_embedding_may_begin_at_random_numbers_like_those_of_known_classes() -> None:
    model = small_network().model
    [(name, own)] = class_tensors(model).items()
    first, again, other = (
        STARTS["random"](model, ["mug", "cup"], [], torch.Generator().manual_seed(seed))[name]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (2, *own.shape[1:])
    assert 0.5 < float(first.std() / own.detach().std()) < 2
    learnt = model.learn_class("mug", PICTURES, MASKS, LearningSettings(start="random"))
    assert learnt.config.task_names[-1] == "mug"


def test_several_at_once_and_one_after_the_other() -> None:
    model = small_network("segformer").model
    pictures = [
        LabelledPicture(own.pixel_values, torch.cat([own.masks, 1 - own.masks]))
        for own in read_few_pictures(model.config, PICTURES, MASKS)
    ]
    both, expected = learn_classes(model, ["light", "dark"], pictures)
    assert list(expected) == ["light", "dark"]
    further = both.learn_class("mug", PICTURES, MASKS)
    assert further.config.rounds == [5, 2, 1]
    images = torch.from_numpy(PICTURES[1]).permute(2, 0, 1)[None]
    with torch.inference_mode():
        one, other = (Network(own).task_logits(images, torch.arange(7)) for own in (both, further))
    assert torch.equal(one, other)


# Where PyTorch's resizing rounds otherwise: 3 channels, and those of small maps.
@pytest.mark.parametrize(("classes", "size"), [(2, (64, 96)), (5, (32, 32))])
def test_more_channels_are_resized_as_fewer_were(classes: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = build_network("segformer", classes, **SMALL).model.eval()
    model.config.crop_size = list(size)
    images, asked = torch.randn(1, 3, *size), torch.arange(classes)
    logits = model.class_logits(images, asked)
    labels = model.upsample_labels(model.label_logits(images), size)
    for name in ("mug", "cup", "jar", "pot"):
        model = model.learn_class(name, [PICTURES[0]], MASKS[:1])
        assert torch.equal(model.class_logits(images, asked), logits)
        now = model.upsample_labels(model.label_logits(images), size)
        assert torch.equal(now[:, : classes + 1], labels)


def test_folds_hold_every_picture_once() -> None:
    shown = torch.eye(3, dtype=torch.uint8).repeat(4, 1)
    pictures = [LabelledPicture(torch.zeros(3, 1, 1), own[:, None, None]) for own in shown]
    folds = part_pictures(pictures, torch.Generator().manual_seed(0))
    assert sorted(place for own in folds for place in own) == list(range(12))
    assert part_pictures(pictures[:1], torch.Generator()) == []


def test_what_is_held_out_was_learnt_from_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each class in one picture, but the last in the first and in the sixth."""
    shown = torch.eye(6, dtype=torch.uint8)
    shown[0, 5] = 1
    pictures = [LabelledPicture(torch.zeros(3, 1, 1), own[:, None, None]) for own in shown]
    for seed in range(5):
        folds = part_pictures(pictures, torch.Generator().manual_seed(seed))
        assert not any({0, 5} <= own for own in folds)
        assert sorted(map(len, folds)) == [1, 1, 1, 1, 2]
    # Where it cannot be, nothing is expected.
    model = small_network("segformer").model
    nothing = np.zeros_like(MASKS[0])
    pictures = read_few_pictures(model.config, PICTURES, [*MASKS[:2], nothing, nothing])
    monkeypatch.setattr(learning, "part_pictures", lambda *_: [{0, 1}, {2, 3}])
    _, expected = learn_classes(model, ["mug"], pictures)
    assert np.isnan(expected["mug"].biou)


def test_one_picture_is_enough_and_says_that_nothing_can_be_expected() -> None:
    learnt = small_network("segformer").model.learn_class("mug", PICTURES[:1], MASKS[:1])
    assert learnt.config.origin["learnt"]["mug"]["expected_bIoU"] is None


@pytest.mark.parametrize("name", ["recognising", "adapter_hf"])
def test_of_a_class_that_one_picture_shows_nothing_is_expected(name: str) -> None:
    """Where it is held out, what paints it was learnt from none."""
    nothing = np.zeros((64, 96), bool)
    pictures = [
        LabelledPicture(own.pixel_values, torch.cat([own.masks, other.masks]))
        for own, other in zip(
            read_few_pictures(networks()[name].model.config, PICTURES, MASKS),
            read_few_pictures(
                networks()[name].model.config, PICTURES, [MASKS[0], nothing, nothing, nothing]
            ),
            strict=True,
        )
    ]
    grown, expected = learn_classes(networks()[name].model, ["mug", "cup"], pictures)
    assert np.isnan(expected["mug"].biou) == (name == "adapter_hf")  # which holds out one of four
    assert expected["mug"].num_pictures == 4
    assert np.isnan(expected["cup"].biou)
    assert expected["cup"].num_pictures == 1
    assert grown.config.origin["learnt"]["cup"]["interval"] is None
    if grown.config.presence:
        assert grown.config.presence["bias"][-1] is None
    alone, told = learn_classes(
        networks()[name].model,
        ["cup"],
        [LabelledPicture(own.pixel_values, own.masks[1:]) for own in pictures],
    )
    assert np.isnan(told["cup"].biou)
    assert alone.config.thresholds[-1] == 0.0


def test_masks_are_files_pictures_or_arrays(tmp_path: Path) -> None:
    config = small_network().model.config
    Image.fromarray(MASKS[0].astype(np.uint8) * 255).save(tmp_path / "mask.png")
    kinds = [
        MASKS[0],
        MASKS[0].astype(np.uint8) * 255,
        torch.from_numpy(MASKS[0]).float(),
        torch.from_numpy(MASKS[0]).bfloat16(),
        tmp_path / "mask.png",
        Image.open(tmp_path / "mask.png"),
    ]
    read = read_few_pictures(config, [PICTURES[0]] * len(kinds), kinds)
    assert all(torch.equal(own.masks, read[0].masks) for own in read)
    assert torch.equal(read[0].masks[0] == 1, torch.from_numpy(MASKS[0]))


def test_mask_pictures_say_it_however_they_were_saved(tmp_path: Path) -> None:
    config = small_network().model.config
    values = MASKS[0].astype(np.uint8)
    grey, none = Image.fromarray(values * 255), Image.new("L", (96, 64))
    indices = Image.fromarray(values).convert("P")
    indices.putdata(values.flatten().tolist())
    indices.putpalette([0, 0, 0, 128, 0, 0])  # VOC's colours
    kinds = {
        "0 and 1": Image.fromarray(values),
        "palette": indices,
        "one bit": grey.convert("1"),
        "16 bit": Image.fromarray(values.astype(np.uint16) * 65535),
        "cut out": Image.merge("RGBA", [grey, grey, grey, grey]),
        "only cut out": Image.merge("RGBA", [Image.new("L", (96, 64), 255)] * 3 + [grey]),
        "opaque": grey.convert("RGBA"),
    }
    for name, picture in kinds.items():
        picture.save(tmp_path / f"{name}.png")
        for given in (picture, tmp_path / f"{name}.png"):
            [read, empty] = read_few_pictures(config, [PICTURES[0]] * 2, [given, none])
            assert torch.equal(read.masks[0] == 1, torch.from_numpy(MASKS[0])), name
            assert not empty.masks.any()
    turned = Image.fromarray(np.rot90(values * 255))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    [read] = read_few_pictures(config, [PICTURES[0]], [tmp_path / "turned.png"])
    assert torch.equal(read.masks[0] == 1, torch.from_numpy(MASKS[0]))


def test_255_beside_ones_is_unknown_in_mask_files_as_in_arrays(tmp_path: Path) -> None:
    config = small_network().model.config
    values = MASKS[0].astype(np.uint8)
    values[:8] = 255
    Image.fromarray(values).save(tmp_path / "mask.png")
    for given in (values, Image.fromarray(values), tmp_path / "mask.png"):
        [read] = read_few_pictures(config, PICTURES[:1], [given])
        assert torch.equal(read.masks[0], torch.from_numpy(values))


def test_dark_mask_pictures_are_refused(tmp_path: Path) -> None:
    labels = MASKS[0] + 2 * MASKS[1].astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "labels.png")
    black = Image.new("L", (96, 64))
    red = Image.merge("RGB", [Image.fromarray(MASKS[0]).convert("L"), black, black])
    for given, brightest in ((tmp_path / "labels.png", 3), (red, 76)):
        with pytest.raises(ValueError, match=f"whose brightest value is {brightest}; expected wh"):
            read_few_pictures(small_network().model.config, PICTURES[:2], [MASKS[0], given])


@pytest.mark.parametrize("made", [np.asarray, Image.fromarray])
def test_255_in_a_picture_without_the_class_is_not_taken_for_it(made: Any) -> None:
    config = small_network().model.config
    shows = MASKS[0].astype(np.uint8)
    border = np.zeros_like(shows)
    border[:8] = 255
    with pytest.raises(ValueError, match="mask 1 has 255 and no 1, but mask 0 has ones: is 255"):
        read_few_pictures(config, PICTURES[:2], [made(shows), made(border)])
    told = np.where(border == 255, -1, border.astype(np.int8))
    read = read_few_pictures(config, PICTURES[:2], [shows, told])
    assert read[1].masks.unique().tolist() == [0, 255]


@pytest.mark.parametrize(
    ("name", "images", "masks", "words"),
    [
        ("mug", PICTURES, MASKS[:2], "4 pictures and 2 masks"),
        ("mug", [], [], "0 pictures"),
        ("mug", "photo.jpg", MASKS, "give a list"),
        ("mug", PICTURES[:1], [MASKS[0][:9]], "mask 0 has 9x96 pixels, but its picture 64x96"),
        ("mug", PICTURES[:1], [MASKS[0] * 7], "values 0, 7; expected 1"),
        ("mug", PICTURES[:1], [MASKS[0] & False], "no mask shows the class"),
        ("tree", PICTURES, MASKS, "knows 'tree' already"),
        ("motorcar", PICTURES, MASKS, "knows 'motorcar' already, as 'car'"),
        ("all", PICTURES, MASKS, "cannot be called 'all'"),
        ("ALL ", PICTURES, MASKS, "cannot be called 'ALL '"),
        (" ", PICTURES, MASKS, "give each a name"),
    ],
)
def test_what_is_refused(name: str, images: Any, masks: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        small_network("segformer").model.learn_class(name, images, masks)


@pytest.mark.parametrize(
    ("method", "settings", "words"),
    [
        ("adapter_hf", LearningSettings("row"), "has no recogniser"),
        ("segformer", LearningSettings("embedding"), "choose 'row'"),
        ("vsa_emb", LearningSettings(), "choose a network with a recogniser"),
        ("emb", LearningSettings("rows"), "known are row, embedding"),
        ("emb", LearningSettings(start="near"), "known are nearest, mean"),
    ],
)
def test_what_a_method_cannot(method: str, settings: LearningSettings, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        small_network(method).model.learn_class("mug", PICTURES, MASKS, settings)
