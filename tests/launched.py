"""Trainings and evaluations in several processes, as launchers start them."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from own_process import REPOSITORY

SCRIPT = """
import sys
from pathlib import Path
import torch
from fake_datasets import folder
from short_runs import small_config
from torch.nn.modules.batchnorm import _BatchNorm
from seg_training.commands.command_shell import run_shell
from seg_training.commands.terminal_logs import log_to_terminal
from seg_training.evaluation.checkpoint_evaluation import evaluate
from seg_training.files.text_files import write_json
from seg_training.commands.process_ranks import process_rank
from seg_training.pl_module import LitSeg
from seg_training.results.pair_files import write_pairs
from seg_training.results.results_json import result_to_json
from seg_training.training.optimizers import OPTIMIZERS
from seg_training.training.training_run import train

torch.set_num_threads(1)
log_to_terminal()
# Adam divides by what is nearly zero: a last bit becomes a whole step.
OPTIMIZERS["sgd"] = torch.optim.SGD
NO_DROPOUT = dict.fromkeys(
    ("drop_path_rate", "classifier_dropout_prob", "hidden_dropout_prob",
     "attention_probs_dropout_prob"), 0.0
)
started = LitSeg.on_train_start

def with_still_statistics(module):
    started(module)
    for each in module.modules():
        if isinstance(each, _BatchNorm):
            each.eval()

LitSeg.on_train_start = with_still_statistics

def training(data, run_dir, *overrides):
    config = small_config(Path(data), Path("nowhere"), "optimizer.name=sgd", *overrides)
    config["data"]["classes"] = {**folder.CLASSES, "other": [9, 11], "ignore": []}
    config["model"] |= NO_DROPOUT
    train({**config, "run_dir": run_dir or None})

def evaluation(run_dir, output, *overrides):
    result, module = evaluate(run_dir, ["metrics=all", *overrides])
    if process_rank() == 0:
        Path(output).mkdir()
        names = (module.task_names, module.dataset_names)
        write_json(result_to_json(result, *names), Path(output) / "result.json")
        write_pairs(*module.named_pairs(), Path(output) / "pairs.csv")

what, *arguments = sys.argv[1:]
run_shell(lambda: globals()[what](*arguments), Path("configs"))
"""
"""Trains or evaluates the smallest network; what a batch's samples do to each other left out."""


def start(
    folder: Path,
    arguments: Sequence[str | Path],
    launcher: Sequence[str] = (),
    before: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[str]":
    """Start :data:`SCRIPT`.

    Args:
        folder: is worked in, and keeps what is said in ``<number>.log``, of which the process says
            as ``args`` which command it is.
        arguments: ``training DATA RUN_DIR ...`` or ``evaluation RUN_DIR OUTPUT ...``.
        launcher: of ``python``: ``-m torch.distributed.run`` and its options.
        before: goes before ``python``.
        environment: of further variables.
    """
    script = folder / "script.py"
    script.write_text(SCRIPT)
    places = [str(REPOSITORY / "tests"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    log = (folder / f"{len(list(folder.glob('*.log')))}.log").open("w")
    with log:
        return subprocess.Popen(
            [*before, sys.executable, *launcher, script, *arguments],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(places),
                "GLOO_SOCKET_IFNAME": "lo",
                "OMP_NUM_THREADS": "1",
                "COLUMNS": "500",
                **(environment or {}),
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )


def said(folder: Path) -> str:
    """Give what the processes have said so far."""
    return "\n".join(log.read_text() for log in sorted(folder.glob("*.log")))


def torchrun(*options: str) -> list[str]:
    """Make ``torchrun``'s words."""
    return ["-m", "torch.distributed.run", *options]


def free_port() -> int:
    """Find a port that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def descendants(pid: int) -> list[int]:
    """List the processes below one."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def is_alive(pid: int) -> bool:
    """Whether a process is there, and not only its exit status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
