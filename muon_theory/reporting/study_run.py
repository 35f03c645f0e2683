"""One run of a study: compute, tabulate, draw, check its claims, and say where the result comes from."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from muon_theory.reporting.study import Study

if TYPE_CHECKING:
    import pandas as pd

PROFILE_DATASET = {"full": "mnist", "quick": "digits"}
"""Data set of each profile, where a study reads one and its signature names no other."""
DATA_VARIABLE = "MUON_THEORY_DATA"


@dataclass(frozen=True)
class Settings:
    """How a study is to be run.

    Args:
        quick: the quick profile, on bundled data.
        seed: seed of everything random in the study.
        dataset: data set, or None for the profile's own.
        data: folder of data sets, or None for the usual one.
        options: further keyword arguments of the study's `compute`.
        workers: number of processes.
        cache: folder of finished cells, or None.
        progress: show progress.
        carry: take over results of other code once so many cells computed anew agree with them, see `Engine`.

    Source: elementary.
    """

    quick: bool = False
    seed: int = 0
    dataset: str | None = None
    data: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 2
    cache: Path | None = None
    progress: bool = True
    carry: int | None = None


@dataclass(frozen=True)
class Run:
    """What a run left.

    Args:
        folder: where its files lie.
        table: its rows; failed cells are rows with `error`.
        errors: text of each failed cell.
        claims: rows of the study's claims, as in `muon-theory check --json`.
        seconds: wall time in s.
        counts: cells `computed`, `cached`, `carried` over from other code, `failed`.

    Source: elementary.
    """

    folder: Path
    table: pd.DataFrame
    errors: list[str]
    claims: list[dict[str, Any]]
    seconds: float
    counts: Mapping[str, int]


def results_folder(study: Study, settings: Settings, out: Path) -> Path:
    """Where the results of a run go: only the standard run of a profile takes the study's own folder.

    Args:
        study: the study.
        settings: how it is run.
        out: folder of all figures.

    Returns:
        `out/<study>[/quick][/<dataset>][/seed=1,option=value]`.

    Source: elementary.

    >>> study = Study("polar/q_and_degree", "studies.polar.q_and_degree", Path("q_and_degree.py"))
    >>> results_folder(study, Settings(quick=True, seed=1), Path("figures")).as_posix()
    'figures/polar/q_and_degree/quick/seed=1'
    """
    folder = out / study.name
    if settings.quick:
        folder /= "quick"
    if settings.dataset not in (None, PROFILE_DATASET["quick" if settings.quick else "full"]):
        folder /= str(settings.dataset)
    changed = {"seed": settings.seed} if settings.seed else {}
    changed |= settings.options
    text = ",".join(f"{name}={value}" for name, value in changed.items())
    if text:
        readable = re.fullmatch(r"[\w=,.+\-]{1,80}", text)
        folder /= text if readable else "options-" + hashlib.sha256(text.encode()).hexdigest()[:8]
    return folder


def run_study(study: Study, settings: Settings, out: Path) -> Run:
    """Run a study: compute its table, write it with its provenance, draw the figure, check its claims.

    Args:
        study: the study.
        settings: how to run it.
        out: folder of all figures.

    Returns:
        What the run left; the folder holds table.csv, run.json, figure.pdf, figure.png and, if the study has claims,
        claims.json. When every cell failed there is no figure.

    Raises:
        RuntimeError: the figure cannot be drawn; its table is written.

    Source: elementary. An unknown option, an unwritable folder or a missing data folder raise ValueError before
    anything is computed.
    """
    from muon_theory.reporting.engine import Engine
    from muon_theory.reporting.provenance import run_record, write_json
    from muon_theory.reporting.style import draw
    from muon_theory.reporting.table import write_table

    start = time.perf_counter()
    module = study.load()
    arguments = _arguments(module, study, settings)
    folder = results_folder(study, settings, out)
    _must_be_writable(folder)
    with _data_folder(settings.data):
        data = _data_files(arguments.get("dataset"))
        engine = Engine(settings.workers, settings.cache, settings.progress, json.dumps(data), settings.carry)
        table = module.compute(**arguments, map_cells=engine.map_cells)
    failed = table["error"].notna() if "error" in table else None
    errors = [] if failed is None else table.loc[failed, "error"].tolist()
    good = table if failed is None else _good_rows(table[~failed], engine.integer_columns)
    write_table(table, folder)
    claims: list[dict[str, Any]] = []
    if not good.empty:
        try:
            draw(module.figure, good, folder)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise RuntimeError(f"the figure of {study.name} failed ({reason}); its table is in {folder}") from error
        claims = _claims(module, study, good)
    seconds = time.perf_counter() - start
    record = run_record(
        study.name,
        module,
        profile="quick" if settings.quick else "full",
        parameters=arguments,
        data=data,
        cells=dict(engine.counts),
        rows=len(table),
        workers=settings.workers,
        seconds=round(seconds, 1),
    )
    if hasattr(module, "claims"):
        kept = {key: record[key] for key in ("format_version", "study", "code", "profile", "parameters")}
        write_json(folder / "claims.json", {**kept, "claims": claims})
    write_json(folder / "run.json", record)
    return Run(folder, table, errors, claims, seconds, dict(engine.counts))


def study_options(module: ModuleType) -> dict[str, Any]:
    """The options of a study: keyword arguments of its `compute` beyond those that every study has.

    Args:
        module: the study's module.

    Returns:
        Name to default.

    Source: elementary.
    """
    known = inspect.signature(module.compute).parameters
    return {name: known[name].default for name in known if name not in ("seed", "quick", "map_cells")}


def _arguments(module: ModuleType, study: Study, settings: Settings) -> dict[str, Any]:
    """Keyword arguments of `compute`, checked against its signature."""
    arguments: dict[str, Any] = {"seed": settings.seed, "quick": settings.quick}
    wanted = dict(settings.options)
    if settings.dataset is not None:
        wanted["dataset"] = settings.dataset
    options = study_options(module)
    for name in wanted:
        if name not in options:
            offered = ", ".join(f"{key}={default}" for key, default in options.items()) or "none"
            raise ValueError(f"{study.name} has no option {name!r}; its options: {offered}")
    if "dataset" in options:
        arguments["dataset"] = options["dataset"] or PROFILE_DATASET["quick" if settings.quick else "full"]
    return arguments | wanted


def _good_rows(table: pd.DataFrame, integer_columns: set[str]) -> pd.DataFrame:
    """The rows as they would be had no cell failed: the missing values of a failed row turn integers into floats."""
    good = table.drop(columns="error").reset_index(drop=True).infer_objects()
    for name in integer_columns.intersection(good.columns):
        if good[name].dtype == "float64" and bool((good[name] % 1 == 0).to_numpy().all()):
            good[name] = good[name].astype("int64")
    return good


def _claims(module: ModuleType, study: Study, table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the study's own claims."""
    from muon_theory.reporting.claim_check import claim_row

    return [claim_row(study.name, claim) for claim in module.claims(table)] if hasattr(module, "claims") else []


def _must_be_writable(folder: Path) -> None:
    """Fail before the computation, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"cannot write to {folder} ({error.strerror}); name another folder with --out") from error


@contextmanager
def _data_folder(data: Path | None) -> Iterator[None]:
    """Let the cells, in this process and in workers, find the data in this folder."""
    before = os.environ.get(DATA_VARIABLE)
    if data is not None:
        if not data.is_dir():
            raise ValueError(f"--data {data}: no such folder; `muon-theory fetch mnist --data {data}` fills it")
        os.environ[DATA_VARIABLE] = str(data.resolve())
    try:
        yield
    finally:
        if data is not None:
            os.environ.pop(DATA_VARIABLE)
            if before is not None:
                os.environ[DATA_VARIABLE] = before


def _data_files(dataset: Any) -> dict[str, str]:
    """SHA-256 of the files of a data set: results are not reused for other data of the same name."""
    if dataset in (None, "digits"):
        return {}
    from muon_theory.problems import data_folder
    from muon_theory.problems.data_sets import DATA_SETS

    known = DATA_SETS.get(str(dataset))
    folder = data_folder() / (str(dataset) if known is None else known.folder)
    files = [file for file in sorted(folder.glob("*")) if file.is_file()]
    if not files:
        fetched = " and ".join(f"`muon-theory fetch {name}`" for name in DATA_SETS)
        raise ValueError(f"no data set {dataset!r} in {folder}; {fetched} get what there is, digits is bundled")
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
