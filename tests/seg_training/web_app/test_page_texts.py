from pathlib import Path

import numpy as np
from small_networks import small_network

from seg_training.web_app.page_texts import about, hint, legend, nothing_found, notice
from seg_training.web_app.painters import Painter
from seg_training.web_app.shown_answer import ShownClass

MASK = np.ones((2, 2), np.bool_)
TREE = ShownClass("tree", (1, 2, 3), MASK, 26.04, 0.915, 0.99)
CAR = ShownClass("car", (4, 5, 6), ~MASK, 0.0, None, 0.314)


def test_what_was_found_comes_first_with_numbers_and_colour() -> None:
    listed = legend([CAR, TREE])
    tree, car = listed.split("<li")[1:]
    assert 'style="background: rgb(1, 2, 3)"' in tree
    assert "<b>tree</b><span>26.0 %</span>" in tree
    assert ">0.92<" in tree
    assert "<b>car</b><span>at most 0.31</span>" in car
    assert "dashed: not found at this threshold" in listed
    assert "dashed" not in legend([TREE])
    assert "classes overlap" not in listed
    assert "classes overlap, and the overlay shows the most probable" in legend([TREE] * 4)


def test_how_likely_a_class_is_there_stands_beside_it() -> None:
    bus = ShownClass("bus", (0, 0, 0), ~MASK, 0.0, None, 0.2, presence=0.034)
    tree = ShownClass("tree", (1, 2, 3), MASK, 26.04, 0.915, 0.99, presence=0.957)
    listed = legend([bus, tree, CAR])
    first, second, third = listed.split("<li")[1:]
    assert '<span class="presence">96 % likely to be there</span>' in first
    assert '<span>at most 0.20</span><span class="presence">not found (3 %)</span>' in second
    assert "presence" not in third.partition("</ul>")[0]
    assert "below: how likely the class is in the picture at all" in listed
    assert "below" not in legend([CAR, TREE])


def test_where_nothing_was_found_the_nearest_class_is_named() -> None:
    bus = ShownClass("bus", (0, 0, 0), ~MASK, 0.0, None, 0.2)
    assert nothing_found([bus, CAR], 0.5) == [
        "Nothing found at threshold 0.50: the highest probability of 'car' is 0.31"
    ]
    assert nothing_found([TREE, CAR], 0.5) == []


def test_a_network_is_introduced_by_what_is_known() -> None:
    network = small_network()
    painter = Painter("demo/run", Path("run"), network)
    assert "<b>demo/run</b><span>adapter_hf · 5 classes</span>" in about(painter)
    network.config.measured = {"bIoU": 36.14, "num_masks": 9, "per_class": {}}
    expected = "adapter_hf · 5 classes · bIoU 36.1 % · 0.25 s on cpu"
    assert f"<span>{expected}</span>" in about(painter, 0.25)


def test_what_users_typed_is_text() -> None:
    typed = "no class '<img src=x onerror=alert(1)>'"
    for shown in (notice([typed]), hint(typed)):
        assert "<img" not in shown
        assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert notice([]) == ""
    assert notice(["one", "two"]).count("<p>") == 2
