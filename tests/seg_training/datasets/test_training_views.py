"""Views of training and evaluation: padded pixels count nowhere, crops are evaluated as a whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from short_runs import SHORT_RUNS, small_config

from seg_training.checkpoints.model_folders import load_network
from seg_training.datasets.augmentations import Augmentation
from seg_training.datasets.data_module import SegmentationDataModule
from seg_training.datasets.prompt_samplers import Draw
from seg_training.datasets.training_views import Padded
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import predict_examples, restore, run_validation
from seg_training.pictures.resizing import resize_image, resize_label_map
from seg_training.training.trainer import build_trainer
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS
RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_beyond_a_padded_image_nothing_is_known(kind: type[np.unsignedinteger[Any]]) -> None:
    image = RANDOM.integers(0, 256, (40, 20, 3), dtype=np.uint8)
    labels = (image[..., 0] > 100).astype(kind)
    window, known = Padded((32, 48))(image, labels, RANDOM)
    assert (window.shape, known.shape, known.dtype) == ((32, 48, 3), (32, 48), kind)
    assert np.array_equal(window[:, :16], resize_image(image, (32, 16)))
    assert np.array_equal(known[:, :16], resize_label_map(labels, (32, 16)))
    assert (known[:, 16:] == np.iinfo(kind).max).all()
    colour = np.rint(resize_image(image, (32, 16)).mean(axis=(0, 1)))
    assert (window[:, 16:] == colour).all()
    several = Padded((32, 48))(image, np.stack([labels, 1 - labels]), RANDOM)[1]
    assert np.array_equal(several[0], known)
    assert np.array_equal(several[1][:, :16], 1 - known[:, :16])


def test_a_view_of_the_images_own_size_is_the_published_one() -> None:
    image = RANDOM.integers(0, 256, (32, 48, 3), dtype=np.uint8)
    labels = image[..., 0]
    views = [Augmentation("ade20k", crop_size=(32, 48), view=view) for view in ("squeeze", "pad")]
    for seed in range(5):
        one, other = (view(image, labels, seed) for view in views)
        assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))
    crop = Augmentation("none", {"name": "crop", "scale": [0.6, 1.4]}, (24, 24))
    view = Augmentation("none", "resize", (24, 24), {"name": "crop", "scale": [0.6, 1.4]})
    for seed in range(5):
        one, other = crop(image, labels, seed), view(image, labels, seed)
        assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"view": "padd"}, r"unknown data\.view 'padd'; did you mean 'pad'"),
        ({"view": {"name": "crop", "scale": 2}}, r"data\.view\.scale=2: expected \[smallest, lar"),
        ({"view": {"name": "pad", "scale": 2}}, r"'pad' does not read 'scale'; crop would"),
        ({"view": "pad", "fit": "crop"}, r"data\.fit=crop with data\.view=pad: .* leave data\.fit"),
        ({"view": "pad", "resized_cache_gib": 1}, r"resized_cache_gib=1 with data\.view=pad: whol"),
    ],
)
def test_wrong_views_are_refused(
    fake_folder: Callable[..., Path], fake_classes: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        data_module(fake_folder(), fake_classes, **settings)


def data_module(root: Path, classes: Any, **settings: Any) -> SegmentationDataModule:
    data = {"dataset": "folder", "root": str(root), "classes": classes, "sampler": "mixed"}
    data |= {"train_split": "train", "val_split": "val", "num_workers": 0, "batch_size": 2}
    data |= {"crop_size": [64, 32], "eval_batch_size": 3, "augmentation": "none"}
    module = SegmentationDataModule.from_config(data | settings, {"classes": "all"}, seed=0)
    module.setup("fit")
    return module


def test_batches_of_every_view(fake_folder: Callable[..., Path], fake_classes: Any) -> None:
    root = fake_folder()
    modules = {view: data_module(root, fake_classes, view=view) for view in ("pad", "crop")}
    for module in modules.values():
        batch = next(iter(module.train_dataloader()))
        assert batch.image.shape == (2, 3, 64, 32)
    # Images of about 48x64 in 64x32: 24 of 64 rows are the image's.
    sample = modules["pad"].training_samples()[Draw(0, 0, 0)]
    assert int((sample.mask[24:] == 255).sum()) == 40 * 32
    for batch in modules["pad"].val_dataloader():
        assert isinstance(batch.images, torch.Tensor)
        assert batch.images.shape[2:] == (64, 32)
    sizes = [
        tuple(sample.image.shape[1:])
        for batch in modules["crop"].val_dataloader()
        for sample in batch.samples()
    ]
    # 48x64, 52x60, 44x72 and 48x56, at 64 rows: 85, 74, 105 and 75 columns.
    assert sizes == [(64, 96), (64, 64), (64, 96), (64, 64), (64, 96)]


@pytest.mark.parametrize("view", ["pad", "crop"])
def test_a_run_is_evaluated_and_predicts_in_its_view(
    fake_folder: Callable[..., Path], tmp_path: Path, view: str
) -> None:
    config = small_config(fake_folder(), tmp_path / "run", f"data.view={view}")
    run = train(config)
    network = load_network(run.run_dir)
    assert network.config.view == view
    module, data, settings = restore(run.run_dir)
    assert (data.view, module.network.config.view) == (view, view)
    trainer = build_trainer({**settings, "enable_progress_bar": False}, logger=False)
    result = run_validation(trainer, module, data)
    assert result.num_masks == data.validation_samples()[1].num_pairs
    painted = trainer.predict(module, data)
    images, _ = data.validation_samples()
    truths = {sample.name: sample.truth.size for sample in map(images.__getitem__, range(5))}
    assert painted
    shapes = {name: tuple(own.shape[1:]) for batch in painted for name, own in batch.items()}
    assert shapes == truths
    examples = predict_examples(module, data, num_images=2)
    assert all(own.predicted.shape[1:] == own.image.shape[1:] for own in examples)
    squeezed, _, _ = restore(run.run_dir, ["data.view=squeeze"])
    assert squeezed.network.config.view == "squeeze"


def test_what_is_painted_in_the_padding_counts_nowhere(
    fake_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ["data.view=pad", "data.crop_size=[64,32]"]
    run = train(small_config(fake_folder(), tmp_path / "run", *overrides))
    module, data, settings = restore(run.run_dir)

    def in_padding(images: torch.Tensor, task_ids: torch.Tensor, _: object) -> torch.Tensor:
        logits = torch.full((1, len(task_ids), *images.shape[2:]), -1.0)
        logits[..., 28:, :] = 1  # images are at most 28 rows high: 52 * 32 / 60
        return logits

    monkeypatch.setattr(module.network, "task_logits", in_padding)
    trainer = build_trainer({**settings, "enable_progress_bar": False}, logger=False)
    result = run_validation(trainer, module, data)
    assert result.bIoU == 0
    assert module.pairs is not None
    assert module.pairs.columns["predicted"].sum() == 0
