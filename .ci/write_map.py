"""CONTRIBUTING's map of the modules, written anew from their docstrings: make map."""

import ast
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
DOCUMENT = REPOSITORY / "CONTRIBUTING.md"
BEGIN, END = "<!-- map: begin (make map writes it) -->", "<!-- map: end -->"

SEG_TRAINING = "ADE20K_multitask_segmentation/seg_training"
PACKAGES = ("transformers_update_for_adapters", SEG_TRAINING, "multitask_segmentation")
# A room of seg_training imports from its own layer and those above it; what stands in seg_training
# itself is in a layer, too.
LAYERS = (
    ("errors",),
    ("files",),
    ("settings", "known_settings", "config_sections", "pictures"),
    ("as_written",),
    ("config", "commands"),
    ("fetching",),
    ("tasks", "datasets"),
    ("networks",),
    ("evaluation",),
    ("results", "checkpoints", "trained_networks"),
    ("prediction",),
    ("training", "pl_module"),
    ("audit", "export"),
    ("dataset_description", "new_classes"),
    ("benchmark", "tables", "browser_page", "web_app"),
)
KINDS = "datasets/annotation_kinds"  # a folder in a room, with a part of the map
GENERATED = ("scenenet_pb2.py",)


def rooms() -> dict[str, list[Path]]:
    """List the modules of each folder, in the order in which folders import from each other."""
    inside = [f"{SEG_TRAINING}/{name}" for layer in LAYERS for name in layer]
    inside.insert(inside.index(f"{SEG_TRAINING}/datasets") + 1, f"{SEG_TRAINING}/{KINDS}")
    inside.append(f"{SEG_TRAINING}/browser_page/page")
    folders = [PACKAGES[0], SEG_TRAINING, *inside, PACKAGES[2], "scripts", "."]
    listed = {}
    for folder in folders:
        files = sorted((REPOSITORY / folder).glob("*.[jp][sy]"))
        if files:
            listed[folder] = [file for file in files if file.name not in GENERATED]
    return listed


@cache
def first_line(module: Path) -> str:
    """Give the first line of a module's docstring, as the map has it; in JavaScript a comment."""
    if module.suffix == ".js":
        return module.read_text(encoding="utf-8").partition("\n")[0].removeprefix("// ")
    words = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return words.partition("\n")[0]


def map_text() -> str:
    """Write the map: one folder after the other, a line for each module."""
    width = 2 + max(len(module.name) for modules in rooms().values() for module in modules)
    lines = []
    for folder, modules in rooms().items():
        about = [first_line(module) for module in modules if module.name == "__init__.py"]
        title = f"{folder}/".removeprefix("ADE20K_multitask_segmentation/").replace("./", "here")
        lines += ["", ": ".join([title, *about])]
        lines += [
            f"  {module.name:{width}}{first_line(module)}"
            for module in modules
            if module.name != "__init__.py"
        ]
    return "\n".join(["```text", *lines[1:], "```"])


def with_map(document: str) -> str:
    """Put the map between its marks."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{map_text()}\n\n{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_map(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
