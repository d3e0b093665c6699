"""Every command and snippet in the documents, run as written on small data."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from PIL import Image
from transformers import SegformerConfig, SegformerForImageClassification

from seg_training.config import compose_config, translate_config_argument
from seg_training.datasets.data_module import SegmentationDataModule
from seg_training.evaluation import evaluate
from seg_training.training import TrainingResult, train

REPOSITORY = Path(__file__).parents[1]
CONFIGS = REPOSITORY / "configs"
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])
FEW_SCENES = ["data.num_training=40", "data.num_validation=8"]
A_RUN = re.compile(r"outputs/\w+/2026-01-31_12-00-00")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
]


class Block(NamedTuple):
    document: str
    language: str
    text: str


def blocks() -> Iterator[Block]:
    for document in DOCUMENTS:
        for match in re.finditer(r"```(\w+)\n(.*?)```", document.read_text(), re.DOTALL):
            yield Block(document.name, match[1], match[2])


def commands(program: str) -> list[str]:
    lines = [
        line
        for block in blocks()
        if block.language == "bash"
        for line in block.text.splitlines()
        if line.startswith(program)
    ]
    return list(dict.fromkeys(lines))


KNOWN = ("python train.py", "python eval.py", "make ", "pip install", "python3 -m venv", "source ")


def test_every_command_is_of_a_kind_that_is_tested() -> None:
    lines = [
        line for block in blocks() if block.language == "bash" for line in block.text.splitlines()
    ]
    assert lines
    assert [line for line in lines if line and not line.startswith(KNOWN)] == []


def test_make_targets_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    for document in DOCUMENTS:
        for target in re.findall(r"`?make ([a-z-]+)`", document.read_text()):
            assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\((?!https?://)([^)#]*)(?:#[^)]*)?\)", document.read_text()):
        assert not link or (document.parent / link).exists(), link


@pytest.fixture(scope="module")
def mit_b0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the form of ``nvidia/mit-b0``, with random weights."""
    folder = tmp_path_factory.mktemp("mit-b0")
    SegformerForImageClassification(SegformerConfig()).save_pretrained(folder)
    return folder


@pytest.fixture
def ade20k(tmp_path: Path) -> Path:
    """A few images in ADE20K's layout, with all 150 classes in ten images each."""
    root = tmp_path / "ADEChallengeData2016"
    random = np.random.default_rng(0)
    for split, short in (("training", "train"), ("validation", "val")):
        images, annotations = root / "images" / split, root / "annotations" / split
        images.mkdir(parents=True)
        annotations.mkdir(parents=True)
        for number in range(10 if split == "training" else 1):
            labels = np.arange(151, dtype=np.uint8).repeat(8 * 10)[: 120 * 100].reshape(100, 120)
            pixels = random.integers(0, 256, (100, 120, 3), np.uint8)
            Image.fromarray(pixels).save(images / f"ADE_{short}_{number:08d}.jpg")
            Image.fromarray(labels).save(annotations / f"ADE_{short}_{number:08d}.png")
    return root


@pytest.fixture
def substitutes(
    ade20k: Path, fake_folder: Callable[..., Path], fake_classes: Mapping[str, Any], tmp_path: Path
) -> Callable[[str], str]:
    """Put what is on this machine where the documents say ``/path/to``."""
    classes = tmp_path / "my_classes.yaml"
    classes.write_text(yaml.safe_dump(dict(fake_classes)))
    camvid = fake_folder("camvid")
    for label_map in camvid.glob("annotations/*/*.png"):
        with Image.open(label_map) as opened:
            values = np.array(opened)
        Image.fromarray(values).save(label_map)

    def substitute(text: str) -> str:
        for placeholder, real in (
            ("/path/to/ADEChallengeData2016", ade20k),
            ("/path/to/my_data", camvid),
            ("/path/to/camvid", camvid),
            ("=my_classes.yaml", f"={classes}"),
        ):
            text = text.replace(placeholder, str(real))
        return text

    return substitute


def train_as_written(command: str, mit_b0: Path, run_dir: Path, *more: str) -> TrainingResult:
    arguments = translate_config_argument(shlex.split(command)[2:], CONFIGS)
    experiment, overrides = arguments[1], arguments[2:]
    settings = compose_config(experiment, overrides, CONFIGS)
    added = [
        "trainer.max_steps=2",
        "trainer.accelerator=cpu",
        f"run_dir={run_dir}",
        "trainer.limit_val_batches=1",
        "data.num_workers=0",
        *more,
    ]
    if settings["model"]["pretrained"]:
        added.append(f"model.pretrained={mit_b0}")
    return train(compose_config(experiment, [*overrides, *added], CONFIGS))


TRAININGS = [line for line in commands("python train.py") if "--cfg" not in line]


@pytest.mark.slow
@pytest.mark.parametrize("command", TRAININGS)
def test_training_commands(
    command: str,
    substitutes: Callable[[str], str],
    mit_b0: Path,
    tmp_path: Path,
    a_run: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(REPOSITORY)
    written = A_RUN.sub(str(a_run), substitutes(command))
    more = []
    if "demo.yaml" in command:  # on fewer scenes
        more = [*FEW_SCENES, f"data.root={a_run.parent / 'scenes'}"]
    if "ckpt_path" in command:
        more.append("trainer.max_steps=3")
    trained = train_as_written(written, mit_b0, tmp_path / "run", *more)
    assert trained.result.num_masks > 0
    assert (trained.run_dir / "results.json").is_file()


@pytest.mark.parametrize("command", TRAININGS)
def test_training_commands_compose(command: str, substitutes: Callable[[str], str]) -> None:
    arguments = translate_config_argument(shlex.split(substitutes(command))[2:], CONFIGS)
    config = compose_config(arguments[1], arguments[2:], CONFIGS)
    SegmentationDataModule.from_config(config["data"], config["tasks"], config["seed"])


@pytest.fixture(scope="module")
def a_run(tmp_path_factory: pytest.TempPathFactory, mit_b0: Path) -> Path:
    """The run that the documents evaluate: the demo, for two steps on few scenes."""
    folder = tmp_path_factory.mktemp("runs")
    return train_as_written(
        "python train.py --config demo.yaml",
        mit_b0,
        folder / "2026-01-31_12-00-00",
        f"data.root={folder / 'scenes'}",
        *FEW_SCENES,
    ).run_dir


@pytest.mark.parametrize("command", commands("python eval.py"))
def test_evaluation_commands(command: str, a_run: Path, tmp_path: Path) -> None:
    words = shlex.split(A_RUN.sub(str(a_run), command))[2:]
    overrides = [word for word in words if "=" in word]
    result, _module = evaluate(words[words.index("--ckpt") + 1], overrides, CONFIGS)
    assert result.num_masks > 0


SNIPPETS = [block for block in blocks() if block.language == "python"]


@pytest.mark.parametrize("block", SNIPPETS, ids=lambda block: block.document)
def test_python_snippets(block: Block, a_run: Path) -> None:
    text = A_RUN.sub(str(a_run), block.text)
    exec(compile(text, block.document, "exec"), {})


def test_the_documents_classes_file_is_the_configs() -> None:
    [block] = [b for b in blocks() if b.language == "yaml" and "bicyclist" in b.text]
    config = yaml.safe_load((CONFIGS / "classes" / "camvid.yaml").read_text())
    assert yaml.safe_load(block.text) == config


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_help_lists_the_targets() -> None:
    answer = subprocess.run(
        ["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    for target in ("demo", "test", "lint"):
        assert f"make {target}" in answer.stdout
