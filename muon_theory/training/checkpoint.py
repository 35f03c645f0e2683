"""Checkpoints of a run: written whole or not at all, resumed exactly, refused where the run has become another one."""

from __future__ import annotations

import errno
import io
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from muon_theory.training.recipe_loop import RecipeLoop

_logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
FILE_NAME = "checkpoint.pt"


class Checkpoints:
    """The checkpoint of one run in a folder, replaced by a newer one every so many steps.

    The file is written under a temporary name, flushed to the disk and renamed: whatever kills the process, what lies
    under the name is a whole checkpoint. One that cannot be written (a full disk) is said and costs itself only.

    Args:
        folder: made if need be.
        every: steps between two checkpoints, >= 1; None: at the end of every epoch.
        described: what makes the run what it is, as JSON values; a checkpoint of another one is refused.

    Raises:
        OSError: if the folder cannot be written to.
        ValueError: if `every` is no positive integer.

    Source: elementary.
    """

    def __init__(self, folder: str | os.PathLike[str], every: int | None, described: Mapping[str, Any]) -> None:
        if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
            raise ValueError(f"checkpoint_every is {every!r}; it must be a positive number of steps, or None")
        self.every = every
        self.described = dict(described)
        self.path = Path(folder) / FILE_NAME
        self._temporary = self.path.with_name(f"{FILE_NAME}.{os.getpid()}.tmp")
        self._failed = False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._temporary.touch()
            self._temporary.unlink()
        except OSError as error:
            text = f"cannot write checkpoints ({error.strerror}): name a folder that this process may write to"
            raise OSError(error.errno or errno.EIO, text, str(folder)) from error

    def resume(self, loop: RecipeLoop) -> bool:
        """Put a run back to where its checkpoint was taken.

        Args:
            loop: a run that has not begun.

        Returns:
            Whether there was a checkpoint; without one the run begins at its first step.

        Raises:
            ValueError: if the file is damaged, or is that of another run or another model; the run is not touched.

        Source: elementary.
        """
        for leftover in self.path.parent.glob(f"{FILE_NAME}.*.tmp"):
            leftover.unlink(missing_ok=True)  # of a process that was killed while it wrote
        if not self.path.is_file():
            return False
        try:
            kept = torch.load(self.path, map_location="cpu", weights_only=True)
            version, described, state = kept["format_version"], kept["described"], kept["state"]
        except Exception as error:  # whatever torch makes of a damaged file
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"{self.path} is damaged ({reason}); delete it to begin anew") from error
        if version != FORMAT_VERSION:
            raise ValueError(f"{self.path} has format {version}, this version reads {FORMAT_VERSION}; begin anew")
        self._refuse_another_run(described)
        loop.load_state_dict(state)
        return True

    def refuse_to_overwrite(self) -> None:
        """Refuse a folder that holds a checkpoint, where it is not to be resumed.

        Raises:
            ValueError: if there is one.

        Source: elementary.
        """
        if self.path.is_file():
            raise ValueError(f"{self.path} exists; resume the run (--resume), or name another folder")

    def after_step(self, loop: RecipeLoop) -> None:
        """Write a checkpoint if one is due.

        Args:
            loop: the run, between two steps.

        Source: elementary.
        """
        if loop.step % (self.every or loop.batches.steps) == 0 or loop.finished:
            self.write(loop)

    def write(self, loop: RecipeLoop) -> None:
        """Write a checkpoint now.

        Args:
            loop: the run, between two steps.

        Source: elementary.
        """
        content = io.BytesIO()
        kept = {"format_version": FORMAT_VERSION, "described": self.described, "state": loop.state_dict()}
        torch.save(kept, content)
        try:
            with self._temporary.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            self._temporary.replace(self.path)
        except OSError as error:
            self._temporary.unlink(missing_ok=True)
            if not self._failed:
                text = "no checkpoint at step %d, the one before stays: %s; free some space, the run goes on"
                _logger.warning(text, loop.step, error)
            self._failed = True

    def _refuse_another_run(self, described: Mapping[str, Any]) -> None:
        """Refuse a checkpoint whose description differs, and name the first difference."""
        for name in ["parameters", *self.described, *described]:
            then, now = described.get(name), self.described.get(name)
            if then == now:
                continue
            if name == "parameters":
                difference = _first_difference(then or [], now or [])
                raise ValueError(
                    f"{self.path} is of another model: {difference}; build the model as it was, or name another folder"
                )
            raise ValueError(
                f"{self.path} was written by a run with {name} = {then!r}, this one has {now!r}; "
                "give the same, or name another folder"
            )


def described_parameters(model: nn.Module) -> list[list[Any]]:
    """Name, shape and dtype of everything a model stores, to tell whether two models are alike.

    Args:
        model: the model.

    Returns:
        A list of [name, shape, dtype] as JSON values.

    Source: elementary.

    >>> described_parameters(nn.Linear(3, 2, bias=False))
    [['weight', [2, 3], 'float32']]
    """
    return [
        [name, list(tensor.shape), str(tensor.dtype).removeprefix("torch.")]
        for name, tensor in model.state_dict().items()
    ]


def _first_difference(then: list[list[Any]], now: list[list[Any]]) -> str:
    """The first difference of two descriptions of models in words."""
    before, after = ({entry[0]: entry[1:] for entry in entries} for entries in (then, now))
    for name, entry in before.items():
        if name not in after:
            return f"it holds {name}, which the model lacks"
        if after[name] != entry:
            return f"{name} is {entry} there and {after[name]} in the model"
    missing = [name for name in after if name not in before]
    return f"it lacks {missing[0]}" if missing else "its tensors stand in another order"
