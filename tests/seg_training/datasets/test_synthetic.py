from pathlib import Path

from seg_training.datasets.synthetic import Synthetic


def test_classes_answer_to_other_words_too() -> None:
    classes = Synthetic(Path("scenes")).classes
    assert classes.value_of("car") == classes.value_of("auto") == 9
    assert classes.value_of("building") == classes.value_of("house") == 8
    assert classes.value_of("sky") == 1
    assert len(classes.names) == 12
