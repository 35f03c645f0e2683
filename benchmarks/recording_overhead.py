"""What recording costs beside the training step it belongs to; called by benchmarks/recorder.py."""

import itertools
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from unittest import mock

import torch
from paired_timing import interleaved, paired_ratio, report
from torch import nn

from muon_theory.optimizers import Muon
from muon_theory.recorder import SpectrumRecorder, every, measure
from muon_theory.recorder.schedule import default_schedule

PLAIN = "step without a recorder"
ALL = "step recorded, all five kinds"
THREE = ["gradient", "momentum", "update"]
STEPS_OF_A_RUN = 10_000


def perceptron() -> tuple[nn.Module, torch.Tensor]:
    """The tutorial's 784-256-128-10, batch 64."""
    layers = [nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)]
    return nn.Sequential(*layers), torch.randn(64, 784)


def convolution_net() -> tuple[nn.Module, torch.Tensor]:
    """Three convolutions and two linear layers, 1.4 million parameters, batch 32."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise((3, 64, 128, 256)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Flatten(), nn.Linear(4096, 256), nn.ReLU(), nn.Linear(256, 10)]
    return nn.Sequential(*layers), torch.randn(32, 3, 32, 32)


def training_step(make: Callable[[], tuple[nn.Module, torch.Tensor]], stack: ExitStack, **options: object):
    """A function that takes one training step with Muon on every matrix, recorded if there are options."""
    torch.manual_seed(0)
    model, inputs = make()
    optimizer = Muon([p for p in model.parameters() if p.ndim >= 2], lr=0.01)
    if options:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(SpectrumRecorder(optimizer, model, folder, **options))

    def step() -> None:
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()

    return step


def with_svdvals(step: Callable[[], None]) -> Callable[[], None]:
    """The same step with torch.linalg.svdvals in float32 in place of the recorder's singular values."""

    def call() -> None:
        with mock.patch.object(measure, "singular_values", lambda X, **_: torch.linalg.svdvals(X).double()):
            step()

    return call


def recording_overhead(rounds: int) -> None:
    """Print the time of a training step with each way of recording, as a ratio to the step without a recorder."""
    for make in (perceptron, convolution_net):
        with ExitStack() as stack:
            contestants = {
                PLAIN: training_step(make, stack),
                "step with a recorder, not scheduled": training_step(make, stack, schedule=lambda _: False),
                ALL: training_step(make, stack, schedule=every(1)),
                "step recorded, gradient, momentum, update": training_step(make, stack, schedule=every(1), kinds=THREE),
                "the same by torch.linalg.svdvals, float32": with_svdvals(
                    training_step(make, stack, schedule=every(1), kinds=THREE)
                ),
            }
            seconds = interleaved(contestants, rounds)
        report(f"{make.__name__}: one training step with Muon", seconds, PLAIN, {})
        events = sum(map(default_schedule(), range(STEPS_OF_A_RUN)))
        share = (paired_ratio(seconds, ALL, PLAIN) - 1) * events / STEPS_OF_A_RUN
        milliseconds = 1e3 * statistics.median(seconds[PLAIN])
        print(
            f"default schedule, {events} events in {STEPS_OF_A_RUN} steps of {milliseconds:.0f} ms: "
            f"{100 * share:.1f} % of the run (computed from the ratio of all five kinds)"
        )
