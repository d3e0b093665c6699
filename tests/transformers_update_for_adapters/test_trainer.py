"""Transformers' own Trainer: what a step's loss is divided by."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Trainer, TrainingArguments

from transformers_update_for_adapters import TASFormerConfig, TASFormerForSemanticSegmentation

pytest.importorskip("accelerate")

MakeConfig = Callable[..., TASFormerConfig]
Samples = list[dict[str, Tensor]]


class Still(TASFormerForSemanticSegmentation):
    """In evaluation mode in training, too: batches neither normalise nor drop anything."""

    def train(self, mode: bool = True) -> "Still":
        return super().train(False)


def samples(num_values: int) -> Samples:
    """Eight of them, of which each ignores more pixels than the one before, the last one all."""
    random = torch.Generator().manual_seed(1)
    drawn = []
    for index in range(8):
        labels = torch.randint(num_values, (32, 32), generator=random)
        labels[: 4 * index] = 255
        if index == 7:
            labels[:] = 255
        pixels = torch.randn(3, 64, 64, generator=random)
        drawn.append(
            {"pixel_values": pixels, "task_ids": torch.tensor(index % 5), "labels": labels}
        )
    return drawn


@pytest.fixture
def make_trainer(make_config: MakeConfig, tmp_path: Path) -> Callable[..., Trainer]:
    def make(method: str, size: int, steps: int, ignore: int = 255, **options: Any) -> Trainer:
        torch.manual_seed(0)
        model = Still(make_config(method, semantic_loss_ignore_index=ignore, depths=[1] * 4)).eval()
        with torch.no_grad():  # so that some pixels are right and some are not
            model.decode_head.classifier.weight.mul_(30)
        arguments = TrainingArguments(
            str(tmp_path),
            per_device_train_batch_size=size,
            per_device_eval_batch_size=size,
            gradient_accumulation_steps=steps,
            max_steps=1,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            max_grad_norm=0,
            **options,
        )
        data = samples(6 if method == "segformer" else 2)
        for sample in data:
            sample["labels"][sample["labels"] == 255] = ignore
        return Trainer(model, arguments, train_dataset=data, eval_dataset=data)

    return make


def loss_by_hand(model: TASFormerForSemanticSegmentation, data: Samples) -> Tensor:
    """Sum over the pixels of all samples that are not ignored, divided by their number."""
    batch = {name: torch.stack([sample[name] for sample in data]) for name in data[0]}
    labels = batch.pop("labels")
    valid = labels != model.config.semantic_loss_ignore_index
    logits = F.interpolate(
        model(**batch).logits,
        size=labels.shape[-2:],
        mode="bilinear",
        align_corners=model.config.align_corners,
    )
    if model.config.method == "segformer":
        return F.cross_entropy(logits.movedim(1, -1)[valid], labels[valid])
    return F.binary_cross_entropy_with_logits(logits[:, 0][valid], labels[valid].float())


@pytest.mark.parametrize(
    ("method", "ignore"), [("segformer", 255), ("adapter_hf", 255), ("segformer", -100)]
)
def test_batches_of_a_step_may_be_cut_as_memory_allows(
    method: str, ignore: int, make_trainer: Callable[..., Trainer]
) -> None:
    trainer = make_trainer(method, 8, 1, ignore)
    expected = loss_by_hand(trainer.model, trainer.train_dataset)
    expected.backward()
    gradients = [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
    norm = torch.cat(gradients).norm().item()
    for size, steps in ((8, 1), (4, 2), (2, 4), (1, 8)):
        trainer = make_trainer(method, size, steps, ignore)
        trainer.train()
        logged = trainer.state.log_history[0]
        assert logged["loss"] == pytest.approx(expected.item(), rel=1e-5)
        assert logged["grad_norm"] == pytest.approx(norm, rel=1e-5)


def test_an_evaluation_averages_over_the_pixels_of_its_batch(
    make_trainer: Callable[..., Trainer],
) -> None:
    trainer = make_trainer("adapter_hf", 8, 1)
    with torch.no_grad():
        expected = loss_by_hand(trainer.model, trainer.eval_dataset).item()
    assert trainer.evaluate()["eval_loss"] == pytest.approx(expected, rel=1e-5)


def test_a_step_of_ignored_pixels_has_no_loss(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer("segformer", 4, 2)
    for sample in trainer.train_dataset:
        sample["labels"].fill_(255)
    trainer.train()
    assert trainer.state.log_history[0]["loss"] == 0
    assert trainer.state.log_history[0]["grad_norm"] == 0


def test_label_smoothing_is_refused(make_trainer: Callable[..., Trainer]) -> None:
    with pytest.raises(ValueError, match="label_smoothing_factor smooths over classes in the last"):
        make_trainer("adapter_hf", 8, 1, label_smoothing_factor=0.1).train()


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_adapters_of_peft_are_trained_alike(make_trainer: Callable[..., Trainer]) -> None:
    peft = pytest.importorskip("peft")
    logged = []
    for size, steps in ((8, 1), (2, 4)):
        trainer = make_trainer("adapter_hf", size, steps)
        torch.manual_seed(0)
        lora = peft.LoraConfig(target_modules=["q_proj"], r=2, init_lora_weights=False)
        trainer = Trainer(
            peft.get_peft_model(trainer.model, lora),
            trainer.args,
            train_dataset=trainer.train_dataset,
        )
        trainer.train()
        logged.append(trainer.state.log_history[0])
    assert logged[1]["loss"] == pytest.approx(logged[0]["loss"], rel=1e-5)
    assert logged[1]["grad_norm"] == pytest.approx(logged[0]["grad_norm"], rel=1e-5)


def test_other_models_are_counted_as_before(make_config: MakeConfig) -> None:
    assert TASFormerForSemanticSegmentation(make_config("emb")).accepts_loss_kwargs
    trainer: Any = Trainer.__new__(Trainer)
    trainer.model = torch.nn.Linear(2, 2)
    trainer.model_accepts_loss_kwargs, trainer._loss_shifts_labels = True, False
    trainer.args = TrainingArguments("unused", use_cpu=True)
    trainer.get_tp_size = trainer.get_cp_size = trainer.get_sp_size = lambda: 1
    batches = [{"labels": torch.tensor([0, 255, -100])}, {"labels": torch.tensor([1, -100])}]
    assert trainer._get_num_items_in_batch(batches, torch.device("cpu")) == 3


def test_a_trainer_that_counts_in_another_way_averages_its_batches(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Trainer, "_get_num_items_in_batch")
    assert not TASFormerForSemanticSegmentation(make_config("emb")).accepts_loss_kwargs


@pytest.mark.parametrize("method", ["segformer", "adapter_hf"])
def test_half_precision_has_room_for_the_sum(method: str, make_config: MakeConfig) -> None:
    model = TASFormerForSemanticSegmentation(make_config(method)).eval()
    pixels, ids = torch.randn(1, 3, 64, 64), torch.tensor([1])
    labels = torch.randint(2, (1, 512, 512))
    expected = model(pixels, ids, labels).loss
    loss = model.half()(pixels.half(), ids, labels).loss
    torch.testing.assert_close(loss, expected, atol=1e-2, rtol=0)
