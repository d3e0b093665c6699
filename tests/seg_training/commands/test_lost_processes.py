import pytest

from seg_training.commands.lost_processes import saying_who_is_lost
from seg_training.errors import UserError

GLOO = (
    "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:545] Read error [127.0.0.1]:22918: "
    "Connection reset by peer. This is typically caused by a remote worker hanging."
)


class DistBackendError(RuntimeError):
    """As PyTorch names NCCL's."""


@pytest.mark.parametrize("error", [RuntimeError(GLOO), DistBackendError("NCCL error: remote")])
def test_an_error_of_the_connection_is_one_line(error: RuntimeError) -> None:
    with pytest.raises(UserError, match="process 0 has lost another one") as said:  # noqa: SIM117
        with saying_who_is_lost():
            raise error
    assert "\n" not in str(said.value)
    if error.args[0] == GLOO:
        assert str(said.value).endswith("(Read error [127.0.0.1]:22918: Connection reset by peer)")


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="out of memory"), saying_who_is_lost():
        raise RuntimeError("out of memory")
