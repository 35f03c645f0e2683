"""The loop that carries out a recipe: epochs of steps with a learning-rate schedule, in any precision, resumable.

What surrounds it (a recorder, checkpoints, a progress bar) is handed in and knows the loop; the loop knows none of it.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import pandas as pd
import torch
from torch import Tensor, nn

from muon_theory.problems.images import Images
from muon_theory.training.optimizer_choice import schedule_factor
from muon_theory.training.recipe_accuracy import loss_and_accuracy
from muon_theory.training.recipe_batches import DROPOUT, RecipeBatches, stream_seed
from muon_theory.training.recipes import Recipe
from muon_theory.training.stopwatch import Stopwatch

Precision = Literal["float32", "bfloat16", "float16"]
AUTOCAST = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class RecipeLoop:
    """A training run by a recipe, from its first step or from where a saved state left it.

    Args:
        recipe: the recipe.
        images: the data.
        model: the network; moved to the device, trained in place.
        optimizer: made by a function of the model, after the model was moved.
        epochs: number of passes over the training images, >= 1.
        batch: images a step.
        seed: of order, augmentation and dropout.
        device: any torch device.
        precision: "float32", or autocast to "bfloat16" or "float16", the latter with a gradient scaler.
        evaluate: whether to test after each epoch.

    Raises:
        ValueError: if the precision is unknown or a number is out of range.

    Source: elementary.
    """

    def __init__(
        self,
        recipe: Recipe,
        images: Images,
        model: nn.Module,
        optimizer: Callable[[nn.Module], torch.optim.Optimizer],
        *,
        epochs: int,
        batch: int,
        seed: int,
        device: torch.device | str = "cpu",
        precision: Precision = "float32",
        evaluate: bool = True,
    ) -> None:
        if precision not in get_args(Precision):
            raise ValueError(f"precision is {precision!r}; choose one of {', '.join(get_args(Precision))}")
        for name, value, least in (("epochs", epochs, 1), ("batch", batch, 1), ("seed", seed, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} is {value!r}; it must be an integer >= {least}")
        if batch > len(images.train_labels):
            raise ValueError(f"batch is {batch}; there are {len(images.train_labels)} training images")
        self.recipe, self.images = recipe, images
        self.device, self.precision = torch.device(device), precision
        self.epochs, self.seed, self.evaluate = epochs, seed, evaluate
        self.batches = RecipeBatches(recipe, images, batch=batch, seed=seed, device=self.device)
        layout = torch.channels_last if recipe.as_images else torch.preserve_format
        self.model: nn.Module = model.to(device=self.device, memory_format=layout)  # pyright: ignore[reportCallIssue]
        if recipe.prepare is not None:
            recipe.prepare(self.model, self.batches.normalised(images.train_images[:5000]))
        self.optimizer = optimizer(self.model)
        for group in self.optimizer.param_groups:
            group.setdefault("initial_lr", float(group["lr"]))
        scaled = precision == "float16"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=scaled)  # pyright: ignore[reportPrivateImportUsage]
        self.step = 0
        self.diverged = False
        self.rows: list[dict[str, Any]] = []
        self.sums = self._zero_sums()
        self.random_states: dict[str, Tensor] | None = None
        self._stopwatch = Stopwatch(self.device)
        self._since = time.perf_counter()

    @property
    def steps(self) -> int:
        """Number of steps of the whole run.

        Source: elementary.
        """
        return self.epochs * self.batches.steps

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do.

        Source: elementary.
        """
        return self.diverged or self.step >= self.steps

    def run(self, after_step: Callable[[RecipeLoop, bool], None] | None = None) -> pd.DataFrame:
        """Train to the end.

        torch's global random state is what it was before, afterwards.

        Args:
            after_step: called as after_step(loop, stepped) after each step; stepped is False where the gradient scaler
                left it out.

        Returns:
            One row an epoch, see `train_recipe`.

        Source: elementary.
        """
        with self._own_random_state():
            while not self.finished:
                self._epoch(self.step // self.batches.steps, after_step)
        return pd.DataFrame(self.rows)

    @contextlib.contextmanager
    def _own_random_state(self) -> Iterator[None]:
        """Dropout draws from the run's own stream, which goes on where a saved state left it."""
        cuda = self.device.type == "cuda"
        with torch.random.fork_rng(devices=[self.device] if cuda else ()):
            torch.manual_seed(stream_seed(self.seed, DROPOUT))
            if self.random_states is not None:
                torch.set_rng_state(self.random_states["cpu"])
                if cuda and "cuda" in self.random_states:
                    torch.cuda.set_rng_state(self.random_states["cuda"], self.device)
            yield

    def current_random_states(self) -> dict[str, Tensor]:
        """The states of the generators that dropout draws from.

        Returns:
            "cpu", and "cuda" on such a device, as torch gives them.

        Source: elementary.
        """
        states = {"cpu": torch.get_rng_state()}
        return states | ({"cuda": torch.cuda.get_rng_state(self.device)} if self.device.type == "cuda" else {})

    def state_dict(self) -> dict[str, Any]:
        """All that a run needs to go on from here, called from within `run` (its `after_step`).

        Returns:
            Tensors, numbers, text, lists and dicts only.

        Source: elementary.
        """
        self._settle()
        return {
            "step": self.step,
            "diverged": self.diverged,
            "rows": self.rows,
            "sums": self.sums,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random_states": self.current_random_states(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where a state was taken.

        Args:
            state: what `state_dict` of a loop built alike gave.

        Source: elementary.
        """
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.diverged, self.rows = state["step"], state["diverged"], list(state["rows"])
        self.sums = {
            name: value.to(self.device) if isinstance(value, Tensor) else value for name, value in state["sums"].items()
        }
        self.random_states = {name: value.cpu() for name, value in state["random_states"].items()}

    def _zero_sums(self) -> dict[str, Any]:
        """What is summed over an epoch; on an accelerator without waiting for it."""
        zero = torch.zeros((), device=self.device, dtype=torch.float32)
        return {"loss": zero, "correct": zero.clone(), "seen": 0, "steps": 0, "time_s": 0.0, "optimizer_time_s": 0.0}

    def _settle(self) -> None:
        """Add the time since the last call to the epoch's."""
        self.sums["optimizer_time_s"] += self._stopwatch.taken()
        now = time.perf_counter()
        self.sums["time_s"] += now - self._since
        self._since = now

    def _epoch(self, epoch: int, after_step: Callable[[RecipeLoop, bool], None] | None) -> None:
        """The steps of an epoch from where the run is, and its row."""
        self.model.train()
        self._since = time.perf_counter()
        for inputs, labels in self.batches.epoch(epoch, self.step - epoch * self.batches.steps):
            stepped = self._step(inputs, labels)
            if self.diverged:
                break
            self.step += 1
            if self.step % self.batches.steps == 0:
                self._close_epoch(epoch)
            if after_step is not None:
                began = time.perf_counter()
                after_step(self, stepped)
                self._since += time.perf_counter() - began  # writing a checkpoint is not training
        if self.diverged and len(self.rows) == epoch:
            self._close_epoch(epoch)

    def _close_epoch(self, epoch: int) -> None:
        """The row of an epoch, whose test is not in its time."""
        self._settle()
        sums, self.sums = self.sums, self._zero_sums()
        loss = float(sums["loss"]) / max(sums["steps"], 1)
        self.diverged = self.diverged or not math.isfinite(loss)
        row = {"epoch": epoch + 1, "step": self.step, "train_loss": math.nan if self.diverged else loss}
        row |= {"train_accuracy": float(sums["correct"]) / max(sums["seen"], 1), "test_loss": math.nan}
        row |= {"test_accuracy": math.nan, "learning_rate": float(self.optimizer.param_groups[0]["lr"])}
        row |= {"time_s": sums["time_s"], "optimizer_time_s": sums["optimizer_time_s"], "diverged": self.diverged}
        if self.evaluate and not self.diverged:
            with self.autocast():
                row["test_loss"], row["test_accuracy"] = loss_and_accuracy(
                    self.model, self.images, self.batches.normalised, mirrored=self.recipe.mirrored_test
                )
        self.rows.append(row)
        self._since = time.perf_counter()

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which the network computes.

        Returns:
            Autocast to the precision's dtype, or nothing for float32.

        Source: elementary.
        """
        dtype = AUTOCAST[self.precision]
        return contextlib.nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)

    def _step(self, inputs: Tensor, labels: Tensor) -> bool:
        """One step; whether the optimizer took it."""
        self._set_learning_rates()
        self.optimizer.zero_grad()
        with self.autocast():
            outputs = self.model(inputs)
            reduction = "sum" if self.recipe.summed else "mean"
            loss = nn.functional.cross_entropy(
                outputs.float(), labels, label_smoothing=self.recipe.label_smoothing, reduction=reduction
            )
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        if self.device.type == "cpu" and not self._finite(loss):
            self.diverged = True
            return False
        before = self.scaler.get_scale()
        with self._stopwatch:
            self.scaler.step(self.optimizer)
        self.scaler.update()
        with torch.no_grad():
            self.sums["loss"] += loss.detach() / (len(labels) if self.recipe.summed else 1)
            self.sums["correct"] += (outputs.argmax(1) == labels).sum()
        self.sums["seen"] += len(labels)
        self.sums["steps"] += 1
        return self.scaler.get_scale() >= before

    def _finite(self, loss: Tensor) -> bool:
        """Whether the loss is finite and, where no scaler looks after them, the gradients."""
        if not math.isfinite(loss.item()):
            return False
        if self.scaler.is_enabled():
            return True
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        return all(math.isfinite(torch.linalg.vector_norm(gradient, math.inf).item()) for gradient in gradients)

    def _set_learning_rates(self) -> None:
        """Set the learning rates of the next step."""
        decay = self.recipe.decay
        for group in self.optimizer.param_groups:
            factor = 1.0
            if decay == "cosine_by_epoch":
                factor = schedule_factor("cosine", self.step // self.batches.steps, self.epochs)
            elif decay == "linear_by_step":
                factor = max(0.0, 1 - self.step / (self.steps * group.get("decay_share", 1.0)))
            group["lr"] = group["initial_lr"] * factor
