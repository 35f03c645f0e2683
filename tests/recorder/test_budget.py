"""Recording within a share of the wall time, by a clock that the test moves."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from muon_theory.recorder import SpectrumRecorder, at, every, read_spectra
from muon_theory.recorder.budget import Budget
from muon_theory.recorder.measure import measure


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _parts():
    model = nn.Linear(3, 2, bias=False)
    return model, torch.optim.SGD(model.parameters(), lr=0.0)


def _record(folder, monkeypatch, clock, begin, end, *, event=1.0, step=1.0, **options):
    """Steps that take `step` seconds and events that take `event`; the account of it."""
    model, optimizer = _parts()

    def slowly(matrices):
        clock.now += event
        return measure(matrices)

    monkeypatch.setattr("muon_theory.recorder.recorder.measure", slowly)
    budget = Budget(options.pop("share", 0.1), clock)
    with SpectrumRecorder(
        optimizer, model, folder, kinds=["weight"], overhead=budget, first_step=begin, **options
    ) as recorder:
        for _ in range(begin, end):
            clock.now += step
            optimizer.step()
    assert recorder.step == end
    return budget


@settings(max_examples=60, deadline=None)
@given(
    share=st.floats(0.001, 0.9),
    steps=st.lists(st.floats(0.0, 2.0), min_size=1, max_size=120),
    costs=st.lists(st.floats(0.0, 5.0), min_size=1, max_size=7),
)
def test_the_share_is_never_exceeded_by_more_than_one_event(share, steps, costs):
    clock, events = _Clock(), 0
    budget, began = Budget(share, clock), clock.now
    for step in steps:
        if budget.allows():
            cost = costs[events % len(costs)]
            with budget.spending():
                clock.now += cost
            budget.event_over()
            events += 1
            assert budget.spent <= share * (clock.now - began) + cost * (1 + 1e-9)
        clock.now += step


def test_events_of_constant_cost_use_the_budget_up_and_stay_within_it(tmp_path, monkeypatch):
    budget = _record(tmp_path, monkeypatch, _Clock(), 0, 3000, event=0.5, step=0.1, share=0.05)
    steps = read_spectra(tmp_path)["step"].tolist()
    assert budget.spent / budget.elapsed <= 0.05
    assert budget.spent / budget.elapsed > 0.045
    assert len(steps) == budget.taken == budget.spent / 0.5
    gaps = {after - before for before, after in zip(steps[1:], steps[2:], strict=False)}
    assert gaps <= {94, 95}  # 95 steps of 0.1 s and an event of 0.5 s are ten seconds


def test_only_steps_of_the_schedule_are_taken_and_all_of_them_where_they_fit(tmp_path, monkeypatch):
    _record(tmp_path / "fits", monkeypatch, _Clock(), 0, 100, event=0.01, schedule=every(20))
    assert read_spectra(tmp_path / "fits")["step"].tolist() == [0, 20, 40, 60, 80]
    budget = _record(tmp_path / "sparse", monkeypatch, _Clock(), 0, 100, event=6.0, schedule=at([0, 1, 2, 90, 99]))
    assert read_spectra(tmp_path / "sparse")["step"].tolist() == [0]
    assert (budget.offered, budget.taken) == (5, 1)
    budget = _record(tmp_path / "later", monkeypatch, _Clock(), 0, 101, event=4.0, schedule=at([0, 1, 2, 90, 99]))
    assert read_spectra(tmp_path / "later")["step"].tolist() == [0, 90]


def test_the_same_times_give_the_same_steps(tmp_path, monkeypatch):
    tables = []
    for name in ("one", "other"):
        _record(tmp_path / name, monkeypatch, _Clock(), 0, 200)
        tables.append(read_spectra(tmp_path / name)["step"].tolist())
    assert tables[0] == tables[1]
    assert len(tables[0]) > 10


@pytest.mark.parametrize("interrupted", [1, 50, 51, 120])
def test_a_resumed_run_goes_on_with_its_account(tmp_path, monkeypatch, interrupted):
    whole = _record(tmp_path / "whole", monkeypatch, _Clock(), 0, 200, run="a")
    clock = _Clock()
    _record(tmp_path / "parts", monkeypatch, clock, 0, interrupted, run="a")
    clock.now += 1e6  # the pause is no time of the run
    again = _record(tmp_path / "parts", monkeypatch, clock, interrupted, 200, run="a")
    expected, found = (read_spectra(tmp_path / name)["step"].tolist() for name in ("whole", "parts"))
    # The account is written with each event: the time from the last event to the interruption is not counted.
    assert len(found) in (len(expected), len(expected) - 1)
    assert found[: sum(step < interrupted for step in found)] == [step for step in expected if step < interrupted]
    assert again.spent <= 0.1 * whole.elapsed + 1
    fresh = _record(tmp_path / "parts", monkeypatch, clock, 0, 1, run="b")  # another run has an account of its own
    assert fresh.taken == 1


def test_an_account_that_cannot_be_used_is_said_and_left_out(tmp_path, monkeypatch, caplog):
    clock = _Clock()
    _record(tmp_path, monkeypatch, clock, 0, 60, run="a")
    (account,) = tmp_path.glob("budget-*.json")
    whole = json.loads(account.read_text())
    assert whole["taken"] == len(read_spectra(tmp_path))
    for damaged in ("torn {", json.dumps(whole | {"format_version": 2}), json.dumps(whole | {"spent_s": -1}), "[]"):
        account.write_text(damaged)
        caplog.clear()
        budget = Budget(0.1, clock)
        with caplog.at_level(logging.WARNING):
            budget.begin(tmp_path, "a")
        assert "the budget starts anew" in caplog.text
        assert (budget.spent, budget.taken) == (0.0, 0)


def test_what_was_taken_is_logged_at_the_end(tmp_path, monkeypatch, caplog):
    with caplog.at_level(logging.INFO, "muon_theory.recorder"):
        _record(tmp_path, monkeypatch, _Clock(), 0, 60)
    assert "recorded 6 of 60 scheduled steps in 6 s of 66 s, 9.1 % of the time at a budget of 10 %" in caplog.text


def test_the_recorder_times_itself_with_a_real_clock(tmp_path):
    model, optimizer = _parts()
    with SpectrumRecorder(optimizer, model, tmp_path, overhead=0.5) as recorder:
        for _ in range(20):
            optimizer.step()
    budget = recorder._budget
    assert budget is not None
    assert budget.offered == 20
    assert 1 <= budget.taken <= 20
    assert 0 < budget.spent < budget.elapsed


def test_shares_that_mean_nothing_are_refused(tmp_path):
    model, optimizer = _parts()
    for share in (0, 1, -0.1, 2.5, float("nan")):
        with pytest.raises(ValueError, match=r"between 0 and 1, such as 0\.01"):
            SpectrumRecorder(optimizer, model, tmp_path / "run", overhead=share)
    for share in ("1%", True):
        with pytest.raises(TypeError, match="overhead is"):
            SpectrumRecorder(optimizer, model, tmp_path / "run", overhead=share)
    with pytest.raises(TypeError, match="clock is"):
        Budget(0.1, clock=3.0)
    assert not (tmp_path / "run").exists()
