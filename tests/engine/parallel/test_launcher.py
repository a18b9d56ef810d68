"""Rank, number of processes and meeting point from the variables of launchers."""

import pytest

from exitwave.engine.parallel.launcher import PORTS, LaunchInfo, launch_info
from exitwave.errors import InputError

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "MASTER_ADDR": "nid7", "MASTER_PORT": "29500"}
SLURM = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8"}


def test_rank_and_address_follow_from_the_variables_of_each_launcher(tmp_path):
    nodes = tmp_path / "nodes"
    nodes.write_text("x3001c0s7.polaris\nx3002c0s7.polaris\n")
    environments = {
        "nid7": TORCHRUN,
        "nid0012": SLURM | {"SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "nid[0012-0013,0020]"},
        "gpu-3": SLURM | {"SLURM_STEP_NODELIST": "gpu-3,gpu-[7-8]"},
        "x3001c0s7.polaris": {"PMI_RANK": "3", "PMI_SIZE": "8", "PBS_JOBID": "12.pbs", "PBS_NODEFILE": str(nodes)},
        "127.0.0.1": {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_SIZE": "8"},
    }
    for address, environ in environments.items():
        launch = launch_info(environ, 17)
        assert (launch.rank, launch.size, launch.address) == (3, 8, address)
        assert launch == launch_info(environ, 17)
        assert launch.port == 29500 if environ is TORCHRUN else launch.port in PORTS
    ports = {launch_info({**environments["127.0.0.1"]}, parent).port for parent in range(40)}
    assert len(ports) > 30  # concurrent runs on one node


@pytest.mark.parametrize(
    "environ",
    [
        {},
        TORCHRUN | {"WORLD_SIZE": "1"},
        {"RANK": "1"},
        {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"},
    ],
    ids=["nothing", "one process", "rank only", "a batch script outside srun"],
)
def test_a_single_process_has_no_launch_info(environ):
    assert launch_info(environ, 17) is None


def test_processes_without_an_address_are_refused():
    with pytest.raises(InputError, match="MASTER_ADDR"):
        launch_info({"PMI_RANK": "0", "PMI_SIZE": "2"}, 17)
    assert launch_info({"PMI_RANK": "0", "PMI_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "9"}, 17) == LaunchInfo(
        0, 2, "a", 9
    )
