"""What is said of a class that was learnt from a few pictures: in logs, on cards and pages."""

from collections.abc import Mapping
from typing import Any

__all__ = ["learnt_in_words"]

_WHAT = {
    "row": " (a row)",
    "embedding": " (its embedding)",
    "row+embedding": " (a row and its embedding)",
    "adapter": " (its own adapter)",
}


def learnt_in_words(name: str, learnt: Mapping[str, Any]) -> list[str]:
    """Say what a class was learnt from, what it should reach, and what it takes from known ones.

    Args:
        name: of the class.
        learnt: what a configuration's ``origin["learnt"]`` has of it.

    Returns:
        Sentences.
    """
    expected = "how well cannot be told from so few"
    if learnt["expected_bIoU"] is not None:
        low, high = learnt["interval"]
        expected = (
            f"bIoU {learnt['expected_bIoU']:.1f} % ({low:.1f} to {high:.1f}) is expected on others "
            "like these, by cross-validation"
        )
    # Classes that were learnt by earlier versions do not say what, nor what they change.
    what = _WHAT.get(learnt.get("learns", ""), "")
    said = [f"'{name}' is learnt from {_pictures(learnt['pictures'])}{what}; {expected}"]
    changes = learnt.get("label_maps")
    if changes:
        said.append(_changes_in_words(name, changes))
    return said


def _changes_in_words(name: str, changes: Mapping[str, Any]) -> str:
    seen = "held out" if changes["held_out"] else "that it was learnt from"
    said = (
        f"in label maps of all classes '{name}' takes {changes['share']:.1f} % of the pixels that "
        f"known classes had ({_pictures(changes['pictures'])}, {seen})"
    )
    if changes["loses_most"] is None:
        return said
    said += f"; '{changes['loses_most']}' loses most, {changes['share_of_it']:.1f} % of its own"
    if changes["share_of_all_new"] != changes["share"]:
        said += f"; all classes learnt with it take {changes['share_of_all_new']:.1f} %"
    return said


def _pictures(number: int) -> str:
    return f"{number} picture{'' if number == 1 else 's'}"
