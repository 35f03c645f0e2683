"""Other packages' ways to log what a training step does to the weights, each started beside a model.

Each takes the model and an exit stack, writes into a folder of its own that is removed at the end, and returns a
function to be called after every step. What they log differs: histograms of weights and gradients (TensorBoard, wandb),
or a spectrum of the weights with fits to it (WeightWatcher); none gives spectra of gradient, momentum and update.
"""

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

from torch import nn


def tensorboard(model: nn.Module, stack: ExitStack) -> Callable[[], None]:
    """Histograms of every weight and gradient, as torch's SummaryWriter writes them."""
    from torch.utils.tensorboard import SummaryWriter

    folder = stack.enter_context(tempfile.TemporaryDirectory())
    writer = SummaryWriter(folder)
    stack.callback(writer.close)
    steps = iter(range(10**9))

    def log() -> None:
        step = next(steps)
        for name, parameter in model.named_parameters():
            writer.add_histogram(f"weight/{name}", parameter, step)
            writer.add_histogram(f"gradient/{name}", parameter.grad, step)

    return log


def wandb_watch(model: nn.Module, stack: ExitStack) -> Callable[[], None]:
    """wandb.watch(log="all", log_freq=1) in offline mode: its hooks run inside the backward pass."""
    import wandb

    folder = stack.enter_context(tempfile.TemporaryDirectory())
    os.environ["WANDB_SILENT"] = "true"
    run = wandb.init(mode="offline", dir=folder, project="recorder")
    stack.callback(run.finish)
    run.watch(model, log="all", log_freq=1)
    return lambda: run.log({"step": 0})


def weightwatcher(model: nn.Module, _stack: ExitStack) -> Callable[[], None]:
    """WeightWatcher.analyze: the spectra of the weights, with power laws fitted to them."""
    with Path(os.devnull).open("w") as nothing, contextlib.redirect_stdout(nothing):
        import weightwatcher as package

    logging.getLogger("weightwatcher").setLevel(logging.ERROR)
    watcher = package.WeightWatcher(model=model)

    def log() -> None:
        with Path(os.devnull).open("w") as nothing, contextlib.redirect_stdout(nothing):
            watcher.analyze()

    return log


RIVALS = {
    "TensorBoard add_histogram, weights and gradients": tensorboard,
    'wandb.watch("all", log_freq=1), offline': wandb_watch,
    "WeightWatcher analyze(), weights only": weightwatcher,
}


def versions() -> str:
    """Versions of the packages that are there, one line."""
    found = []
    for name in ("tensorboard", "wandb", "weightwatcher"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return ", ".join(found) or "no other logger is installed"
