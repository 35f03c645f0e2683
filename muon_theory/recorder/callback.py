"""What the callbacks for trainers share: a recorder that is entered, moved and left as the trainer says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from muon_theory.recorder.recorder import SpectrumRecorder


class RecorderCallback:
    """A recorder whose optimizer, model and steps come from a trainer.

    Args:
        folder: folder of the recording.
        run: name of the run; None: the trainer's, see the callback.
        options: the other arguments of `SpectrumRecorder`: schedule, kinds, layers, sinks, strict, ...

    Raises:
        TypeError: an option that the trainer decides (optimizer, model, first_step).

    Source: elementary.
    """

    def __init__(self, folder: str | os.PathLike[str], *, run: str | None = None, **options: Any) -> None:
        decided = sorted({"optimizer", "model", "first_step"} & options.keys())
        if decided:
            raise TypeError(f"{', '.join(decided)}: the callback takes this from the trainer, leave it out")
        self._folder, self._run, self._options = folder, run, options
        self._recorder: SpectrumRecorder | None = None

    @property
    def recorder(self) -> SpectrumRecorder | None:
        """The recorder while training lasts, on the process that records; else None.

        Source: elementary.
        """
        return self._recorder

    def start(
        self, optimizers: Sequence[Optimizer], model: nn.Module, *, first_step: int, run: str | None, rank_zero: bool
    ) -> None:
        """Enter a recorder; one that an exception of an earlier training left open is closed first.

        The process of rank zero records, and where parameters are sharded (DTensor) or a `process_group` was given
        every process takes part.

        Args:
            optimizers: the trainer's optimizers, at least one.
            model: the module whose parameter names become the layers.
            first_step: steps that the trainer has taken.
            run: name of the run where the user gave none.
            rank_zero: whether this is the process of rank zero.

        Raises:
            ValueError: the trainer has no optimizer.
            TypeError: the matrices are flattened away (FullyShardedDataParallel).

        Source: elementary.
        """
        self.stop()
        if not optimizers:
            raise ValueError("the trainer has no optimizer: remove the callback, there is no step to record")
        parameters = [p for each in optimizers for group in each.param_groups for p in group["params"]]
        if any(getattr(p, "_fsdp_flattened", False) for p in parameters):
            raise TypeError(
                "FullyShardedDataParallel flattens the matrices, so they cannot be recorded: "
                "shard with FSDP2 (fully_shard), or train with DDP"
            )
        together = self._options.get("process_group") is not None or any(hasattr(p, "full_tensor") for p in parameters)
        if not (rank_zero or together):
            return
        optimizer = optimizers[0] if len(optimizers) == 1 else list(optimizers)
        options = {"run": self._run or run, "first_step": first_step} | self._options
        self._recorder = SpectrumRecorder(optimizer, model, self._folder, **options).__enter__()

    def follow(self, step: int) -> None:
        """Number the next step as the trainer does, where it has counted steps that the optimizer did not take.

        Args:
            step: steps that the trainer has taken.

        Source: elementary.
        """
        if self._recorder is not None and step > self._recorder.step:
            self._recorder.advance_to(step)

    def stop(self, error: BaseException | None = None) -> None:
        """Leave the recorder, if it was entered: everything recorded lies in the folder.

        Args:
            error: what ended the training, or None.

        Source: elementary.
        """
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.__exit__(type(error) if error is not None else None, error, None)
