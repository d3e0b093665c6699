"""Several processes, on one machine and on two that are made up, give what one gives."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from fake_datasets import folder
from launched import free_port, said, start, torchrun

from seg_training.checkpoints.checkpoint_reading import read_checkpoint

pytestmark = pytest.mark.slow

TOGETHER = 4  # samples of a step, of all processes
STEPS = 8
TRAINED = (
    *("optimizer.lr=0.01", f"trainer.max_steps={STEPS}", "trainer.val_check_interval=100"),
    "thresholds=none",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all runs lie: 24 pairs to train on, six whole steps; 5 images to evaluate."""
    place = tmp_path_factory.mktemp("several")
    folder.make(place / "data", num_train=7, num_val=5)
    return place


def run(place: Path, *arguments: str, launcher: tuple[str, ...] = ()) -> None:
    process = start(place, arguments, launcher)
    assert process.wait(900) == 0, said(place)


def train(place: Path, name: str, number: int, launcher: tuple[str, ...] = ()) -> Path:
    run(
        place,
        *("training", "data", name, *TRAINED),
        *(f"trainer.devices={number}", f"data.batch_size={TOGETHER // number}"),
        launcher=launcher,
    )
    return place / name


@pytest.fixture(scope="module")
def one(place: Path) -> Path:
    return train(place, "one", 1)


@pytest.fixture(scope="module")
def two(place: Path) -> Path:
    return train(place, "two", 2)


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    checkpoint = read_checkpoint(run_dir / "checkpoints" / "last.ckpt")
    assert checkpoint["global_step"] == STEPS
    found: dict[str, torch.Tensor] = checkpoint["state_dict"]
    return found


def largest_difference(first: Path, second: Path) -> float:
    before, after = weights(first), weights(second)
    assert before.keys() == after.keys()
    return max(float((before[key] - after[key]).abs().max()) for key in before)


def test_two_processes_follow_one_with_the_same_global_batch(one: Path, two: Path) -> None:
    trained = read_checkpoint(one / "checkpoints" / "last.ckpt")
    assert trained["processes"] == 1
    assert read_checkpoint(two / "checkpoints" / "last.ckpt")["processes"] == 2
    assert largest_difference(one, two) < 1e-5


def files(output: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in output.iterdir()}


@pytest.fixture(scope="module")
def measured(place: Path, one: Path) -> dict[str, bytes]:
    run(place, "evaluation", one.name, "measured_1")
    return files(place / "measured_1")


@pytest.mark.parametrize("number", [2, 3])
def test_any_number_of_processes_measures_the_same(
    number: int, place: Path, one: Path, measured: dict[str, bytes]
) -> None:
    """Of 5 images, which neither 2 nor 3 divides."""
    assert measured["pairs.csv"].count(b"\n") == 1 + 5 * 5  # all classes are asked of each
    output = f"measured_{number}"
    run(place, "evaluation", one.name, output, f"trainer.devices={number}")
    assert files(place / output) == measured


def test_torchrun_says_how_many_evaluate(
    place: Path, one: Path, measured: dict[str, bytes]
) -> None:
    launcher = torchrun("--standalone", "--nproc_per_node=2")
    run(place, "evaluation", one.name, "measured_t", launcher=tuple(launcher))
    assert files(place / "measured_t") == measured


def test_torchrun_and_the_config_must_agree_on_how_many_train(place: Path) -> None:
    launcher = torchrun("--standalone", "--nproc_per_node=2")
    process = start(place, ["training", "data", "refused", *TRAINED], launcher)
    assert process.wait(300) != 0
    assert "trainer.devices=1 and trainer.num_nodes=1 ask for 1; add trainer.devices=2\n" in said(
        place
    )
    assert not (place / "refused").exists()


def test_torchrun_needs_no_run_dir(place: Path, two: Path) -> None:
    """The first process makes one, and all hear of it."""
    launcher = torchrun("--standalone", "--nproc_per_node=2")
    run(
        place,
        *("training", "data", "", *TRAINED, "trainer.devices=2"),
        f"data.batch_size={TOGETHER // 2}",
        launcher=tuple(launcher),
    )
    [made] = (place / "outputs" / "folder_adapter").iterdir()
    assert largest_difference(made, two) == 0


class Machine:
    """One of two made-up machines, with a network of its own where this system lets us."""

    def __init__(self, rank: int, before: tuple[str, ...], interface: str, first: str) -> None:
        self.rank, self.before, self.interface, self.first = rank, before, interface, first


@pytest.fixture(params=["namespaces", "one network"])
def machines(request: pytest.FixtureRequest) -> Iterator[list[Machine]]:
    if request.param == "one network":
        yield [Machine(rank, (), "lo", "127.0.0.1") for rank in range(2)]
        return
    names = [f"tf{os.getpid()}{side}" for side in "ab"]

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    with ExitStack() as tidying:
        try:
            for name in names:
                ip("netns", "add", name)
                tidying.callback(ip, "netns", "delete", name)
            ip("link", "add", names[0], "type", "veth", "peer", "name", names[1])
            for rank, name in enumerate(names):
                ip("link", "set", name, "netns", name)
                within = ("netns", "exec", name, "ip")
                ip(*within, "addr", "add", f"10.77.0.{rank + 1}/24", "dev", name)
                ip(*within, "link", "set", name, "up")
                ip(*within, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no network namespaces here: {error}")
        yield [
            Machine(rank, ("ip", "netns", "exec", name), name, "10.77.0.1")
            for rank, name in enumerate(names)
        ]


def on_both(place: Path, machines: list[Machine], *arguments: str) -> None:
    port = free_port()
    processes = []
    for machine in machines:
        launcher = torchrun(
            *("--nnodes=2", "--nproc_per_node=1", f"--node_rank={machine.rank}"),
            *(f"--master_addr={machine.first}", f"--master_port={port}"),
        )
        # Caches of their own: each machine makes what it needs.
        own = {
            "GLOO_SOCKET_IFNAME": machine.interface,
            "XDG_CACHE_HOME": str(place / f"cache_{machine.rank}"),
        }
        processes.append(start(place, arguments, launcher, machine.before, own))
    assert [process.wait(900) for process in processes] == [0, 0], said(place)


def test_two_machines_train_and_measure_what_one_does(
    place: Path, two: Path, measured: dict[str, bytes], machines: list[Machine], one: Path
) -> None:
    name = f"machines_{machines[0].interface}"
    where = ("trainer.devices=1", "+trainer.num_nodes=2")
    on_both(
        place,
        machines,
        *("training", "data", name, *TRAINED, *where, f"data.batch_size={TOGETHER // 2}"),
    )
    assert largest_difference(place / name, two) == 0
    on_both(place, machines, "evaluation", one.name, f"measured_{name}")
    assert files(place / f"measured_{name}") == measured
