"""Events on their way from a device: copying, measuring, sending and writing in order, on a lane the test drives."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch
from torch import nn

from muon_theory.recorder import SpectrumRecorder, at, every, read_matrices, read_spectra
from muon_theory.recorder.matrices import MatrixKey
from muon_theory.recorder.measure import KnownSpectrum, RecordedMatrix, measure
from muon_theory.recorder.stream_lane import stream_lane
from muon_theory.recorder.transfer import Transfer


class _Ticket:
    def __init__(self, lane: _Lane, work, buffer: torch.Tensor) -> None:
        self._lane, self._work, self._buffer = lane, work, buffer
        self.ran = False
        self.error: Exception | None = None

    def run(self) -> None:
        if not self.ran:
            self.ran = True
            try:
                self._buffer.copy_(self._work())
            except RuntimeError as error:
                self.error = error

    def done(self) -> bool:
        self._lane.polls += 1
        return self.ran

    def wait(self) -> None:
        self._lane.waits += not self.ran
        self.run()
        if self.error is not None:
            raise self.error


class _Lane:
    """A side stream that does its work when the test says so, or when somebody waits for it."""

    def __init__(self, device: torch.device | None = None) -> None:
        self.device = device
        self.tickets: list[_Ticket] = []
        self.buffers: list[torch.Tensor] = []
        self.used: list[int] = []
        self.copies = self.polls = self.waits = 0
        self.closed = False

    def copy(self, X: torch.Tensor) -> torch.Tensor:
        self.copies += 1
        return X.detach().clone()

    def buffer(self, numbers: int) -> torch.Tensor:
        self.buffers.append(torch.full((numbers,), math.nan, dtype=torch.float64))
        return self.buffers[-1]

    def launch(self, work, buffer: torch.Tensor) -> _Ticket:
        in_use = [i for i, each in enumerate(self.buffers) if each.data_ptr() == buffer.data_ptr()]
        self.used += in_use
        self.tickets.append(_Ticket(self, work, buffer))
        return self.tickets[-1]

    def run(self) -> None:
        for ticket in self.tickets:
            ticket.run()

    def close(self) -> None:
        self.closed = True


class _Loop:
    """A recorded training whose matrices lie, as far as the recorder knows, on a device with a lane."""

    def __init__(self, folder, **options) -> None:
        torch.manual_seed(0)
        self.lane, self.folder = _Lane(), folder
        self.model = nn.Sequential(nn.Linear(90, 80, bias=False), nn.Linear(80, 5, bias=False))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.recorder = SpectrumRecorder(self.optimizer, self.model, folder, **({"schedule": every(1)} | options))
        self.recorder._transfer = Transfer(lambda _: self.lane)

    def step(self) -> None:
        generator = torch.Generator().manual_seed(self.recorder.step)
        for parameter in self.model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        self.optimizer.step()

    def steps(self) -> list[int]:
        return sorted(set(read_spectra(self.folder)["step"].tolist()))


def test_an_event_is_written_when_a_later_step_finds_it_done(tmp_path):
    loop = _Loop(tmp_path, schedule=at([0, 9]))
    with loop.recorder:
        loop.step()
        assert loop.steps() == []  # copied and on its way
        for _ in range(3):
            loop.step()  # not scheduled, not done: nobody waits
        assert loop.steps() == []
        assert loop.lane.waits == 0
        loop.lane.run()
        assert loop.steps() == []
        loop.step()
        assert loop.steps() == [0]
        assert loop.lane.waits == 0
        polls = loop.lane.polls
        loop.step()  # nothing under way: nothing is asked
        assert loop.lane.polls == polls


def test_an_event_is_complete_at_the_next_scheduled_one_and_at_the_end(tmp_path):
    loop = _Loop(tmp_path)
    with loop.recorder:
        for step in range(5):
            loop.step()
            assert loop.steps() == list(range(step))
            assert sum(not ticket.ran for ticket in loop.lane.tickets) == 1
    assert loop.steps() == [0, 1, 2, 3, 4]
    assert loop.lane.closed


def test_an_exception_in_the_block_loses_no_event_under_way(tmp_path):
    loop = _Loop(tmp_path)

    def interrupted() -> None:
        with loop.recorder:
            loop.step()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert loop.steps() == [0]


def test_two_buffers_take_turns_and_one_that_is_not_read_yet_is_never_used(tmp_path):
    loop = _Loop(tmp_path)
    with loop.recorder:
        for _ in range(6):
            loop.step()
    assert len(loop.lane.buffers) == 2
    assert loop.lane.used == [0, 1, 0, 1, 0, 1]


def test_what_is_recorded_is_what_would_be_at_once(tmp_path):
    tables = []
    for name, lane_of in (("later", None), ("at_once", lambda _: None)):
        loop = _Loop(tmp_path / name, store_matrices=True, run="a")
        if lane_of is not None:
            loop.recorder._transfer = Transfer(lane_of)
        with loop.recorder:
            for step in range(4):
                loop.step()
                if step == 1:
                    loop.lane.run()  # some are done early, some late, when the weights have moved on
        tables.append((read_spectra(tmp_path / name), list(read_matrices(tmp_path / name))))
    (later, matrices), (at_once, expected) = tables
    names = ["run", "step", "layer", "kind", "rows", "columns", "dtype"]
    assert later[names].equals(at_once[names])
    assert set(later["kind"]) == {"gradient", "momentum", "lmo_input", "update", "weight"}
    np.testing.assert_allclose(later["noise_floor"], at_once["noise_floor"], rtol=1e-6)
    for one, other in zip(later.to_dict("records"), at_once.to_dict("records"), strict=True):
        # at once an update that is a multiple of the momentum is told from it, so up to rounding of the weights
        np.testing.assert_allclose(one["sigma"], other["sigma"], rtol=1e-5, atol=2 * one["noise_floor"])
    for (_, one), (_, other) in zip(matrices, expected, strict=True):
        assert torch.equal(one, other)


def test_work_that_fails_costs_its_event_only_and_is_said(tmp_path, caplog, monkeypatch):
    from muon_theory.recorder import transfer

    loop, measured = _Loop(tmp_path), transfer.device_spectra

    def fail_at_step_one(matrices):
        if matrices[0].key.step == 1:
            raise RuntimeError("the eigenvalues did not converge")
        return measured(matrices)

    monkeypatch.setattr(transfer, "device_spectra", fail_at_step_one)
    with caplog.at_level(logging.WARNING), loop.recorder:
        for step in range(4):
            loop.step()
            if step == 1:
                loop.lane.run()  # found by the poll; in the second round by the wait
    assert loop.steps() == [0, 2, 3]
    assert "the eigenvalues did not converge" in caplog.text
    assert "met 1 errors" in caplog.text


def test_a_strict_recorder_raises_what_the_work_raised_and_closes_its_files(tmp_path, monkeypatch):
    from muon_theory.recorder import transfer

    def fail(_matrices):
        raise RuntimeError("the eigenvalues did not converge")

    monkeypatch.setattr(transfer, "device_spectra", fail)
    loop = _Loop(tmp_path, strict=True)

    def one_step() -> None:
        with loop.recorder:
            loop.step()

    with pytest.raises(RuntimeError, match="did not converge"):
        one_step()
    assert loop.lane.closed
    assert not loop.recorder._transfer.under_way
    assert list(tmp_path.iterdir()) == []  # a session without events leaves no file


def test_nan_is_told_without_asking_the_device(tmp_path, caplog):
    loop = _Loop(tmp_path, kinds=["gradient"])
    with caplog.at_level(logging.WARNING), loop.recorder:
        for parameter in loop.model.parameters():
            parameter.grad = torch.ones_like(parameter)
        loop.model[0].weight.grad[2, 3] = math.inf
        loop.optimizer.step()
    table = read_spectra(tmp_path)
    assert np.isnan(table["sigma"].iloc[0]).all()
    assert math.isnan(table["noise_floor"].iloc[0])
    assert np.isfinite(table["sigma"].iloc[1]).all()
    assert "NaN or inf in the gradient of 0.weight at step 0" in caplog.text


def test_each_device_has_a_lane_and_matrices_without_one_are_measured_at_once():
    lanes = {}

    def lane_of(device):
        lanes[device.type] = _Lane(device) if device.type == "meta" else None
        return lanes[device.type]

    transfer = Transfer(lane_of)
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(4, 6, generator=generator)
    known = KnownSpectrum(torch.empty(3, dtype=torch.float64, device="meta"))
    matrices = [
        RecordedMatrix(MatrixKey(0, "a", "weight"), X),
        RecordedMatrix(MatrixKey(0, "b", "weight"), torch.empty(3, 5), known=known),  # where its spectrum lies, counts
        RecordedMatrix(MatrixKey(0, "c", "weight"), X[:2]),
    ]
    rows = transfer.take(iter(matrices), measure)
    assert [type(each).__name__ for each in rows] == ["Spectrum", "CopiedMatrix", "Spectrum"]
    assert lanes["meta"].copies == 1  # the known singular values; of the matrix only shape and dtype matter
    (event,) = transfer.send(0, [rows[0], rows[2]], {})  # nothing was copied: complete at once
    assert [each.layer for each in event.spectra] == ["a", "c"]


def test_known_spectra_travel_with_the_others():
    lane = _Lane()
    transfer = Transfer(lambda _: lane)
    X, sigma = torch.diag(torch.tensor([3.0, 4.0])), torch.tensor([2.0, 1.0], dtype=torch.float64)
    matrices = [
        RecordedMatrix(MatrixKey(5, "a", "lmo_input"), X, known=KnownSpectrum(sigma, 1e-3)),
        RecordedMatrix(MatrixKey(5, "a", "update"), X, rounded=1e6 * X),
    ]
    rows = transfer.take(matrices, measure)
    sigma.zero_()
    assert list(transfer.send(5, rows, {})) == []
    (event,) = transfer.land()
    assert (event.step, [each.sigma.tolist() for each in event.spectra]) == (5, [[2.0, 1.0], [4.0, 3.0]])
    expected = measure([matrices[1]])[0]
    assert event.spectra[0].noise_floor == pytest.approx(2e-3)
    assert event.spectra[1].noise_floor == pytest.approx(expected.noise_floor)


def test_a_skipped_step_is_not_sent(tmp_path):
    loop = _Loop(tmp_path)
    with loop.recorder:
        loop.step()
        loop.recorder._due = True
        loop.recorder._end(counted=False)
    assert loop.steps() == [0]
    assert len(loop.lane.tickets) == 1


def test_the_time_of_reading_an_event_is_booked(tmp_path):
    loop = _Loop(tmp_path, overhead=0.5)
    with loop.recorder:
        for _ in range(3):
            loop.step()
    budget = loop.recorder._budget
    assert budget is not None
    assert budget.spent > 0


def test_a_device_that_computes_on_the_cpu_has_no_lane():
    assert stream_lane(torch.device("cpu")) is None
    assert stream_lane(torch.device("mps")) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_spectra_are_those_of_the_step_and_not_of_later_ones(tmp_path):
    torch.manual_seed(0)
    model = nn.Linear(600, 400, bias=False, device="cuda")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    expected = {}
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(3), kinds=["gradient", "weight"]):
        for step in range(10):
            model.weight.grad = torch.randn(400, 600, device="cuda")
            optimizer.step()
            if step % 3 == 0:
                expected[step, "gradient"] = torch.linalg.svdvals(model.weight.grad.double().cpu()).numpy()
                expected[step, "weight"] = torch.linalg.svdvals(model.weight.detach().double().cpu()).numpy()
    table = read_spectra(tmp_path)
    assert len(table) == len(expected) == 8
    for row in table.to_dict("records"):
        np.testing.assert_allclose(row["sigma"], expected[row["step"], row["kind"]], rtol=1e-4)
