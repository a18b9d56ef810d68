"""The job scripts contain the requested lines and are valid shell."""

import json
import shutil
import subprocess

import pytest
from typer.testing import CliRunner

from exitwave.cli import app

SCAN = ["--", "reconstruct", "my scan.cxi", "--algorithm", "ML"]
MANY = ["--", "batch", "a.cxi", "b.cxi", "-o", "out"]


def script(*arguments):
    done = CliRunner().invoke(app, ["hpc-script", *arguments])
    assert done.exit_code == 0, done.stderr
    return done.stdout


REQUESTED = [
    "--nodes",
    "3",
    "--cores",
    "5",
    "--time",
    "02:30:00",
    "--account",
    "sector26",
    "--queue",
    "gpu",
    "--name",
    "star",
]


SCRIPTS = {
    "slurm": (
        ["slurm", *REQUESTED, "--gpus", "4", "--setup", "module load conda", *SCAN],
        """
#SBATCH --nodes=3
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=5
#SBATCH --gpus-per-node=4
#SBATCH --time=02:30:00
#SBATCH --account=sector26
#SBATCH --partition=gpu
#SBATCH --job-name=star
#SBATCH --signal=TERM@120
module load conda
    exitwave reconstruct 'my scan.cxi' --algorithm ML --device cuda --threads 5
""",
    ),
    "pbs": (
        ["pbs", *REQUESTED, "--processes", "2", *SCAN],
        """
#PBS -l select=3:ncpus=10:mpiprocs=2
#PBS -l walltime=02:30:00
#PBS -A sector26
#PBS -q gpu
#PBS -N star
mpiexec -n 6 -ppn 2 \\
    exitwave reconstruct 'my scan.cxi' --algorithm ML --device cpu --threads 5
""",
    ),
    "slurm, batch": (
        ["slurm", "--processes", "4", *MANY],
        """
#SBATCH --ntasks-per-node=4
#SBATCH --signal=B:TERM@120
dask scheduler --port "${address##*:}" --no-dashboard &
exitwave batch a.cxi b.cxi -o out --scheduler "$address" --threads 8 &
""",
    ),
    "pbs, batch": (
        ["pbs", "--gpus", "2", *MANY],
        """
#PBS -l select=1:ncpus=16:mpiprocs=2:ngpus=2
mpiexec -n 2 -ppn 2 bash -c '
    export CUDA_VISIBLE_DEVICES=${PALS_LOCAL_RANKID:-${MPI_LOCALRANKID:-$OMPI_COMM_WORLD_LOCAL_RANK}}
exitwave batch a.cxi b.cxi -o out --scheduler "$address" --threads 8 &
""",
    ),
}


@pytest.mark.parametrize(("arguments", "lines"), SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_contains_the_requested_lines(arguments, lines, tmp_path):
    text = script(*arguments)
    assert set(lines.strip().splitlines()) <= set(text.splitlines())
    if shutil.which("bash"):
        (tmp_path / "job.sh").write_text(text)
        subprocess.run(["bash", "-n", tmp_path / "job.sh"], check=True)


def test_a_script_contains_no_line_of_options_that_are_not_given():
    slurm, pbs = (script(system, *SCAN) for system in ("slurm", "pbs"))
    assert not [word for word in ("account", "partition", "gpus", "cuda", "dask") if word in slurm]
    assert not [word for word in ("#PBS -A", "#PBS -q", "ngpus", "cuda", "dask") if word in pbs]


def test_the_json_document_contains_the_script():
    assert json.loads(script("slurm", "--json", *SCAN))["script"] == script("slurm", *SCAN)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["slurn", *SCAN], "Did you mean slurm"),
        (["slurm", "--", "exitwave", "plot", "a.cxi"], "Only reconstruct and batch"),
        (["slurm", "--gpus", "2", "--processes", "2", *SCAN], "--processes 2"),
        (["slurm", "--time", "2h", *SCAN], "02:30:00"),
        (["slurm", "--name", "my job", *SCAN], "Not a name"),
        (["pbs", *SCAN, "--threads=3"], "--threads"),
    ],
)
def test_arguments_that_make_no_script_are_refused(arguments, message):
    done = CliRunner().invoke(app, ["hpc-script", *arguments])
    assert done.exit_code == 2
    assert message in done.stderr
