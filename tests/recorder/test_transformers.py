"""The recorder as a callback of a real Hugging Face Trainer."""

# ruff: noqa: ARG002 (hooks take what the trainer gives)
from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from muon_theory.recorder import SpectrumRecorder, every, read_spectra

pytest.importorskip("transformers", reason="needs the extra transformers")
pytest.importorskip("accelerate", reason="needs the extra transformers")

from transformers import Trainer, TrainerCallback, TrainingArguments

from muon_theory.recorder.transformers import SpectrumCallback

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the Trainer

KINDS = ["gradient", "momentum", "update"]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))

    def forward(self, x):
        return {"loss": self.net(x).square().mean()}


def _inputs():
    return torch.randn(32, 5, generator=torch.Generator().manual_seed(1))


class Stop(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        if state.global_step == 7:
            raise RuntimeError("stop here")


def _train(folder, *callbacks, resume=None, **options):
    options = {"num_train_epochs": 3, "save_strategy": "no"} | options
    arguments = TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=8, learning_rate=0.01, report_to="none", use_cpu=True,
        disable_tqdm=True, logging_strategy="no", dataloader_pin_memory=False, seed=0, **options,
    )  # fmt: skip
    model = Net()
    trainer = Trainer(model, arguments, train_dataset=[{"x": row} for row in _inputs()], callbacks=list(callbacks))
    trainer.train(resume_from_checkpoint=resume)
    return model


def _assert_same(one, other):
    names = ["run", "step", "layer", "kind"]
    assert one[names].equals(other[names])
    for left, right in zip(one["sigma"], other["sigma"], strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_callback_records_what_the_recorder_does_around_the_trainer(tmp_path):
    class Inside(TrainerCallback):
        def on_train_begin(self, args, state, control, *, model, optimizer, **_):
            self.recorder = SpectrumRecorder(
                optimizer.optimizer, model, tmp_path / "b", run="r", schedule=every(2), kinds=KINDS
            ).__enter__()

        def on_train_end(self, args, state, control, **_):
            self.recorder.__exit__(None, None, None)

    callback = SpectrumCallback(tmp_path / "a", run="r", schedule=every(2), kinds=KINDS)
    model = _train(tmp_path / "out", callback, Inside())
    assert callback.recorder is None
    table = read_spectra(tmp_path / "a")
    assert table["step"].unique().tolist() == [0, 2, 4, 6, 8, 10]
    assert table["layer"].unique().tolist() == ["net.0.weight", "net.2.weight"]
    assert table["kind"].unique().tolist() == KINDS
    _assert_same(table, read_spectra(tmp_path / "b"))
    for one, other in zip(model.parameters(), _train(tmp_path / "out").parameters(), strict=True):
        assert torch.equal(one, other)  # recording has changed nothing


def test_a_training_that_fails_and_is_resumed_gives_the_uninterrupted_runs_spectra(tmp_path):
    options = {"save_strategy": "steps", "save_steps": 3}  # within the second epoch
    _train(tmp_path / "one" / "out", SpectrumCallback(tmp_path / "a", schedule=every(1), kinds=KINDS))
    with (
        pytest.raises(RuntimeError, match="stop here"),
        SpectrumCallback(tmp_path / "b", schedule=every(1), kinds=KINDS) as callback,
    ):
        _train(tmp_path / "two" / "out", callback, Stop(), **options)
    assert read_spectra(tmp_path / "b")["step"].unique().tolist() == list(range(7))
    assert {path.suffix for path in (tmp_path / "b").iterdir()} == {".parquet"}  # closed
    resumed = SpectrumCallback(tmp_path / "b", schedule=every(1), kinds=KINDS)
    _train(tmp_path / "two" / "out", resumed, resume=str(tmp_path / "two" / "out" / "checkpoint-6"), **options)
    table = read_spectra(tmp_path / "b")
    assert table["run"].unique().tolist() == ["out"]
    _assert_same(table, read_spectra(tmp_path / "a"))


def test_a_checkpoint_from_before_the_callback_is_resumed_at_its_step(tmp_path):
    _train(tmp_path / "out", save_strategy="steps", save_steps=3, max_steps=4)
    callback = SpectrumCallback(tmp_path / "a", schedule=every(1), kinds=["gradient"])
    _train(tmp_path / "out", callback, resume=True, save_strategy="steps", save_steps=3, run_name="named", max_steps=7)
    table = read_spectra(tmp_path / "a")
    assert table["step"].unique().tolist() == [4, 5, 6]
    assert table["run"].unique().tolist() == ["named"]


def test_an_exception_without_a_context_loses_nothing_and_the_next_training_goes_on(tmp_path):
    callback = SpectrumCallback(tmp_path / "a", schedule=every(1), kinds=["gradient"])
    with pytest.raises(RuntimeError, match="stop here"):
        _train(tmp_path / "out", callback, Stop())
    assert read_spectra(tmp_path / "a")["step"].unique().tolist() == list(range(7))
    _train(tmp_path / "other", callback, num_train_epochs=1)
    counts = read_spectra(tmp_path / "a").groupby("run")["step"].nunique()
    assert counts.to_dict() == {"other": 4, "out": 7}


def test_accumulated_and_clipped_gradients_are_one_step(tmp_path):
    seen = []

    class Look(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, *, model, **_):
            seen.append((state.global_step, torch.linalg.svdvals(model.net[0].weight.grad.double()).numpy()))

    callback = SpectrumCallback(tmp_path / "a", schedule=every(1), kinds=["gradient"])
    _train(tmp_path / "out", callback, Look(), gradient_accumulation_steps=3, max_grad_norm=1e-3)
    table = read_spectra(tmp_path / "a").query("layer == 'net.0.weight'")
    assert table["step"].tolist() == [step for step, _ in seen] == list(range(6))  # 4 batches an epoch: 3 and 1
    for sigma, (_, expected) in zip(table["sigma"], seen, strict=True):
        np.testing.assert_allclose(sigma, expected, rtol=2e-6)
        assert np.linalg.norm(sigma) <= 1.01e-3


def test_steps_that_the_optimizer_skipped_are_counted_as_the_trainer_does(tmp_path):
    class Skip(TrainerCallback):  # as a gradient scaler would
        def on_pre_optimizer_step(self, args, state, control, *, optimizer, **_):
            inner = optimizer.optimizer
            inner.__dict__.pop("step", None)
            if state.global_step in {2, 3, 7}:
                inner.step = lambda *_: None

    callback = SpectrumCallback(tmp_path / "a", schedule=every(1), kinds=["activation", "gradient"])
    _train(tmp_path / "out", callback, Skip(), lr_scheduler_type="constant")
    table = read_spectra(tmp_path / "a")
    assert table["step"].unique().tolist() == [step for step in range(12) if step not in {2, 3, 7}]
    assert (table.groupby("step").size() == 4).all()


def test_a_failing_recorder_does_not_end_the_training(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("muon_theory.recorder.recorder.measure", lambda *_, **__: 1 / 0)
    with caplog.at_level(logging.WARNING):
        _train(tmp_path / "out", SpectrumCallback(tmp_path / "a"), num_train_epochs=1)
    assert sum("training goes on" in message for message in caplog.messages) == 1


TWO_RANKS = """
import sys, warnings
warnings.simplefilter("ignore")
import torch
from torch import nn
from transformers import Trainer, TrainingArguments
from muon_theory.recorder import every
from muon_theory.recorder.transformers import SpectrumCallback

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    def forward(self, x):
        return {"loss": self.net(x).square().mean()}

torch.set_num_threads(1)
folder, world = sys.argv[1], int(sys.argv[2])
arguments = TrainingArguments(
    output_dir=folder + "/out", per_device_train_batch_size=32 // world, learning_rate=0.01, report_to="none",
    use_cpu=True, disable_tqdm=True, logging_strategy="no", save_strategy="no", dataloader_pin_memory=False,
    max_steps=4, seed=0,
)
rows = torch.randn(32, 5, generator=torch.Generator().manual_seed(1))
callback = SpectrumCallback(folder + "/spectra", schedule=every(1), kinds=["gradient", "momentum", "weight"])
Trainer(Net(), arguments, train_dataset=[{"x": row} for row in rows], callbacks=[callback]).train()
if world > 1:  # else the threads of gloo may abort a process that ends
    torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_give_one_recording_that_of_one_process_with_the_whole_batch(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    for world in (1, 2):
        (tmp_path / str(world)).mkdir()
        ranks = []
        for rank in range(world):
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            if world > 1:
                environment |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
                environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            command = [sys.executable, "-c", TWO_RANKS, str(tmp_path / str(world)), str(world)]
            ranks.append(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
            )
        for process in ranks:
            _, errors = process.communicate(timeout=200)
            assert process.returncode == 0, errors
    one, two = (read_spectra(tmp_path / name / "spectra") for name in "12")
    assert two["step"].unique().tolist() == list(range(4))
    names = ["run", "step", "layer", "kind"]
    assert one[names].equals(two[names])
    for left, right in zip(one["sigma"], two["sigma"], strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-7)
