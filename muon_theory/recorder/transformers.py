"""The recorder as a callback of the Hugging Face Trainer: `Trainer(..., callbacks=[SpectrumCallback("runs/mine")])`.

Needs the extra `transformers`.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch import nn
from torch.optim import Optimizer

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError as error:
    raise ImportError(f"transformers cannot be imported ({error}): pip install 'muon_theory[transformers]'") from error

from muon_theory.recorder.callback import RecorderCallback


class SpectrumCallback(RecorderCallback, TrainerCallback):
    """Records spectra while a Hugging Face Trainer trains.

    Steps are numbered by `state.global_step`, so after `train(resume_from_checkpoint=...)` the recording goes on where
    the checkpoint was written, under the same name, and replaces what was recorded later than that. Accumulated
    gradients are one step; a step that a gradient scaler skips counts, as it does for the Trainer, and is not recorded.
    Of several processes the one of rank zero records; where parameters are sharded (DTensor) all take part.

    The Trainer tells its callbacks of an end, not of an exception. After one the recording can be read, and is closed
    when the next training begins; to close it at once use the callback as a context manager:

        with SpectrumCallback("runs/mine") as callback:
            Trainer(model, arguments, train_dataset=data, callbacks=[callback]).train()

    Args:
        folder: folder of the recording.
        run: name of the run; None: `run_name` of the training arguments, else the name of their `output_dir`.
        options: the other arguments of `SpectrumRecorder`: schedule, kinds, layers, sinks, strict, ...

    A wrong argument is refused when training begins, as `SpectrumRecorder` says it.

    Source: transformers.TrainerCallback, events on_train_begin, on_step_begin, on_pre_optimizer_step
    and on_train_end.
    """

    def __enter__(self) -> Self:
        """The callback itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the recording; an exception of the block goes on."""
        self.stop(error)

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        *,
        model: nn.Module,
        optimizer: Optimizer,
        **_: Any,
    ) -> None:
        """Enter the recorder at the trainer's step.

        Args:
            args: the training arguments.
            state: the trainer's state.
            control: the trainer's control.
            model: the model that is trained.
            optimizer: its optimizer.

        Source: elementary.
        """
        run = args.run_name or Path(args.output_dir or "run").resolve().name
        first_step, rank_zero = state.global_step, state.is_world_process_zero
        self.start([_unwrapped(optimizer)], model, first_step=first_step, run=run, rank_zero=rank_zero)

    def on_step_begin(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: Any,
    ) -> None:
        """Follow the trainer's count of steps, before the forward passes of the step.

        Args:
            args: the training arguments.
            state: the trainer's state.
            control: the trainer's control.

        Source: elementary.
        """
        self.follow(state.global_step)

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: Any,
    ) -> None:
        """Follow the trainer's count of steps where the step began within an accumulation.

        Args:
            args: the training arguments.
            state: the trainer's state.
            control: the trainer's control.

        Source: elementary.
        """
        self.follow(state.global_step)

    def on_train_end(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,  # noqa: ARG002
        control: TrainerControl,  # noqa: ARG002
        **_: Any,
    ) -> None:
        """Close the recording.

        Args:
            args: the training arguments.
            state: the trainer's state.
            control: the trainer's control.

        Source: elementary.
        """
        self.stop()


def _unwrapped(optimizer: Optimizer) -> Optimizer:
    """The optimizer inside that of accelerate, which steps at the end of an accumulation only."""
    inner = getattr(optimizer, "optimizer", None)
    return _unwrapped(inner) if isinstance(inner, Optimizer) else optimizer
