"""The batch size up to which the rate of Kim and Oh wastes no samples."""

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.critical_batch.batch_size import kim_oh_critical_batch, kim_oh_samples

GRID = np.geomspace(1, 1e6, 180_000)
SETTINGS = {
    "large gap": {"gap": 10.0, "rank": 8, "noise": 1.0, "goal": 0.1, "chi": 1.2},
    "small gap": {"gap": 0.01, "rank": 64, "noise": 1.0, "goal": 0.1, "chi": 1.0},
    "middle gap": {"gap": 0.05, "rank": 64, "noise": 1.0, "goal": 0.1, "chi": 1.0},
}
SPACING = "spacing of the grid of batch sizes, 8e-5"


def _end_of_flatness(name: str, sharp: bool) -> float:
    """The largest batch of the grid that needs no more samples than the smallest."""
    samples = kim_oh_samples(GRID, **SETTINGS[name], sharp=sharp)
    return float(GRID[samples <= samples[0] * (1 + 1e-12)].max())


def _printed_term(both: bool = True) -> Finding:
    names = ("large gap", "small gap")
    predicted = [
        kim_oh_critical_batch(**SETTINGS[name]) if both else _first(**SETTINGS[name]) for name in names
    ]  # fmt: skip
    return Finding(predicted, [_end_of_flatness(name, sharp=False) for name in names])


def _sharp_term(sharp: bool = True) -> Finding:
    """With r sigma^2 in the middle term: the first entry alone, wherever chi^2 L D >= goal^2."""
    names = ("large gap", "middle gap")
    return Finding([_first(**SETTINGS[name]) for name in names], [_end_of_flatness(name, sharp) for name in names])


def _first(*, gap: float, rank: int, noise: float, goal: float, chi: float) -> float:
    return rank * noise**2 * chi**2 / goal**2 if gap else 0.0


def claims() -> list[Claim]:
    """The claims on the critical batch size of Kim and Oh's rate.

    Returns:
        Rows CB-13 and CB-18.

    Source: see each row.
    """
    return [
        Claim(id="CB-13", statement="Kim and Oh's samples are flat in B up to max{r s^2 chi^2/e^2, r^2 s^2/(LD)}",
              source="derived here from arXiv 2601.19156, Theorem 1", relation="==", method="float64 evaluation",
              evaluate=_printed_term, mutations=(Mutation("the first entry alone", {"both": False}),),
              expected="holds", attribution="ours", relative_tolerance=1e-3, tolerance_reason=SPACING),
        Claim(id="CB-18", statement="with the sharp start term (r s^2 for r^2 s^2) B_crit = r s^2 chi^2/e^2 whenever "
              "chi^2 L D >= e^2", source="derived here (claim KO-K3-SR)", relation="==", method="float64 evaluation",
              evaluate=_sharp_term, mutations=(Mutation("r^2 s^2 back", {"sharp": False}),), expected="holds",
              attribution="ours", relative_tolerance=1e-3, tolerance_reason=SPACING),
    ]  # fmt: skip
