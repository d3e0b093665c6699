"""Several prompts of one image: read and changed once, each with the mask that it has alone."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_datasets import mask_folders
from fake_datasets.configs import config_on_fake_data

from seg_training.datasets import samples as samples_file
from seg_training.datasets.batches import Batch
from seg_training.datasets.data_module import SegmentationDataModule, build_data_module
from seg_training.datasets.data_module_base import DataModule
from seg_training.datasets.prompt_samplers import Draw
from seg_training.errors import UserError

MakeModule = Callable[..., SegmentationDataModule]


@pytest.fixture(params=["folder", "mask_folders"])
def make_module(
    request: pytest.FixtureRequest,
    fake_folder: Callable[..., Path],
    fake_classes: Any,
    tmp_path: Path,
) -> MakeModule:
    if request.param == "folder":
        data: dict[str, Any] = {"root": str(fake_folder()), "classes": fake_classes}
        data |= {"train_split": "train", "val_split": "val"}
    else:
        mask_folders.make(tmp_path / "masks")
        config = config_on_fake_data("ade20k_adapter", tmp_path, ["data=mask_folders", "tasks=all"])
        data = config["data"]
    data |= {"dataset": request.param, "crop_size": [32, 40], "num_workers": 0}
    data |= {"sampler": "mixed", "cache_dir": str(tmp_path / "cache")}

    def make(**settings: Any) -> SegmentationDataModule:
        section = {key: value for key, value in data.items() if key != "module"}
        return SegmentationDataModule.from_config(section | settings, {"classes": "all"}, seed=4)

    return make


@pytest.mark.parametrize("p", [2, 5])
@pytest.mark.parametrize(
    "more", [{}, {"fit": "crop"}, {"augmentation": "multitask", "resized_cache_gib": 1}]
)
def test_each_prompt_has_the_sample_that_it_has_alone(
    make_module: MakeModule, p: int, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = make_module(batch_size=2 * p, prompts_per_image=p, **more)
    module.setup("fit")
    alone = make_module(batch_size=2, **more).training_samples()
    batches = list(islice(module.train_dataloader(), 6))
    sampler = module.training_sampler()
    for batch, draws in zip(batches, sampler, strict=False):
        assert batch.image.shape == (2, 3, 32, 40)
        assert batch.image_rows.tolist() == [0] * p + [1] * p
        assert (batch.mask.shape, len(batch.name)) == ((2 * p, 32, 40), 2 * p)
        pairs = [(draw, task) for draw in draws for task in (draw.task_id, *draw.further)]
        expected = [alone[Draw(draw.image, task, draw.number)] for draw, task in pairs]
        assert batch.task_ids.tolist() == [task for _, task in pairs]
        assert batch.name == tuple(sample.name for sample in expected)
        assert batch.sample_images.equal(torch.stack([sample.image for sample in expected]))
        assert batch.mask.equal(torch.stack([sample.mask for sample in expected]))
    reads: list[int] = []
    read = samples_file.read_pair
    monkeypatch.setattr(
        samples_file, "read_pair", lambda *given: (reads.append(given[2]), read(*given))[1]
    )
    if more == {"fit": "crop"}:
        next(iter(module.train_dataloader()))
        assert len(reads) == 2  # an image once, however many prompts it has


def test_one_prompt_is_as_before(make_module: MakeModule) -> None:
    def flat(module: SegmentationDataModule) -> list[Any]:
        return [
            (b.image.tolist(), b.task_ids.tolist(), b.mask.tolist(), b.name)
            for b in module.train_dataloader()
        ]

    assert flat(make_module(batch_size=3)) == flat(make_module(batch_size=3, prompts_per_image=1))
    batch = next(iter(make_module(batch_size=3).train_dataloader()))
    assert batch.image_rows.tolist() == [0, 1, 2]
    assert batch.sample_images is batch.image


def test_label_maps_come_once_per_image(
    fake_folder: Callable[..., Path], fake_classes: Any, tmp_path: Path
) -> None:
    data = {"dataset": "folder", "root": str(fake_folder()), "classes": fake_classes}
    data |= {"train_split": "train", "val_split": "val", "crop_size": [32, 40], "num_workers": 0}
    data |= {"sampler": "images", "batch_size": 6, "prompts_per_image": 3}
    module = build_data_module({**data, "cache_dir": str(tmp_path)}, {"classes": "all"}, 0)
    module.with_label_maps = True
    with_maps = list(module.train_dataloader())
    module.with_label_maps = False
    for batch, plain in zip(with_maps, module.train_dataloader(), strict=True):
        assert batch.label_map is not None
        assert batch.label_map.shape == (2, 32, 40)
        assert (batch.mask.equal(plain.mask), batch.image.equal(plain.image)) == (True, True)
        labels = batch.label_map[batch.image_rows]
        assert torch.equal(batch.mask == 1, labels == batch.task_ids[:, None, None] + 1)


@pytest.mark.parametrize(("sampler", "batch_size"), [("homogeneous", 4), ("mixed", 5)])
def test_batches_that_cannot_be_made_are_refused(
    make_module: MakeModule, sampler: str, batch_size: int
) -> None:
    with pytest.raises(UserError, match=r"data\.prompts_per_image=2"):
        make_module(sampler=sampler, batch_size=batch_size, prompts_per_image=2).train_dataloader()


@pytest.mark.parametrize("mode", ["max_size_cycle", "mixed"])
def test_several_datasets(tmp_path: Path, mode: str) -> None:
    def build(*more: str) -> DataModule:
        overrides = [f"data.mode={mode}", "data.sampler=mixed", "data.batch_size=4", *more]
        config = config_on_fake_data("multitask_scenenet_sun_gdd_trans10k", tmp_path, overrides)
        module = build_data_module(config["data"], config["tasks"], 1)
        module.prepare_data()
        module.setup("fit")
        return module

    def flat(batches: Any) -> Iterator[Batch]:
        for batch in batches:
            yield from batch.values() if isinstance(batch, dict) else [batch]

    module = build("data.prompts_per_image=2")
    assert module.samples_per_step == build().samples_per_step
    loader = module.train_dataloader()
    batches = list(flat(loader))
    assert batches
    for batch in batches:
        assert (len(batch.image), len(batch.mask), len(batch.name)) == (2, 4, 4)
        assert batch.image_rows.tolist() == [0, 0, 1, 1]
        assert batch.name[0] == batch.name[1]
    # It goes on in the middle of an epoch.
    resumed = module.train_dataloader()
    resumed.load_state_dict({"epoch": 0, "start": len(loader) - 1})
    last = list(flat(resumed))
    for one, other in zip(last, batches[-len(last) :], strict=True):
        assert (one.mask.equal(other.mask), one.image.equal(other.image)) == (True, True)
