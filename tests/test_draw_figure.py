"""The figure as a user asks for it, from a run on made-up images."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from own_process import REPOSITORY, run_script
from short_runs import ONE_TRAINING

from seg_training.config import compose_config
from seg_training.pictures.picture_reading import read_image
from seg_training.training.training_run import train

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]


def test_a_figure_of_a_run(
    fake_folder: Callable[[], Path], fake_classes: Mapping[str, Any], tmp_path: Path
) -> None:
    small = [
        *(
            *ONE_TRAINING,
            "model=adapter_hf_scratch",
            "logger=csv",
            "log_plot_freq=0",
            "data.crop_size=[32,64]",
        ),
        *("trainer.max_steps=1", "trainer.accelerator=cpu", "trainer.num_sanity_val_steps=0"),
        *("data.batch_size=2", "data.num_workers=0", f"run_dir={tmp_path / 'run'}"),
        f"data.root={fake_folder()}",
    ]
    config = compose_config("folder_adapter", small, REPOSITORY / "configs")
    config["data"]["classes"] = dict(fake_classes)
    run_dir = train(config).run_dir

    file = tmp_path / "new" / "figure.png"
    answer = run_script(
        *("draw_figure", "--ckpt", str(run_dir), "--output", str(file)),
        *("--images", "2", "--prompts", "3", "--width", "100"),
    )
    assert (answer.code, answer.text.strip()) == (0, f"written: {file}")
    # Image and three prompts; the truth below each of the two images.
    assert read_image(file).shape[1] == 4 * 100 + 3 * 4

    missing = run_script(
        *("draw_figure", "--ckpt", str(run_dir), "--output", str(file)),
        f"data.root={tmp_path / 'nowhere'}",
    )
    assert missing.code == 1
    assert "nowhere does not exist; set data.root" in missing.text


@pytest.mark.parametrize(
    ("option", "value"), [("--images", "0"), ("--prompts", "0"), ("--width", "10")]
)
def test_a_number_that_makes_no_figure_is_refused(option: str, value: str, tmp_path: Path) -> None:
    answer = run_script(
        "draw_figure", "--ckpt", "nowhere", "--output", str(tmp_path / "f.png"), option, value
    )
    assert answer.code == 1
    assert f"{option} {value}: expected a whole number of at least" in answer.text


def test_an_output_that_is_no_picture_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "run.ckpt").touch()
    for name, words in (("f.xyz", "expected a file named *.png"), ("folder.png", "is a folder")):
        given = ("--ckpt", str(tmp_path / "run.ckpt"), "--output", str(tmp_path / name))
        answer = run_script("draw_figure", *given)
        assert answer.code == 1
        assert words in answer.text
