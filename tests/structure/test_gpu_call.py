"""`make gpu` goes its whole way without a GPU: every part runs; what it measures there says nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("part", ["recorder", "recipes"])
def test_a_part_of_the_gpu_call_runs_on_the_cpu(part, tmp_path):
    words = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--short", "--parts", part, "--out"]
    done = subprocess.run([*words, tmp_path / "table.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    table = (tmp_path / "table.md").read_text()
    assert f"| {part} |" in table
    assert "FAILED" not in table
