"""Single steps of LitSeg; whole trainings are in test_training.py."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from fake_datasets.configs import CONFIGS, config_on_fake_data

from seg_training.config import compose_config
from seg_training.datasets.batches import Batch
from seg_training.datasets.data_module import build_data_module
from seg_training.pictures.nearest_resizing import resize_nearest
from seg_training.pl_module import LitSeg
from seg_training.training.losses import binary_loss


@pytest.fixture
def module() -> LitSeg:
    config = compose_config("folder_adapter", ["model=adapter_hf_scratch"], CONFIGS)
    return LitSeg(config, ["floor", "glass", "wall"])


def batch_of(seed: int, size: int = 2) -> Batch:
    random = torch.Generator().manual_seed(seed)
    mask = torch.randint(0, 2, (size, 32, 64), generator=random, dtype=torch.uint8)
    return Batch(
        image=torch.randint(0, 256, (size, 3, 32, 64), generator=random, dtype=torch.uint8),
        task_ids=torch.arange(size) % 3,
        mask=mask,
        label_map=mask,
        name=[str(number) for number in range(size)],
        image_rows=torch.arange(size),
    )


def test_prompts_of_one_image_have_the_loss_of_samples_with_an_image_each(module: LitSeg) -> None:
    batch = batch_of(1, 4)
    rows = torch.tensor([0, 0, 1, 1])
    shared = batch._replace(image=batch.image[:2], image_rows=rows)
    each = batch._replace(image=batch.image[:2][rows])
    assert len(shared.sample_images) == 4
    module.eval()
    torch.testing.assert_close(module._loss(shared)[0], module._loss(each)[0], atol=0, rtol=0)


def test_losses_of_several_datasets_are_summed(
    module: LitSeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: dict[str, float] = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: value.item()}))
    module.eval()  # without dropout the losses can be computed again
    batches = {"sun": batch_of(0), "gdd": batch_of(1, size=3)}
    expected = {
        name: binary_loss(module(batch.image, batch.task_ids), batch.mask).item()
        for name, batch in batches.items()
    }
    step: dict[str, Any] = module.training_step(batches, 0)
    assert step["loss"].item() == pytest.approx(sum(expected.values()))
    assert logged == {
        "train/loss": pytest.approx(sum(expected.values())),
        "train_loss/sun": pytest.approx(expected["sun"]),
        "train_loss/gdd": pytest.approx(expected["gdd"]),
    }
    assert {name: len(logits) for name, logits in step["logits"].items()} == {"sun": 2, "gdd": 3}


def test_one_dataset_has_one_loss(module: LitSeg, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, float] = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: value.item()}))
    module.eval()
    batch = batch_of(0)
    step: dict[str, Any] = module.training_step(batch, 0)
    expected = binary_loss(module(batch.image, batch.task_ids), batch.mask)
    assert step["loss"].item() == pytest.approx(expected.item())
    assert list(logged) == ["train/loss"]


def test_each_batch_has_batch_statistics_of_its_own(module: LitSeg) -> None:
    """As published: one forward pass per dataset, not one over all of them."""
    module.train()
    seen: list[int] = []
    [norm] = [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    norm.register_forward_hook(lambda _module, inputs, _output: seen.append(len(inputs[0])))
    module.log = lambda *_args, **_kwargs: None  # type: ignore[method-assign]
    module.training_step({"sun": batch_of(0), "gdd": batch_of(1, size=3)}, 0)
    assert seen == [2, 3]


@pytest.mark.filterwarnings("ignore:.*LeafSpec")
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_predicting_paints_each_task_at_the_images_own_size(tmp_path: Path, module: LitSeg) -> None:
    config = config_on_fake_data(
        "folder_adapter", tmp_path, ["data=metalbot", "tasks.classes=[glass,floor]"]
    )
    data = build_data_module(config["data"], config["tasks"], 0, module.task_names)
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    answers = trainer.predict(module, datamodule=data)
    assert answers is not None
    painted = {name: masks for answer in answers for name, masks in answer.items()}
    sizes = {name: tuple(masks.shape) for name, masks in painted.items()}
    assert sizes == {
        "0000": (2, 48, 64),
        "0001": (2, 60, 52),
        "0002": (2, 44, 72),
        "0003": (2, 48, 64),
    }
    module.eval()
    [first, _] = data.predict_dataloader()
    with torch.inference_mode():
        logits = module.network.task_logits(first.images[:1], torch.tensor([0, 1]))[0]
    assert torch.equal(painted["0000"], resize_nearest(logits > 0, (48, 64)))
