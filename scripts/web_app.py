"""A web page to try networks on: python scripts/web_app.py --ckpt RUN."""

import argparse
import os
from contextlib import ExitStack, suppress
from pathlib import Path

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.commands.command_shell import run_shell
from seg_training.errors import UserError

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
    from seg_training.web_app.painters import load_painters
    from seg_training.web_app.web_examples import pictures_of_folder, validation_pictures
    from seg_training.web_app.web_server import check_place, serve

    log_to_terminal()
    check_place(arguments.host, arguments.port)
    painters = load_painters(arguments.ckpt, arguments.device)
    if arguments.examples:
        examples = pictures_of_folder(arguments.examples)
    else:
        import multitask_segmentation  # noqa: F401 - adds its datasets

        examples = validation_pictures(arguments.ckpt[0])
    with scratch_folder() as folder, ExitStack() as held:  # uploads and results go with the page
        for painter in painters:
            held.enter_context(painter.network.kept())
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        page = build_page(painters, examples, folder)
        address, _ = serve(page, arguments.host, arguments.port, folder)
        with suppress(KeyboardInterrupt):
            print(f"open {address} in a browser; Ctrl-C ends the page", flush=True)
            page.block_thread()


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
