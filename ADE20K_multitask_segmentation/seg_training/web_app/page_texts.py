"""What the page says, as HTML: about a network, the classes of an answer, what was not found."""

from collections.abc import Mapping, Sequence
from html import escape

from seg_training.prediction.classes_in_picture import likeliest_first
from seg_training.web_app.painters import Answer, Painter
from seg_training.web_app.shown_answer import ShownClass
from transformers_update_for_adapters.learnt_in_words import learnt_in_words

__all__ = [
    "about",
    "hint",
    "legend",
    "not_looked_for",
    "nothing_found",
    "notice",
    "several_frames",
    "what_was_learnt",
]


def about(painter: Painter, seconds: float | None = None) -> str:
    """Introduce a network.

    Args:
        painter: the network under its name.
        seconds: that its answer took.
    """
    config = painter.network.config
    facts = [config.method, f"{config.num_tasks} classes"]
    if config.measured:
        facts.append(f"bIoU {config.measured['bIoU']:.1f} %")
    if seconds is not None:
        facts.append(f"{seconds:.2f} s on {painter.network.mean.device.type}")
    return (
        f'<div class="about"><b>{escape(painter.name)}</b>'
        f"<span>{escape(' · '.join(facts))}</span></div>"
    )


def legend(classes: Sequence[ShownClass]) -> str:
    """List classes with colour, share of the picture and mean confidence, those found first.

    Args:
        classes: of an answer at a threshold.
    """
    found_first = sorted(classes, key=lambda each: not each.found)
    key = "Share of the picture, and the mean probability there"
    if sum(each.share_percent for each in classes) > 100:
        key += "; classes overlap, and the overlay shows the most probable one"
    if not all(each.found for each in classes):
        key += "; dashed: not found at this threshold, with the highest probability anywhere"
    if any(each.presence is not None for each in classes):
        key += "; below: how likely the class is in the picture at all"
    return f'<ul class="legend">{"".join(map(_entry, found_first))}</ul><p class="key">{key}</p>'


def _entry(each: ShownClass) -> str:
    red, green, blue = each.colour
    swatch = f'<i style="background: rgb({red}, {green}, {blue})"></i>'
    name = f"<b>{escape(each.name)}</b>"
    presence = ""
    if each.presence is not None:
        likely = f"{100 * each.presence:.0f} %"
        said = (
            f"not found ({likely})" if each.confidence is None else f"{likely} likely to be there"
        )
        presence = f'<span class="presence">{said}</span>'
    if each.confidence is None:
        highest = f"<span>at most {each.highest:.2f}</span>"
        return f'<li class="absent">{swatch}{name}{highest}{presence}</li>'
    return (
        f"<li>{swatch}{name}<span>{each.share_percent:.1f} %</span>"
        f'<span class="confidence">{each.confidence:.2f}</span>{presence}</li>'
    )


def nothing_found(classes: Sequence[ShownClass], threshold: float) -> list[str]:
    """Say so where no class at all was found.

    Args:
        classes: of an answer at a threshold.
        threshold: probabilities from it on are the class.

    Returns:
        One sentence, or none.
    """
    if not classes or any(each.found for each in classes):
        return []
    nearest = max(classes, key=lambda each: each.highest)
    return [
        f"Nothing found at threshold {threshold:.2f}: the highest probability of "
        f"'{nearest.name}' is {nearest.highest:.2f}"
    ]


def not_looked_for(tasks: Mapping[int, str], answer: Answer) -> list[str]:
    """Name the classes that were left out, the likeliest first, for they are probably not there.

    Args:
        tasks: task id to name, of those that were asked for.
        answer: to them.

    Returns:
        One sentence, or none.
    """
    presence = answer.presence or ()
    left_out = {
        name: presence[task_id] or 0.0
        for task_id, name in tasks.items()
        if task_id not in answer.probabilities
    }
    if not left_out:
        return []
    return [f"Not looked for, probably not there: {likeliest_first(left_out)}"]


def several_frames(name: str, frames: int) -> list[str]:
    """Say so where a picture is the first of several.

    Returns:
        One sentence, or none.
    """
    return [f"{name} has {frames} frames or pages: the first is shown"] if frames > 1 else []


def what_was_learnt(name: str, painters: Sequence[Painter]) -> str:
    """Say what networks expect of a class that they have just learnt.

    Args:
        name: of the class.
        painters: networks that have learnt classes.
    """
    sentences = []
    for painter in painters:
        learnt = (painter.network.config.origin or {}).get("learnt", {}).get(name)
        if learnt is None:
            continue
        said = learnt_in_words(name, learnt)
        if len(painters) > 1:
            sentences += [f"{painter.name}: {own}" for own in said]
        else:
            sentences += map(_upper_first, said)
    return "".join(map(hint, sentences))


def hint(sentence: str) -> str:
    """Say what to do next.

    Args:
        sentence: plain text.
    """
    return f'<div class="hint"><p>{escape(sentence)}</p></div>'


def notice(sentences: Sequence[str]) -> str:
    """Draw the reader's attention.

    Args:
        sentences: plain text; with none there is no notice.
    """
    if not sentences:
        return ""
    items = "".join(f"<p>{escape(_upper_first(each))}</p>" for each in sentences)
    return f'<div class="notice" role="alert">{items}</div>'


def _upper_first(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
