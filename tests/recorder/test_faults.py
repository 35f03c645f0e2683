"""Steps that fail, recorders that fail, disks that are full: what is kept and what is said."""

from __future__ import annotations

import contextlib
import logging
import os

import pytest
import torch
from torch import nn

from muon_theory.recorder import SpectrumRecorder, every, read_spectra


def _model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))


def _step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.randn(8, 5, generator=torch.Generator().manual_seed(0))).square().mean().backward()
    optimizer.step()


def test_a_step_within_a_step_is_one_step(tmp_path):
    class Wrapping(torch.optim.SGD):
        def step(self, closure=None):
            return super().step(closure)

    model = _model()
    torch.optim.SGD(model.parameters(), lr=0.1)  # from now on torch calls the hooks in SGD.step as well
    optimizer = Wrapping(model.parameters(), lr=0.1)
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1), kinds=["update"]) as recorder:
        for _ in range(3):
            _step(model, optimizer)
        assert recorder.step == 3
    table = read_spectra(tmp_path)
    assert table["step"].tolist() == [0, 0, 1, 1, 2, 2]
    assert all(sigma[0] > 0 for sigma in table["sigma"])


def test_a_step_that_raises_is_not_counted_and_the_next_one_is_recorded(tmp_path):
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def broken():
        raise KeyError("no data")

    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1), kinds=["weight"]) as recorder:
        with pytest.raises(KeyError):
            optimizer.step(broken)
        assert recorder.step == 0
        _step(model, optimizer)
    assert read_spectra(tmp_path)["step"].tolist() == [0, 0]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_exception_in_the_block_goes_on_and_loses_nothing(tmp_path, error):
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with (  # noqa: PT012
        pytest.raises(error),
        SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1), kinds=["gradient"]),
    ):
        for _ in range(3):
            _step(model, optimizer)
        raise error
    assert read_spectra(tmp_path)["step"].unique().tolist() == [0, 1, 2]
    assert [path.suffix for path in tmp_path.iterdir()] == [".parquet"]
    _step(model, optimizer)  # the hooks are gone
    assert read_spectra(tmp_path)["step"].max() == 2


def test_an_error_of_the_recorder_costs_its_event_and_is_said_once(tmp_path, caplog, monkeypatch):
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with caplog.at_level(logging.WARNING), SpectrumRecorder(
        optimizer, model, tmp_path, schedule=every(1), kinds=["weight"]
    ):  # fmt: skip
        _step(model, optimizer)
        with monkeypatch.context() as patch:
            patch.setattr("muon_theory.recorder.recorder.measure", lambda _: 1 / 0)
            _step(model, optimizer)
            _step(model, optimizer)
        _step(model, optimizer)
    assert read_spectra(tmp_path)["step"].unique().tolist() == [0, 3]
    assert sum("training goes on" in message for message in caplog.messages) == 1
    assert "2 errors" in caplog.messages[-1]


def test_strict_raises_the_recorders_errors(tmp_path, monkeypatch):
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monkeypatch.setattr("muon_theory.recorder.recorder.measure", lambda _: 1 / 0)
    with SpectrumRecorder(optimizer, model, tmp_path, strict=True), pytest.raises(ZeroDivisionError):
        _step(model, optimizer)


def test_a_full_disk_costs_the_events_that_did_not_fit_and_no_other(tmp_path, caplog, monkeypatch):
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    write, disk = os.write, {"full": False}

    def limited(descriptor, data):
        if disk["full"]:
            if len(data) > 10:
                return write(descriptor, data[:10])
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr("muon_theory.recorder.journal.os.write", limited)
    with caplog.at_level(logging.WARNING), SpectrumRecorder(
        optimizer, model, tmp_path, schedule=every(1), kinds=["weight"]
    ):  # fmt: skip
        for full in (False, True, True, False):
            disk["full"] = full
            _step(model, optimizer)
    assert read_spectra(tmp_path)["step"].unique().tolist() == [0, 3]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "place", ["source.MatrixSource.after_step", "store.SpectrumStore.append", "sinks.GuardedSinks.write"]
)
def test_ctrl_c_within_an_event_reaches_the_loop_which_may_go_on(tmp_path, monkeypatch, strict, place):
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    kinds = ["gradient", "update"]
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1), kinds=kinds, strict=strict) as recorder:
        for step in range(6):
            with monkeypatch.context() as patch:
                if step == 2:
                    patch.setattr(f"muon_theory.recorder.{place}", interrupted)
                with pytest.raises(KeyboardInterrupt) if step == 2 else contextlib.nullcontext():
                    _step(model, optimizer)
    assert recorder.step == 6
    steps = read_spectra(tmp_path).groupby("step").size()
    assert set(steps.index) - {2} == {0, 1, 3, 4, 5}
    assert (steps == 4).all()


def test_nan_everywhere_from_some_step_on_is_recorded_as_nan_and_does_not_end_the_training(tmp_path, caplog):
    model = _model()
    optimizer = torch.optim.Muon([model[0].weight, model[2].weight], lr=0.1)
    with caplog.at_level(logging.WARNING), SpectrumRecorder(
        optimizer, model, tmp_path, schedule=every(1), strict=True
    ):  # fmt: skip
        for step in range(5):
            optimizer.zero_grad()
            (model(torch.ones(2, 5)).square().mean() * (float("nan") if step >= 2 else 1.0)).backward()
            optimizer.step()
    table = read_spectra(tmp_path)
    assert (table.groupby("step").size() == 10).all()
    broken = table["sigma"].map(lambda sigma: bool((sigma != sigma).all()))
    assert broken.tolist() == (table["step"] >= 2).tolist()
    assert sum("NaN or inf" in message for message in caplog.messages) == 1
