"""A training on one or two processes that resumes from its own checkpoints; run by test_resume.py, which kills it.

It imports torch once and forks the ranks of a training for each line of JSON on its standard input. They report on
standard output: `pid <rank> <pid>` at first, then rank zero `returned <step>` after every step; when all are gone the
parent adds `end <exit codes>`. A rank that outlives another one by six seconds is killed, as a launcher would do.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from muon_theory.recorder import SpectrumRecorder, every, first, read_spectra

STEPS_PER_CHECKPOINT = 7


def schedule():
    """Which steps are recorded."""
    return first(3) | every(2)


def train(
    folder: str,
    checkpoint: str,
    steps: int | None,
    rank: int,
    world: int,
    report: Callable[[str], None],
    together: bool = False,
    **options,
) -> None:
    """Steps of Muon on two matrices from the last checkpoint on, recorded by rank zero or by both ranks together."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6, bias=False), nn.Tanh(), nn.Linear(6, 4, bias=False))
    optimizer = torch.optim.Muon(model.parameters(), lr=0.02)
    begun = 0
    if Path(checkpoint).exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        begun = state["step"]
    wrapped = model if world == 1 else nn.parallel.DistributedDataParallel(model)
    recorder = None
    if together:
        options["process_group"] = dist.group.WORLD
    if rank == 0 or together:
        recorder = SpectrumRecorder(
            optimizer, model, folder, run="run", schedule=schedule(), first_step=begun, events_per_part=8, **options
        )
    with recorder or contextlib.nullcontext():
        for step in itertools.count(begun) if steps is None else range(begun, steps):
            inputs = torch.randn(16, 8, generator=torch.Generator().manual_seed(2 * step + rank))
            optimizer.zero_grad()
            wrapped(inputs).square().mean().backward()
            optimizer.step()
            if rank == 0:
                report(f"returned {step}")
                if (step + 1) % STEPS_PER_CHECKPOINT == 0 and not (recorder and recorder.rank_lost):
                    _save(
                        checkpoint, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
                    )


def _save(checkpoint: str, state: dict) -> None:
    torch.save(state, checkpoint + ".tmp")
    Path(checkpoint + ".tmp").replace(checkpoint)


def run_rank(rank: int, world: int, meeting: str, report: Callable[[str], None], **command) -> int:
    """The life of one rank; its exit code."""
    try:
        if world > 1:
            limit = datetime.timedelta(seconds=60)
            dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world, timeout=limit)
        train(rank=rank, world=world, report=report, **command)
    except RuntimeError as error:  # another rank is gone
        report(f"error {rank} {type(error).__name__}")
        return 1
    return 0


def wait_for(ranks: list[int]) -> list[int]:
    """Exit codes of the ranks, killed six seconds after the first that failed."""
    codes: dict[int, int] = {}
    failed: float | None = None
    while len(codes) < len(ranks):
        child, status = os.waitpid(-1, os.WNOHANG)
        if child:
            codes[child] = os.waitstatus_to_exitcode(status)
            failed = time.monotonic() if codes[child] and failed is None else failed
            continue
        if failed is not None and time.monotonic() > failed + 6:
            for child in set(ranks) - codes.keys():
                os.kill(child, signal.SIGKILL)
            failed = None
        time.sleep(0.002)
    return [codes[child] for child in ranks]


def main() -> None:
    """Warm up, then serve commands until standard input ends."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")

    def report(text: str) -> None:
        os.write(1, f"{text}\n".encode())

    with tempfile.TemporaryDirectory() as folder:  # imports and caches
        train(folder, f"{folder}/checkpoint", 9, 0, 1, lambda _: None, store_matrices=True)
        read_spectra(folder)
    report("ready")
    for line in sys.stdin:
        command = json.loads(line)
        world = command.pop("world")
        ranks = []
        with tempfile.TemporaryDirectory() as meeting:
            for rank in range(world):
                child = os.fork()
                if child == 0:
                    report(f"pid {rank} {os.getpid()}")
                    os._exit(run_rank(rank, world, f"{meeting}/store", report, **command))
                ranks.append(child)
            codes = wait_for(ranks)
        report("end " + " ".join(map(str, codes)))


if __name__ == "__main__":
    main()
