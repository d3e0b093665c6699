"""A web page to try networks on: python scripts/web_app.py --ckpt RUN."""

import argparse
import os
from contextlib import ExitStack, suppress
from pathlib import Path

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.commands.command_shell import run_shell
from seg_training.errors import UserError
from seg_training.files.user_paths import as_path

CONFIG_DIR = Path(__file__).resolve().parents[1] / "configs"


def main() -> None:
    """Serve a page until Ctrl-C."""
    parser = argparse.ArgumentParser(
        description="Serve a page that paints classes on pictures; it needs no internet."
    )
    add = parser.add_argument
    add(
        "--ckpt",
        nargs="+",
        required=True,
        metavar="RUN",
        help="checkpoints, runs' folders or model folders; several are shown side by side",
    )
    add("--examples", metavar="FOLDER", help="of pictures to try; validation images by default")
    add("--host", default="127.0.0.1", help="0.0.0.0 lets other machines see the page")
    add("--port", type=int, help="the first free one from 7860 on by default")
    add(
        "--save-to",
        type=as_path,
        metavar="DIR",
        help="where visitors may save networks that they taught; by default they download them",
    )
    add("--device", default="auto", help="cpu, cuda or mps; a GPU where there is one by default")
    arguments = parser.parse_args()
    for ckpt in arguments.ckpt:
        find_checkpoint(ckpt)  # said at once, not after seconds of imports

    # Imported here, so that --help does not wait for them.
    from seg_training.commands.terminal_logs import log_to_terminal
    from seg_training.files.cleaning_up import scratch_folder

    try:
        from seg_training.web_app.web_page import build_page
    except ModuleNotFoundError as error:
        raise UserError(f"{error}; the page needs: pip install -e '.[web]'") from error
    from seg_training.web_app.lessons import Lessons
    from seg_training.web_app.painters import load_painters
    from seg_training.web_app.saved_networks import check_save_folder
    from seg_training.web_app.teaching_panel import Classroom
    from seg_training.web_app.visitor_networks import VisitorNetworks
    from seg_training.web_app.web_examples import pictures_of_folder, validation_pictures
    from seg_training.web_app.web_server import check_place, serve

    log_to_terminal()
    check_place(arguments.host, arguments.port)
    if arguments.save_to is not None:
        check_save_folder(arguments.save_to)
    painters = load_painters(arguments.ckpt, arguments.device)
    if arguments.examples:
        examples = pictures_of_folder(arguments.examples)
    else:
        import multitask_segmentation  # noqa: F401 - adds its datasets

        examples = validation_pictures(arguments.ckpt[0])
    # Uploads, results and what visitors teach go with the page.
    with scratch_folder() as folder, scratch_folder() as taught, ExitStack() as held:
        for painter in painters:
            held.enter_context(painter.network.kept())
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        lessons = Lessons()
        held.callback(lessons.close)
        classroom = Classroom(lessons, VisitorNetworks(painters), taught, arguments.save_to)
        page = build_page(painters, examples, folder, classroom)
        address, _ = serve(page, arguments.host, arguments.port, folder)
        with suppress(KeyboardInterrupt):
            print(f"open {address} in a browser; Ctrl-C ends the page", flush=True)
            page.block_thread()


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
