"""The published coefficient tables, as printed: one entry a set, lowest power first, decimals kept as text.

Text, because the printed decimal is the fact: it becomes an exact fraction for the exact and the certified
evaluation and the nearest float64 for the numerical one. What a source does to its table before use (dividing row t by
safety^degree, dividing the input by a safety factor) stands beside it as data.
"""

from __future__ import annotations

from dataclasses import dataclass

JORDAN = ("3.4445", "-4.7750", "2.0315")
TAYLOR_5 = ("1.875", "-1.25", "0.375")

POLAR_EXPRESS = (
    ("8.28721201814563", "-23.595886519098837", "17.300387312530933"),
    ("4.107059111542203", "-2.9478499167379106", "0.5448431082926601"),
    ("3.9486908534822946", "-2.908902115962949", "0.5518191394370137"),
    ("3.3184196573706015", "-2.488488024314874", "0.51004894012372"),
    ("2.300652019954817", "-1.6689039845747493", "0.4188073119525673"),
    ("1.891301407787398", "-1.2679958271945868", "0.37680408948524835"),
    ("1.8750014808534479", "-1.2500016453999487", "0.3750001645474248"),
    TAYLOR_5,
)


@dataclass(frozen=True)
class PublishedTable:
    """One published table before its safety divisions.

    Args:
        name: key in `COEFFICIENTS`.
        rows: printed decimals, one row a step, lowest power first.
        interval: (l, u), the widest interval of singular values of the normalised input, to three digits, over which
            the error does not exceed that over [.1, 1]; below l it grows without a bound short of 1.
        worst_error: sup over the interval of abs(sigma - 1) after `natural_steps` steps, rounded upwards.
        natural_steps: steps the source runs by default.
        extension: what follows the last row: "repeat" it, "cycle" the table, or "taylor" steps of the same degree.
        source: where the table was read.
        row_safety: row t is divided by row_safety^degree, coefficient by coefficient (x -> p_t(x / row_safety)).
        safe_rows: how many of the rows are so divided; None means all.
        norm_safety: the normalised input is divided by this as well.
        preconditioner: None (Frobenius normalisation) or "aol" (diagonal scaling, which bounds sigma by 1 itself).

    Source: elementary (a record).
    """

    name: str
    rows: tuple[tuple[str, ...], ...]
    interval: tuple[str, str]
    worst_error: float
    natural_steps: int
    extension: str
    source: str
    row_safety: str = "1"
    safe_rows: int | None = None
    norm_safety: str = "1"
    preconditioner: str | None = None


TABLES = (
    PublishedTable(
        name="jordan_2024",
        rows=(JORDAN,) * 5,
        interval=("0.00151", "1"),
        worst_error=0.3181686,
        natural_steps=5,
        extension="repeat",
        source="Jordan et al. 2024, Muon (kellerjordan.github.io/posts/muon); torch.optim.Muon; does not converge",
    ),
    PublishedTable(
        name="you_2024",
        rows=(
            ("4.0848", "-6.8946", "2.9270"),
            ("3.9505", "-6.3029", "2.6377"),
            ("3.7418", "-5.5913", "2.3037"),
            ("2.8769", "-3.1427", "1.2046"),
            ("2.8366", "-3.0525", "1.2012"),
        ),
        interval=("0.00618", "1"),
        worst_error=0.03177507,
        natural_steps=5,
        extension="cycle",
        source="You 2024, as published by Cesista 2025 (leloykun.github.io/ponder/muon-opt-coeffs); NeMo 'quintic'",
    ),
    PublishedTable(
        name="amsel_2025",
        rows=POLAR_EXPRESS,
        interval=("0.00106", "1"),
        worst_error=0.1297367,
        natural_steps=5,
        extension="repeat",
        source="Amsel, Persson, Musco, Gower 2025, Polar Express, arXiv 2505.16932; norm x1.01 as in its released code",
        row_safety="1.01",
        safe_rows=7,
        norm_safety="1.01",
    ),
    PublishedTable(
        name="amsel_2025_nanogpt",
        rows=(
            ("8.156554524902461", "-22.48329292557795", "15.878769915207462"),
            ("4.042929935166739", "-2.808917465908714", "0.5000178451051316"),
            ("3.8916678022926607", "-2.772484153217685", "0.5060648178503393"),
            ("3.285753657755655", "-2.3681294933425376", "0.46449024233003106"),
            ("2.3465413258596377", "-1.7097828382687081", "0.42323551169305323"),
        ),
        interval=("0.00103", "1"),
        worst_error=0.1411274,
        natural_steps=5,
        extension="taylor",
        source="modded-nanogpt 2025 (Polar Express of arXiv 2505.16932 with l=1e-3, safety .02, cushion .02)",
        norm_safety="1.02",
    ),
    PublishedTable(
        name="amsel_2025_gram",
        rows=POLAR_EXPRESS[:5],
        interval=("0.00122", "1"),
        worst_error=0.1539032,
        natural_steps=5,
        extension="taylor",
        source="gram-newton-schulz 2026: the rows of arXiv 2505.16932, each divided by 1.05^degree",
        row_safety="1.05",
    ),
    PublishedTable(
        name="grishina_2025",
        rows=(
            ("8.4703", "-25.1081", "18.6293"),
            ("4.1828", "-3.1087", "0.5806"),
            ("3.9619", "-2.9541", "0.5630"),
            ("3.2866", "-2.4647", "0.5074"),
            ("2.2737", "-1.6447", "0.4162"),
        ),
        interval=("0.00099", "1"),
        worst_error=0.1198356,
        natural_steps=5,
        extension="repeat",
        source="Grishina, Smirnov, Rakhuba 2025, CANS, arXiv 2506.10935; rows as in NeMo 'cans'",
    ),
    PublishedTable(
        name="boissin_2025",
        rows=(
            ("4.0098", "-7.0585", "2.4635"),
            ("3.4585", "-5.5479", "2.5959"),
            ("2.7573", "-3.2939", "1.4254"),
            ("2.7215", "-3.0494", "1.3169"),
        ),
        interval=("0.0331", "1"),
        worst_error=0.01263339,
        natural_steps=4,
        extension="taylor",
        source="Boissin et al. 2025, Turbo-Muon, arXiv 2512.04632; rows as in NeMo 'aol'; norm safety derived here",
        norm_safety="1.18",
        preconditioner="aol",
    ),
    PublishedTable(
        name="boissin_2025_snapshot",
        rows=(
            ("4.6051", "-9.6552", "5.6769"),
            ("4.7505", "-6.0861", "2.1790"),
            ("2.7763", "-2.3190", "0.5523"),
            ("2.4231", "-2.2861", "0.8193"),
        ),
        interval=("0.00831", "1"),
        worst_error=0.05905998,
        natural_steps=4,
        extension="taylor",
        source="flash-newton-schulz repository, September 2025 (genetic search); same preconditioner as boissin_2025",
        preconditioner="aol",
    ),
    PublishedTable(
        name="deepseek_2026",
        rows=(JORDAN,) * 8 + (("2", "-1.5", "0.5"),) * 2,
        interval=("0.000121", "1"),
        worst_error=0.0005380531,
        natural_steps=10,
        extension="taylor",
        source="DeepSeek-V4 2026, arXiv 2606.19348, as in NeMo: the Jordan row eight times, then (2, -1.5, .5) twice",
    ),
    PublishedTable(
        name="cubic5_2026",
        rows=(
            ("3.3656576", "-3.3420992"),
            ("2.5744352", "-1.4957376"),
            ("2.5368962", "-1.4312570"),
            ("2.4418906", "-1.2764040"),
            ("2.2230472", "-0.9630650"),
        ),
        interval=("0.00624", "1"),
        worst_error=0.29999997,
        natural_steps=5,
        extension="taylor",
        source="How Much Orthogonalization Does Muon Need?, 2026, arXiv 2606.00371; relaxed band [.7, 1.3]",
    ),
)
