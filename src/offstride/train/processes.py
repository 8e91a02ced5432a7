"""The processes of a run: how they were started, and the message when one of them fails."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from offstride.train.recipe import ScheduleRecipe

OBSERVER = "lightning.fabric.strategies.launchers.subprocess_script"
"""Logger of the thread that ends a run when one of its processes has ended."""

LOST = "the run stops because another process failed ({reason}); continue it with --resume"


def is_first_process() -> bool:
    """Whether this process, the first of a distributed run, prints and writes."""
    return getattr(rank_zero_only, "rank", 0) == 0


def mean_across_processes(count: Tensor) -> Tensor:
    """Mean of a count over all processes, see `offstride.field.Across`."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return count
    count = count.clone()
    torch.distributed.all_reduce(count)
    return count / torch.distributed.get_world_size()


def cluster(schedule: ScheduleRecipe) -> ClusterEnvironment | None:
    """The environment of a process that torchrun or srun has started; None if the run starts its own.

    A job that SLURM requeues is started again by its own command line, with `--resume`.

    Raises:
        ValueError: If their number is not that of the recipe: each process would train on its own.
    """
    starter = "torchrun" if TorchElasticEnvironment.detect() else "srun" if SLURMEnvironment.detect() else None
    if starter is None:
        return None
    try:
        environment = TorchElasticEnvironment() if starter == "torchrun" else SLURMEnvironment(auto_requeue=False)
    except RuntimeError as error:  # --ntasks without --ntasks-per-node
        raise ValueError(f"nodes: {error}") from error
    started, expected = environment.world_size(), schedule.devices * schedule.nodes
    if started != expected:
        raise ValueError(
            f"devices, nodes: expected as many as the {started} processes that {starter} has started, "
            f"got {schedule.devices} × {schedule.nodes}"
        )
    return environment


@contextmanager
def lost_processes_named(world_size: int) -> Iterator[None]:
    """Report in one line that another process failed, instead of the libraries' messages.

    Raises:
        ConnectionError: Instead of the error of `torch.distributed`.
    """
    logger, handler = logging.getLogger(OBSERVER), _OneLine()
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    except RuntimeError as error:
        if world_size == 1 or not _is_lost_connection(error):
            raise
        place = r"^\[[^]]*\] "  # in the library's source, which messages of gloo begin with
        reason = re.sub(place, "", str(error)).splitlines()[0].partition(". ")[0]
        raise ConnectionError(LOST.format(reason=reason)) from error
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


class _OneLine(logging.Handler):
    """Prints our message instead of the record; SIGKILL follows."""

    def emit(self, record: logging.LogRecord) -> None:
        code = re.search(r"terminated with code (-?\d+)", record.getMessage())
        if code:
            print("offstride:", LOST.format(reason=f"with code {code[1]}"), file=sys.stderr, flush=True)


def _is_lost_connection(error: BaseException) -> bool:
    """Whether an error means that another process cannot be reached."""
    if isinstance(error, torch.distributed.DistError):
        return True
    words = str(error).lower()
    return any(word in words for word in ("connection closed", "connection reset", "connection refused", "broken pipe"))
