import numpy as np

from seg_training.results.overlays import LabelledImage, distinct_colours, labels_picture, tinted

RED, BLUE = (250, 10, 20), (20, 30, 200)


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 100, np.uint8)


def halves(height: int, width: int) -> np.ndarray:
    """Label 0 on the left, 7 on the right."""
    labels = np.zeros((height, width), np.int64)
    labels[:, width // 2 :] = 7
    return labels


def test_labels_are_tinted_with_a_light_border() -> None:
    tile = LabelledImage("a", grey(60, 80), halves(60, 80))
    picture = labels_picture([tile], {7: ("car", RED)}, width=80)
    body = picture[:, 16 : 16 + 60]  # below the caption
    assert body[:, 30, 20].tolist() == [100, 100, 100]
    assert body[:, 30, 60].tolist() == [175, 55, 60]  # half image, half colour
    assert body[:, 30, 40].tolist() == [223, 175, 177]  # 0.4 of that, 0.6 of white
    assert body[:, 30, 39].tolist() == [100, 100, 100]


def test_opacity_mixes_image_and_colour() -> None:
    for opacity, expected in ((0.0, (100, 100, 100)), (0.2, (130, 82, 84)), (1.0, RED)):
        painted = tinted(grey(4, 8), halves(4, 8), {7: RED}, opacity)
        assert tuple(painted[2, 6].tolist()) == expected
        assert painted[2, 0].tolist() == [100] * 3


def test_images_of_another_shape_stand_in_the_middle_of_white() -> None:
    wide = LabelledImage("a", grey(40, 80), halves(40, 80))
    tall = LabelledImage("b", grey(80, 40), np.zeros((80, 40), np.int64))
    picture = labels_picture([wide, wide, tall], {7: ("car", RED)}, columns=2, width=80)
    # Fields of 80x40, the shape of most; the tall one is 20x40 in the second row.
    field = picture[:, 16 + 40 + 4 + 16 :][:, :40, :80]
    assert field[:, 20, 29].tolist() == [255, 255, 255]
    assert field[:, 20, 30].tolist() == field[:, 20, 49].tolist() == [100, 100, 100]
    assert field[:, 20, 50].tolist() == [255, 255, 255]


def test_the_legend_goes_down_its_columns() -> None:
    tile = LabelledImage("a", grey(50, 100), halves(50, 100))
    legend = {7: ("a long name", RED), 8: ("b", BLUE)}
    picture = labels_picture([tile], legend, width=100)
    assert picture.shape == (3, 16 + 50 + 2 * 20 + 2 * 6, 100)
    names = picture[:, 16 + 50 :]
    assert names[:, 15, 12].tolist() == list(RED)
    assert names[:, 35, 12].tolist() == list(BLUE)
    beside = labels_picture([tile] * 4, legend, width=100)
    assert beside.shape[1] == 16 + 50 + 20 + 2 * 6


def test_colours_are_all_different_and_the_first_ones_stay() -> None:
    colours = distinct_colours(254)
    assert len(set(colours)) == 254
    assert distinct_colours(5) == colours[:5]
    assert all(0 <= part <= 255 for colour in colours for part in colour)
