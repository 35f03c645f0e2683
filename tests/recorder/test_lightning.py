"""The recorder as a callback of a real Lightning Trainer."""

# ruff: noqa: ARG002 (hooks take what the trainer gives)
from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from muon_theory.recorder import SpectrumRecorder, every, read_spectra

pytest.importorskip("lightning", reason="needs the extra lightning")

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from muon_theory.recorder.lightning import SpectrumCallback

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own

KINDS = ["gradient", "momentum", "update"]


class Module(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))

    def training_step(self, batch, batch_idx):
        return self.net(batch[0]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class Alternating(Module):
    """Two optimizers, stepped by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            self.manual_backward(super().training_step(batch, batch_idx))
            optimizer.step()

    def configure_optimizers(self):
        return [torch.optim.SGD(self.net[place].parameters(), lr=0.1) for place in (0, 2)]


class Stop(Callback):
    def __init__(self, batch: int, error: type[BaseException]) -> None:
        self.batch, self.error = batch, error

    def on_train_batch_end(self, trainer, *_):
        if trainer.fit_loop.total_batch_idx + 1 == self.batch:
            raise self.error("stop here")


def _fit(folder, *callbacks, module=None, epochs=3, resume=None, **options):
    data = TensorDataset(torch.randn(32, 5, generator=torch.Generator().manual_seed(1)))
    module = Module() if module is None else module
    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=folder, callbacks=list(callbacks), enable_checkpointing=any(
            isinstance(each, ModelCheckpoint) for each in callbacks), **options,
    )  # fmt: skip
    trainer.fit(module, DataLoader(data, batch_size=8), ckpt_path=resume)
    return module


def _assert_same(one, other):
    names = ["run", "step", "layer", "kind"]
    assert one[names].equals(other[names])
    for left, right in zip(one["sigma"], other["sigma"], strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_callback_records_what_the_recorder_does_in_a_loop_of_ones_own(tmp_path):
    _fit(tmp_path, SpectrumCallback(tmp_path / "a", run="r", schedule=every(2), kinds=KINDS))
    module = Module()
    optimizer = module.configure_optimizers()
    data = torch.randn(32, 5, generator=torch.Generator().manual_seed(1))
    with SpectrumRecorder(optimizer, module, tmp_path / "b", run="r", schedule=every(2), kinds=KINDS):
        for step in range(12):
            optimizer.zero_grad()
            module.net(data[8 * (step % 4) :][:8]).square().mean().backward()
            optimizer.step()
    table = read_spectra(tmp_path / "a")
    assert table["step"].unique().tolist() == [0, 2, 4, 6, 8, 10]
    assert table["layer"].unique().tolist() == ["net.0.weight", "net.2.weight"]
    _assert_same(table, read_spectra(tmp_path / "b"))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_fit_that_is_stopped_and_resumed_gives_the_uninterrupted_runs_spectra(tmp_path, error):
    _fit(tmp_path, SpectrumCallback(tmp_path / "a", schedule=every(1), kinds=KINDS))
    stopped = SpectrumCallback(tmp_path / "b", schedule=every(1), kinds=KINDS)
    kept = ModelCheckpoint(tmp_path / "kept", filename="{epoch}", save_top_k=-1, every_n_epochs=1)
    with pytest.raises((error, SystemExit)):
        _fit(tmp_path, stopped, kept, Stop(7, error))
    assert stopped.recorder is None
    table = read_spectra(tmp_path / "b")
    assert table["step"].unique().tolist() == list(range(7))
    assert {path.suffix for path in (tmp_path / "b").iterdir()} == {".parquet"}  # closed
    resumed = SpectrumCallback(tmp_path / "b", schedule=every(1), kinds=KINDS)
    _fit(tmp_path, resumed, resume=tmp_path / "kept" / "epoch=0.ckpt")
    table = read_spectra(tmp_path / "b")
    assert table["run"].unique().tolist() == ["run_1"]
    _assert_same(table, read_spectra(tmp_path / "a"))


def test_two_fits_without_a_checkpoint_are_two_runs(tmp_path):
    callback = SpectrumCallback(tmp_path / "a", schedule=every(4), kinds=["weight"])
    for _ in range(2):
        _fit(tmp_path, callback, epochs=1)
    assert read_spectra(tmp_path / "a")["run"].unique().tolist() == ["run_1", "run_2"]


def test_accumulated_gradients_are_one_step(tmp_path):
    callback = SpectrumCallback(tmp_path / "a", schedule=every(1), kinds=["gradient"])
    seen = []

    class Look(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            seen.append((trainer.global_step, torch.linalg.svdvals(pl_module.net[0].weight.grad.double()).numpy()))

    _fit(tmp_path, callback, Look(), accumulate_grad_batches=2)
    table = read_spectra(tmp_path / "a").query("layer == 'net.0.weight'")
    assert table["step"].tolist() == [step for step, _ in seen] == list(range(6))
    for sigma, (_, expected) in zip(table["sigma"], seen, strict=True):
        np.testing.assert_allclose(sigma, expected, rtol=2e-6)


def test_several_optimizers_are_recorded_at_lightnings_global_step(tmp_path):
    _fit(tmp_path, SpectrumCallback(tmp_path / "a", schedule=every(1), kinds=["update"]), module=Alternating())
    table = read_spectra(tmp_path / "a")
    assert table["step"].unique().tolist() == list(range(0, 24, 2))
    assert table["layer"].tolist() == ["net.0.weight", "net.2.weight"] * 12
    assert all(sigma[0] > 0 for sigma in table["sigma"])


def test_a_rank_other_than_zero_records_nothing_and_flattened_matrices_are_refused(tmp_path):
    module = Module()
    optimizer = module.configure_optimizers()
    callback = SpectrumCallback(tmp_path / "a")
    callback.start([optimizer], module, first_step=0, run=None, rank_zero=False)
    callback.follow(3)
    assert callback.recorder is None
    callback.stop()
    assert not (tmp_path / "a").exists()
    module.net[0].weight._fsdp_flattened = True
    with pytest.raises(TypeError, match="FSDP2"):
        callback.start([optimizer], module, first_step=0, run=None, rank_zero=True)


def test_a_failing_recorder_does_not_end_the_fit(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("muon_theory.recorder.recorder.measure", lambda *_, **__: 1 / 0)
    with caplog.at_level(logging.WARNING):
        module = _fit(tmp_path, SpectrumCallback(tmp_path / "a"), epochs=1)
    assert sum("training goes on" in message for message in caplog.messages) == 1
    for one, other in zip(module.parameters(), _fit(tmp_path, epochs=1).parameters(), strict=True):
        assert torch.equal(one, other)


def test_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(TypeError, match="first_step: the callback takes this from the trainer"):
        SpectrumCallback(tmp_path, first_step=3)
    with pytest.raises(ValueError, match="kinds is"):
        _fit(tmp_path, SpectrumCallback(tmp_path, kinds=["spectrum"]))
    with pytest.raises(ValueError, match="no optimizer"):
        SpectrumCallback(tmp_path).start([], Module(), first_step=0, run=None, rank_zero=True)


TWO_RANKS = """
import logging, sys, warnings
warnings.simplefilter("ignore")
logging.getLogger("lightning").setLevel(logging.ERROR)
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from lightning.pytorch import LightningModule, Trainer
from muon_theory.recorder import every
from muon_theory.recorder.lightning import SpectrumCallback

class Module(LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    def training_step(self, batch, batch_idx):
        return self.net(batch[0]).square().mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
    def train_dataloader(self):
        rows = torch.randn(32, 5, generator=torch.Generator().manual_seed(1))
        rank, world = self.trainer.global_rank, self.trainer.world_size
        return DataLoader(TensorDataset(rows[rank::world]), batch_size=8 // world)

if __name__ == "__main__":
    torch.set_num_threads(1)
    devices = int(sys.argv[2])
    strategy = "ddp_fork" if devices > 1 else "auto"
    Trainer(
        max_epochs=1, accelerator="cpu", devices=devices, strategy=strategy, logger=False, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, use_distributed_sampler=False,
        callbacks=[SpectrumCallback(sys.argv[1], schedule=every(1), kinds=["gradient", "momentum", "weight"])],
    ).fit(Module())
"""


@pytest.mark.slow
def test_two_processes_give_one_recording_that_of_one_process_with_the_whole_batch(tmp_path):
    for devices in (1, 2):
        command = [sys.executable, "-c", TWO_RANKS, str(tmp_path / str(devices)), str(devices)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    one, two = (read_spectra(tmp_path / name) for name in "12")
    assert two["step"].unique().tolist() == list(range(4))
    names = ["run", "step", "layer", "kind"]
    assert one[names].equals(two[names])
    for left, right in zip(one["sigma"], two["sigma"], strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-7)
