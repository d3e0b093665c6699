"""Classes files are taken as they are written, and what nobody meant is an error with its line."""

from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from seg_training.as_written.yaml_as_written import label_value, read_written
from seg_training.errors import UserError
from seg_training.tasks import LabelClasses

# What YAML 1.1, OmegaConf or Hydra would read as something else.
ODD = [
    *("no", "yes", "null", "12:30", "1e3", "2024-01-01", "~", "=", "010", "1.7", "0x1", "1_0"),
    *("on", "true", ".inf", "nan", "-1", "%25"),
]


def read(file: Path, text: str | bytes) -> LabelClasses:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return LabelClasses.from_file(file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "classes.yaml"


def test_names_are_taken_as_they_are_written(file: Path) -> None:
    plain = [name for name in ODD if name != "%25"]  # which YAML wants in quotes
    text = "classes:\n" + "".join(f"  {value}: {name}\n" for value, name in enumerate(plain))
    assert list(read(file, text).names.values()) == plain
    content = {"classes": dict(enumerate(ODD)), "ignore": [255]}
    assert list(read(file, yaml.safe_dump(content)).names.values()) == ODD


@pytest.mark.parametrize("letter", ["\u200b", "\u200c", "\u200d", "\u202e", "\u00a0", "\ue000"])
def test_letters_without_a_shape_of_their_own_are_taken(file: Path, letter: str) -> None:
    assert read(file, f"classes: {{1: a{letter}b, 2: <<}}").names == {1: f"a{letter}b", 2: "<<"}


def test_names_are_the_same_after_a_config_was_saved(file: Path) -> None:
    classes = LabelClasses(dict(enumerate(ODD)), ignore=frozenset({255}))
    OmegaConf.save(OmegaConf.create(classes.to_mapping()), file)
    assert LabelClasses.from_file(file) == classes
    assert LabelClasses.from_mapping(yaml.safe_load(file.read_text()), "here") == classes


def test_json_is_a_classes_file_as_well(file: Path) -> None:
    classes = read(file, '{"classes": {"0": "sky", "1": "no"}, "ignore": [255]}')
    assert classes == LabelClasses({0: "sky", 1: "no"}, ignore=frozenset({255}))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("classes:\n  1: a\n  1: b", 3, "'1' stands twice, first in line 2"),
        ("classes: {1: a}\nother: [0]\nother: [5]", 3, "'other' stands twice, first in line 2"),
        ("classes:\n  1: a\n  '1': b", 3, "'1' stands twice, first in line 2"),
        ('classes: {1: a}\nignore: "255"', 2, "'ignore' is '255', not a list of label values"),
        ("classes: {1: a}\nother: 0", 2, "'other' is '0', not a list of label values"),
        ("classes: {1: a}\nignore: {3: 4}", 2, "'ignore' is a mapping, not a list"),
        ("classes: {1: a}\nignore: ['255']", 2, "label value '255' .* without quotes"),
        ("classes: {1: a}\nignore: [no]", 2, "label value 'no' is no whole number"),
        ("classes:\n  1: a\n  010: b", 3, "label value '010' is no whole number in plain digits"),
        ("classes:\n  1.7: b", 2, r"label value '1\.7' is no whole number"),
        ("classes:\n  0x1: b", 2, "label value '0x1' is no"),
        ("classes:\n  1_0: b", 2, "label value '1_0' is no"),
        ("classes:\n  1:30: b", 2, "label value '1:30' is no"),
        ("classes:\n  true: b", 2, "label value 'true' is no"),
        ("classes:\n  -1: b", 2, "label value '-1' is no"),
        ("classes:\n  ~: b", 2, "label value '~' is no"),
        ("classes:\n  4294967296: b", 2, "value 4294967296 cannot stand in .* 0 to 4294967295"),
        ("classes: {1: a}\nignore: [99999999999]", 2, "value 99999999999 cannot stand in"),
        ("classes:\n  1: a\n  2: [b, c]", 3, "a name was expected, found a list. .*'car;auto'"),
        ("classes:\n  1: {a: b}", 2, "a name was expected, found a mapping"),
        ("classes:\n  1:\n  2: b", 2, "a name is empty"),
        ("classes:\n  1: ''", 2, "a name is empty"),
        ("classes:\n  1: ' a'", 2, "name ' a' starts or ends with a space"),
        ("classes:\n  1: 'a;'", 2, "name 'a;' .* has an empty synonym"),
        ('classes:\n  1: "a\\nb"', 2, r"name 'a\\nb' holds a line break"),
        ("classes:\n  1: all", 2, "a class cannot be called 'all', which asks for every class"),
        ("classes:\n  1: every;All", 2, "a class cannot be called 'all'"),
        ("classes:\n  1: '${x}'", 2, "configs would replace the name"),
        ("classes:\n  1: a\n  2: a", 3, r"two label values are called 'a', .* line 2; give"),
        ("classes: {1: a}\nother: [1]", 2, "value 1 has two meanings, .* line 1; name it once"),
        ("classes: {1: a}\nother: [2]\nignore: [3, 2]", 3, "value 2 has two meanings, .* line 2"),
        ("classes: {1: a}\nignored: [1]", 2, "unknown entry 'ignored'; did you mean 'ignore'"),
        ("classes:\n- a\n- b", 2, "found a list under 'classes'"),
        ("classes: null", 1, "found 'null' under 'classes'"),
        ("classes: {1: a}\nother: ''", 2, "'other' is '', not a list of label values"),
        ("classes: {1: a}\nignore: 'null'", 2, "'ignore' is 'null', not a list of label values"),
        ("classes: {1: a}\nother: <<", 2, "'other' is '<<', not a list of label values"),
        (
            "classes:\n  1: \u00e9\n  2: e\u0301",
            3,
            r"'\\xe9' and 'e\\u0301' are one name in two Unicode forms, the other .*line 2",
        ),
        ('classes:\n  1: "a\\x07b"', 2, r"name 'a\\x07b' holds a line break or another control"),
        ("classes:\n  1: '\u200b'", 2, r"name '\\u200b' holds nothing that can be seen"),
    ],
)
def test_what_nobody_meant_is_an_error_with_its_line(
    file: Path, text: str, line: int, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(file, text)
    assert str(caught.value).startswith(f"{file}, line {line}: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is nothing and holds no 'classes:"),
        ("- a", "it is a list and holds no"),
        ("sky", "it is 'sky' and holds no"),
        ("classes:\n\t1: a", r"is not valid YAML: .*\n.*\n?.*line 2"),
        ("classes: {1: a}\n---\nclasses: {2: b}", "is not valid YAML: expected a single document"),
        ("classes: {1: tür}".encode("latin-1"), "save it as UTF-8 text .* at byte 14"),
    ],
)
def test_what_is_no_classes_file_says_so(file: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(file, text)
    assert str(caught.value).startswith(str(file))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_of_other_editors_are_read(file: Path, encoding: str) -> None:
    text = "classes: {1: tür}\r\nother:\r\nignore: [255]\r\n"
    expected = LabelClasses({1: "tür"}, ignore=frozenset({255}))
    assert read(file, text.encode(encoding)) == expected


def test_anchors_mean_what_they_mean_in_yaml(file: Path) -> None:
    text = "classes: &own {1: no}\nother: []\n<<: {ignore: [3], other: [4]}"
    assert read(file, text) == LabelClasses({1: "no"}, ignore=frozenset({3}))


@pytest.mark.parametrize("wrong", [True, 1.0, None, "1 ", "٣"])
def test_values_from_python_are_whole_numbers_too(wrong: object) -> None:
    with pytest.raises(UserError, match=r"here: label value .* is no whole number"):
        label_value(wrong, "here")
    with pytest.raises(UserError, match=r"here: label value .* is no whole number"):
        LabelClasses.from_mapping({"classes": {wrong: "a"}}, "here")


@pytest.mark.parametrize("wrong", [False, None, 7, ["a"]])
def test_names_from_python_are_texts(wrong: object) -> None:
    with pytest.raises(UserError, match="here: a name was expected, found"):
        LabelClasses.from_mapping({"classes": {1: wrong}}, "here")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*: Is a directory"):
        read_written(tmp_path)
