"""The page: a picture, classes and sliders at the left, what each network paints beside them."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seg_training.errors import UserError
from seg_training.results.overlays import Colour, distinct_colours
from seg_training.web_app.page_texts import (
    about,
    hint,
    legend,
    not_looked_for,
    nothing_found,
    notice,
    several_frames,
)
from seg_training.web_app.painters import Painter
from seg_training.web_app.result_archive import write_archive
from seg_training.web_app.shown_answer import ShownClass, show
from seg_training.web_app.teaching_panel import Classroom, build_teaching_panel
from seg_training.web_app.visitor_files import KeptFiles
from transformers_update_for_adapters.class_thresholds import has_own_thresholds
from transformers_update_for_adapters.model_card import absent_classes, licence_of

__all__ = ["build_page"]

_FIRST_ASKED = 4  # classes that are picked when the page opens
_MASK_SIDE = 320  # of masks side by side, in pixels
_LEAST, _MOST = 0.05, 0.95  # threshold
_USUAL = 0.5  # threshold and opacity

_TITLE = """# TASFormer: ask for a class, get its mask
Drop a picture and pick classes: the network paints where they are. Everything stays on the
machine that runs this page."""

_EMPTY = "The result appears here once there is a picture"
_THRESHOLD = "Threshold: the least probability"
_OWN_THRESHOLDS = "Threshold: at 0.5 each class has its own"
_NO_CLASS = "Pick a class, or type one"
_GONE = "The picture is no longer kept here: choose it again"
_NO_ROOM = "The page's machine has no room left for pictures: tell whose page it is"

# A button cannot both make a file and save it: this saves what it made.
_SAVE = """(file) => {
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name;
  link.click();
}"""


class Controls(NamedTuple):
    """The parts of the page that say what is asked for, and how it is drawn."""

    picture: gr.Image
    classes: gr.Dropdown
    everything: gr.Checkbox
    threshold: gr.Slider
    opacity: gr.Slider


class Panel(NamedTuple):
    """The parts of the page that show one network's answer."""

    head: gr.HTML
    overlay: gr.Image
    legend: gr.HTML
    masks: gr.Gallery


def build_page(
    painters: Sequence[Painter],
    examples: Sequence[Path],
    folder: Path,
    classroom: Classroom | None = None,
) -> gr.Blocks:
    """Build the page.

    Args:
        painters: networks, to be shown side by side.
        examples: pictures to try.
        folder: where archives for download go, and pictures; Gradio's folder for uploads. What is
            put there goes again: the oldest beyond a bound, and a visitor's with the visitor.
        classroom: where visitors teach networks; None where they may not.
    """
    names = list(dict.fromkeys(name for own in painters for name in own.network.task_names))
    colours = dict(zip(names, distinct_colours(len(names)), strict=True))

    def paint(
        file: Any,
        listed: list[str],
        every: bool,
        threshold: float | None,
        opacity: float | None,
        request: gr.Request | None = None,
    ) -> dict[Any, Any]:
        picture = _uploaded(file, folder)
        asked = None if every else listed
        threshold, opacity = _typed(threshold, _LEAST, _MOST), _typed(opacity, 0, 1)
        changes: dict[Any, Any] = {}
        answering, palette, lost = painters, colours, list[str]()
        if classroom is not None:
            visitor = _visitor(request)
            answering = classroom.networks.painters(visitor)
            palette = _with_new(colours, classroom.networks.taught(visitor))
            lost = classroom.networks.what_is_lost(visitor, asked)
        for painter, panel in zip(answering, panels, strict=True):
            own = _answer(painter, panel, picture, asked, palette, threshold, opacity, folder)
            changes |= {**own, panel.head: own[panel.head] + notice(lost)}
        anything = any(changes[panel.overlay] is not None for panel in panels)
        kept.use(_files_of(picture, panels, changes), _visitor(request))
        return {**changes, download: gr.update(interactive=anything)}

    def pack(
        file: Any,
        listed: list[str],
        every: bool,
        threshold: float | None,
        request: gr.Request | None = None,
    ) -> str:
        picture = _uploaded(file, folder)
        if picture is None or not picture.is_file():
            raise gr.Error(_GONE)
        asked = None if every else listed
        threshold = _typed(threshold, _LEAST, _MOST)
        visitor = _visitor(request)
        answering = painters if classroom is None else classroom.networks.painters(visitor)
        try:
            into = Path(mkdtemp(dir=folder))
            archive = write_archive(answering, picture, asked, threshold, into)
        except OSError as error:
            raise gr.Error(_NO_ROOM) from error
        kept.use([picture, archive], visitor)
        return str(archive)

    def leave(request: gr.Request) -> None:
        kept.leave(_visitor(request))
        if classroom is not None and request.session_hash is not None:
            classroom.leave(request.session_hash)

    kept = KeptFiles(folder)
    page = gr.Blocks(title="TASFormer", analytics_enabled=False, fill_width=True)
    with page:
        gr.Markdown(_TITLE, elem_id="title")
        with gr.Row():
            with gr.Column(scale=0, min_width=340, elem_id="controls"):
                has_own = any(has_own_thresholds(own.network.config) for own in painters)
                label = _OWN_THRESHOLDS if has_own else _THRESHOLD
                controls = _controls(names, _first_asked(painters[0]), examples, label)
                download = gr.Button(
                    "Download masks and JSON",
                    variant="primary",
                    size="md",
                    interactive=False,
                    elem_id="download",
                )
                archive = gr.DownloadButton(visible="hidden")
            panels = []
            with gr.Row():
                for number, painter in enumerate(painters):
                    with gr.Column(min_width=260, elem_id=f"panel-{number}"):
                        panels.append(_panel(painter, alone=len(painters) == 1))
        if classroom is not None:
            build_teaching_panel(
                classroom, names, controls.classes, controls.everything, kept, folder, _SAVE
            )
        gr.Markdown(_footer(painters), elem_id="footer")

        shared: dict[str, Any] = {
            "concurrency_limit": 1,
            "concurrency_id": "networks",
            "api_visibility": "private",
            # Files as they were uploaded: of what is no picture Gradio would say so in its own way.
            "preprocess": False,
        }
        gr.on(
            [
                *(controls.picture.change, controls.classes.change, controls.everything.change),
                *(controls.threshold.change, controls.opacity.change),
            ],
            paint,
            [*controls],
            [*(part for panel in panels for part in panel), download],
            trigger_mode="always_last",
            show_progress="hidden",
            **shared,
        )
        controls.everything.change(
            lambda every: gr.update(interactive=not every),
            controls.everything,
            controls.classes,
            api_visibility="private",
            queue=False,
        )
        download.click(pack, [*controls[:-1]], archive, **shared).then(None, archive, js=_SAVE)
        page.unload(leave)
    kept.spare_what_is_there()  # the examples' copies
    return page


def _with_new(colours: Mapping[str, Colour], new: Sequence[str]) -> dict[str, Colour]:
    """Give new classes colours, too; those that are there keep theirs."""
    further = distinct_colours(len(colours) + len(new))[len(colours) :]
    return {**dict(zip(new, further, strict=True)), **colours}


def _visitor(request: gr.Request | None) -> str | None:
    return None if request is None else request.session_hash


def _uploaded(sent: Any, folder: Path) -> Path | None:
    """Find an upload; what else on this machine a browser names is as good as gone."""
    if sent is None:
        return None
    named = sent.get("path") if isinstance(sent, dict) else None
    try:
        return folder / Path(str(named)).resolve().relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):
        return folder / "gone"


def _files_of(
    picture: Path | None, panels: Sequence[Panel], changes: Mapping[Any, Any]
) -> list[Path]:
    """List the files that an answer needs: the upload, and what is shown."""
    names = [str(picture)] if picture else []
    for panel in panels:
        names += [mask for mask, _ in changes[panel.masks] or ()]
        names += [changes[panel.overlay]] if changes[panel.overlay] else []
    return [Path(name) for name in names]


def _controls(
    names: Sequence[str], asked: list[str], examples: Sequence[Path], threshold: str
) -> Controls:
    picture = gr.Image(label="Picture", sources=["upload"], height=160, elem_id="picture")
    if examples:
        gr.Examples(
            [[str(file)] for file in examples],
            picture,
            label="or try one of these",
            elem_id="examples",
        )
    return Controls(
        picture,
        gr.Dropdown(
            names,
            value=asked,
            multiselect=True,
            allow_custom_value=True,
            label="Classes",
            info="Pick some, or type a word and press Enter",
            elem_id="classes",
        ),
        gr.Checkbox(label=f"all {len(names)} classes", elem_id="everything"),
        gr.Slider(
            *(_LEAST, _MOST, _USUAL),
            step=0.05,
            label=threshold,
            buttons=[],
            elem_id="threshold",
        ),
        gr.Slider(*(0, 1, _USUAL), step=0.05, label="Opacity", buttons=[], elem_id="opacity"),
    )


def _panel(painter: Painter, alone: bool) -> Panel:
    head = gr.HTML(about(painter) + hint(_EMPTY), elem_classes="head")
    with gr.Tabs():
        with gr.Tab("Overlay", elem_classes="tab"):
            overlay = gr.Image(
                show_label=False,
                interactive=False,
                format="png",
                buttons=["fullscreen"],
                elem_classes=["overlay", "alone"] if alone else "overlay",
            )
        with gr.Tab("Masks", elem_classes="tab"):
            masks = gr.Gallery(
                show_label=False,
                interactive=False,
                format="png",
                columns=3,
                object_fit="contain",
                buttons=["fullscreen"],
                elem_classes="masks",
            )
    return Panel(head, overlay, gr.HTML(elem_classes="classes"), masks)


def _answer(
    painter: Painter,
    panel: Panel,
    picture: Path | None,
    asked: Sequence[str] | None,
    colours: Mapping[str, Colour],
    threshold: float,
    opacity: float,
    folder: Path,
) -> dict[Any, Any]:
    """Give the new value of each part of a panel; pictures are files in the folder."""
    nothing = {panel.overlay: None, panel.legend: "", panel.masks: None}
    if picture is None:
        return {panel.head: about(painter) + hint(_EMPTY), **nothing}
    if asked is not None and not asked:
        return {panel.head: about(painter) + hint(_NO_CLASS), **nothing}
    tasks, said, every = painter.understand(asked)
    if not tasks:
        return {panel.head: about(painter) + notice(said), **nothing}
    try:
        answer = painter.answer(picture, list(tasks), only_present=every)
    except UserError as error:
        reason = str(error) if picture.is_file() else _GONE
        return {panel.head: about(painter) + notice([*said, reason]), **nothing}
    said += several_frames(picture.name, answer.frames)
    said += not_looked_for(tasks, answer)
    tasks = {task_id: tasks[task_id] for task_id in answer.probabilities}
    shown = show(answer, tasks, colours, painter.thresholds(tasks, threshold, answer), opacity)
    said += nothing_found(shown.classes, threshold)
    return {
        panel.head: about(painter, answer.seconds) + notice(said),
        panel.overlay: _picture_file(shown.overlay, folder),
        panel.legend: legend(shown.classes),
        panel.masks: [
            (_picture_file(_mask_picture(each), folder), each.name)
            for each in shown.classes
            if each.found
        ],
    }


def _typed(value: float | None, least: float, most: float) -> float:
    """Give what a person means by a slider's number, which may be empty or out of its range."""
    return _USUAL if value is None else min(max(value, least), most)


def _picture_file(pixels: NDArray[np.uint8], folder: Path) -> str:
    """Write a picture once, under the name of its content.

    Gradio would write it again each time, also while a browser is loading it.
    """
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "png")
    file = folder / f"{hashlib.sha256(encoded.getvalue()).hexdigest()}.png"
    if not file.exists():
        try:
            file.write_bytes(encoded.getvalue())
        except OSError as error:
            file.unlink(missing_ok=True)  # half of it would be shown from now on
            raise gr.Error(_NO_ROOM) from error
    return str(file)


def _mask_picture(each: ShownClass) -> NDArray[np.uint8]:
    """Draw a mask in the class's colour on black, small enough for many of them."""
    mask = Image.fromarray(each.mask)
    mask.thumbnail((_MASK_SIDE, _MASK_SIDE))
    return np.where(np.asarray(mask)[..., None], np.array(each.colour, np.uint8), np.uint8(0))


def _first_asked(painter: Painter) -> list[str]:
    """Choose what is often there and found, so that a first try shows something."""
    measured = (painter.network.config.measured or {}).get("per_class", {})

    def found(name: str) -> float:
        own = measured.get(name, {"bIoU": 0, "num_masks": 0})
        return float((own["bIoU"] or 0) * own["num_masks"])

    return sorted(painter.network.task_names, key=found, reverse=True)[:_FIRST_ASKED]


def _footer(painters: Sequence[Painter]) -> str:
    configs = [painter.network.config for painter in painters]
    absent = dict.fromkeys(map(absent_classes, configs))
    licences = dict.fromkeys(map(licence_of, configs))
    return "\n\n".join([*absent, *(f"Weights: {licence}" for licence in licences)])
