"""What a card says of a network's thresholds, of its recogniser and of what that can tell."""

from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath

from .class_thresholds import probability_thresholds
from .configuration_tasformer import TASFormerConfig
from .printable_text import markdown
from .recogniser import channels_of_tasks

__all__ = [
    "gains_in_words",
    "presence_in_words",
    "recogniser_in_words",
    "source_name",
    "thresholds_in_words",
]

_MOST_NAMED = 3

# Folders of every run: the name that tells it apart is above them.
_OF_EVERY_RUN = ("checkpoints", "model", "recogniser")


def source_name(source: str) -> str:
    """Name where a recogniser comes from, and nothing of the machine that it was on.

    Args:
        source: a name on the hub, or a path.

    Returns:
        The name on the hub; of a path that of its folder, or of a file that lies by itself.
    """
    is_path = "\\" in source or source.startswith(("/", ".", "~")) or source.count("/") != 1
    if not is_path:
        return source
    path = PureWindowsPath(source) if "\\" in source else PurePosixPath(source)
    *above, name = path.parts or (source,)
    while above and name in _OF_EVERY_RUN:
        name = above.pop()
    if above and above[-1] == "checkpoints":  # a file of a run
        return source_name(str(path.parent))
    return name


def thresholds_in_words(config: TASFormerConfig) -> str | None:
    """Say what classes are painted from.

    Args:
        config: a network's.

    Returns:
        A paragraph; None where the network was not calibrated.
    """
    if config.iou_temperature is not None:
        return (
            "Each class is painted where its expected IoU is largest (RankSEG: `pip install "
            f"rankseg`), of logits divided by {config.iou_temperature:g}, chosen on training "
            "images: something of whatever is asked for is painted. `segment(..., threshold=0.5)` "
            "paints from a probability on."
        )
    if config.thresholds is None:
        return None
    every = probability_thresholds(config)
    lowest, highest = every.index(min(every)), every.index(max(every))
    return (
        "Each class is painted from a probability of its own on, chosen on training images: from "
        f"{every[lowest]:.2f} ({_name(config, lowest)}) to {every[highest]:.2f} "
        f"({_name(config, highest)}). `segment(..., threshold=0.5)` paints all of them from 0.5 on."
    )


def gains_in_words(config: TASFormerConfig) -> str | None:
    """Say how much of what is painted is added to the recogniser's margins.

    Args:
        config: a network's.

    Returns:
        A sentence in plain text; None where all is.
    """
    gains = config.painted_gains
    if not gains or set(gains) == {1}:
        return None
    names = config.task_names or [f"class {task}" for task in range(len(gains))]
    by_gain: dict[float, list[str]] = {}
    for name, gain in zip(names, gains, strict=True):
        by_gain.setdefault(gain, []).append(name)
    shares = [
        f"{gain:g} times for {_few(own)}" for gain, own in sorted(by_gain.items(), reverse=True)
    ]
    return f"What is painted is added to the recogniser's margin {', '.join(shares)}."


def recogniser_in_words(config: TASFormerConfig, num_parameters: int | None = None) -> str | None:
    """Introduce the recogniser.

    Args:
        config: a network's.
        num_parameters: that are the recogniser's alone.

    Returns:
        A paragraph; None where the network has none.
    """
    recognition, channels = config.recognition, channels_of_tasks(config)
    if recognition is None or channels is None:
        return None
    unknown = [_name(config, task) for task, known in enumerate(channels.known) if not known]
    own = "a head of its own over the network's backbone, which is held still, too"
    if not recognition["shared_backbone"]:
        own = "a backbone and a head of its own"
    counted = f", {num_parameters:,} of the parameters" if num_parameters else ""
    source = recognition.get("source") and source_name(str(recognition["source"]))
    return (
        f"A recogniser, a plain SegFormer that was trained before and held still, says what there "
        f"is; it has {own}{counted}. Its {recognition['num_labels']} labels "
        f"{f'are those of {markdown(source)}' if source else 'have no recorded source'}"
        f"{f'; it does not know {_listed(unknown)}' if unknown else ''}."
    )


def presence_in_words(config: TASFormerConfig) -> str | None:
    """Say of which classes it is known how likely they are to be in a picture.

    Args:
        config: a network's.

    Returns:
        A paragraph; None where presence is not calibrated.
    """
    presence = config.presence
    if presence is None or channels_of_tasks(config) is None:
        return None
    unsure = [_name(config, task) for task, bias in enumerate(presence["bias"]) if bias is None]
    said = "every class" if not unsure else f"every class but {_listed(unsure)}"
    return (
        f"`result.presence` says how likely {said} is to be in the picture at all, calibrated on "
        f"training images; from {presence['least']:.2f} on a class is worth asking for. One that "
        "is probably not there may be painted all the same."
    )


def _name(config: TASFormerConfig, task: int) -> str:
    return markdown(config.task_names[task] if config.task_names else f"class {task}")


def _few(names: Sequence[str]) -> str:
    return _listed(names) if len(names) <= _MOST_NAMED else f"{len(names)} classes"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), names[-1]])
