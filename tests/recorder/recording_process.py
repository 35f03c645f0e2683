"""A process that records on command and can be killed at any moment; run by test_kill.py.

It imports torch once and forks a child for each line of JSON on its standard input. The child trains and reports on
standard output: `pid <pid>` at first, then `returned <step>` after every step. The parent adds `end` when it is over.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from muon_theory.recorder import SpectrumRecorder, every, read_spectra

SHAPES = {"wide.weight": (4, 6), "tall.weight": (5, 3)}


def gradient(step: int, layer: str) -> torch.Tensor:
    """The gradient of a layer at a step, the same in every process."""
    generator = torch.Generator().manual_seed(1000 * step + len(layer) + 7 * SHAPES[layer][0])
    return torch.randn(SHAPES[layer], generator=generator)


def train(folder: str, first_step: int, steps: int | None, report: Callable[[str], None], **options: Any) -> None:
    """Steps of Muon on two matrices with prescribed gradients, recorded into the folder."""
    model = nn.ModuleDict({
        name.removesuffix(".weight"): nn.Linear(columns, rows, bias=False) for name, (rows, columns) in SHAPES.items()
    })
    optimizer = torch.optim.Muon(model.parameters(), lr=0.01)
    count = itertools.count(first_step) if steps is None else range(first_step, first_step + steps)
    with SpectrumRecorder(optimizer, model, folder, schedule=every(1), first_step=first_step, **options):
        for step in count:
            for name, parameter in model.named_parameters():
                parameter.grad = gradient(step, name)
            optimizer.step()
            report(f"returned {step}")


def blow_fuse_after(calls: int) -> None:
    """End the process, as a kill would, at the given call of a function that changes files; writes stop half way."""
    remaining = itertools.count(calls, -1)

    def fused(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if next(remaining) == 0:
                if function is write:
                    function(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                os._exit(9)
            return function(*arguments, **options)

        return call

    write = os.write
    for name in ("open", "write", "close", "fsync", "replace", "unlink"):
        setattr(os, name, fused(getattr(os, name)))


def main() -> None:
    """Warm up, then serve commands until standard input ends."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started to ignore it
    write = os.write

    def report(text: str) -> None:
        write(1, f"{text}\n".encode())

    with tempfile.TemporaryDirectory() as folder:  # imports and caches
        train(folder, 0, 3, lambda _: None, events_per_part=2, store_matrices=True)
        read_spectra(folder)
    report("ready")
    for line in sys.stdin:
        command = json.loads(line)
        child = os.fork()
        if child == 0:
            report(f"pid {os.getpid()}")
            fuse = command.pop("fuse")
            if fuse is not None:
                blow_fuse_after(fuse)
            try:
                train(report=report, **command)
            except KeyboardInterrupt:
                os._exit(130)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        report(f"end {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
