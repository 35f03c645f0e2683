from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("sharded_worker.py")


def launch(world: int, *scenarios: str, patience: float = 60.0) -> None:
    """Run scenarios in `world` processes and fail with the first traceback."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"WORLD_SIZE": str(world), "STORE": f"{folder}/store", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(WORKER), folder, *scenarios]
        processes = [
            subprocess.Popen(
                command,
                env=environment | {"RANK": str(rank)},
                stderr=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(world)
        ]
        try:
            said = [process.communicate(timeout=patience)[1] for process in processes]
        finally:
            for process in processes:
                process.kill()
        for scenario in scenarios:
            for rank in range(world):
                result = Path(folder, f"{scenario}.{rank}")
                assert result.exists(), f"rank {rank} said nothing about {scenario}: {said[rank][-3000:]}"
                assert result.read_text() == "ok", f"rank {rank}: {result.read_text()}"
        assert [process.returncode for process in processes] == [0] * world, said


def test_two_ranks_step_as_one_process_does() -> None:
    launch(2, "two_ranks")


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3, 4])
def test_a_sharded_step_is_bit_equal_to_the_single_process_step(world: int) -> None:
    launch(world, "bit_equal_steps", patience=300)


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3, 4])
def test_twenty_steps_with_the_batch_split_agree_in_float64(world: int) -> None:
    launch(world, "trainings", patience=300)
