"""The part of the page where a visitor teaches the networks a class, by painting a few pictures."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple
from uuid import uuid4

import gradio as gr

from seg_training.checkpoints.checkpoint_files import WEIGHTS
from seg_training.checkpoints.model_folders import load_network
from seg_training.errors import UserError
from seg_training.web_app.lesson_process import Lesson
from seg_training.web_app.lessons import Lessons, Taught
from seg_training.web_app.page_texts import hint, notice, what_was_learnt
from seg_training.web_app.painted_pictures import MOST_PICTURES, MOST_SIDE, read_painted
from seg_training.web_app.painters import Painter
from seg_training.web_app.saved_networks import pack_networks, save_networks
from seg_training.web_app.visitor_files import KeptFiles
from seg_training.web_app.visitor_networks import VisitorNetworks

__all__ = ["Classroom", "build_teaching_panel"]

_LONGEST_NAME = 60
_REMEMBERED_BYTES = 2**25  # of a visitor's network's answers: there are many visitors
_EACH = 0.5  # seconds between two words about a lesson
_AT_ONCE = 8  # who wait for a lesson, and a few to be refused: pictures take memory

_HOW = """Name it, add some pictures, and paint where it is, roughly: what is painted is the class,
what is not painted is not. **Unsure** leaves a part out. Ten pictures are good, one is a start;
some without it help, too. The classes that are there stay as they are."""

_COLLECT = """(name, ignored, listed) =>
  [name, document.querySelector("#painting .painting").collect(), listed]"""


@dataclass(frozen=True)
class Classroom:
    """All that teaching needs, for as long as a page is served.

    Attributes:
        lessons: the line of those who teach.
        networks: what visitors have taught.
        folder: for the files of their networks; none that is served.
        save_to: where visitors may save their networks; None where they only may download them.
    """

    lessons: Lessons
    networks: VisitorNetworks
    folder: Path
    save_to: Path | None = None

    def begin(self, visitor: str, name: str, sent: Any) -> Taught:
        """Let a visitor teach a class.

        Args:
            visitor: who.
            name: of the class.
            sent: pictures and masks, as the page sends them.

        Returns:
            What can be watched.

        Raises:
            UserError: if that cannot be taught, or if there is no room.
        """
        if not name:
            raise UserError("Give the new class a name")
        if len(name) > _LONGEST_NAME:
            raise UserError(f"The name is longer than {_LONGEST_NAME} letters: give a shorter one")
        if not name.isprintable():
            raise UserError("The name has letters that cannot be shown: give another one")
        self.networks.check_room(visitor)
        painters = self.networks.to_teach(visitor, name)
        known = [own.knows(name) for own in painters]
        if all(known):
            raise UserError(f"{known[0]}; give the new class another name")
        pictures = read_painted(sent)
        lessons = {
            painter: Lesson(
                painter.ckpt,
                painter.network.mean.device.type,
                name,
                pictures,
                self.folder / uuid4().hex,
            )
            for painter, knows in zip(painters, known, strict=True)
            if not knows
        }

        def take_over(refused: dict[Path, str]) -> None:
            learnt = [
                _grown(own, lessons[own].folder)
                if own in lessons and lessons[own].folder not in refused
                else own
                for own in painters
            ]
            self.networks.put(visitor, name, learnt)

        taught = Taught(visitor, list(lessons.values()), take_over)
        self.lessons.join(taught)
        return taught

    def leave(self, visitor: str) -> None:
        """Forget a visitor."""
        self.lessons.cancel(visitor)
        self.networks.leave(visitor)

    def own_painters(self, visitor: str) -> list[Painter]:
        """Give the networks that a visitor has taught.

        Raises:
            UserError: if there are none, or none any more.
        """
        own = self.networks.painters(visitor)
        if not self.networks.taught(visitor):
            raise UserError("Your class is no longer kept: teach it again")
        return [painter for painter in own if painter.ckpt.is_relative_to(self.folder)]


def _grown(painter: Painter, folder: Path) -> Painter:
    device = painter.network.mean.device
    return Painter(
        painter.name, folder / WEIGHTS, load_network(folder).to(device), _REMEMBERED_BYTES
    )


class _Parts(NamedTuple):
    name: gr.Textbox
    pictures: gr.HTML
    learn: gr.Button
    cancel: gr.Button
    said: gr.HTML
    download: gr.Button
    save: gr.Button
    forget: gr.Button


def build_teaching_panel(
    classroom: Classroom,
    names: Sequence[str],
    classes: gr.Dropdown,
    everything: gr.Checkbox,
    kept: KeptFiles,
    folder: Path,
    save_file: str,
) -> None:
    """Add the panel to the page that is being built.

    Args:
        classroom: what teaching needs.
        names: of the classes that all visitors have.
        classes: where a new class is offered.
        everything: asks for all classes, and says how many there are.
        kept: the page's files.
        folder: where archives for download go.
        save_file: JavaScript that saves a file.
    """
    with gr.Accordion("Teach it a new class", open=False, elem_id="teaching"):
        parts = _parts(classroom)
        archive = gr.DownloadButton(visible="hidden")

    def offered(visitor: str, listed: Sequence[str], new: str | None = None) -> dict[Any, Any]:
        every = [*names, *classroom.networks.taught(visitor)]
        asked = [each for each in [*listed, new] if each in every]
        return {
            classes: gr.update(choices=every, value=list(dict.fromkeys(asked))),
            everything: gr.update(label=f"all {len(every)} classes"),
        }

    def buttons(visitor: str, learns: bool = False) -> dict[Any, Any]:
        has_own = bool(classroom.networks.taught(visitor)) and not learns
        own = (parts.download, parts.save, parts.forget)
        return {
            parts.learn: gr.update(interactive=not learns),
            parts.cancel: gr.update(interactive=learns),
            **{button: gr.update(interactive=has_own) for button in own},
        }

    async def learn(
        name: str, sent: Any, listed: list[str], request: gr.Request
    ) -> AsyncIterator[dict[Any, Any]]:
        visitor, name = _visitor(request), str(name or "").strip()
        try:
            taught = await asyncio.to_thread(classroom.begin, visitor, name, sent)
        except UserError as error:
            yield {parts.said: notice([str(error)])}
            return
        yield {parts.said: hint("Soon"), **buttons(visitor, learns=True)}
        while not taught.is_over:
            yield {parts.said: hint(_how_far(taught, classroom.lessons.before(taught)))}
            await asyncio.sleep(_EACH)
        if taught.problem is not None:
            yield {parts.said: notice([taught.problem]), **buttons(visitor)}
            return
        own = classroom.own_painters(visitor)
        said = what_was_learnt(name, own)
        yield {parts.said: said, **buttons(visitor), **offered(visitor, listed, name)}

    def cancel(request: gr.Request) -> None:
        classroom.lessons.cancel(_visitor(request))

    def forget(listed: list[str], request: gr.Request) -> dict[Any, Any]:
        visitor = _visitor(request)
        classroom.leave(visitor)
        said = hint("Forgotten; the pictures are still here, to teach it again")
        return {parts.said: said, **buttons(visitor), **offered(visitor, listed)}

    def pack_taught(request: gr.Request) -> str:
        visitor = _visitor(request)
        try:
            own = classroom.own_painters(visitor)
        except UserError as error:
            raise gr.Error(str(error)) from error
        into = Path(mkdtemp(dir=folder))
        packed = pack_networks(own, classroom.networks.taught(visitor), into)
        kept.use([packed], visitor)
        return str(packed)

    def save(request: gr.Request) -> str:
        visitor = _visitor(request)
        assert classroom.save_to is not None
        try:
            own = classroom.own_painters(visitor)
            name = save_networks(own, classroom.networks.taught(visitor), classroom.save_to)
        except UserError as error:
            return notice([str(error)])
        return hint(f"Saved as {name}")

    private: dict[str, Any] = {"api_visibility": "private"}
    parts.learn.click(
        learn,
        [parts.name, parts.pictures, classes],
        [*(part for part in parts if part is not parts.name), classes, everything],
        js=_COLLECT,
        preprocess=False,
        concurrency_limit=_AT_ONCE,
        concurrency_id="teaching",
        show_progress="hidden",
        **private,
    )
    parts.cancel.click(cancel, queue=False, show_progress="hidden", **private)
    parts.forget.click(
        forget,
        classes,
        [*(part for part in parts if part is not parts.name), classes, everything],
        show_progress="hidden",
        **private,
    )
    parts.save.click(save, None, parts.said, **private)
    parts.download.click(pack_taught, None, archive, **private).then(None, archive, js=save_file)


def _visitor(request: gr.Request) -> str:
    """Say whose question it is: without that, those who do not tell would share what they teach."""
    if not request.session_hash:
        raise gr.Error("The page does not know this visitor: load it again")
    return request.session_hash


def _how_far(taught: Taught, before: int) -> str:
    if taught.begun is None:
        come = "One visitor comes" if before == 1 else f"{before} visitors come"
        return f"{come} first: the networks learn one class after the other"
    return f"{taught.said or 'It begins'} … {time.monotonic() - taught.begun:.0f} s"


def _parts(classroom: Classroom) -> _Parts:
    def button(label: str, **others: Any) -> gr.Button:
        return gr.Button(label, size="md", interactive=False, **others)

    gr.Markdown(_HOW, elem_id="teaching-how")
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            here = Path(__file__)
            pictures = gr.HTML(
                html_template=here.with_name("mask_painting.html").read_text("utf-8"),
                js_on_load=here.with_name("mask_painting.js").read_text("utf-8"),
                elem_id="painting",
                most_pictures=MOST_PICTURES,
                most_side=MOST_SIDE,
            )
        with gr.Column(scale=1, min_width=260):
            return _Parts(
                gr.Textbox(
                    label="Name of the new class",
                    max_lines=1,
                    max_length=_LONGEST_NAME,
                    elem_id="new-name",
                ),
                pictures,
                gr.Button("Learn it", variant="primary", size="md", elem_id="learn"),
                button("Cancel", elem_id="cancel"),
                gr.HTML(elem_id="learnt", elem_classes="head"),
                button("Download the network", elem_id="download-network"),
                button(
                    "Save the network here",
                    elem_id="save-network",
                    visible=classroom.save_to is not None,
                ),
                button("Forget it", elem_id="forget"),
            )
