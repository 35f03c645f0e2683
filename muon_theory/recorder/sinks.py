"""A few scalars of every recorded event, for a tracker's dashboard: TensorBoard, Weights & Biases, trackio.

The recording in the folder stays the truth; a sink is a window on it. Sinks are given to `SpectrumRecorder(sinks=...)`,
and an error of theirs costs neither the event nor the training.
"""

from __future__ import annotations

import functools
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from muon_theory.recorder.kinds import KINDS
from muon_theory.recorder.layout import Spectrum
from muon_theory.spectra import nuclear_rank, spectral_entropy, stable_rank

_logger = logging.getLogger(__name__)

QUANTITIES = ("sigma_1", "stable_rank", "nuclear_rank", "entropy")
"""What is known of a spectrum: its largest value, two ranks and the entropy in nats, as in `muon_theory.spectra`."""

_FORMULAS: dict[str, Callable[[np.ndarray], float]] = {
    "sigma_1": lambda sigma: float(sigma[0]),
    "stable_rank": stable_rank,
    "nuclear_rank": nuclear_rank,
    "entropy": spectral_entropy,
}


class ScalarKey(NamedTuple):
    """Which scalar: the layer, the kind of matrix and the quantity, one of `QUANTITIES`.

    Source: elementary.
    """

    layer: str
    kind: str
    quantity: str

    def text(self) -> str:
        """The name under which a tracker shows the scalar.

        Returns:
            `spectra/kind/quantity/layer`.

        Source: elementary.
        """
        return f"spectra/{self.kind}/{self.quantity}/{self.layer}"


class EventScalars(Mapping[ScalarKey, float]):
    """The scalars of one event, each computed when it is asked for.

    Args:
        spectra: the rows of the event.

    A spectrum of NaN gives NaN.

    Source: definitions in `muon_theory.spectra`.

    >>> scalars = EventScalars([Spectrum(0, "w", "update", 2, 2, "float32", 0.0, np.array([2.0, 1.0]))])
    >>> scalars[ScalarKey("w", "update", "stable_rank")]
    1.25
    """

    def __init__(self, spectra: Sequence[Spectrum]) -> None:
        self._sigma = {(each.layer, each.kind): each.sigma for each in spectra}

    def __getitem__(self, key: ScalarKey) -> float:
        """The value of one scalar."""
        sigma = self._sigma[key.layer, key.kind]
        return math.nan if np.isnan(sigma).any() else float(_FORMULAS[key.quantity](sigma))

    def __iter__(self) -> Iterator[ScalarKey]:
        """All keys, by row."""
        return (ScalarKey(*name, quantity) for name in self._sigma for quantity in QUANTITIES)

    def __len__(self) -> int:
        """Number of keys."""
        return len(self._sigma) * len(QUANTITIES)


class Sink(Protocol):
    """What a recorder's sink must offer; anything that does may be one.

    Source: elementary.
    """

    def write(self, step: int, scalars: Mapping[ScalarKey, float]) -> None:
        """Take the scalars of an event that is already stored.

        Args:
            step: global step of the event.
            scalars: all of the event's scalars, computed when asked for.

        Source: elementary.
        """
        ...

    def close(self) -> None:
        """Write out what is held back; a later `write` opens the sink again.

        Source: elementary.
        """
        ...


class ChosenScalars:
    """A sink that passes few scalars on to a function.

    Args:
        log: called as log(step, scalars) with a dict of text -> float, not with an empty one.
        quantities: which of `QUANTITIES`.
        kinds: which of `KINDS`.
        layers: False: the median over the layers, one scalar for each kind and quantity, whatever the size of the
            model; True: every layer; names: those layers.

    Raises:
        ValueError: an unknown quantity or kind, or none.

    Source: elementary.

    >>> sink = ChosenScalars(lambda step, scalars: print(step, scalars), quantities=["sigma_1"], kinds=["update"])
    >>> rows = [Spectrum(7, name, "update", 1, 1, "float32", 0.0, np.ones(1) * s) for name, s in (("a", 1), ("b", 3))]
    >>> sink.write(7, EventScalars(rows))
    7 {'spectra/update/sigma_1/median': 2.0}
    """

    def __init__(
        self,
        log: Callable[[int, dict[str, float]], None],
        *,
        quantities: Iterable[str] = ("sigma_1", "stable_rank"),
        kinds: Iterable[str] = ("gradient", "update"),
        layers: bool | Iterable[str] = False,
    ) -> None:
        self._log = log
        self._quantities = _checked("quantities", quantities, QUANTITIES)
        self._kinds = _checked("kinds", kinds, KINDS)
        if isinstance(layers, str):
            raise ValueError(f"layers is the text {layers!r}: pass a list, [{layers!r}], True for all or False")
        self._layers = layers if isinstance(layers, bool) else frozenset(layers)

    def write(self, step: int, scalars: Mapping[ScalarKey, float]) -> None:
        """Pass the chosen scalars on.

        Args:
            step: global step of the event.
            scalars: all of the event's scalars.

        Source: elementary.
        """
        wanted = [key for key in scalars if key.quantity in self._quantities and key.kind in self._kinds]
        if self._layers is False:
            columns: dict[ScalarKey, list[float]] = {}
            for key in wanted:
                columns.setdefault(key._replace(layer="median"), []).append(scalars[key])
            chosen = {key.text(): float(np.median(values)) for key, values in columns.items()}
        else:
            chosen = {key.text(): scalars[key] for key in wanted if self._layers is True or key.layer in self._layers}
        if chosen:
            self._log(step, chosen)

    def close(self) -> None:
        """Nothing is held back here.

        Source: elementary.
        """


class TensorBoardSink(ChosenScalars):
    """Scalars for TensorBoard.

    Args:
        where: a folder of its own for the event files (it becomes a run of that name in TensorBoard), in which a
            resumed run hides what was written for later steps; or a SummaryWriter of yours, which is left open.
        choice: `quantities`, `kinds` and `layers` as in `ChosenScalars`.

    Raises:
        ImportError: tensorboard is not installed.

    Source: torch.utils.tensorboard.SummaryWriter (purge_step).
    """

    def __init__(self, where: str | os.PathLike[str] | Any, **choice: Any) -> None:
        super().__init__(self._add, **choice)
        self._writer_class = _imported("torch.utils.tensorboard", "tensorboard").SummaryWriter
        self._folder = where if isinstance(where, (str, os.PathLike)) else None
        self._writer: Any = None if self._folder is not None else where

    def _add(self, step: int, scalars: dict[str, float]) -> None:
        if self._writer is None:
            self._writer = self._writer_class(os.fspath(self._folder or ""), purge_step=step, flush_secs=30)
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write out what is held back, and close the files that the sink opened.

        Source: elementary.
        """
        if self._folder is None:
            self._writer.flush()
        elif self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()


class WandbSink(ChosenScalars):
    """Scalars for Weights & Biases, offline by default.

    Args:
        run: a run of yours, which is left open: the scalars get an axis of their own, `spectra/step`, and each event
            is a row of the run (do not log by epochs with `run.log(..., step=epoch)` then: the rows of events count
            as steps). None: the sink opens a run when the first event comes, beside any other.
        settings: of `wandb.init` for the sink's own run, e.g. project, name, dir; mode is "offline" unless given here
            or in the environment (WANDB_MODE). `quantities`, `kinds` and `layers` as in `ChosenScalars`.

    Raises:
        ImportError: wandb is not installed.

    Source: wandb.init, wandb.Run.log and wandb.Run.define_metric.
    """

    def __init__(self, run: Any = None, **settings: Any) -> None:
        choice, self._settings = _split(settings)
        super().__init__(self._add, **choice)
        self._wandb = None if run is not None else _imported("wandb", "wandb")
        self._run: Any = run
        if run is not None:
            run.define_metric("spectra/step", hidden=True)
            run.define_metric("spectra/*", step_metric="spectra/step")

    def _add(self, step: int, scalars: dict[str, float]) -> None:
        if self._wandb is None:
            self._run.log(scalars | {"spectra/step": step})
            return
        if self._run is None:
            mode = {} if "WANDB_MODE" in os.environ else {"mode": "offline"}
            options = {"reinit": "create_new", "settings": self._wandb.Settings(console="off")} | mode | self._settings
            self._run = self._wandb.init(**options)
        self._run.log(scalars, step=step)

    def close(self) -> None:
        """Finish the run that the sink opened.

        Source: elementary.
        """
        if self._wandb is not None and self._run is not None:
            run, self._run = self._run, None
            run.finish()


class TrackioSink(ChosenScalars):
    """Scalars for trackio, on this machine unless a Space is named.

    Args:
        run: a run of yours, which is left open. None: the sink opens one when the first event comes; trackio then
            takes it for the current run, so pass yours where you have one.
        settings: of `trackio.init` for the sink's own run: project (required), name, ... `quantities`, `kinds` and
            `layers` as in `ChosenScalars`.

    Raises:
        ImportError: trackio is not installed.
        ValueError: neither a run nor a project.

    Source: trackio.init and trackio.Run.log.
    """

    def __init__(self, run: Any = None, **settings: Any) -> None:
        choice, self._settings = _split(settings)
        super().__init__(self._add, **choice)
        if run is None and not self._settings.get("project"):
            raise ValueError("trackio needs a project: TrackioSink(project='name'), or TrackioSink(run) with your run")
        self._trackio = None if run is not None else _imported("trackio", "trackio")
        self._run: Any = run

    def _add(self, step: int, scalars: dict[str, float]) -> None:
        if self._run is None and self._trackio is not None:
            self._run = self._trackio.init(**self._settings)
        run: Any = self._run
        run.log(scalars, step=step)

    def close(self) -> None:
        """Finish the run that the sink opened.

        Source: elementary.
        """
        if self._trackio is not None and self._run is not None:
            run, self._run = self._run, None
            run.finish()


class GuardedSinks:
    """The sinks of a recorder: an error of one of them is logged, the first of each with its traceback, and no more.

    Args:
        sinks: objects with write(step, scalars) and close(); else TypeError.
        strict: raise errors instead of logging them.

    Source: elementary.
    """

    def __init__(self, sinks: Iterable[Sink], strict: bool) -> None:
        self._sinks, self._strict = tuple(sinks), strict
        self._failed: set[int] = set()
        for sink in self._sinks:
            if isinstance(sink, type) or not all(callable(getattr(sink, name, None)) for name in ("write", "close")):
                raise TypeError(
                    f"sinks holds {sink!r}: a sink is an object with write(step, scalars) and close(), "
                    "such as TensorBoardSink(folder)"
                )

    def write(self, step: int, spectra: Sequence[Spectrum]) -> None:
        """Give an event that is already stored to every sink.

        Args:
            step: global step of the event.
            spectra: its rows.

        Source: elementary.
        """
        if not self._sinks:
            return
        scalars = EventScalars(spectra)
        for sink in self._sinks:
            self._guarded(sink, lambda sink=sink: sink.write(step, scalars))

    def close(self) -> None:
        """Close every sink.

        Source: elementary.
        """
        for sink in self._sinks:
            self._guarded(sink, sink.close)

    def _guarded(self, sink: Sink, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            if self._strict:
                raise
            if id(sink) not in self._failed:
                self._failed.add(id(sink))
                text = "%s failed: %s; its scalars may be missing there, the recording in the folder is complete"
                _logger.warning(text, type(sink).__name__, error, exc_info=True)


def _split(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `ChosenScalars` takes, and the rest."""
    names = ("quantities", "kinds", "layers")
    return {n: settings[n] for n in names if n in settings}, {n: v for n, v in settings.items() if n not in names}


def _checked(name: str, values: Iterable[str], known: Sequence[str]) -> frozenset[str]:
    wanted = [values] if isinstance(values, str) else list(values)
    unknown = [value for value in wanted if value not in known]
    if unknown or not wanted:
        raise ValueError(f"{name} is {wanted}: choose one or more of {', '.join(known)}")
    return frozenset(wanted)


@functools.cache
def _imported(module: str, extra: str) -> Any:
    """A tracker's module, imported when it is wanted."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} cannot be imported ({error}): pip install 'muon_theory[{extra}]'") from error
