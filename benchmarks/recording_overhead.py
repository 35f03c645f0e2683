"""What recording costs beside the training step it belongs to, and beside other loggers; for benchmarks/recorder.py."""

import functools
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from paired_timing import Clock, interleaved, paired_difference
from rival_loggers import RIVALS
from torch import nn

from muon_theory.optimizers import Muon
from muon_theory.problems.convolution_networks import tutorial_conv_net
from muon_theory.recorder import SpectrumRecorder, every, exact_spectrum, measure
from muon_theory.recorder.schedule import default_schedule

PLAIN = "no recorder"
UNCOUNTED = "a step in between"
SILENT = "recorder, step not scheduled"
EVERY = "recorder, every step: gradient, momentum, update"
ALL = "recorder, every step: all five kinds"
DENSE = "the same three kinds, zero rows and columns kept"
SVDVALS = "the same three kinds by torch.linalg.svdvals"
THREE = ["gradient", "momentum", "update"]
FIVE = ["gradient", "momentum", "lmo_input", "update", "weight"]
TUTORIAL_STEPS = 5 * 391
BATCH = 128
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "default": {},
    "auto": {"method": "auto"},
    "exact": {"exact": True},
}
SHARE_OF_A_STEP, SHARE_OF_SVDVALS, SHARE_OF_A_RUN, SHARE_WHEN_SILENT = 0.6, 0.25, 0.01, 0.001

Step = Callable[[], None]


@functools.cache
def batches() -> tuple[torch.Tensor, torch.Tensor]:
    """The first 64 batches of CIFAR-10 where the folder MUON_THEORY_DATA holds it, else eight of noise."""
    file = Path(os.environ.get("MUON_THEORY_DATA", "")) / "cifar-10-batches-bin" / "data_batch_1.bin"
    if not file.is_file():
        print("noise in place of images: MUON_THEORY_DATA names no folder with CIFAR-10")
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(8, BATCH, 3, 32, 32, generator=generator)
        return images, torch.randint(10, (8, BATCH), generator=generator)
    rows = torch.from_numpy(np.fromfile(file, np.uint8, 64 * BATCH * 3073).reshape(64, BATCH, 3073))
    return rows[..., 1:].float().div(255).reshape(64, BATCH, 3, 32, 32), rows[..., 0].long()


def training_step(
    options: dict[str, Any], stack: ExitStack, *, device: str = "cpu", **recording: Any
) -> tuple[nn.Module, Step]:
    """The tutorial's net for CIFAR-10 and a function that takes one training step of it with Muon."""
    model = tutorial_conv_net(seed=0).to(device)
    optimizer = Muon([p for p in model.parameters() if p.ndim >= 2], lr=0.01, weight_decay=0.0, **options)
    if recording:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(SpectrumRecorder(optimizer, model, folder, **recording))
    turns = itertools.cycle(zip(*(part.to(device) for part in batches()), strict=True))

    def step() -> None:
        inputs, wanted = next(turns)
        model.zero_grad()
        nn.functional.cross_entropy(model(inputs), wanted).backward()
        optimizer.step()

    return model, step


@contextmanager
def svdvals() -> Iterator[None]:
    """torch.linalg.svdvals in float32 in place of the recorder's singular values, one matrix after the other."""

    def large(_self: object, _layer: str, X: torch.Tensor, _rounded: object = None):
        return torch.linalg.svdvals(X).double().numpy()

    def small(X: torch.Tensor, **_: object) -> torch.Tensor:
        return torch.linalg.svdvals(X).double()

    with (
        mock.patch.object(exact_spectrum.LayerSpectra, "spectrum", large),
        mock.patch.object(measure, "singular_values", small),
    ):
        yield


def zeros_kept() -> AbstractContextManager[object]:
    """Rows and columns of zeros, which units that no sample has activated leave in a gradient, count as any other."""
    return mock.patch.object(exact_spectrum, "_without_zeros", lambda X: X)


def recording_overhead(rounds: int, optimizers: list[str], clock: Clock) -> bool:
    """Print what each way of recording adds to a training step; True if the goals are met."""
    verdicts = [_overhead(rounds, name, clock) for name in optimizers]
    return all(verdicts)


def _overhead(rounds: int, name: str, clock: Clock) -> bool:
    options = OPTIMIZERS[name]
    with ExitStack() as stack:
        recordings: dict[str, dict[str, Any]] = {
            PLAIN: {},
            SILENT: {"schedule": lambda _: False},
            EVERY: {"schedule": every(1), "kinds": THREE},
            ALL: {"schedule": every(1), "kinds": FIVE},
            DENSE: {"schedule": every(1), "kinds": THREE},
            SVDVALS: {"schedule": every(1), "kinds": THREE},
        }
        # the first step after another logger's would pay for that logger's threads, which still spin
        contestants: dict[str, Step] = {UNCOUNTED: training_step(options, stack)[1]}
        contestants |= {title: training_step(options, stack, **how)[1] for title, how in recordings.items()}
        contestants[DENSE] = _within(zeros_kept, contestants[DENSE])
        contestants[SVDVALS] = _within(svdvals, contestants[SVDVALS])
        for title, start in RIVALS.items():
            model, step = training_step(options, stack)
            try:
                log = start(model, stack)
            except ImportError as error:
                print(f"skipped: {title}, not importable ({error})")
                continue
            contestants[title] = _after(step, log)
        seconds = interleaved(dict(contestants), rounds, clock)
        del seconds[UNCOUNTED]
    text = ", ".join(f"{key}={value!r}" for key, value in options.items())
    return _report(f"tutorial net for CIFAR-10, batch {BATCH}, Muon({text})", seconds)


def _report(title: str, seconds: dict[str, list[float]]) -> bool:
    whole = statistics.median(seconds[PLAIN])
    extra = {name: paired_difference(seconds, name, PLAIN) for name in seconds}
    rounds = len(seconds[PLAIN])
    print(f"\n{title}: a training step takes {1e3 * whole:.1f} ms (median of {rounds}; paired differences to it)")
    print(f"{'logged at every step':<52}{'adds ms':>9}{'of a step':>11}{'of svdvals':>12}")
    for name, added in extra.items():
        if name != PLAIN:
            print(f"{name:<52}{1e3 * added:>9.2f}{added / whole:>11.3f}{added / extra[SVDVALS]:>12.3f}")
    share = extra[EVERY] / whole
    met = _goal("every step, of a training step", share, SHARE_OF_A_STEP)
    met &= _goal("every step, of the same by svdvals", extra[EVERY] / extra[SVDVALS], SHARE_OF_SVDVALS)
    for steps, binding in ((TUTORIAL_STEPS, True), (10_000, False)):
        events = sum(map(default_schedule(), range(steps)))
        for kinds, each in (("three kinds", EVERY), ("all five kinds", ALL)):
            of_run = events * extra[each] / (steps * whole)
            text = f"default schedule, {kinds}, {events} events in {steps} steps, of the run"
            if binding and each == EVERY:
                met &= _goal(text, of_run, SHARE_OF_A_RUN)
            else:
                print(f"{text}: {of_run:.4f}")
    silent = silent_step_cost()
    return (
        _goal(f"silent step, {1e6 * silent:.1f} us by itself, of a training step", silent / whole, SHARE_WHEN_SILENT)
        & met
    )


def silent_step_cost(steps: int = 4000, repeats: int = 9) -> float:
    """Seconds that a recorder adds to a step it does not record, told from steps that do nothing else."""
    with ExitStack() as stack:
        models = [nn.Linear(2, 2, bias=False) for _ in range(2)]
        plain, recorded = (torch.optim.SGD(model.parameters(), lr=0.0) for model in models)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        schedule = default_schedule()
        recorder = SpectrumRecorder(recorded, models[1], folder, schedule=lambda step: schedule(step) and False)
        stack.enter_context(recorder)
        times: dict[torch.optim.Optimizer, list[float]] = {plain: [], recorded: []}
        for optimizer in [plain, recorded] * repeats:
            start = time.perf_counter()
            for _ in range(steps):
                optimizer.step()
            times[optimizer].append((time.perf_counter() - start) / steps)
    return min(times[recorded]) - min(times[plain])


def _goal(text: str, found: float, goal: float) -> bool:
    print(f"{text}: {found:.4f}   goal <= {goal:g}: {'met' if found <= goal else 'MISSED'}")
    return found <= goal


def _within(context: Callable[[], AbstractContextManager[object]], step: Step) -> Step:
    def call() -> None:
        with context():
            step()

    return call


def _after(step: Step, log: Step) -> Step:
    def call() -> None:
        step()
        log()

    return call
