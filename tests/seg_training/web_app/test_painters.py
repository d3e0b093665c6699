from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_networks import photo, recognising_network, small_network

from seg_training.errors import UserError
from seg_training.prediction.averaged_probabilities import Looks, class_probabilities
from seg_training.web_app.page_texts import not_looked_for, nothing_found
from seg_training.web_app.painters import LONGEST_SIDE, Painter, Prompt, short_names
from seg_training.web_app.shown_answer import show


@pytest.fixture
def painter() -> Painter:
    return Painter("small", Path("small.ckpt"), small_network())


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "photo.png"
    Image.fromarray(photo(50, 70)).save(file)
    return file


def count_runs(painter: Painter) -> list[int]:
    """Note of how many classes the network is asked, run by run."""
    runs: list[int] = []
    asked = painter.network.task_logits

    def counted(images: torch.Tensor, task_ids: torch.Tensor, *rest: None) -> torch.Tensor:
        runs.append(len(task_ids))
        return asked(images, task_ids, *rest)

    painter.network.task_logits = counted  # type: ignore[method-assign]
    return runs


def test_an_answer_is_what_predict_computes(painter: Painter, picture: Path) -> None:
    answer = painter.answer(picture, [3, 1])
    assert (answer.picture == photo(50, 70)).all()
    with painter.network.kept():  # as predict.py does
        expected = dict(
            class_probabilities(painter.network, photo(50, 70), [3, 1], Looks((64, 96)))
        )
    for task_id, probability in expected.items():
        assert (answer.probabilities[task_id] == probability.numpy()).all()
    assert list(answer.probabilities) == [3, 1]
    assert answer.seconds > 0


def test_the_largest_expected_iou_is_found_on_what_is_shown(
    painter: Painter, picture: Path
) -> None:
    pytest.importorskip("rankseg")
    painter.network.config.iou_temperature = 1.5
    answer, tasks = painter.answer(picture, [2, 1]), {2: "car", 1: "sky"}
    expected = painter.network.model.segment(photo(50, 70), ["car", "sky"]).thresholds
    own = painter.thresholds(tasks, 0.5, answer)
    assert own == pytest.approx(expected, abs=1e-5)
    moved = painter.thresholds(tasks, 0.75, answer)
    assert isinstance(own, dict)
    odds = {name: 3 * each / (1 - each) for name, each in own.items()}
    assert moved == pytest.approx({name: each / (1 + each) for name, each in odds.items()})


def test_the_slider_moves_a_networks_own_thresholds(painter: Painter, picture: Path) -> None:
    answer = painter.answer(picture, [2])
    assert painter.thresholds({2: "car"}, 0.3, answer) == 0.3
    assert answer.presence is None
    knowing = Painter("knowing", Path("best.ckpt"), recognising_network())
    tasks = {2: "car", 1: "sky"}  # logits 1 and -1
    own = {"car": 1 / (1 + np.exp(-1)), "sky": 1 / (1 + np.e)}
    answer = knowing.answer(picture, [2, 1])
    assert knowing.thresholds(tasks, 0.5, answer) == pytest.approx(own)
    higher = {"car": 1 / (1 + np.exp(-1) / 3), "sky": 1 / (1 + np.e / 3)}
    assert knowing.thresholds(tasks, 0.75, answer) == pytest.approx(higher)
    presence = answer.presence
    assert presence is not None
    assert (presence[2], presence[4]) == (None, None)
    assert presence[0] > presence[1]  # type: ignore[operator]


def test_the_network_runs_once_per_picture_and_classes(painter: Painter, picture: Path) -> None:
    runs = count_runs(painter)
    first = painter.answer(picture, [0, 2])
    assert painter.answer(picture, [0, 2]) is first
    assert runs == [2]
    painter.answer(picture, [0])
    assert runs == [2, 1]


def test_the_oldest_answers_are_forgotten_when_they_are_too_large(
    painter: Painter, picture: Path
) -> None:
    painter = Painter("net", Path("net"), painter.network, 3 * 50 * 70 * 4)  # three classes
    runs = count_runs(painter)
    for classes in ([0], [1, 2], [0], [3], [0], [1, 2]):
        painter.answer(picture, classes)
    # The fourth question had [1, 2] forgotten, which was asked before [0].
    assert runs == [1, 2, 1, 2]
    painter.answer(picture, [0, 1, 2, 3])  # too large, but the latest
    painter.answer(picture, [0, 1, 2, 3])
    assert runs == [1, 2, 1, 2, 4]


def test_of_many_classes_the_probabilities_are_kept_smaller(
    painter: Painter, picture: Path
) -> None:
    whole = painter.answer(picture, [0, 1, 2, 3])
    small = Painter("net", Path("net"), painter.network, 50 * 70 * 2)  # half a class, and one alone
    answer = small.answer(picture, [3, 2, 1, 0])
    assert (answer.picture == photo(50, 70)).all()
    for task_id, probability in answer.probabilities.items():
        assert probability.shape == (25, 35)
        halved = whole.probabilities[task_id].reshape(25, 2, 35, 2).mean(axis=(1, 3))
        np.testing.assert_allclose(probability, halved, atol=1e-6)


def test_large_pictures_are_shown_smaller(painter: Painter, tmp_path: Path) -> None:
    halves = np.zeros((600, 4 * LONGEST_SIDE, 3), np.uint8)
    halves[:, 2 * LONGEST_SIDE :] = (40, 80, 120)
    Image.fromarray(halves).save(tmp_path / "wide.png")
    answer = painter.answer(tmp_path / "wide.png", [0])
    assert answer.picture.shape == (150, LONGEST_SIDE, 3)
    assert (answer.picture[0, 0] == 0).all()
    assert (answer.picture[149, -1] == (40, 80, 120)).all()
    whole = dict(class_probabilities(painter.network, halves, [0], painter.looks))[0].numpy()
    shown = answer.probabilities[0]
    assert (shown.shape, shown.dtype) == ((150, LONGEST_SIDE), np.float32)
    np.testing.assert_allclose(shown[3, 5], whole[12:16, 20:24].mean(), atol=1e-6)


def test_of_all_classes_those_that_are_probably_not_there_are_not_looked_for(
    painter: Painter, picture: Path
) -> None:
    knowing = Painter("knowing", Path("best.ckpt"), recognising_network())
    tasks = knowing.understand(None).tasks
    answer = knowing.answer(picture, list(tasks), only_present=True)
    assert list(answer.probabilities) == [0, 2, 3, 4]
    assert answer.presence is not None
    presence = answer.presence[1]
    assert presence is not None
    assert not_looked_for(tasks, answer) == [
        f"Not looked for, probably not there: sky ({presence:.2f})"
    ]
    whole = knowing.answer(picture, list(tasks))
    assert list(whole.probabilities) == [0, 1, 2, 3, 4]
    assert not_looked_for(tasks, whole) == []
    assert (whole.probabilities[3] == answer.probabilities[3]).all()
    # A network that cannot tell looks for all.
    unknowing = painter.answer(picture, list(tasks), only_present=True)
    assert list(unknowing.probabilities) == [0, 1, 2, 3, 4]
    # Nothing of it may be left.
    sky = knowing.answer(picture, [1], only_present=True)
    assert sky.probabilities == {}
    assert len(not_looked_for({1: "sky"}, sky)) == 1
    colours = {"sky": (1, 2, 3)}
    shown = show(sky, {}, colours, knowing.thresholds({1: "sky"}, 0.5, sky), 0.5)
    assert (shown.classes, nothing_found(shown.classes, 0.5)) == ([], [])


def test_names_that_are_known_are_not_stopped_by_others(painter: Painter) -> None:
    assert painter.understand(["auto", "tre", "sky", "car"]) == Prompt(
        {2: "car", 1: "sky"}, ["the network knows no class 'tre'; did you mean 'tree'?"]
    )
    names = ["tree", "sky", "car", "road", "wall"]
    assert painter.understand(["all"]) == Prompt(dict(enumerate(names)), [], every=True)
    assert painter.understand(None) == painter.understand(["all"])
    assert painter.understand(["sky", "all"]) == Prompt(
        {1: "sky"}, ["the network knows no class 'all'; did you mean 'wall'?"]
    )


@pytest.mark.usefixtures("stand_in_encoder")
def test_near_words_are_taken_and_said(painter: Painter) -> None:
    prompt = painter.understand(["automobile", "lorry", "sky"])
    assert prompt.tasks == {2: "car", 1: "sky"}
    taken, unknown = prompt.unknown
    assert "no class 'automobile'; 'car' is taken, the nearest in meaning (0." in taken
    assert unknown.startswith("the network knows no class 'lorry'")


def test_a_damaged_picture_is_named_without_its_folder(painter: Painter, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture at all")
    words = r"^cannot read image notes\.jpg: it is no picture"
    with pytest.raises(UserError, match=words):
        painter.answer(tmp_path / "notes.jpg", [0])


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["outputs/demo/2026-01-31"], ["demo/2026-01-31"]),
        (["a/x/best.ckpt", "b/y/best.ckpt"], ["x/best.ckpt", "y/best.ckpt"]),
        (["t/emb/11/seed0", "t/hf/11/seed0"], ["emb/11/seed0", "hf/11/seed0"]),
    ],
)
def test_names_are_as_long_as_needed(paths: list[str], names: list[str]) -> None:
    assert short_names(paths) == names


def test_the_same_run_twice_has_one_name() -> None:
    assert short_names(["outputs/demo/run"] * 2) == ["demo/run"] * 2
