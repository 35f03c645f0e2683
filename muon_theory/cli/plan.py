"""`muon-theory plan`."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muon_theory.cli.screen import complain, screen

if TYPE_CHECKING:
    from muon_theory.polar import Plan, PlanOption

USUAL = ("jordan_2024", 5)
"""What most Muons run; shown beside a plan."""

PLAN_HELP = """Find the cheapest Newton-Schulz iteration that is accurate enough for a recorded run.

Weighs every published coefficient set and the Taylor steps, 1 to --most-steps steps, dtypes, and the dense and the Gram
form. Accurate enough: an alignment deficit of at most --tolerance on a --share of the recorded matrices that were
orthogonalized. Costs are the flops of the matrix products over the speed of the dtype; the deficit is that of the
scalar map plus a modelled rounding floor of the dtype. Exit status 1 where nothing is accurate enough.
"""


def register(app: typer.Typer) -> None:
    """Add the command.

    Args:
        app: the application.

    Source: elementary.
    """
    app.command("plan", help=PLAN_HELP, short_help="Find the cheapest accurate iteration for a recorded run.")(_plan)


def _plan(
    folder: Annotated[Path, typer.Argument(help="Folder of a recording.")],
    tolerance: Annotated[float, typer.Option(help="Largest alignment deficit.")] = 0.01,
    share: Annotated[float, typer.Option(help="Share of the recorded matrices that must stay within it.")] = 0.99,
    overshoot: Annotated[float, typer.Option(help="Largest overshoot (singular values up to 1 + this).")] = 0.2,
    layer: Annotated[str | None, typer.Option(help="Only layers whose name contains this.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Only this coefficient set [repeatable].")] = None,
    most_steps: Annotated[int, typer.Option(min=1, help="Most steps to weigh.")] = 10,
    dtype: Annotated[list[str] | None, typer.Option(help="Only this dtype [default: float32, bfloat16].")] = None,
    speed: Annotated[
        list[str] | None, typer.Option(metavar="DTYPE=NUMBER", help="Speed of a dtype's products relative to float32.")
    ] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Measure the speeds on this machine.")] = False,
    device: Annotated[str, typer.Option(help="Device that --measure measures.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Plan for a recording and say what doing less would lose."""
    from muon_theory.polar.planner import default_methods
    from muon_theory.recorder import read_spectra
    from muon_theory.recorder.alignment import plan_recording
    from muon_theory.reporting.progress import progress

    table: Any = read_spectra(folder)
    if table.empty:
        raise ValueError(f"{folder} holds no recorded spectra")
    if layer is not None:
        chosen = table.layer.str.contains(layer, regex=False)
        if not chosen.any():
            raise ValueError(f"--layer {layer}: recorded are {', '.join(sorted(set(table.layer)))}")
        table = table[chosen]
    dtypes = tuple(dict.fromkeys(dtype)) if dtype else ("float32", "bfloat16")
    speeds, unit = _speeds(dtypes, speed or [], table, device if measure else None)
    methods = list(dict.fromkeys(method)) if method else default_methods()
    with progress(len(methods), "plan", unit="sets", shown=sys.stderr.isatty()) as bar:
        found, kind = plan_recording(
            table, tolerance=tolerance, share=share, overshoot=overshoot, methods=methods,
            most_steps=most_steps, dtypes=dtypes, speeds=speeds, progress=lambda *_: bar.advance(),
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(_as_data(found, kind, speeds, unit), indent=1, allow_nan=False))
    else:
        _show(found, kind, speeds, unit, table)
    if found.chosen is None:
        best = min(found.doing_less(), key=lambda option: option.deficit, default=None)
        closest = "" if best is None else f"; the closest, {best}, reaches {best.deficit:.2g}"
        complain(f"nothing keeps the deficit within {tolerance:g} on {100 * share:g} %{closest}")
        raise typer.Exit(1)


def _speeds(dtypes: tuple[str, ...], given: list[str], table: Any, device: str | None) -> tuple[dict[str, float], str]:
    """Speed of each dtype, and the unit that makes costs."""
    from muon_theory.polar.planner import SPEEDS

    unknown = [name for name in dtypes if name not in SPEEDS]
    if unknown:
        raise ValueError(f"--dtype {unknown[0]}: choose of {', '.join(SPEEDS)}")
    if device is not None:
        if given:
            raise ValueError("give --speed or --measure, not both")
        largest = max(zip(table["rows"], table["columns"], strict=True), key=lambda shape: shape[0] * shape[1])
        return {name: _measured(name, largest, device) for name in dtypes}, "ms"
    speeds = {name: SPEEDS[name] for name in dtypes}
    for text in given:
        name, _, number = text.partition("=")
        try:
            speeds[name] = float(number)
        except ValueError:
            raise ValueError(f"--speed {text}: give it as DTYPE=NUMBER, e.g. bfloat16=8") from None
        if name not in SPEEDS or not speeds[name] > 0:
            raise ValueError(f"--speed {text}: DTYPE is one of {', '.join(SPEEDS)}, NUMBER is positive")
    return speeds, "float32 Mflop"


def _measured(dtype: str, shape: tuple[int, int], device: str) -> float:
    """Flops a second of X X^T for matrices of a shape, the best of a few."""
    import torch

    n, m = sorted(int(size) for size in shape)
    X = torch.randn(n, m, device=device).to(getattr(torch, dtype))
    best = float("inf")
    until = time.perf_counter() + 0.3
    while time.perf_counter() < until:
        start = time.perf_counter()
        product = X @ X.mT
        product[0, 0].item()  # waits for the device
        best = min(best, time.perf_counter() - start)
    return 2.0 * n * n * m / best


def _as_data(found: Plan, kind: str, speeds: dict[str, float], unit: str) -> dict[str, Any]:
    """A plan as plain data; a number that is not finite becomes null."""
    measured = unit == "ms"
    return {
        "kind": kind,
        "tolerance": found.tolerance,
        "share": found.share,
        "overshoot": None if found.overshoot == float("inf") else found.overshoot,
        "matrices": found.count,
        "left_out": found.left_out,
        "speeds": speeds,
        "cost_unit": "seconds a matrix" if measured else "float32 flops a matrix",
        "chosen": None if found.chosen is None else _option(found.chosen),
        "doing_less": [_option(option) for option in found.doing_less()],
        "options": [_option(option) for option in found.options],
    }


def _option(option: PlanOption) -> dict[str, Any]:
    values = asdict(option)
    return {k: None if isinstance(v, float) and v - v != 0 else v for k, v in values.items()}


def _show(found: Plan, kind: str, speeds: dict[str, float], unit: str, table: Any) -> None:
    """The plan and the table of what doing less loses."""
    from rich.table import Table

    console = screen()
    shapes = sorted({(int(m), int(n)) for m, n in zip(table["rows"], table["columns"], strict=True)})
    out = f", {found.left_out} left out (zero, or NaN)" if found.left_out else ""
    console.print(f"{found.count} matrices of kind {kind}, {len(shapes)} shapes{out}", soft_wrap=True)
    if kind != "lmo_input":
        console.print(f"no LMO input was recorded: {kind} stands for what is orthogonalized", soft_wrap=True)
    if found.chosen is not None:
        console.print(f"plan: {found.chosen}", style="bold", soft_wrap=True)
        console.print(
            f"      deficit {found.chosen.deficit:.2g} or less on {100 * found.share:g} % of them, "
            f"overshoot {found.chosen.overshoot:.2g}",
            soft_wrap=True,
        )
    options = ([found.chosen] if found.chosen is not None else []) + list(found.doing_less())
    shown = Table(title=None, box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    shown.add_column("set", overflow="fold")
    for name in ("steps", "degree"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("dtype", no_wrap=True)
    shown.add_column("form", no_wrap=True)
    for name in ("cost", "deficit", "mean", "within"):
        shown.add_column(name, justify="right", no_wrap=True)
    divisor = 1e-3 if unit == "ms" else 1e6
    for option in options:
        numbers = [f"{option.cost / divisor:.3g}", f"{option.deficit:.2g}", f"{option.mean_deficit:.2g}"]
        shown.add_row(
            option.method, str(option.steps), str(option.degree), option.dtype, option.form, *numbers,
            f"{100 * option.share_within:.1f} %",
        )  # fmt: skip
    console.print(shown)
    usual = next((o for o in found.options if (o.method, o.steps) == USUAL), None)
    if usual is not None and usual not in options:
        console.print(
            f"for comparison {usual}: cost {usual.cost / divisor:.3g}, deficit {usual.deficit:.2g}, "
            f"mean {usual.mean_deficit:.2g}",
            soft_wrap=True,
        )
    ratios = ", ".join(f"{name} {value:.3g}" for name, value in speeds.items())
    said = "measured here, flops a second" if unit == "ms" else "assumed, relative to float32 (--speed, --measure)"
    console.print(f"cost: {unit} a matrix, products only; speeds {said}: {ratios}", soft_wrap=True)
    console.print(
        f"deficit: reached by {100 * found.share:g} % of the matrices, a modelled rounding floor included; "
        "below the first row: what doing less would lose",
        soft_wrap=True,
    )
