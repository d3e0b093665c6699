"""Pictures of predictions; evaluating checkpoints is tested with the trainings that wrote them."""

from pathlib import Path

from fake_datasets import gdd
from fake_datasets.configs import config_on_fake_data

from seg_training.datasets.data_module import build_data_module
from seg_training.evaluation import draw_predictions
from seg_training.pl_module import LitSeg


def test_one_prompt_is_drawn_as_a_row_and_images_without_any_are_left_out(tmp_path: Path) -> None:
    config = config_on_fake_data("multitask_gdd", tmp_path, ["model=adapter_hf_scratch"])
    data = build_data_module(config["data"], config["tasks"], 0)
    picture = draw_predictions(LitSeg(config, ["glass"]), data, num_images=4)
    assert sum(number not in gdd.EMPTY for number in gdd.NUMBERS["test"]) == 3
    # Three rows of three pictures of 160x200, five times the crop size, with their captions.
    assert picture.shape == (3, 3 * (160 + 16) + 2 * 4, 3 * 200 + 2 * 4)
