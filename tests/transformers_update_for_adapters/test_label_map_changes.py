"""What new classes take in label maps: by hand, pixel by pixel."""

import torch

from transformers_update_for_adapters.label_map_changes import TakenPixels, taken_pixels
from transformers_update_for_adapters.learnt_in_words import learnt_in_words


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
    cup = pixels._replace(num_pictures=1, held_out=False).described(1, ["sky", "road"])
    assert (cup["share"], cup["loses_most"]) == (0.0, None)
    nothing = TakenPixels(torch.zeros(2, dtype=torch.long), pixels.taken * 0, 1, True)
    assert nothing.described(0, ["sky", "road"])["share"] == 0.0


def test_what_is_said_by_hand() -> None:
    about = {"pictures": 10, "expected_bIoU": 44.12, "interval": [38.0, 50.2]}
    expected = (
        "'mug' is learnt from 10 pictures; bIoU 44.1 % (38.0 to 50.2) is expected on others like "
        "these, by cross-validation"
    )
    assert learnt_in_words("mug", about) == [expected]
    pixels = TakenPixels(torch.tensor([50, 150]), torch.tensor([[10, 0], [0, 3]]), 3, True)
    mug = {**about, "label_maps": pixels.described(0, ["sky", "road"])}
    assert learnt_in_words("mug", mug)[1] == (
        "in label maps of all classes 'mug' takes 5.0 % of the pixels that known classes had "
        "(3 pictures, held out); 'sky' loses most, 20.0 % of its own; all classes learnt with it "
        "take 6.5 %"
    )
    assert learnt_in_words("mug", {**mug, "learns": "adapter"})[0].startswith(
        "'mug' is learnt from 10 pictures (its own adapter); bIoU"
    )
    one = {"pictures": 1, "expected_bIoU": None, "interval": None}
    nothing = TakenPixels(pixels.before, pixels.taken * 0, 1, False)
    one["label_maps"] = nothing.described(0, ["sky", "road"])
    assert learnt_in_words("cup", one) == [
        "'cup' is learnt from 1 picture; how well cannot be told from so few",
        "in label maps of all classes 'cup' takes 0.0 % of the pixels that known classes had "
        "(1 picture, that it was learnt from)",
    ]
