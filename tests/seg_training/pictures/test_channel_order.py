import numpy as np
import torch

from seg_training.pictures.channel_order import channels_first, channels_last


def test_channels_come_first_and_last_again() -> None:
    picture = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    tensor = channels_first(picture)
    assert tensor.shape == (3, 2, 4)
    assert tensor.is_contiguous()
    assert tensor[1].tolist() == [[1, 4, 7, 10], [13, 16, 19, 22]]
    back = channels_last(tensor)
    assert back.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(back, picture)


def test_the_picture_may_be_read_only_and_stays_as_it_is() -> None:
    picture = np.zeros((2, 2, 3), np.float32)
    picture.setflags(write=False)
    channels_first(picture).add_(1)
    assert not picture.any()
    assert channels_last(torch.ones(3, 1, 2)).dtype == np.float32
