"""A comparison under the tuning contract: the same search for every rule, then paired runs on seeds of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from muon_theory.training.comparison import paired_difference
from muon_theory.training.tuning import Grid, learning_rates, tune

MapCells = Callable[[Any, list[dict[str, Any]]], pd.DataFrame]


def tuned_runs(
    cell: Callable[..., Any],
    compared: Sequence[Mapping[str, Any]],
    start: Mapping[str, float],
    grids: Mapping[str, Grid],
    *,
    shared: Mapping[str, Any],
    tuning_seeds: Sequence[int],
    seeds: Sequence[int],
    windows: int,
    map_cells: MapCells,
    refined: str | None = None,
) -> pd.DataFrame:
    """Tune every configuration by the same search, then run each with its own best on the paired seeds.

    The search is `tune`'s, by the mean of the final test loss over the tuning seeds; `refined` names the hyperparameter
    that is searched once more at the end, with the others at their best, in steps of sqrt(2) and until its optimum is
    interior again.

    Args:
        cell: `cell(**configuration, **hyperparameters, **shared, seed=..., windows=...)`, rows of one run with a column
            test_loss; one row for windows=1.
        compared: the configurations.
        start: initial value of every hyperparameter.
        grids: grid of each hyperparameter, in the order of the search.
        shared: further arguments of all cells.
        tuning_seeds: seeds of the tuning trials.
        seeds: seeds of the paired runs, none of them a tuning seed.
        windows: rows of each of the paired runs.
        map_cells: the engine's function.
        refined: a positive hyperparameter, or None.

    Returns:
        The rows of all cells, without repetitions; the column phase tells "tuning" from "runs".

    Raises:
        ValueError: if a seed is in both lists, or the search does not end, see `tune`.

    Source: elementary; the contract is this project's.
    """
    if not set(seeds).isdisjoint(tuning_seeds):
        raise ValueError(f"seeds {sorted(set(seeds) & set(tuning_seeds))} are among the tuning seeds; keep them apart")
    trials: list[pd.DataFrame] = []

    def losses(candidates: list[dict[str, Any]]) -> list[float]:
        cells = [{**c, **shared, "seed": seed, "windows": 1} for c in candidates for seed in tuning_seeds]
        table = map_cells(cell, cells)
        trials.append(table)
        values, each = table["test_loss"].tolist(), len(tuning_seeds)
        means = [sum(values[i : i + each]) / each for i in range(0, len(values), each)]
        return [value if math.isfinite(value) else math.inf for value in means]

    tuned = [{**c, **best} for c, best in zip(compared, tune(losses, compared, start, grids), strict=True)]
    if refined is not None:
        nearby = {"factor": learning_rates(1.0, count=3, factor=2**0.5)}

        def rescaled(candidates: list[dict[str, Any]]) -> list[float]:
            return losses([_times(candidate, refined) for candidate in candidates])

        factors = tune(rescaled, tuned, {"factor": 1.0}, nearby)
        tuned = [_times({**c, **factor}, refined) for c, factor in zip(tuned, factors, strict=True)]
    runs = map_cells(cell, [{**c, **shared, "seed": seed, "windows": windows} for c in tuned for seed in seeds])
    tuning = pd.concat(trials, ignore_index=True).drop_duplicates(ignore_index=True)
    return pd.concat([tuning.assign(phase="tuning"), runs.assign(phase="runs")], ignore_index=True)


def _times(candidate: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A candidate with its factor multiplied into a hyperparameter."""
    rest = {key: value for key, value in candidate.items() if key != "factor"}
    return rest | {name: candidate[name] * candidate["factor"]}


def final_losses(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Test loss at the end of the paired runs.

    Args:
        table: what `tuned_runs` returned.
        by: columns that name a configuration.

    Returns:
        One row a seed, one column a configuration; inf where a run diverged.

    Source: elementary.

    >>> rows = [{"k": k, "seed": s, "step": t, "test_loss": k + t, "phase": "runs"} for k in (1, 2) for s in (0, 1)
    ...         for t in (4, 9)]
    >>> final_losses(pd.DataFrame(rows), ["k"]).to_numpy().tolist()
    [[10, 11], [10, 11]]
    """
    runs = table.query("phase == 'runs'")
    last = runs.sort_values("step").groupby([*by, "seed"])["test_loss"].last()
    return pd.DataFrame(last.unstack(list(by)))


def differences_to(losses: pd.DataFrame, reference: Hashable) -> pd.DataFrame:
    """Paired difference of every configuration's loss to a reference's, with its word.

    Args:
        losses: what `final_losses` returned.
        reference: the column that the others are compared with.

    Returns:
        DataFrame indexed as the columns of `losses`, the reference included with zeros: mean, lower, upper (nats,
        95 %) and word.

    Source: Student 1908 (the interval).

    >>> differences_to(pd.DataFrame({"a": [1.0, 1.1], "b": [3.0, 3.11]}), "a").word.tolist()
    ['undecided', 'worse']
    """
    found = {name: paired_difference(losses[name].tolist(), losses[reference].tolist()) for name in losses.columns}
    rows = [{"mean": d.mean, "lower": d.lower, "upper": d.upper, "word": d.word} for d in found.values()]
    return pd.DataFrame(rows, index=losses.columns)
