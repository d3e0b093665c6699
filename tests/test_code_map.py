"""CONTRIBUTING's map, names of files, and who may import whom."""

import ast
import runpy
from functools import cache
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
MAP = runpy.run_path(str(REPOSITORY / ".ci" / "write_map.py"))
PACKAGES = ("transformers_update_for_adapters", "seg_training", "multitask_segmentation")

MODULES = {
    str(file.relative_to((REPOSITORY / package).parent)): file
    for package in MAP["PACKAGES"]
    for file in sorted((REPOSITORY / package).rglob("*.py"))
    if file.name not in MAP["GENERATED"]
}
OLD_NAMES = ("seg_training/trained_networks.py", "seg_training/datasets/base.py")

# Rooms that use one below them on the map, too: what they hold should be in two rooms.
UPWARDS = {
    ("evaluation", "checkpoints"),
    ("evaluation", "pl_module"),
    ("evaluation", "prediction"),
    ("evaluation", "results"),
    ("evaluation", "training"),
}


def test_the_map_is_that_of_the_tree() -> None:
    document = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    with_map = MAP["with_map"](document)
    written, now = set(document.splitlines()), set(with_map.splitlines())
    assert document == with_map, (
        "CONTRIBUTING's map is another than the tree: run `make map`. "
        f"It has {sorted(written - now)}; there is {sorted(now - written)}"
    )


def test_every_module_has_a_line_of_its_own() -> None:
    on_the_map = {file for files in MAP["rooms"]().values() for file in files}
    left_out = sorted(name for name, file in MODULES.items() if file not in on_the_map)
    assert not left_out, f"folders that .ci/write_map.py's LAYERS do not name: {left_out}"
    lines = [MAP["first_line"](file) for file in on_the_map]
    assert all(lines), "a module has no docstring"
    twice = sorted(line for line in lines if lines.count(line) > 1)
    assert not twice, f"first lines of docstrings that two modules have: {twice}"


def test_no_name_stands_twice() -> None:
    stems = [Path(name).stem for name in MODULES if Path(name).name != "__init__.py"]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    assert not twice, f"names of modules that stand twice: {twice}; rename one"


@pytest.mark.parametrize("name", OLD_NAMES)
def test_a_module_kept_for_its_name_says_so_and_holds_nothing(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    assert "under the name that people have in their code" in (ast.get_docstring(tree) or "")
    assert not [n for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)]


def test_no_module_is_a_command_too() -> None:
    commands = [name for name, file in MODULES.items() if "__main__" in file.read_text("utf-8")]
    assert not commands, f"{commands}: a command is a file in scripts/ that uses a module"


@cache
def imported_by(name: str) -> tuple[str, ...]:
    """Name what a module imports, anywhere in it."""
    *folders, _ = Path(name).parts
    imported: list[str] = []
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*folders[: len(folders) + 1 - node.level]] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            imported += [f"{module}.{alias.name}" for alias in node.names]
    return tuple(imported)


def room(module: str) -> str:
    """The part of seg_training that a dotted name lies in."""
    return module.split(".")[1]


def test_packages_import_one_way() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name in MODULES
        for imported in imported_by(name)
        if imported.split(".")[0] in PACKAGES[PACKAGES.index(Path(name).parts[0]) + 1 :]
        or imported.split(".")[0] in ("train", "eval", "predict", "scripts")
    ]
    assert not wrong


def test_rooms_use_what_is_above_them_on_the_map() -> None:
    layers = {name: place for place, names in enumerate(MAP["LAYERS"]) for name in names}
    found: dict[tuple[str, str], list[str]] = {}
    for name in MODULES:
        if not name.startswith("seg_training/") or name == "seg_training/__init__.py":
            continue
        own = room(name.removesuffix(".py").replace("/", "."))
        for imported in imported_by(name):
            if imported.startswith("seg_training."):
                other = room(imported)
                assert other in layers, f"{name} imports {imported}: LAYERS has no {other}"
                if layers[other] > layers[own]:
                    found.setdefault((own, other), []).append(f"{name} imports {imported}")
    new = {pair: uses for pair, uses in found.items() if pair not in UPWARDS}
    assert not new, f"rooms that use one below them on the map: {new}"
    gone = UPWARDS - set(found)
    assert not gone, f"no longer so, take them out of UPWARDS: {sorted(gone)}"


def test_the_twenty_changes_begin_in_files_that_are_there() -> None:
    changes = yaml.safe_load((REPOSITORY / "tests" / "twenty_changes.yaml").read_text("utf-8"))
    assert len({each["change"] for each in changes}) == 20
    missing = [each["file"] for each in changes if not (REPOSITORY / each["file"]).is_file()]
    assert not missing, f"moved? tests/twenty_changes.yaml names {missing}"
