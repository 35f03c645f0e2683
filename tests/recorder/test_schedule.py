from __future__ import annotations

import pickle

import pytest

from muon_theory.recorder import Schedule, at, every, first, last, log_spaced
from muon_theory.recorder.schedule import default_schedule


def _steps(schedule, end: int) -> list[int]:
    return [step for step in range(end) if schedule(step)]


@pytest.mark.parametrize("per_decade", [1, 2, 3, 8, 50, 1000])
def test_log_spaced_steps_are_all_rounded_powers(per_decade):
    expected = sorted({round(10 ** (i / per_decade)) for i in range(4 * per_decade + 1)})
    assert _steps(log_spaced(per_decade), 10_001) == expected


def test_a_union_records_what_either_schedule_does():
    union = first(3) | every(10) | at([7, 25])
    assert _steps(union, 31) == [0, 1, 2, 7, 10, 20, 25, 30]
    assert repr(union) == "first(3) | every(10) | at([7, 25])"


def test_any_callable_joins_a_union():
    assert _steps(first(1) | (lambda step: step == 5), 9) == [0, 5]


def test_the_default_records_the_first_steps_a_log_grid_and_every_two_hundredth():
    chosen = set(_steps(default_schedule(), 2001))
    assert {0, 1, 2, 3, 6, 10, 18, 32, 56, 100, 178, 200, 400, 1800, 2000} <= chosen
    assert len(chosen) < 30


def test_schedules_survive_pickling():
    copy = pickle.loads(pickle.dumps(default_schedule()))
    assert isinstance(copy, Schedule)
    assert _steps(copy, 500) == _steps(default_schedule(), 500)


@pytest.mark.parametrize(
    "make", [every, log_spaced, last, lambda n: last(9, n), lambda n: first(n - 1), lambda n: at([n - 1])]
)
def test_counts_that_make_no_schedule_are_refused(make):
    with pytest.raises(ValueError, match="pass an integer"):
        make(0)
    with pytest.raises(TypeError, match="must be an integer"):
        make(2.5)


@pytest.mark.parametrize("steps", [1, 7, 1955])
def test_the_last_step_of_a_run_of_known_length_is_recorded(steps):
    assert _steps(last(steps), steps + 50) == [steps - 1]
    assert _steps(last(steps, 3), steps + 50) == list(range(max(0, steps - 3), steps))
    assert repr(last(9) | last(9, 2)) == "last(9) | last(9, 2)"


def test_a_union_is_exact_across_resumes_wherever_the_run_was_interrupted(tmp_path):
    import torch

    from muon_theory.recorder import SpectrumRecorder, read_spectra

    schedule, steps = first(2) | log_spaced(3) | every(6) | last(20), 20
    model = torch.nn.Linear(3, 2, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    for interrupted in (1, 6, 7, 19):
        folder = tmp_path / str(interrupted)
        for begin, end in ((0, interrupted), (interrupted, steps)):
            with SpectrumRecorder(
                optimizer, model, folder, schedule=schedule, kinds=["weight"], run="a", first_step=begin
            ):
                for _ in range(begin, end):
                    optimizer.step()
        assert read_spectra(folder)["step"].tolist() == _steps(schedule, steps)
