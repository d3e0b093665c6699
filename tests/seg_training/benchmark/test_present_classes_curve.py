"""A trained network, asked for what is there: recall, bIoU and mIoU by a plain loop."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fake_datasets import folder
from short_runs import SHORT_RUNS, small_config

from seg_training.benchmark.present_classes_curve import ALL, count_images, measure_present_curve
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import evaluate, restore
from seg_training.training.training_run import train

pytestmark = SHORT_RUNS


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("curve")
    folder.make(root / "data")
    changes = ["recipe={name: painted, share: 0.5}", "trainer.max_steps=4"]
    changes += ["data.calibration_share=0.3", "loss=bce_dice"]
    return train(small_config(root / "data", root / "run", *changes)).run_dir


def test_what_is_asked_is_counted_and_the_rest_is_not_painted(run: Path) -> None:
    module, data, _ = restore(run)
    number = module.network.num_tasks
    bias: list[float | None] = [0.0] * number
    least = {"50": 0.6, "99": 0.05}
    presence = {"scale": 1.0, "bias": bias, "least": 0.2, "gate": 0.0, "least_at": least}
    module.network.config.presence = presence
    parts = measure_present_curve(count_images(module, data), rounds=2)
    assert [each.chosen_recall for each in parts] == [50, 99, ALL]
    assert parts[-1].recall == 100
    assert parts[-1].speed_up.median == 1
    assert all(len(each.seconds.seconds) == 2 for each in parts)

    expected, _ = evaluate(run, ["metrics=all"])
    assert parts[-1].biou == pytest.approx(expected.bIoU_calibrated)
    assert expected.label_map is not None
    assert parts[-1].miou == pytest.approx(expected.label_map.mIoU)

    # By the pairs' own presence: what is below the bound has 0.
    data.setup("validate")
    asked, found, ious = [], [], []
    network = module.network
    ids = torch.arange(number)
    with torch.inference_mode(), network.kept():
        for batch in data.val_dataloader():
            for image, task_ids, truth, _, _, position in batch.samples():
                if position < 0:
                    continue
                recognition = network.recognise(image[None])
                assert recognition is not None
                scores = recognition.presence[0]
                is_asked = scores.isnan() | (scores >= 0.6)
                asked.append(int(is_asked[truth.known].sum()))
                logits = network.task_logits(image[None], ids, recognition)[0]
                bounds = network.bounds(logits, ids)
                least_logits = torch.zeros(number) if bounds is None else bounds
                for task in task_ids.tolist():
                    found.append(bool(is_asked[task]))
                    mask = truth.masks(torch.tensor([task]))[0].numpy()
                    above = (logits[task] > least_logits[task]).numpy()
                    rows, columns = (
                        np.arange(own) * small // own
                        for own, small in zip(mask.shape, above.shape, strict=True)
                    )
                    painted = above[np.ix_(rows, columns)] & (mask != 255) & found[-1]
                    true = mask == 1
                    ious.append((painted & true).sum() / (painted | true).sum())
    assert parts[0].asked == pytest.approx(np.mean(asked))
    assert parts[0].recall == pytest.approx(100 * np.mean(found))
    assert parts[0].biou == pytest.approx(100 * np.mean(ious), abs=0.05)
    assert parts[0].asked <= parts[1].asked <= parts[2].asked


def test_where_nothing_is_asked_nothing_is_found(run: Path) -> None:
    module, data, _ = restore(run)
    bias: list[float | None] = [-50.0] * module.network.num_tasks
    module.network.config.presence = {"scale": 1.0, "bias": bias, "least": 0.5}
    parts = measure_present_curve(count_images(module, data), rounds=2)
    assert [each.chosen_recall for each in parts] == [90, ALL]
    assert (parts[0].recall, parts[0].asked, parts[0].biou, parts[0].miou) == (0, 0, 0, 0)


def test_a_network_that_does_not_tell_is_refused(run: Path) -> None:
    module, data, _ = restore(run)
    module.network.config.presence = None
    with pytest.raises(UserError, match="does not tell which classes are in a picture"):
        count_images(module, data)
