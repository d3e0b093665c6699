import re
from pathlib import Path

import pytest

from seg_training.errors import UserError
from seg_training.prediction.pictures_to_paint import find_pictures


def touch(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_a_folder_is_searched_and_names_are_below_it(tmp_path: Path) -> None:
    touch(tmp_path, "b.PNG", "a.jpg", "inner/a.jpeg", "notes.txt")
    assert find_pictures([str(tmp_path)]) == {
        tmp_path / "a.jpg": "a",
        tmp_path / "b.PNG": "b",
        tmp_path / "inner" / "a.jpeg": "inner/a",
    }


def test_results_of_earlier_predictions_are_no_pictures(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a/overlay.png", "a/result.json", "b.unfinished/001_tree_mask.png")
    touch(tmp_path, "masks/a/overlay.png", "masks/a/result.json", "other/b.jpg")
    assert list(find_pictures([str(tmp_path)]).values()) == ["a", "other/b"]


def test_files_and_patterns_are_named_alone(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.jpg", "two/b.jpg", "two/c.jpg", "two/d.png", "odd.picture")
    given = [tmp_path / "one" / "a.jpg", tmp_path / "two" / "*.jpg", tmp_path / "odd.picture"]
    found = find_pictures([str(each) for each in given])
    assert list(found.values()) == ["a", "b", "c", "odd"]
    everywhere = find_pictures([str(tmp_path / "**" / "*.png")])
    assert list(everywhere.values()) == ["d"]


def test_a_picture_that_is_given_twice_is_one(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    assert len(find_pictures([str(tmp_path), str(tmp_path / "a.jpg")])) == 1


def test_the_suffix_tells_pictures_of_one_name_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.png", "b.jpg")
    assert list(find_pictures([str(tmp_path)]).values()) == ["a_jpg", "a_png", "b"]


def test_what_cannot_be_found_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.jpg", "two/a.jpg", "empty/notes.txt")
    with pytest.raises(UserError, match=r"picture .*onee does not exist; did you mean .*one'"):
        find_pictures([str(tmp_path / "onee")])
    with pytest.raises(UserError, match=r"empty holds no picture \(looked for \.jpg"):
        find_pictures([str(tmp_path / "empty")])
    with pytest.raises(UserError, match=r"no file matches .*\*\.bmp"):
        find_pictures([str(tmp_path / "*.bmp")])
    with pytest.raises(UserError, match=r"one/a\.jpg and .*two/a\.jpg would be written"):
        find_pictures([str(tmp_path / "one"), str(tmp_path / "two")])


def test_any_name_of_a_picture_gives_a_folder_of_its_own_below_the_output(tmp_path: Path) -> None:
    names = ["...jpg", "....jpg", "CON.png", "a .png", f"{'汽' * 83}.jpg", f"{'x' * 251}.png"]
    touch(tmp_path, *names, "nul/a.png")
    hidden = [str(tmp_path / name) for name in names[:2]]  # used only where they are named
    found = find_pictures([str(tmp_path), *hidden])
    assert len({name.lower() for name in found.values()}) == len(names) + 1
    for name in found.values():
        output = (tmp_path / "output" / name).resolve()
        assert output.is_relative_to(tmp_path.resolve() / "output")
        assert output != tmp_path.resolve() / "output"
        assert len(output.name.encode()) <= 240
        output.mkdir(parents=True)


def test_a_name_that_was_changed_says_what_it_was(tmp_path: Path) -> None:
    touch(tmp_path, "CON.png", f"{'x' * 250}.png", "photo.png")
    one, photo, other = find_pictures([str(tmp_path)]).values()
    assert one.startswith("CON-")
    assert photo == "photo"
    assert other.startswith("x" * 200)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (
            ("trip.jpg", "trip/day1.jpg", "trip_jpg/z.jpg"),
            ("trip/day1", "trip_jpg-#", "trip_jpg/z"),
        ),
        (("a.jpg", "a.png", "a_jpg.png"), ("a_jpg", "a_jpg-#", "a_png")),
        (("x/a.b.jpg", "x/a.b.png", "x/a_b.jpg", "x/a_b.png"), ("x/a_b_jpg-#",) * 2),
    ],
)
def test_names_that_are_taken_end_in_a_hash(
    files: tuple[str, ...], names: tuple[str, ...], tmp_path: Path
) -> None:
    touch(tmp_path, *files)
    found = list(find_pictures([str(tmp_path)]).values())
    assert len(set(found)) == len(files)
    plain = sorted(re.sub("-[0-9a-f]{12}$", "-#", name) for name in found)
    assert [name for name in plain if name in names] == sorted(names)
    assert list(find_pictures([str(tmp_path)]).values()) == found
    for name in found:  # none lies in another
        assert not any(other.startswith(f"{name}/") for other in found)
