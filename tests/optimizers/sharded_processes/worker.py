"""One process of the sharded tests: python worker.py FOLDER SCENARIO..., started with RANK and WORLD_SIZE set.

Writes `<folder>/<scenario>.<rank>` with "ok" or a traceback. A scenario is a function of the world's size and a folder.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from checkpoints import (
    resume_checkpoints,
    save_checkpoints,
    save_distributed_checkpoint,
)
from failures import rank_killed, rank_killed_in_a_step, rank_stuck, refusals
from steps import bit_equal_steps, metrics, placements, trainings, two_ranks

SCENARIOS: dict[str, Callable[[int, Path], None]] = {
    function.__name__: function
    for function in (
        two_ranks,
        bit_equal_steps,
        trainings,
        save_checkpoints,
        resume_checkpoints,
        save_distributed_checkpoint,
        metrics,
        placements,
        refusals,
        rank_killed,
        rank_stuck,
        rank_killed_in_a_step,
    )
}


def main(folder: Path, scenarios: list[str]) -> None:
    torch.set_num_threads(1)
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = os.environ.get("STORE")
    dist.init_process_group(
        "gloo",
        rank=rank,
        world_size=world,
        init_method=f"file://{store}" if store else "env://",
        timeout=timedelta(seconds=60),
    )
    for scenario in scenarios:
        try:
            SCENARIOS[scenario](world, folder)
            said = "ok"
        except Exception:
            said = traceback.format_exc()
        (folder / f"{scenario}.{rank}").write_text(said)
        if said != "ok":
            sys.exit(1)
        if scenario.startswith("rank_"):  # a rank is gone: no farewell
            os._exit(0)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
