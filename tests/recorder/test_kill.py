"""A recording process is killed; every event whose step had returned must be read back, right and once."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from muon_theory.recorder import STEP_KINDS, read_matrices, read_spectra

SCRIPT = Path(__file__).parent / "recording_process.py"


def _script():
    specification = importlib.util.spec_from_file_location("recording_process", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class RecordingProcess:
    """The process of recording_process.py."""

    def __init__(self) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def run(
        self,
        folder: Path,
        *,
        kill_after: float | None = None,
        signals: tuple[int, ...] = (signal.SIGKILL,),
        fuse: int | None = None,
        **options,
    ) -> tuple[int, int]:
        """Record; the last step that returned (-1 if none) and the exit code."""
        assert self._process.stdin is not None
        command = {"folder": str(folder), "first_step": 0, "steps": None, "fuse": fuse} | options
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        child = int(self._line().removeprefix("pid "))
        last = -1
        if signal.SIGINT in signals:  # the recorder is to be entered
            last = int(self._line().removeprefix("returned "))
        if kill_after is not None:
            time.sleep(kill_after)
            for number in signals:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, number)
                time.sleep(0.004)
        while not (line := self._line()).startswith("end"):
            last = int(line.removeprefix("returned "))
        return last, int(line.removeprefix("end "))

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def recording_process():
    process = RecordingProcess()
    yield process
    process.close()


def _check(folder: Path, completed: int, matrices: bool, surplus: int | None = 1) -> None:
    """Every event up to `completed` is there once and right, and at most `surplus` that were under way."""
    script = _script()
    table = read_spectra(folder)
    assert not table.duplicated(["run", "step", "layer", "kind"]).any()
    steps = table["step"].unique().tolist()
    assert steps[: completed + 1] == list(range(completed + 1))
    assert surplus is None or len(steps) <= completed + 1 + surplus
    assert (table.groupby("step").size() == len(STEP_KINDS) * len(script.SHAPES)).all()
    for row in table[table["kind"] == "gradient"].itertuples():
        expected = torch.linalg.svdvals(script.gradient(row.step, row.layer).double()).numpy()
        np.testing.assert_allclose(row.sigma, expected, rtol=1e-6)
    if matrices:
        read = {(row["step"], row["layer"], row["kind"]): matrix for row, matrix in read_matrices(folder)}
        assert read.keys() == set(table[["step", "layer", "kind"]].itertuples(index=False, name=None))
        for (step, layer, kind), matrix in read.items():
            if kind == "gradient":
                assert torch.equal(matrix, script.gradient(step, layer))


def _kill_again_and_again(process: RecordingProcess, folder: Path, kills: int, seed: int) -> int:
    """Kills at random moments, each run resuming where the one before was killed; the last completed step."""
    moments = random.Random(seed)
    last = -1
    for number in range(kills):
        resumed = max(0, last - moments.randrange(3))  # as from a checkpoint: some steps are run again
        options = {"run": "run", "first_step": resumed, "events_per_part": 16, "store_matrices": number % 2 == 0}
        returned, code = process.run(folder, kill_after=moments.uniform(0, 0.25), **options)
        assert code == -signal.SIGKILL
        if returned >= resumed:
            last = returned
            _check(folder, last, matrices=False)
        else:  # killed before its first step returned: what the earlier runs recorded still stands
            last = resumed - 1
            _check(folder, last, matrices=False, surplus=None)
    return last


def test_a_killed_recording_holds_every_completed_event(recording_process, tmp_path):
    for seed, moment in enumerate((0.0, 0.03, 0.1, 0.2)):
        folder = tmp_path / str(seed)
        folder.mkdir()
        last, _ = recording_process.run(folder, kill_after=moment, events_per_part=8, store_matrices=seed % 2 == 0)
        _check(folder, last, matrices=seed % 2 == 0)


@pytest.mark.parametrize("signals", [(signal.SIGINT,), (signal.SIGINT, signal.SIGINT)])
def test_ctrl_c_at_a_random_moment_ends_the_training_and_loses_no_event(recording_process, tmp_path, signals):
    moments = random.Random(0)
    for number in range(12):
        folder = tmp_path / str(number)
        folder.mkdir()
        matrices = number % 2 == 0
        options = {"events_per_part": 8, "store_matrices": matrices, "signals": signals, "run": "run"}
        last, code = recording_process.run(folder, kill_after=moments.uniform(0, 0.08), **options)
        assert code in {130, 1}  # 1: the second one came after the first was dealt with
        _check(folder, last, matrices)
        if len(signals) == 1:
            assert not list(folder.glob("*.journal"))  # closed on the way out
        again, code = recording_process.run(folder, first_step=last + 1, steps=3, run="run")
        assert (again, code) == (last + 3, 0)
        _check(folder, again, matrices=False)


@pytest.mark.slow
def test_twenty_kills_at_random_moments_lose_nothing(recording_process, tmp_path):
    moments = random.Random(0)
    counts = []
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        matrices = number % 2 == 0
        moment = moments.uniform(0, 1)
        last, code = recording_process.run(folder, kill_after=moment, events_per_part=16, store_matrices=matrices)
        assert code == -signal.SIGKILL
        _check(folder, last, matrices)
        counts.append(last + 1)
    assert max(counts) > 100


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_and_resumed_again_and_again_loses_nothing(recording_process, tmp_path, kills):
    assert _kill_again_and_again(recording_process, tmp_path, kills, seed=1) > 0


@pytest.mark.parametrize("matrices", [pytest.param(False, marks=pytest.mark.slow), True])
def test_an_end_at_any_change_of_a_file_loses_nothing(recording_process, tmp_path, matrices):
    for calls in range(200):
        folder = tmp_path / str(calls)
        folder.mkdir()
        options = {"steps": 3, "events_per_part": 2, "store_matrices": matrices}
        last, code = recording_process.run(folder, fuse=calls, **options)
        _check(folder, last, matrices)
        if code == 0:
            break
    assert code == 0
    assert last == 2
    assert calls > 20
