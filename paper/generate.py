"""Write paper/generated: every number, table and verdict that the manuscript quotes, from the claims and from figures/.

Run by `make paper`. The claims of the fast, medium and slow tiers are checked (read from the cache where they are
known for this very code), those of studies are read from figures/; `results.py` says which number of which study's
table stands behind each name that the text uses.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results import RESULTS, Figures

from muon_theory.cli.screen import cache_folder, cores
from muon_theory.reporting.claim_check import check_claims
from muon_theory.reporting.claim_rows import Row
from muon_theory.reporting.claim_table import short_number, tightest
from muon_theory.reporting.constants import constants
from muon_theory.reporting.stored_claims import stored_claims
from muon_theory.rooms import load_rooms

HERE = Path(__file__).resolve().parent
METHODS = {
    "exact rational": "exact rational arithmetic",
    "certified interval": "ball arithmetic",
    "linear program": "linear program with a certificate",
    "float64 evaluation": "float64 evaluation",
    "property test": "property test",
    "simulation": "seeded simulation",
    "training run": "training runs",
}
SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_\allowbreak{}", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--",
    **{letter: rf"\ensuremath{{{command}}}" for letter, command in (
        ("<", "<"), (">", ">"), ("≤", r"\le"), ("≥", r"\ge"), ("²", "^2"), ("×", r"\times"), ("√", r"\surd"),
        ("σ", r"\sigma"), ("μ", r"\mu"), ("λ", r"\lambda"), ("η", r"\eta"), ("κ", r"\kappa"), ("ε", r"\varepsilon"),
    )},
}  # fmt: skip


def escaped(text: str) -> str:
    """Plain text as LaTeX."""
    return "".join(SPECIAL.get(letter, letter) for letter in " ".join(text.split()))


def results(figures: Figures) -> str:
    """One definition per named result; a name the text uses and this file lacks stops the build."""
    lines = ["% Written by generate.py from the tables in figures/."]
    for name, value in RESULTS.items():
        lines.append(rf"\expandafter\def\csname result@{name}\endcsname{{{value(figures)}}}")
    return "\n".join(lines) + "\n"


def counts(rows: Sequence[Row]) -> str:
    """The table of rooms: claims, how they are checked and what came out."""
    lines = [r"\begin{tabular}{lrrrr}", r"\toprule", r"room & claims & hold & refuted & undecided \\", r"\midrule"]
    rooms = sorted({row["room"].split("/")[0] for row in rows})
    for room in rooms:
        verdicts = Counter(row["verdict"] for row in rows if row["room"].split("/")[0] == room)
        cells = [verdicts.total(), *(verdicts[name] for name in ("holds", "refuted", "undecided"))]
        lines.append(escaped(room.replace("_", " ")) + " & " + " & ".join(map(str, cells)) + r" \\")
    verdicts = Counter(row["verdict"] for row in rows)
    cells = [verdicts.total(), *(verdicts[name] for name in ("holds", "refuted", "undecided"))]
    lines += [r"\midrule", "all & " + " & ".join(map(str, cells)) + r" \\", r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def methods(rows: Sequence[Row]) -> str:
    """How many claims each method checks."""
    tally = Counter(row["method"] for row in rows)
    lines = [r"\begin{tabular}{lr}", r"\toprule", r"method & claims \\", r"\midrule"]
    lines += [f"{METHODS[name]} & {number}" + r" \\" for name, number in tally.most_common()]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def refuted(rows: Sequence[Row], attributions: Sequence[str]) -> str:
    """The refuted statements of some attributions, with the number that refutes each."""
    lines = [
        r"\begin{longtable}{@{}P{.11\linewidth}P{.42\linewidth}P{.24\linewidth}P{.15\linewidth}@{}}", r"\toprule",
        r"id & statement & source & found \\", r"\midrule", r"\endhead",
    ]  # fmt: skip
    for row in rows:
        if row["verdict"] == "refuted" and row["attribution"] in attributions:
            measured, predicted = tightest(row)
            found = f"{short_number(measured)}, stated {row['relation']} {short_number(predicted)}"
            lines.append(" & ".join(map(escaped, (row["id"], row["statement"], row["source"], found))) + r" \\[2pt]")
    return "\n".join([*lines, r"\bottomrule", r"\end{longtable}"]) + "\n"


def constants_part(rows: Sequence[Row]) -> str:
    """The table printed / provable / attained / observed."""
    lines = [
        r"\begin{longtable}{@{}P{.11\linewidth}P{.34\linewidth}rrrrr@{}}", r"\toprule",
        r"id & statement & printed & provable & attained & ratio & observed \\", r"\midrule", r"\endhead",
    ]  # fmt: skip
    for row in constants(rows):
        numbers = [short_number(row[name]) for name in ("printed", "provable", "attained", "ratio", "observed")]
        lines.append(" & ".join(map(escaped, (row["id"], row["statement"], *numbers))) + r" \\[2pt]")
    return "\n".join([*lines, r"\bottomrule", r"\end{longtable}"]) + "\n"


def written(rows: Sequence[Row], figures: Figures, folder: Path) -> None:
    """Write all parts."""
    folder.mkdir(exist_ok=True)
    parts: dict[str, str] = {
        "results": results(figures),
        "counts": counts(rows),
        "methods": methods(rows),
        "refuted_printed": refuted(rows, ("printed",)),
        "refuted_other": refuted(rows, ("relayed", "implied", "folklore", "ours")),
        "constants": constants_part(rows),
    }
    verdicts: Counter[Any] = Counter(row["verdict"] for row in rows)
    named = {"claims": len(rows), "hold": verdicts["holds"], "refuted": verdicts["refuted"]}
    named["undecided"] = verdicts["undecided"]
    named["printedrefuted"] = sum(row["verdict"] == "refuted" and row["attribution"] == "printed" for row in rows)
    parts["results"] += "".join(
        f"\\expandafter\\def\\csname result@count.{k}\\endcsname{{{v}}}\n" for k, v in named.items()
    )
    for name, text in parts.items():
        (folder / f"{name}.tex").write_text(text, encoding="utf-8")


def main() -> None:
    """Check the claims and write the parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tiers", nargs="*", default=["fast", "medium", "slow"], help="tiers of claims to check")
    tiers = parser.parse_args().tiers
    claims = [(room, claim) for room, stated in load_rooms(None).items() for claim in stated if claim.tier in tiers]
    rows = check_claims(claims, cache=cache_folder(), workers=cores()) + stored_claims(HERE.parent / "figures")
    known = [row for row in rows if row["verdict"] not in ("stale", "not_run")]
    if len(known) < len(rows):
        old = sorted({row["room"] for row in rows if row["verdict"] in ("stale", "not_run")})
        sys.stderr.write(f"left out, because their code changed since they were run: {', '.join(old)}\n")
    written([row for row in known if row["tag"] is None], Figures(HERE.parent / "figures"), HERE / "generated")


if __name__ == "__main__":
    main()
