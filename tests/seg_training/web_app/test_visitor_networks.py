"""What a visitor has taught is that visitor's alone, for a while."""

from pathlib import Path

import pytest
from small_networks import small_network

from seg_training.errors import UserError
from seg_training.web_app.painters import Painter
from seg_training.web_app.visitor_networks import VisitorNetworks

SHARED = [Painter("one", Path("one/model"), small_network())]


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def networks(clock: Clock) -> VisitorNetworks:
    return VisitorNetworks(SHARED, most=2, idle_seconds=600, clock=clock)


def own(folder: Path, name: str) -> list[Painter]:
    (folder / name).mkdir()
    (folder / name / "model.safetensors").touch()
    return [Painter("one", folder / name / "model.safetensors", SHARED[0].network)]


def test_nobody_else_sees_them(networks: VisitorNetworks, tmp_path: Path) -> None:
    of_anna = own(tmp_path, "a")
    networks.put("anna", "mug", of_anna)
    assert networks.painters("anna") is of_anna
    for other in ("berta", "", None):
        assert networks.painters(other) is SHARED
        assert networks.taught(other) == []
    assert networks.taught("anna") == ["mug"]


def test_files_go_with_what_nobody_has_any_more(networks: VisitorNetworks, tmp_path: Path) -> None:
    networks.put("anna", "mug", own(tmp_path, "first"))
    networks.put("anna", "cup", own(tmp_path, "second"))
    assert [each.name for each in tmp_path.iterdir()] == ["second"]
    assert networks.taught("anna") == ["mug", "cup"]
    networks.leave("anna")
    assert list(tmp_path.iterdir()) == []
    assert networks.painters("anna") is SHARED
    assert networks.what_is_lost("anna", None) == []


def test_one_class_is_taught_anew_from_the_pages_networks(
    networks: VisitorNetworks, tmp_path: Path
) -> None:
    first = own(tmp_path, "first")
    networks.put("anna", "mug", first)
    assert networks.to_teach("anna", "mug") is SHARED
    assert networks.to_teach("anna", "cup") is first
    networks.put("anna", "mug", own(tmp_path, "again"))
    assert networks.taught("anna") == ["mug"]


def test_what_is_not_used_goes_and_that_is_said(
    networks: VisitorNetworks, clock: Clock, tmp_path: Path
) -> None:
    networks.put("anna", "mug", own(tmp_path, "a"))
    clock.seconds = 500
    networks.painters("anna")
    clock.seconds = 1000
    networks.painters("berta")
    assert networks.taught("anna") == ["mug"]
    clock.seconds = 1101
    assert networks.painters("anna") is SHARED
    assert list(tmp_path.iterdir()) == []
    assert networks.what_is_lost("anna", ["sky"]) == []
    assert networks.what_is_lost("berta", ["mug"]) == []
    for asked in (["sky", "mug"], None):
        assert networks.what_is_lost("anna", asked) == [
            "What you have taught, 'mug', is no longer kept here, for it was not used for "
            "10 minutes: teach it again"
        ]
    networks.put("anna", "mug", own(tmp_path, "again"))
    assert networks.what_is_lost("anna", None) == []


def test_beyond_the_room_there_are_words(
    networks: VisitorNetworks, clock: Clock, tmp_path: Path
) -> None:
    networks.put("anna", "mug", own(tmp_path, "a"))
    clock.seconds = 60
    networks.put("berta", "cup", own(tmp_path, "b"))
    networks.check_room("anna")  # who has one may have another
    with pytest.raises(UserError, match=r"2 visitors have taught this page.* in 10 minutes at"):
        networks.check_room("cleo")
    clock.seconds = 601
    networks.check_room("cleo")
