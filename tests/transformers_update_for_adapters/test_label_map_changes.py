"""What new classes take in label maps: by hand, pixel by pixel."""

import torch

from transformers_update_for_adapters.label_map_changes import (
    TakenPixels,
    changes_in_words,
    taken_pixels,
)


def test_taken_pixels_by_hand() -> None:
    # Five pixels: sky's; road's; of neither; road's; sky's, as road is below its threshold of 1.
    sky = [4.0, -1.0, -1.0, -3.0, 0.5]
    road = [2.0, 1.5, -2.0, 3.0, 0.9]
    # The mug is below its threshold of -1 in the first, ahead in the next two, level, and ahead.
    mug = [-2.0, 2.0, -0.5, 3.0, 0.7]
    cup = [5.0, 1.9, -9.0, -9.0, -9.0]
    known = torch.tensor([sky, road])[:, None]
    new = torch.tensor([mug, cup])[:, None]
    before, taken = taken_pixels(known, torch.tensor([0.0, 1.0]), new, torch.tensor([-1.0, 0.0]))
    assert before.tolist() == [2, 2]
    assert taken.tolist() == [[1, 1], [1, 0]]  # a pixel of neither is not taken from anybody


def test_shares_and_words_by_hand() -> None:
    pixels = TakenPixels(torch.tensor([50, 150]), torch.tensor([[10, 0], [0, 0]]), 3, True)
    mug = pixels.described(0, ["sky", "road"])
    assert mug == {
        "pictures": 3,
        "held_out": True,
        "share": 5.0,
        "share_of_all_new": 5.0,
        "loses_most": "sky",
        "share_of_it": 20.0,
    }
    assert changes_in_words(mug, "mug") == (
        "in label maps of all classes, 'mug' takes 5.0 % of the pixels that known classes had "
        "(3 pictures, held out); 'sky' loses most to it, 20.0 % of its own; all classes learnt "
        "with it take 5.0 %"
    )
    cup = pixels._replace(num_pictures=1, held_out=False).described(1, ["sky", "road"])
    assert (cup["share"], cup["loses_most"]) == (0.0, None)
    assert changes_in_words(cup, "cup").endswith("(1 picture, it was learnt from)")
    nothing = TakenPixels(torch.zeros(2, dtype=torch.long), pixels.taken * 0, 1, True)
    assert nothing.described(0, ["sky", "road"])["share"] == 0.0
