"""Recordings by several ranks: the rows of a single process, each once, and no rank that waits for a lost one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).parent / "rank_processes" / "worker.py"


def launch(world: int, *scenarios: str, folder: Path, lost: int = 0, patience: float = 400.0) -> None:
    """Run scenarios in `world` processes, the last `lost` of which are to disappear; fail with the first traceback."""
    environment = os.environ | {"WORLD_SIZE": str(world), "STORE": f"{folder}/store", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(WORKER), str(folder), *scenarios]
    processes = [
        subprocess.Popen(command, env=environment | {"RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(world)
    ]
    try:
        said = [process.communicate(timeout=patience)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    _check(world - lost, scenarios, folder, said)


def _check(ranks: int, scenarios: tuple[str, ...], folder: Path, said: list[str]) -> None:
    for scenario in scenarios:
        for rank in range(ranks):
            result = folder / f"{scenario}.{rank}"
            assert result.exists(), f"rank {rank} said nothing about {scenario}: {said[rank][-3000:]}"
            assert result.read_text() == "ok", f"rank {rank}: {result.read_text()}"


def test_two_ranks_record_what_one_process_does(tmp_path):
    launch(2, "shortest", folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3, 4])
def test_every_layout_is_recorded_as_by_one_process(world, tmp_path):
    launch(world, "fsdp", "ddp", "tensor", "matrices", folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_each_matrix_is_measured_once_and_not_at_all_where_the_step_did(world, tmp_path):
    launch(world, "owners", "spectra_of_the_step", folder=tmp_path)


@pytest.mark.slow
def test_a_failure_on_one_rank_costs_the_event_on_all_and_nothing_else(tmp_path):
    launch(3, "one_rank_fails", "first_rank_cannot_write", folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["rank_killed", "rank_stuck"])
def test_a_lost_rank_ends_the_recording_and_not_the_training(way, tmp_path):
    launch(3, way, folder=tmp_path, lost=1)


@pytest.mark.slow
def test_torchrun_launches_it(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "STORE"} | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(WORKER)]
    done = subprocess.run([*command, str(tmp_path), "fsdp"], env=environment, timeout=240, capture_output=True)
    _check(2, ("fsdp",), tmp_path, [done.stderr.decode()] * 2)
