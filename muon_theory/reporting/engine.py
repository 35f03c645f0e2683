"""Where the cells of a study run: in this process, or in local processes with a cache.

A study sees one function, `map_cells(function, cells) -> DataFrame`, and nothing of what lies behind it. Whatever
offers that function (a cluster, a queue) can take the engine's place.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from muon_theory.reporting.cell_results import Origin, earlier_results, read_result, same_numbers, write_result
from muon_theory.reporting.fingerprint import canonical_json, cell_key, versions
from muon_theory.reporting.progress import progress
from muon_theory.reporting.source_hash import function_hash
from muon_theory.reporting.workers import Died, in_processes, one_thread

CellFunction = Callable[..., "pd.DataFrame | dict[str, Any] | list[dict[str, Any]]"]
Cell = Mapping[str, Any]


def serially(function: CellFunction, cells: Sequence[Cell]) -> pd.DataFrame:
    """Run cells one after the other in this process; the first exception is raised, as a debugger wants it.

    Args:
        function: called as `function(**cell)`; returns rows as a DataFrame, a dict or a list of dicts.
        cells: keyword arguments of each call, JSON values.

    Returns:
        The rows of all cells, in the order of the cells; list-valued columns hold numpy arrays.

    Source: elementary. A parameter that is not a JSON value raises TypeError before anything runs.

    >>> def square(x):
    ...     return {"x": x, "square": x * x}
    >>> serially(square, [{"x": 2}, {"x": 3}])
       x  square
    0  2       4
    1  3       9
    """
    tables = []
    for cell in cells:
        canonical_json(cell)
        with one_thread():
            tables.append(_as_arrow(function(**cell)))
    return _combined(tables)


class Engine:
    """Cells in local processes, one thread each, every finished cell kept on disk.

    A killed or interrupted run resumes where it stopped. A cell that raises, or whose process dies, becomes one row
    with its scalar parameters and the column `error`; it is not cached, so that the next run tries it again.

    Args:
        workers: number of processes; 1 runs the cells in this process.
        cache: folder of finished cells, or None to keep nothing.
        progress: show a bar on a terminal, lines elsewhere.
        context: what else the results depend on, e.g. the fingerprint of a data folder; part of the cache key.

        carry: take over cells of the cache that were computed by other code, once this many of a function's, chosen
            by the hash of their parameters, have been computed anew and every number but times (`*_s`) is the same, bit
            for bit; where one differs, all are computed anew. For changes meant to move no number: a sample cannot
            vouch for code that only other cells reach. None: never.

    Raises:
        ValueError: fewer than one worker, or carry < 1.

    Source: elementary.

    >>> Engine(workers=1, progress=False).map_cells(dict, [{"q": 1}, {"q": 2}])["q"].tolist()
    [1, 2]
    """

    def __init__(
        self,
        workers: int = 2,
        cache: Path | None = None,
        progress: bool = True,
        context: str = "",
        carry: int | None = None,
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers = {workers}: at least one process is needed")
        if carry is not None and carry < 1:
            raise ValueError(f"carry = {carry}: at least one cell must be computed anew")
        self.carry = carry
        self._confirmed: Counter[Path] = Counter()
        self._refuted: set[Path] = set()
        self.workers = workers
        self.cache = cache
        self.progress = progress
        self.context = context
        self.counts: Counter[str] = Counter()
        self.integer_columns: set[str] = set()

    def map_cells(self, function: CellFunction, cells: Sequence[Cell]) -> pd.DataFrame:
        """Run the cells, or read those already finished.

        Args:
            function: module-level function, called as `function(**cell)`; returns rows as a DataFrame, a dict or a list
                of dicts.
            cells: keyword arguments of each call, JSON values.

        Returns:
            The rows of all cells, in the order of the cells; list-valued columns hold numpy arrays. With a failed cell
            there is a column `error` (text, missing for good rows).

        Source: elementary. A parameter that is not a JSON value, or cells that give one column values that cannot be
        joined, raise TypeError; a function that is not at module level, so that its results have no name, ValueError.
        """
        origins = self._origins(function, cells)
        files = self._files(function, cells, origins)
        tables: dict[int, pa.Table] = {}
        for index, file in enumerate(files):
            if file is not None and (table := read_result(file)) is not None:
                tables[index] = table
        self.counts["cached"] += len(tables)
        missing = [index for index in range(len(cells)) if index not in tables]
        if self.carry is not None and missing:
            missing = self._carried(function, cells, files, origins, tables, missing)
        items = [(dict(cells[index]), files[index], origins[index]) for index in missing]
        errors: dict[int, str] = {}
        with progress(len(cells), _label(function), unit="cells", shown=self.progress, done=len(tables)) as bar:
            for position, outcome in in_processes(partial(run_cell, function), items, self.workers):
                index = missing[position]
                if isinstance(outcome, pa.Table):
                    tables[index] = outcome
                else:
                    errors[index] = outcome.reason if isinstance(outcome, Died) else outcome
                bar.advance()
        self.counts["computed"] += len(items) - len(errors)
        self.counts["failed"] += len(errors)
        columns = {field.name: field.type for table in tables.values() for field in table.schema}
        self.integer_columns |= {name for name, kind in columns.items() if pa.types.is_integer(kind)}
        tables |= {index: _error_row(cells[index], error, columns) for index, error in errors.items()}
        return _combined([tables[index] for index in range(len(cells))])

    def _origins(self, function: CellFunction, cells: Sequence[Cell]) -> list[Origin]:
        """What is kept with the result of each cell; checks the parameters, before anything runs."""
        texts = [canonical_json(cell) for cell in cells]
        code = "" if self.cache is None or not _named(function) else function_hash(function)
        return [Origin(text, self.context, canonical_json(versions()), code) for text in texts]

    def _files(self, function: CellFunction, cells: Sequence[Cell], origins: Sequence[Origin]) -> list[Path | None]:
        """The cache file of each cell."""
        if self.cache is None:
            return [None] * len(cells)
        if not _named(function):
            raise ValueError(f"{function!r} is not a module-level function, so its results cannot be cached by name")
        folder = self.cache / "cells" / f"{function.__module__}.{function.__qualname__}"
        keys = [cell_key(function, cell, o.code, o.context) for cell, o in zip(cells, origins, strict=True)]
        return [folder / f"{key}.parquet" for key in keys]

    def _carried(
        self,
        function: CellFunction,
        cells: Sequence[Cell],
        files: Sequence[Path | None],
        origins: Sequence[Origin],
        tables: dict[int, pa.Table],
        missing: Sequence[int],
    ) -> list[int]:
        """Take over results of other code that a sample computed anew confirms; returns what is still missing."""
        file = next((file for file in files if file is not None), None)
        if file is None or self.carry is None or file.parent in self._refuted:
            return list(missing)
        earlier = earlier_results(file.parent)
        found = {index: earlier[origins[index][:3]] for index in missing if origins[index][:3] in earlier}
        wanted = max(0, self.carry - self._confirmed[file.parent])
        sample = sorted(found, key=lambda index: hashlib.sha256(origins[index].cell.encode()).digest())[:wanted]
        items = [(dict(cells[index]), files[index], origins[index]) for index in sample]
        for position, outcome in in_processes(partial(run_cell, function), items, self.workers):
            index = sample[position]
            if isinstance(outcome, pa.Table):
                tables[index] = outcome
                self.counts["computed"] += 1
            if not isinstance(outcome, pa.Table) or not same_numbers(outcome, found[index]):
                self._refuted.add(file.parent)  # for the study's later cells of this function, too
                return [index for index in missing if index not in tables]
            self._confirmed[file.parent] += 1
        for index in found.keys() - set(sample):
            tables[index] = found[index]
            write_result(files[index], found[index], origins[index])
            self.counts["carried"] += 1
        return [index for index in missing if index not in tables]


def run_cell(function: CellFunction, item: tuple[dict[str, Any], Path | None, Origin]) -> pa.Table | str:
    """Run one cell and store it: what a worker does.

    Args:
        function: the cell's function.
        item: its keyword arguments, its cache file or None, and what is kept with the result.

    Returns:
        The rows, or the text of the exception.

    Source: elementary.
    """
    cell, file, origin = item
    try:
        # Another run, or this cell's first life before its pool broke, may have finished it meanwhile.
        if file is not None and (table := read_result(file)) is not None:
            return table
        table = _as_arrow(function(**cell))
    except (
        Exception,
        SystemExit,
    ) as exception:  # a study's own code may raise anything; it must become a row, not a crash
        return _one_line(exception)
    write_result(file, table, origin)
    return table


def _named(function: CellFunction) -> bool:
    """Whether a function is found again by its module and name."""
    name = getattr(function, "__qualname__", "")
    return bool(name) and "<" not in name


def _as_arrow(rows: Any) -> pa.Table:
    """Rows as an Arrow table, so that a fresh result and a cached one are the same thing."""
    if isinstance(rows, Mapping):
        rows = [rows]
    if isinstance(rows, list):
        rows = pd.DataFrame(rows)
    if not isinstance(rows, pd.DataFrame):
        raise TypeError(f"a cell returned {type(rows).__name__}; it returns a DataFrame, a dict or a list of dicts")
    if "error" in rows.columns:
        raise ValueError("the column name `error` is taken by failed cells; call it what it is, e.g. `worst_error`")
    table = pa.Table.from_pandas(rows, preserve_index=False)
    return table.replace_schema_metadata(None)


def _combined(tables: Sequence[pa.Table]) -> pd.DataFrame:
    """All rows in one table; integers widen to floats, and missing columns are missing values."""
    filled = [table.replace_schema_metadata(None) for table in tables if table.num_rows]
    if not filled:
        return pd.DataFrame()
    try:
        joined = pa.concat_tables(filled, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as mismatch:
        raise TypeError(f"cells disagree on the type of a column: {mismatch}") from mismatch
    for position, column in enumerate(joined.schema):
        if pa.types.is_null(column.type):
            joined = joined.set_column(position, column.name, joined.column(position).cast(pa.float64()))
    return joined.to_pandas()


def _error_row(cell: Cell, error: str, columns: Mapping[str, pa.DataType]) -> pa.Table:
    """The row of a failed cell: its scalar parameters, but for those whose name is a column of another type."""

    def joins(name: str, value: Any) -> bool:
        own = pa.schema([(name, pa.scalar(value).type)])
        try:
            pa.unify_schemas([own, pa.schema([(name, columns.get(name, pa.null()))])], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            return False
        return True

    scalars = {name: value for name, value in cell.items() if isinstance(value, str | int | float | None)}
    scalars = {name: value for name, value in scalars.items() if joins(name, value)}
    return pa.Table.from_pylist([{**scalars, "error": error}])


def _one_line(exception: BaseException) -> str:
    """An exception in one line, with the place it was raised at."""
    frames = traceback.extract_tb(exception.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(exception).__name__}: {' '.join(str(exception).split())}{place}"


def _label(function: CellFunction) -> str:
    """What the progress display calls the work."""
    module = sys.modules.get(getattr(function, "__module__", ""))
    return getattr(module, "__name__", "cells").rpartition(".")[2]
