"""Trainings are killed at random moments and resumed from checkpoints: the spectra are the uninterrupted run's."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from muon_theory.recorder import every, first, read_matrices, read_spectra

SCRIPT = Path(__file__).parent / "resuming_process.py"
ROWS_PER_EVENT = 2 * 5  # layers, kinds
IDENTITY = ["run", "step", "layer", "kind"]
_logger = logging.getLogger(__name__)


@dataclass
class Outcome:
    """How a training ended."""

    returned: int = -1
    codes: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class ResumingProcess:
    """The process of resuming_process.py."""

    def __init__(self) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def train(self, folder: Path, *, world=1, steps=None, kill=(), after=0.0, stepping=True, **options) -> Outcome:
        """Train; SIGKILL the ranks named in `kill` so many seconds after the first step, or else after the start."""
        assert self._process.stdin is not None
        folder.mkdir(exist_ok=True)
        command = {"folder": str(folder / "spectra"), "checkpoint": str(folder / "checkpoint"), "steps": steps}
        self._process.stdin.write(json.dumps(command | {"world": world} | options) + "\n")
        self._process.stdin.flush()
        ranks: dict[int, int] = {}
        outcome = Outcome()
        while len(ranks) < world or (kill and stepping and outcome.returned < 0):
            self._note(self._line(), ranks, outcome)
        if kill:
            time.sleep(after)
            for rank in kill:
                os.kill(ranks[rank], signal.SIGKILL)
        while not (line := self._line()).startswith("end"):
            self._note(line, ranks, outcome)
        outcome.codes = [int(code) for code in line.split()[1:]]
        return outcome

    def _note(self, line: str, ranks: dict[int, int], outcome: Outcome) -> None:
        word, *rest = line.split()
        if word == "pid":
            ranks[int(rest[0])] = int(rest[1])
        elif word == "returned":
            outcome.returned = int(rest[0])
        else:
            outcome.errors.append(line)

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def resuming_process():
    process = ResumingProcess()
    yield process
    process.close()


def _scheduled(end: int) -> list[int]:
    rule = first(3) | every(2)
    return [step for step in range(end) if rule(step)]


def _check_killed(folder: Path, returned: int, rank_lost: bool = False) -> int:
    """The folder can be read, every completed event is there once and whole; how many more there are.

    Where ranks record together and one of them dies within an event, that event fails on the others, which say so and
    go on: the last step may then have returned without it, and the resumed training makes up for it.
    """
    if not folder.exists():  # killed before the recorder was made
        assert returned == -1
        return 0
    table = read_spectra(folder)
    assert not table.duplicated(IDENTITY).any()
    assert (table.groupby("step").size() == ROWS_PER_EVENT).all()
    found, completed = table["step"].unique().tolist(), _scheduled(returned + 1)
    if rank_lost and found == completed[:-1]:
        return 0
    assert found[: len(completed)] == completed
    assert len(found) <= len(completed) + 1
    return len(found) - len(completed)


def _assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    names = [*IDENTITY, "rows", "columns", "dtype", "noise_floor"]
    pd.testing.assert_frame_equal(one[names].reset_index(drop=True), other[names], check_exact=True)
    for left, right in zip(one["sigma"], other["sigma"], strict=True):
        np.testing.assert_array_equal(left, right)


def _kill_and_resume(process: ResumingProcess, folder: Path, kills: int, world: int) -> dict[str, int]:
    """Kill trainings, the moment drawn by the index of the training, resume each, compare; what was met."""
    ends: list[int] = []
    met = {
        "kills": 0,
        "before_the_first_step": 0,
        "stored_but_not_returned": 0,
        "survivors_that_raised": 0,
    }
    for index in range(kills):
        each, moments = folder / str(index), random.Random(index)
        victims = [(0,), (1,), (0, 1)][index % 3] if world == 2 else (0,)
        options = {"world": world, "store_matrices": index % 2 == 0, "together": world == 2 and index % 4 >= 2}
        stepping = index % 5 != 4  # else it may be hit before the first step, too
        killed = process.train(each, kill=victims, after=moments.uniform(0, 0.6), stepping=stepping, **options)
        assert all(killed.codes[rank] == -signal.SIGKILL for rank in victims)
        met["kills"] += 1
        met["before_the_first_step"] += killed.returned < 0
        met["survivors_that_raised"] += len(killed.errors)
        rank_lost = options["together"] and victims == (1,)
        met["stored_but_not_returned"] += _check_killed(each / "spectra", killed.returned, rank_lost)
        ends.append(killed.returned + 1 + moments.randrange(1, 12))
        resumed = process.train(each, steps=ends[-1], **options)
        assert resumed.codes == [0] * world
    process.train(folder / "whole", steps=max(ends), world=world)
    whole: Any = read_spectra(folder / "whole" / "spectra")
    for index, end in enumerate(ends):
        table: Any = read_spectra(folder / str(index) / "spectra")
        assert table["step"].unique().tolist() == _scheduled(end)
        expected: Any = whole[whole["step"] < end].reset_index(drop=True)
        _assert_same(table, expected)
        if index % 2 == 0:
            assert sum(1 for _ in read_matrices(folder / str(index) / "spectra")) == len(table)
    met |= {"last_step": max(ends) - 1, "events": sum(len(_scheduled(end)) for end in ends)}
    _logger.info("%d process(es): %s", world, met)
    return met


@pytest.mark.parametrize("world", [1, 2])
def test_a_killed_training_resumed_from_its_checkpoint_has_the_uninterrupted_runs_spectra(
    resuming_process, tmp_path, world
):
    assert _kill_and_resume(resuming_process, tmp_path, 3, world)["kills"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("world", [1, 2])
def test_twenty_five_kills_of_one_and_of_two_processes_lose_and_repeat_nothing(resuming_process, tmp_path, world):
    met = _kill_and_resume(resuming_process, tmp_path, 25, world)
    assert met["kills"] == 25
    assert met["before_the_first_step"] <= 5


@pytest.mark.parametrize("together", [False, True])
def test_a_lost_rank_ends_the_training_but_not_the_recording(resuming_process, tmp_path, together):
    killed = resuming_process.train(tmp_path / "a", world=2, kill=(1,), after=0.5, together=together)
    assert killed.codes[1] == -signal.SIGKILL
    assert killed.errors == ["error 0 RuntimeError"]  # the collective's own error, not one of the recorder
    assert killed.codes[0] == 1
    _check_killed(tmp_path / "a" / "spectra", killed.returned, rank_lost=together)
    assert not list((tmp_path / "a" / "spectra").glob("*.journal"))  # the survivor closed the recording
    end = killed.returned + 4
    assert resuming_process.train(tmp_path / "a", world=2, steps=end, together=together).codes == [0, 0]
    assert read_spectra(tmp_path / "a" / "spectra")["step"].unique().tolist() == _scheduled(end)
