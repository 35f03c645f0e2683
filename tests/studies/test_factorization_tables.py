"""The claims on the numbers of the notes, on a table that was made up: each kind of entry can fail."""

import pandas as pd

from studies.preconditioning._table_claims import CHANCE, FIXED, GRID, table_claims


def _verdicts(determined: float, tuned: float, drawn: float) -> dict[str, tuple[str, ...]]:
    """Verdicts where the notes say 100, the determined and the tuned entry are as given, the drawn one's range too."""
    rows = [(FIXED, determined, None, None, None), (GRID, 120.0, tuned, tuned, tuned),
            (CHANCE, 110.0, 101.0, 90.0, drawn)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["note", "ours", "found", "found_lowest", "found_highest"])
    table = table.assign(published=100.0, relative_difference=table["ours"] / 100 - 1)
    results = {claim.id: claim.check() for claim in table_claims(table, "T")}
    return {name: (result.verdict, *result.mutation_verdicts) for name, result in results.items()}


def test_each_kind_of_entry_is_checked_and_can_fail():
    assert _verdicts(105.0, 96.0, 130.0) == dict.fromkeys(("T", "T-GRID", "T-RANGE"), ("holds", "refuted"))
    assert _verdicts(94.0, 96.0, 130.0)["T"][0] == "refuted"
    assert _verdicts(105.0, 106.0, 130.0)["T-GRID"][0] == "refuted"
    assert _verdicts(105.0, 96.0, 99.0)["T-RANGE"][0] == "refuted"
