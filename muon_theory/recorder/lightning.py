"""The recorder as a callback of Lightning: `Trainer(callbacks=[SpectrumCallback("runs/mine")])`.

Needs the extra `lightning`; works with the packages `lightning` and `pytorch-lightning`.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError:
    try:
        from pytorch_lightning import Callback, LightningModule, Trainer
    except ImportError as error:
        raise ImportError(f"Lightning cannot be imported ({error}): pip install 'muon_theory[lightning]'") from error

from muon_theory.recorder.callback import RecorderCallback


class SpectrumCallback(RecorderCallback, Callback):  # pyright: ignore[reportGeneralTypeIssues]
    """Records spectra while a Lightning Trainer fits.

    Steps are numbered by `trainer.global_step`, so after `fit(ckpt_path=...)` the recording goes on where the
    checkpoint was written, under the same name (the checkpoint holds it), and replaces what was recorded later than
    that. Accumulated gradients are one step; a step that a gradient scaler skips counts, as it does for Lightning, and
    is not recorded. Several optimizers (manual optimization) are recorded together; Lightning's global step then counts
    the steps of all of them. Of several processes the one of rank zero records; where parameters are sharded (DTensor)
    all take part. When training ends, by an exception or Ctrl-C too, the recording is closed.

    Args:
        folder: folder of the recording.
        run: name of the run; None: that of the checkpoint that is resumed, else a new one.
        options: the other arguments of `SpectrumRecorder`: schedule, kinds, layers, sinks, strict, ...

    A wrong argument is refused when training begins, as `SpectrumRecorder` says it.

    Source: lightning.pytorch.Callback, hooks on_train_start, on_train_batch_start, on_train_end and on_exception.
    """

    def __init__(self, folder: str | os.PathLike[str], *, run: str | None = None, **options: Any) -> None:
        super().__init__(folder, run=run, **options)
        self._recorded_run: str | None = None
        self._resumed_run: str | None = None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps.

        Returns:
            the name of the run.

        Source: elementary.
        """
        return {"run": self._recorded_run}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the name of the run from the checkpoint that is resumed.

        Args:
            state_dict: what `state_dict` returned.

        Source: elementary.
        """
        self._resumed_run = state_dict.get("run")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Enter the recorder at the trainer's step.

        Args:
            trainer: the trainer.
            pl_module: the module that is trained.

        Source: elementary.
        """
        run, self._resumed_run = self._resumed_run, None
        first_step, rank_zero = trainer.global_step, trainer.is_global_zero
        self.start(trainer.optimizers, pl_module, first_step=first_step, run=run, rank_zero=rank_zero)
        self._recorded_run = self.recorder.run if self.recorder is not None else None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Follow the trainer's count of steps.

        Args:
            trainer: the trainer.
            pl_module: the module that is trained.
            batch: the batch.
            batch_idx: its number.

        Source: elementary.
        """
        self.follow(trainer.global_step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Close the recording.

        Args:
            trainer: the trainer.
            pl_module: the module that was trained.

        Source: elementary.
        """
        self.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """Close the recording; the exception goes on, whatever happens here.

        Args:
            trainer: the trainer.
            pl_module: the module that was trained.
            exception: what ended the training.

        Source: elementary.
        """
        with contextlib.suppress(Exception):
            self.stop(exception)
