"""How the processes of a run are found, and what is said when one of them is lost."""

import logging

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only

from offstride.train import ScheduleRecipe, fit, read_history
from offstride.train.fit import build_trainer, quiet
from offstride.train.processes import OBSERVER, cluster, is_first_process, lost_processes_named

STARTERS = ("torchrun", "srun")


def environment(starter: str, rank: int, processes: int, per_node: int) -> dict[str, str]:
    """What torchrun and srun tell each process that they start."""
    node, local = divmod(rank, per_node)
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
    if starter == "torchrun":
        named = {"TORCHELASTIC_RUN_ID": "none", "RANK": rank, "LOCAL_RANK": local, "GROUP_RANK": node}
        named |= {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": per_node}
    else:
        named = {"SLURM_JOB_ID": 4321, "SLURM_JOB_NAME": "train", "SLURM_NTASKS": processes, "SLURM_PROCID": rank}
        named |= {"SLURM_LOCALID": local, "SLURM_NODEID": node, "SLURM_NTASKS_PER_NODE": per_node}
        named |= {"SLURM_NNODES": processes // per_node, "SLURM_NODELIST": "node[1-2]"}
    return shared | {name: str(value) for name, value in named.items()}


@pytest.fixture
def started(monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 0)  # a trainer sets it, for the whole interpreter

    def start(*arguments):
        for name, value in environment(*arguments).items():
            monkeypatch.setenv(name, value)

    return start


@pytest.mark.parametrize("starter", STARTERS)
def test_one_process_trains(starter, started, recipe, change, tmp_path):
    started(starter, 0, 1, 1)
    fit(change(recipe, "schedule", steps=2), tmp_path / "run")
    assert [row["step"] for row in read_history(tmp_path / "run" / "train.csv")] == [1, 2]


@pytest.mark.parametrize("starter", STARTERS)
def test_a_process_learns_its_rank(starter, started, recipe, change, tmp_path):
    started(starter, 3, 4, 2)
    recipe = change(recipe, "schedule", devices=2, nodes=2, batch_size=8)
    with quiet():
        trainer = build_trainer(recipe, tmp_path, [])
    assert (trainer.world_size, trainer.global_rank, trainer.local_rank, trainer.node_rank) == (4, 3, 1, 1)
    assert not is_first_process()


@pytest.mark.parametrize("starter", STARTERS)
def test_other_numbers_of_processes_are_refused(starter, started, recipe, tmp_path):
    started(starter, 1, 4, 4)
    with pytest.raises(ValueError, match=rf"devices, nodes: expected as many as the 4 .* {starter} .* got 1 × 1"):
        fit(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_nobody_started_starts_its_own(recipe):
    assert cluster(recipe.schedule) is None


def test_slurm_jobs_are_not_put_back_by_us(started):
    """Lightning's own checkpoint of such a job would win against the one that the record goes with."""
    started("srun", 0, 1, 1)
    assert cluster(ScheduleRecipe()).auto_requeue is False


def test_synchronised_normalisation_on_cpus_is_refused(recipe, change, tmp_path):
    recipe = change(recipe, "schedule", devices=2, sync_norm=True)
    with quiet(), pytest.raises(ValueError, match="sync_norm: expected false on CPUs"):
        build_trainer(recipe, tmp_path, [])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            RuntimeError("[/gloo/pair.cc:544] Read error [::1]:4711: Connection reset by peer. This\nmay"),
            "reset by peer)",
        ),
        (torch.distributed.DistBackendError("NCCL communicator was aborted on rank 1."), "(NCCL communicator was"),
    ],
)
def test_a_lost_process_is_one_line(error, said):
    with pytest.raises(ConnectionError) as caught, lost_processes_named(2):
        raise error
    assert str(caught.value).startswith("the run stops because another process failed (")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "pair.cc" not in str(caught.value)


def test_other_errors_stay_what_they_are():
    for error, processes in ((RuntimeError("Connection closed by peer"), 1), (RuntimeError("out of memory"), 2)):
        with pytest.raises(RuntimeError) as caught, lost_processes_named(processes):
            raise error
        assert caught.value is error


def test_the_end_of_a_started_process_is_one_line(capsys):
    logger = logging.getLogger(OBSERVER)
    with lost_processes_named(2):
        logger.info("[rank: 1] Child process with PID 7 terminated with code -9. Forcefully terminating all others")
        logger.info("something else")
    logger.info("[rank: 1] Child process with PID 7 terminated with code 1.")
    said = capsys.readouterr().err
    assert said.startswith("offstride: the run stops because another process failed (with code -9); ")
    assert said.count("\n") == 1
