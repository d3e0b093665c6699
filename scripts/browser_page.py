"""A page that runs the network in the browser: scripts/browser_page.py --ckpt RUN --output DIR."""

import argparse
from contextlib import ExitStack, suppress
from pathlib import Path

from seg_training.checkpoints.checkpoint_files import find_checkpoint
from seg_training.commands.command_shell import run_shell
from seg_training.files.user_paths import as_path

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIG_DIR = REPOSITORY / "configs"


def main() -> None:
    """Write a static page, and serve it on this machine if that is asked for."""
    parser = argparse.ArgumentParser(
        description="Write a folder for any web server: the network runs in the browser."
    )
    add = parser.add_argument
    add("--ckpt", required=True, help="a checkpoint, a run's folder or a model folder")
    add("--output", type=as_path, required=True, metavar="DIR", help="a new folder")
    add("--examples", nargs="+", default=(), help="pictures to offer; they are copied")
    add("--node-modules", type=as_path, default=REPOSITORY / "node_modules", help="from npm ci")
    add(
        "--serve",
        action="store_true",
        help="then serve it; one that is there already as it is",
    )
    add("--port", type=int, default=8000, help="to serve it on; 8000 by default")
    arguments = parser.parse_args()
    is_there = arguments.serve and (arguments.output / "index.html").is_file()
    if not is_there:
        find_checkpoint(arguments.ckpt)  # said at once, not after seconds of imports

    # Imported here, so that --help does not wait for them.
    from seg_training.browser_page.browser_page_building import build_page
    from seg_training.browser_page.browser_page_server import page_server
    from seg_training.checkpoints.model_folders import load_network
    from seg_training.commands.terminal_logs import log_to_terminal

    log_to_terminal()
    with ExitStack() as stack:
        server = None
        if arguments.serve:  # before the work: the port may be taken
            server = stack.enter_context(page_server(arguments.output, arguments.port))
        if is_there:
            print(f"already there, served as it is: {arguments.output}")
        else:
            network = load_network(arguments.ckpt)
            build_page(network, arguments.output, arguments.node_modules, arguments.examples)
            print(f"written: {arguments.output}")
        if server:
            with suppress(KeyboardInterrupt):
                print(f"open http://127.0.0.1:{server.server_port} (Ctrl-C ends it)", flush=True)
                server.serve_forever()


if __name__ == "__main__":
    run_shell(main, CONFIG_DIR)
