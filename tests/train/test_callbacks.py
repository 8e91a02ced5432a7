"""What is kept beside training, step by step, with a trainer that only says where it is."""

import io
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from offstride.train import read_history
from offstride.train.callbacks import Checkpoints, Recorder
from offstride.train.progress import ProgressLine


def trainer_at(step, miou=0.0, rates=(0.1,)):
    return SimpleNamespace(
        global_step=step,
        is_global_zero=True,
        callback_metrics={"val/miou": torch.tensor(miou), "train/loss": torch.tensor(9.0)},
        optimizers=[SimpleNamespace(param_groups=[{"lr": rate} for rate in rates])],
        save_checkpoint=lambda path: None,
    )


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when they are told to."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr("time.monotonic", lambda: now.seconds)
    return now


def test_the_best_model_is_the_best_of_all_attempts(tmp_path):
    saved = []
    module = SimpleNamespace(model=SimpleNamespace(save=saved.append))
    options = {"every": 10, "validate_every": 5, "recorder": SimpleNamespace(flush=lambda: None)}

    def validated(checkpoints, *scores):
        saved.clear()
        for score in scores:
            checkpoints.on_validation_end(trainer_at(5, miou=score), module)
        return len(saved)

    first = Checkpoints(tmp_path, **options)
    assert validated(first, 0.25, 0.5, 0.375) == 2
    resumed = Checkpoints(tmp_path, **options)
    resumed.load_state_dict(first.state_dict())
    assert validated(resumed, 0.375, 0.5) == 0
    assert validated(resumed, 0.625) == 1


def test_the_record_goes_on_where_a_stopped_run_was_resumed(tmp_path, clock):
    for resumed_at, steps in ((0, (1, 2, 3)), (2, (3, 4))):
        recorder = Recorder(tmp_path, resumed_at=resumed_at, flush_every=1)
        recorder.setup(trainer_at(resumed_at), None, "fit")
        for step in steps:
            clock.seconds += 10
            recorder.on_train_batch_end(trainer_at(step, rates=(0.5, 5.0)), None, {"loss": torch.tensor(1.0)}, None, 0)
        clock.seconds += 5000  # until somebody notices
    rows = read_history(tmp_path / "train.csv")
    assert [(row["step"], row["seconds"]) for row in rows] == [(1, 10), (2, 20), (3, 30), (4, 40)]
    assert {row["learning_rate"] for row in rows} == {0.5}  # that of the backbone, the first group


def test_the_time_that_is_left_follows_from_the_steps_of_this_attempt(clock):
    line = ProgressLine(100, every=1, title="run")
    line.console = Console(file=io.StringIO(), width=200)
    line.on_train_start(trainer_at(40), None)  # type: ignore[arg-type]
    clock.seconds += 20
    line.on_train_batch_end(trainer_at(50), None, {"loss": torch.tensor(1.5)}, None, 0)  # type: ignore[arg-type]
    assert line.console.file.getvalue().strip() == "run: step 50/100  loss 1.500  2.00 s/step  1:40 left"  # type: ignore[attr-defined]
