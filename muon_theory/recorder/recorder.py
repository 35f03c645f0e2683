"""The hook: a context manager around any training loop that records spectra at scheduled steps."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from muon_theory.recorder.arguments import checked_optimizers, checked_seconds
from muon_theory.recorder.budget import Budget
from muon_theory.recorder.faults import remedy, warn_of_later_steps, writable_folder
from muon_theory.recorder.layout import Spectrum
from muon_theory.recorder.matrices import MatrixKey
from muon_theory.recorder.measure import RecordedMatrix, measure
from muon_theory.recorder.quantiles import QUANTILES
from muon_theory.recorder.resumption import refuse_another_model
from muon_theory.recorder.schedule import checked_count, default_schedule, every
from muon_theory.recorder.sinks import GuardedSinks, Sink
from muon_theory.recorder.source import MatrixSource
from muon_theory.recorder.step_hooks import StepHooks, StepListener
from muon_theory.recorder.store import SpectrumStore
from muon_theory.recorder.transfer import CopiedMatrix, Event, Transfer

if TYPE_CHECKING:
    from muon_theory.recorder.ranks import ElsewhereStore, RankGroup

_logger = logging.getLogger(__name__)


class SpectrumRecorder:
    """Records the exact singular values of what an optimizer works on, at scheduled steps of real training.

    Inside the `with` block every `optimizer.step()` is one step, numbered from `first_step`. At a scheduled one the
    recorder takes, after the step, of every parameter with two or more dimensions (convolution kernels flattened to
    (out, -1)): the gradient the optimizer used, its momentum buffer, the LMO input, the update and the weight, and
    where asked for the input of its layer; see `muon_theory.recorder.kinds` for what these are with each optimizer.
    When `optimizer.step()` returns, the event is in the folder and survives a kill of the process; matrices on a GPU
    are measured beside the training, and their event is there at the next scheduled step at the latest. On other steps
    it does nothing but ask the schedule.

    The gradient is the one the step used: unscaled, clipped, accumulated. A step that a gradient scaler skips is no
    step; a loop that counts it says so by `advance_to`. The model, the loss and the step may be compiled: the recorder
    breaks no graph of the model. Several optimizers make one step when each has stepped, also one per parameter inside
    the backward pass (see `muon_theory.recorder.step_hooks`). Singular values that the optimizer has formed (an exact
    Muon, of its LMO input) are taken from it.

    Training is not disturbed: no random number is drawn, nothing is modified, and an error of the recorder costs its
    event, said once through `logging` (with `strict` it is raised). What cannot be recorded is left out and said
    once: the LMO input of optimizers without a known rule (AdamW), the momentum of those that keep none, the update of
    weights in bfloat16 or float16 (the difference of two rounded weights is mostly rounding) unless the optimizer tells
    what it meant to add (`muon_theory.optimizers.Muon`). NaN or inf gives a row of NaN, no gradient no row.

    Over several processes: where parameters are DTensors (`fully_shard`, tensor parallelism), or a `process_group` is
    given (DDP), every rank enters a recorder; each matrix is gathered to one owner and measured once, and rank 0 writes
    the rows of a single process (see `muon_theory.recorder.ranks`). Without a group each process records for itself:
    under DDP enter the recorder on one rank then. Several recorders may share a folder.

    Args:
        optimizer: any torch optimizer, with at least one matrix that is a parameter of the model; or several, in a list
            (in the order in which the loop steps them) or as the values of a dict.
        model: the module whose parameter names become the layers; the optimizer may hold a part of its parameters.
        folder: where the recording goes; made if need be. What it already holds stays.
        schedule: callable step -> bool; None: `first(4) | log_spaced(4) | every(200)`.
        kinds: which of `KINDS` to record; None: all but `activation`.
        run: name of the run; None: `run_<session>`, a new one each time. To resume a run give the same name and the
            step in `first_step`; later rows of the interrupted session are then replaced.
        store_matrices: store the matrices too (safetensors), to be read with `read_matrices`.
        first_step: number of the first step, an int >= 0.
        events_per_part: events between two compactions of the journal into a Parquet part, an int >= 1; 10,000 events
            leave 10,000 / events_per_part files, twice that with matrices.
        layers: names of the parameters to record; None: every matrix of the optimizer.
        strict: raise errors of the recorder instead of logging them.
        sinks: where a few scalars of each event go besides, such as TensorBoardSink(folder).
        quantiles_above: of spectra with more values than this, an int >= 65, only 65 quantiles and the exact norms and
            entropy are stored, see `muon_theory.recorder.quantiles`; 4096 suits large language models. None: every
            spectrum is stored whole.
        overhead: share of the wall time, in (0, 1), that recording may take: the recorder times itself and takes of the
            steps that the schedule offers (None: all) as many as fit, see `muon_theory.recorder.budget`; a resumed run
            (`run`) goes on with its account. None: every step that the schedule offers.
        process_group: the ranks that make one recording together, such as torch.distributed.group.WORLD; every one of
            them enters a recorder with the same arguments, and rank 0 writes. None: this process alone, or, where a
            parameter is a DTensor, all ranks.
        rank_timeout: seconds, > 0, after which a rank that others wait for is given up; nothing is recorded then, and
            the training is left to find out by itself; `rank_lost` says so to what writes its checkpoints.

    Arguments are checked at once: a TypeError for a wrong type and for complex matrices, a ValueError
    for an unknown kind or layer, a parameter of the optimizer that is not in the model and an optimizer without
    matrices, an OSError for a folder that cannot be written to. Entering raises a ValueError where the run was recorded
    with another model.

    Source: torch.optim.Optimizer.register_step_post_hook.

    Cost: measured on one CPU core with Muon, added to a training step of the tutorial's net for CIFAR-10 (batch 128) by
        gradient, momentum and update: 0.3 of it (0.4 where no row or column of them is zero), by all five kinds 0.5; of
        its 784-256-128-10 perceptron (batch 64): 1.0 and 1.7. So with the default schedule 0.4 and 0.6 % of the 1955
        steps of the former's training. A step that is not scheduled: 20 microseconds. Memory: one copy of the weights
        while an event lasts; of matrices on a GPU one of each, until the event is complete.

    >>> import tempfile
    >>> from muon_theory.recorder import read_spectra
    >>> model = nn.Linear(3, 2)
    >>> optimizer = torch.optim.Muon([model.weight], lr=0.1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with SpectrumRecorder(optimizer, model, folder, kinds=["gradient", "weight"]):
    ...         for _ in range(2):
    ...             model(torch.ones(1, 3)).sum().backward()
    ...             optimizer.step()
    ...     table = read_spectra(folder)
    >>> table[["run", "step", "layer", "kind", "rows", "columns", "dtype"]].head(2)
         run  step   layer      kind  rows  columns    dtype
    0  run_1     0  weight  gradient     2        3  float32
    1  run_1     0  weight    weight     2        3  float32
    """

    def __init__(
        self,
        optimizer: Optimizer | Iterable[Optimizer] | Mapping[Any, Optimizer],
        model: nn.Module,
        folder: str | os.PathLike[str],
        *,
        schedule: Callable[[int], bool] | None = None,
        kinds: Iterable[str] | None = None,
        run: str | None = None,
        store_matrices: bool = False,
        first_step: int = 0,
        events_per_part: int = 256,
        layers: Iterable[str] | None = None,
        strict: bool = False,
        sinks: Iterable[Sink] = (),
        overhead: float | Budget | None = None,
        quantiles_above: int | None = None,
        process_group: Any = None,
        rank_timeout: float = 120.0,
    ) -> None:
        if schedule is not None and not callable(schedule):
            raise TypeError(f"schedule is {schedule!r}: pass a callable step -> bool such as every(10)")
        if run is not None and (not isinstance(run, str) or not run):
            raise TypeError(f"run is {run!r}: pass a name, or None to have one made")
        self._optimizers = checked_optimizers(optimizer)
        self._source = MatrixSource(self._optimizers, model, kinds, layers)
        self._budget = overhead if overhead is None or isinstance(overhead, Budget) else Budget(overhead)
        offered = default_schedule() if self._budget is None else every(1)
        self._schedule = offered if schedule is None else schedule
        self._run = run
        self._step = checked_count("first_step", first_step, 0)
        self._events_per_part = checked_count("events_per_part", events_per_part, 1)
        self._above = None if quantiles_above is None else checked_count("quantiles_above", quantiles_above, QUANTILES)
        self._store_matrices, self._strict = store_matrices, strict
        self._sinks = GuardedSinks(sinks, strict)
        self._process_group, self._rank_timeout = process_group, checked_seconds("rank_timeout", rank_timeout)
        self._shared = process_group is not None or self._source.is_spread
        self._ranks: RankGroup | None = None
        writes = not self._shared or torch.distributed.get_rank(process_group) == 0
        self._folder = writable_folder(Path(folder)) if writes else Path(folder)
        self._store: SpectrumStore | ElsewhereStore | None = None
        self._hooks: StepHooks | None = None
        self._asked_for: int | None = None
        self._due = False
        self._spectra: list[Spectrum | CopiedMatrix] = []
        self._transfer = Transfer()
        self._kept: dict[MatrixKey, Tensor] = {}
        self._errors = 0
        self._said_not_finite = False

    @property
    def step(self) -> int:
        """Number of the next step.

        Source: elementary.
        """
        return self._step

    @property
    def run(self) -> str | None:
        """Name of the run; None before the recorder was entered where it was given none.

        Source: elementary.
        """
        return self._run if self._store is None else self._store.run

    @property
    def rank_lost(self) -> bool:
        """Whether a rank that makes this recording together with this one was lost; nothing is recorded any more.

        The event during which that happened is missing. A loop that writes checkpoints stops writing them: a run that
        is resumed from the one before records the event again, from one taken after it never.

        Source: elementary.
        """
        return self._ranks is not None and self._ranks.lost

    def advance_to(self, step: int) -> None:
        """Follow a training loop that counts steps which the optimizer did not take.

        Args:
            step: number of the next step, at least the present one.

        Raises:
            ValueError: the step lies behind; going back is a new session.

        Source: elementary.
        """
        checked_count("step", step, 0)
        if self._hooks is not None:
            self._hooks.finish()
        if step < self._step:
            raise ValueError(f"step is {step}, before {self._step}: to go back, enter a new recorder with first_step")
        if step > self._step:
            self._step = step
            self._look_ahead()

    def __enter__(self) -> Self:
        """Claim a session in the folder and hook the optimizer."""
        if self._store is not None:
            raise RuntimeError("this recorder is recording already: make another one")
        if self._shared:
            from muon_theory.recorder.ranks import RankGroup

            self._ranks = RankGroup(self._source, self._process_group, self._rank_timeout, self._store_matrices)
            self._store = self._ranks.opened(self._open_store)
        else:
            self._store = self._open_store()
        self._errors = 0
        listener = StepListener(self._begin, self._before, self._after, self._end)
        self._hooks = StepHooks(self._optimizers, listener)
        self._look_ahead()
        return self

    def _open_store(self) -> SpectrumStore:
        shapes = {layer.name: tuple(layer.parameter.shape) for layer in self._source.layers()}
        if self._run is not None:
            refuse_another_model(self._folder, self._run, shapes)
            warn_of_later_steps(self._folder, self._run, self._step)
        if self._budget is not None:
            self._budget.begin(self._folder, self._run)
        return SpectrumStore(self._folder, self._run, self._step, shapes, self._events_per_part, self._above)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unhook the optimizer, compact and close; an exception of the block goes on."""
        hooks, self._hooks = self._hooks, None
        if hooks is not None:
            hooks.remove()
            if error is None:
                hooks.finish()
        self._forget()
        self._source.leave()
        try:
            while self._transfer.under_way:
                self._guarded(partial(self._write, self._transfer.land()))
        finally:
            self._close()

    def _close(self) -> None:
        self._transfer.close()
        self._ranks = None
        store, self._store = self._store, None
        if store is not None:
            if self._budget is not None:
                _logger.info("%s: %s", self._folder, self._budget)
            try:
                self._guarded(store.close)
            finally:
                self._sinks.close()
        if self._errors:
            _logger.warning("the recorder of %s met %d errors: as many events are missing", self._folder, self._errors)

    def _begin(self) -> None:
        """Ask the schedule whether the step that begins is recorded, unless it was asked before its forward pass."""
        if self._transfer.under_way:
            with self._booked():
                self._guarded(partial(self._write, self._transfer.poll()))
        if self._asked_for != self._step:
            self._forget()
            self._guarded(self._ask)

    def _before(self, optimizer: Optimizer) -> None:
        """Keep what the optimizer's step is going to overwrite."""
        if self._due:
            with self._booked():
                source = self._source if self._ranks is None else self._ranks
                self._guarded(partial(source.before_step, optimizer))

    def _after(self, optimizer: Optimizer, skipped: object) -> None:
        """Measure what the optimizer has worked on."""
        if self._due and not skipped:
            with self._booked():
                self._guarded(partial(self._measure, optimizer))

    def _end(self, counted: bool) -> None:
        """Store the event, if the step was one, and go on to the next step."""
        try:
            if self._due and counted:
                with self._booked():
                    self._guarded(self._record)
                if self._budget is not None and (self._ranks is None or self._ranks.writes):
                    self._guarded(self._close_account)
        finally:
            self._step += counted
            self._forget()
            self._look_ahead()

    def _ask(self) -> None:
        self._due = bool(self._schedule(self._step)) and (self._ranks is None or not self._ranks.lost)
        if self._due and self._budget is not None:
            allowed = self._budget.allows()
            self._due = allowed if self._ranks is None else bool(self._ranks.said_by_first(allowed))

    def _look_ahead(self) -> None:
        """Ask for the coming step already now, where its forward passes are recorded."""
        if self._source.looks_ahead and self._hooks is not None:
            self._forget()
            self._asked_for = self._step
            self._guarded(self._ask)
            self._guarded(partial(self._source.arm, self._due))

    def _booked(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._budget is None else self._budget.spending()

    def _close_account(self) -> None:
        assert self._budget is not None  # noqa: S101  (called where there is one)
        assert self._store is not None  # noqa: S101  (hooked only while recording)
        self._budget.event_over()
        with self._budget.spending():  # booked on the next event
            self._budget.save(self._folder, self._store.session, self._store.run)

    def _forget(self) -> None:
        self._source.forget()
        self._due, self._spectra, self._kept = False, [], {}

    def _measure(self, optimizer: Optimizer) -> None:
        if self._ranks is not None:
            with torch.no_grad():
                spectra, kept = self._ranks.measure(optimizer, self._step)
            self._spectra += spectra
            self._kept |= kept
            return

        def keep(each: RecordedMatrix) -> RecordedMatrix:
            if self._store_matrices and each.key.kind != "activation":
                self._kept[each.key] = each.matrix
            return each

        with torch.no_grad():
            matrices = (keep(each) for each in self._source.after_step(optimizer, self._step))
            self._spectra += self._transfer.take(matrices, measure)

    def _record(self) -> None:
        if self._spectra:
            self._write(self._transfer.send(self._step, self._spectra, self._kept))

    def _write(self, events: Iterable[Event]) -> None:
        assert self._store is not None  # noqa: S101  (hooked only while recording)
        for step, spectra, matrices in events:
            self._store.append(spectra, matrices)
            self._sinks.write(step, spectra)
            bad = next((each for each in spectra if each.noise_floor != each.noise_floor), None)
            if bad is not None and not self._said_not_finite:
                self._said_not_finite = True
                _logger.warning("NaN or inf in the %s of %s at step %d: sigma is NaN", bad.kind, bad.layer, step)

    def _guarded(self, action: Callable[[], None]) -> None:
        """Run what must not break training: an error is logged, the first one with its traceback."""
        try:
            action()
        except Exception as error:
            self._forget()
            if self._strict:
                raise
            self._errors += 1
            if self._errors == 1:
                text = "the recorder failed at step %d, and training goes on without this event: %s"
                _logger.warning(text, self._step, remedy(error), exc_info=True)
