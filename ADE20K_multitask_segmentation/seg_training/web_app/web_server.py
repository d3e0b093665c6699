"""Serving the page to a browser, with nothing from elsewhere."""

import socket
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware

from seg_training.errors import UserError
from seg_training.web_app.doorkeeper import MOST_WAITING, Doorkeeper, Refused
from seg_training.web_app.uploaded_pictures import MOST_BYTES
from seg_training.web_app.visitor_files import KeptFiles

__all__ = ["check_place", "serve"]

_LAST_PORT = 65535
_STYLES = [Path(__file__).with_name(f"{name}.css") for name in ("web_page", "mask_painting")]

# Fonts that are there: others would be asked for at Google.
_THEME = gr.themes.Default(
    primary_hue="blue",
    font=["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "DejaVu Sans", "sans-serif"],
    font_mono=["ui-monospace", "DejaVu Sans Mono", "monospace"],
).set(body_text_color_subdued="*neutral_500", block_info_text_color="*neutral_500")


def serve(
    page: gr.Blocks, host: str, port: int | None, folder: Path, most_waiting: int = MOST_WAITING
) -> tuple[str, Refused]:
    """Start to serve a page; it goes on in the background.

    Args:
        page: from :func:`seg_training.web_app.web_page.build_page`.
        host: the address to listen at.
        port: to listen at; the first free one from 7860 on by default.
        folder: where uploads go, of which the oldest go again.
        most_waiting: questions that wait; more are refused.

    Returns:
        Where the page is, and how many were refused, which goes on being counted.

    Raises:
        UserError: if that cannot be listened at.
    """
    refused = Refused()
    doorkeeper = Middleware(Doorkeeper, refused=refused, after_upload=KeptFiles(folder).trim)
    page.queue(max_size=most_waiting, api_open=False)
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            prevent_thread_lock=True,
            quiet=True,
            ssr_mode=False,
            footer_links=[],
            theme=_THEME,
            css_paths=_STYLES,
            max_file_size=MOST_BYTES,
            app_kwargs={"middleware": [doorkeeper]},
        )
    except OSError as error:
        raise _cannot_serve(host, port) from error
    return address, refused


def check_place(host: str, port: int | None) -> None:
    """Refuse a place that cannot be listened at, before networks are loaded.

    Args:
        host: the address to listen at.
        port: to listen at; None for any.

    Raises:
        UserError: if that is no port, or cannot be listened at.
    """
    if port is not None and not 0 < port <= _LAST_PORT:
        raise UserError(f"--port {port}: expected a number from 1 to {_LAST_PORT}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port or 0))
    except OSError as error:
        raise _cannot_serve(host, port) from error


def _cannot_serve(host: str, port: int | None) -> UserError:
    where = host if port is None else f"{host}:{port}"
    return UserError(
        f"cannot serve at {where}: another program does, or it is no address of this machine; "
        "give another --port or --host"
    )
