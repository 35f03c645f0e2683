"""One recording by the ranks of a process group: every matrix is gathered and measured by one owner, rank 0 writes.

Parameters may be spread over the ranks (`fully_shard`, tensor parallelism, any DTensor) or whole on each (DDP). The
ranks talk at scheduled steps only: first about which matrices there are and whether all is well, then each owner gets
its matrices, then rank 0 gets the spectra. A rank whose recorder fails says so, and the event is dropped everywhere; a
rank that is lost ends the recording, and nothing waits for it again.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim import Optimizer

from muon_theory.optimizers.agreement import Agreement
from muon_theory.optimizers.shard_exchange import Box, Exchange, Layout, local_tensor, placed_gradient
from muon_theory.optimizers.shard_plan import planned_layouts
from muon_theory.recorder.activations import GRAM_RESOLUTION, gram_spectrum
from muon_theory.recorder.kinds import as_matrix, lmo_spectrum
from muon_theory.recorder.layout import Spectrum
from muon_theory.recorder.matrices import MatrixKey
from muon_theory.recorder.measure import KnownSpectrum, RecordedMatrix, measure
from muon_theory.recorder.source import Layer, MatrixSource, resolves_updates
from muon_theory.recorder.store import SpectrumStore

_CHUNK_BYTES = 2**28
_ABSENT, _PART, _WHOLE, _EMPTY = range(4)
_DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


class _Entry(NamedTuple):
    """A matrix of the event, as far as this rank holds it."""

    layer: Layer
    kind: str
    state: int
    local: Tensor | None


class ElsewhereStore:
    """The store of a rank that does not write.

    Args:
        run: name of the run.

    Source: elementary.
    """

    session = 0

    def __init__(self, run: str) -> None:
        self.run = run

    def append(self, spectra: Sequence[Spectrum], matrices: object = None) -> None:
        """Rank 0 stores the event.

        Args:
            spectra: none here.
            matrices: none here.

        Source: elementary.
        """

    def close(self) -> None:
        """There is nothing to close.

        Source: elementary.
        """


class RankGroup:
    """The ranks that make one recording; every one of them calls the same methods in the same order.

    Args:
        source: the matrices, as this rank holds them.
        process_group: the ranks that hold the parameters; None: all.
        timeout: seconds after which a rank that others wait for is given up.
        store_matrices: whether matrices are stored, so that rank 0 must own them all.

    Raises:
        ValueError: the ranks' parameters differ, or shards do not make up a tensor.

    Source: owners by `muon_theory.optimizers.ownership.balanced_owners` (longest processing time first); gathering by
    `muon_theory.optimizers.shard_exchange`.

    Cost: each recorded matrix travels once to its owner, in messages of at most 256 MiB.
    """  # noqa: DOC502  (raised by the plan)

    def __init__(self, source: MatrixSource, process_group: Any, timeout: float, store_matrices: bool) -> None:
        self._source, self._all_on_first = source, store_matrices
        self._agreement = Agreement.of_group(process_group, timedelta(seconds=timeout))
        self._layouts: dict[Tensor, Layout] = {}
        self._failure: Exception | None = None
        self.lost = False
        """Whether a rank was lost: then nothing is recorded any more."""
        with self._talking():
            self._plan(source.layers())

    @property
    def writes(self) -> bool:
        """Whether this rank writes the recording.

        Source: elementary.
        """
        return self._agreement.rank == 0

    def said_by_first(self, word: Any) -> Any:
        """What rank 0 says.

        Args:
            word: what this rank would say.

        Returns:
            rank 0's word.

        Source: elementary.
        """
        if self.lost:
            return None
        with self._talking():
            return self._agreement.gathered(word)[0]

    def opened(self, open_store: Callable[[], SpectrumStore]) -> SpectrumStore | ElsewhereStore:
        """The store, opened by rank 0; where it cannot open it, every rank raises.

        Args:
            open_store: called on rank 0.

        Returns:
            The store of this rank.

        Raises:
            RuntimeError: rank 0 could not open it; rank 0 raises what kept it.

        Source: elementary.
        """
        store, failure = None, None
        if self.writes:
            try:
                store = open_store()
            except Exception as error:
                failure = error
        run, trouble = self.said_by_first((
            "" if store is None else store.run,
            None if failure is None else str(failure),
        ))
        if failure is not None:
            raise failure
        if trouble is not None:
            raise RuntimeError(f"rank 0 cannot record: {trouble}")
        return store or ElsewhereStore(run)

    def before_step(self, optimizer: Optimizer) -> None:
        """As `MatrixSource.before_step`; a failure is told to the other ranks after the step.

        Args:
            optimizer: the one that is about to step.

        Source: elementary.
        """
        try:
            self._source.before_step(optimizer)
        except Exception as error:
            self._failure = error

    def measure(self, optimizer: Optimizer, step: int) -> tuple[list[Spectrum], dict[MatrixKey, Tensor]]:
        """The rows of an optimizer's step, on rank 0; the other ranks get none.

        Args:
            optimizer: the one that stepped.
            step: number of the step.

        Returns:
            the rows by layer and kind, and, where they are to be stored, the matrices.

        Raises:
            RuntimeError: another rank failed or was lost.

        Source: elementary.
        """  # noqa: DOC502  (raised by what it calls)
        failure, self._failure = self._failure, None
        layers = self._source.layers(optimizer)
        with self._talking():
            if any(layer.parameter not in self._layouts for layer in layers):
                self._plan(layers)
        kinds = [kind for kind in self._source.kinds if kind != "activation"]
        if "update" in kinds and "weight" not in kinds:
            kinds.append("weight")  # whose rounding is that of the update
        entries: list[_Entry] = []
        try:
            if failure is None:
                entries = [self._entry(layer, kind) for layer in layers for kind in kinds]
        except Exception as error:
            failure = error
        states = [float(each.state) for each in entries] or [0.0] * (len(layers) * len(kinds))
        dtypes = [float(_dtype_number(each.local)) for each in entries] or states
        with self._talking():
            table = self._agreement.table([float(failure is not None), *states, *dtypes])
        self._stop_together(failure, table[:, 0].any())
        rows, kept, failure = self._measured(entries, table[:, 1 : 1 + len(states)], table[:, 1 + len(states) :], step)
        if "activation" in self._source.kinds:
            inputs = self._inputs(layers, step)
            try:
                rows += measure(self._recorded_inputs(inputs))
            except Exception as error:
                failure = error
        with self._talking():
            told = self._agreement.gathered((rows, None if failure is None else str(failure)))
        self._stop_together(failure, any(text for _, text in told))
        place = {layer.name: i for i, layer in enumerate(layers)}
        order = {kind: i for i, kind in enumerate(self._source.kinds)}
        everything = [row for rows, _ in told for row in rows] if self.writes else []
        return sorted(everything, key=lambda row: (place[row.layer], order[row.kind])), kept

    def _plan(self, layers: Sequence[Layer]) -> None:
        parameters = [layer.parameter for layer in layers]
        planned = planned_layouts(parameters, [(0, {})] * len(layers), self._agreement, bit_equal=False)
        for layer, layout in zip(layers, planned, strict=True):
            own: Callable[[Tensor], int] | None = getattr(layer.optimizer, "owner", None)  # Sharded has whole matrices
            owner = 0 if self._all_on_first else layout.owner if own is None else own(layer.parameter)
            self._layouts[layer.parameter] = replace(layout, owner=owner)

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        """A lost rank is lost for good: waiting for it at every event would stop the training."""
        try:
            yield
        except RuntimeError:
            self.lost = True
            raise

    def _stop_together(self, failure: Exception | None, anyone: object) -> None:
        if failure is not None:
            raise failure
        if anyone:
            raise RuntimeError("the recorder of another rank failed, see its log: the event is dropped")

    def _entry(self, layer: Layer, kind: str) -> _Entry:
        parameter = layer.parameter
        mine = local_tensor(parameter)
        spread = hasattr(parameter, "full_tensor")
        if spread and mine.numel() == 0:
            return _Entry(layer, kind, _EMPTY, None)
        if kind == "gradient" and spread and parameter.grad is not None:
            return _Entry(layer, kind, _PART, placed_gradient(parameter))
        tensor = self._source.take(kind, layer)
        if tensor is None:
            return _Entry(layer, kind, _ABSENT, None)
        if tensor.layout != torch.strided:
            tensor = tensor.to_dense()
        if hasattr(tensor, "full_tensor"):
            return _Entry(layer, kind, _PART, local_tensor(tensor))
        return _Entry(layer, kind, _WHOLE, tensor.detach())

    def _measured(
        self, entries: Sequence[_Entry], states: Tensor, dtypes: Tensor, step: int
    ) -> tuple[list[Spectrum], dict[MatrixKey, Tensor], Exception | None]:
        """The rows this rank owns; a failure does not keep it from the transfers that the others wait for."""
        exchange = Exchange(
            self._agreement.group, self._agreement.device_group, self._agreement.rank, self._agreement.world_size
        )
        rows: list[Spectrum] = []
        kept: dict[MatrixKey, Tensor] = {}
        failure: Exception | None = None
        for chunk in _chunks(self._placed(entries, states, dtypes)):
            with self._talking():
                wholes = exchange.gather([(layout, local) for _, layout, local in chunk])
            found = [(entry, whole) for (entry, _, _), whole in zip(chunk, wholes, strict=True) if whole is not None]
            try:
                matrices = self._recorded(found, step)
                rows += measure(matrices)
                if self._all_on_first:
                    kept |= {each.key: each.matrix for each in matrices}
            except Exception as error:
                failure = error
        return rows, kept, failure

    def _placed(
        self, entries: Sequence[_Entry], states: Tensor, dtypes: Tensor
    ) -> Iterator[tuple[_Entry, Layout, Tensor]]:
        """Each entry that exists somewhere: its layout among the ranks, and this rank's part of it."""
        for entry, by_rank, numbers in zip(entries, states.T.int().tolist(), dtypes.T.int().tolist(), strict=True):
            layout = self._layouts[entry.layer.parameter]
            whole_on = [rank for rank, state in enumerate(by_rank) if state == _WHOLE]
            if whole_on:
                source = layout.owner if layout.owner in whole_on else whole_on[0]
                box = Box((0,) * len(layout.shape), layout.shape)
                layout = replace(layout, boxes=tuple(box if r == source else None for r in range(len(by_rank))))
            elif _ABSENT in by_rank or _PART not in by_rank:
                continue
            local = entry.local
            if local is None:
                dtype = _DTYPES[max(numbers)]
                local = torch.empty(0, dtype=dtype, device=local_tensor(entry.layer.parameter).device)
            elif whole_on:
                local = local.reshape(layout.shape)
            yield entry, layout, local

    def _recorded(self, found: Sequence[tuple[_Entry, Tensor]], step: int) -> list[RecordedMatrix]:
        weights = {entry.layer.name: whole for entry, whole in found if entry.kind == "weight"}
        recorded = []
        for (layer, kind, _, _), whole in found:
            key = MatrixKey(step, layer.name, kind)
            if kind not in self._source.kinds:
                continue
            rounded = weights.get(layer.name) if kind == "update" and resolves_updates(layer.parameter) else None
            sigma = lmo_spectrum(layer.optimizer, layer.parameter) if kind == "lmo_input" else None
            known = None if sigma is None else KnownSpectrum(sigma)
            recorded.append(RecordedMatrix(key, as_matrix(whole), rounded, known))
        return recorded

    def _inputs(self, layers: Sequence[Layer], step: int) -> list[tuple[MatrixKey, Tensor, int, torch.dtype]]:
        """Gram matrices, rows and dtypes of the inputs of all ranks' batches together, on the owners of the weights."""
        group, found = self._agreement.group, []
        gathered = [self._source.inputs_of(layer) for layer in layers]
        count = [0.0 if each is None else float(each.rows) for each in gathered]
        dtypes = [0.0 if each is None else float(_DTYPES.index(each.dtype)) for each in gathered]
        with self._talking():
            table = self._agreement.table([*count, *dtypes])
            for i, (layer, inputs) in enumerate(zip(layers, gathered, strict=True)):
                rows, owner = int(table[:, i].sum()), self._layouts[layer.parameter].owner
                if rows == 0:
                    continue
                columns = math.prod(layer.parameter.shape[1:])
                gram = torch.zeros(columns, columns, dtype=torch.float64) if inputs is None else inputs.gram().cpu()
                if group is not None:
                    dist.reduce(gram, dist.get_global_rank(group, owner), group=group)
                if owner == self._agreement.rank:
                    dtype = _DTYPES[int(table[:, len(layers) + i].max())]
                    found.append((MatrixKey(step, layer.name, "activation"), gram, rows, dtype))
        return found

    def _recorded_inputs(
        self, inputs: Sequence[tuple[MatrixKey, Tensor, int, torch.dtype]]
    ) -> Iterator[RecordedMatrix]:
        for key, gram, rows, dtype in inputs:
            shape = torch.empty(rows, len(gram), dtype=dtype, device="meta")
            yield RecordedMatrix(key, shape, known=KnownSpectrum(gram_spectrum(gram, rows), GRAM_RESOLUTION))


def _dtype_number(local: Tensor | None) -> int:
    """Number of a tensor's dtype; 0 where there is none, which the largest of the ranks overrules."""
    return 0 if local is None else _DTYPES.index(local.dtype)


def _chunks(
    placed: Iterator[tuple[_Entry, Layout, Tensor]],
) -> Iterator[list[tuple[_Entry, Layout, Tensor]]]:
    """The entries of a layer together, and layers up to a bounded size."""
    chunk: list[tuple[_Entry, Layout, Tensor]] = []
    size = 0
    for each in placed:
        new_layer = bool(chunk) and chunk[-1][0].layer.name != each[0].layer.name
        if new_layer and size > _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(each)
        size += math.prod(each[1].shape) * each[2].element_size()
    if chunk:
        yield chunk
