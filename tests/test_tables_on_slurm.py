"""Cells of tables as jobs of SLURM, by Hydra's launcher of submitit: its commands are made up."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from own_process import REPOSITORY

pytest.importorskip("submitit")
pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
pytestmark = pytest.mark.slow

CELL = "table1/adapter_hf/2"
# A job runs as soon as it is queued; what SLURM would say of it stands in its environment.
SBATCH = """#!/bin/sh
echo "$@" >> {folder}/asked
grep '^#SBATCH' "$1" >> {folder}/asked
export SLURM_JOB_ID=4711 SLURM_JOB_NAME=cell SLURM_NTASKS=1 SLURM_NNODES=1 SLURM_JOB_NUM_NODES=1
export SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0 SLURM_JOB_NODELIST=localhost
nohup sh "$1" > {folder}/job.log 2>&1 &
echo "Submitted batch job 4711"
"""
SRUN = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do
    case "$1" in *=*|--unbuffered) shift;; *) shift 2;; esac
done
exec "$@"
"""
SACCT = "#!/bin/sh\necho 'JobID|State|NodeList'\necho '4711|RUNNING|localhost'\n"


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Make ``sbatch``, ``srun`` and ``sacct``; ``asked`` has what they were asked for."""
    folder = tmp_path / "queue"
    folder.mkdir()
    scripts = {"sbatch": SBATCH.replace("{folder}", shlex.quote(str(folder)))}
    for name, script in {**scripts, "srun": SRUN, "sacct": SACCT}.items():
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    return folder


def test_a_cell_is_a_job(queue: Path, tmp_path: Path) -> None:
    output = tmp_path / "tables"
    answer = subprocess.run(
        [
            *(sys.executable, "scripts/reproduce_tables.py", "--scale", "demo", "--only", CELL),
            *("--output", str(output), "--launcher", "submitit_slurm"),
            f"hydra.launcher.submitit_folder={tmp_path / 'jobs'}",
            *("hydra.launcher.partition=gpu", "hydra.launcher.timeout_min=60"),
            f"hydra.sweep.dir={tmp_path / 'sweep'}",
            *("--data-root", str(tmp_path / "scenes")),
            *("data.num_training=8", "data.num_validation=2", "data.batch_size=2"),
            *("trainer.max_steps=1", "+model.depths=[1,1,1,1]", "trainer.accelerator=cpu"),
            *("data.num_workers=0", "log_plot_freq=0"),
        ],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "PATH": f"{queue}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        timeout=1500,
    )
    log = output / "demo" / f"{CELL}" / "seed0.log"
    words = log.read_text() if log.exists() else ""
    job = (queue / "job.log").read_text() if (queue / "job.log").exists() else ""
    assert answer.returncode == 0, answer.stdout + answer.stderr + words + job
    asked = (queue / "asked").read_text()
    assert "#SBATCH --partition=gpu" in asked
    assert "#SBATCH --time=60" in asked
    assert (output / "demo" / CELL / "seed0" / "results.json").is_file()
    assert f"{CELL}, seed 0: finished" in answer.stdout
