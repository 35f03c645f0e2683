"""What three and five steps of the deployed quintic do to singular values: the "Muon" of the published code."""

from fractions import Fraction
from functools import lru_cache

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation

PAPER = "Kravatskiy et al. 2025, arXiv 2512.09678"
QUINTIC = "jordan_2024"
SEEDS = 5
PRINTED = "40.868 484.88 .041 .122 .400 1.012 .707 .721 .471 1.110 .699 1.122"


def _printed_images(leading: str | None = None) -> Finding:
    """Slopes at 0 and images of singular values under 3 and 5 steps, rounded to the printed digits, exact rationals."""
    from muon_theory.polar import COEFFICIENTS

    a, b, c = (Fraction(str(coefficient)) for coefficient in COEFFICIENTS[QUINTIC].steps[0])
    a = Fraction(leading) if leading else a

    def image(x: Fraction, steps: int) -> Fraction:
        for _ in range(steps):
            x = x * (a + x * x * (b + x * x * c))
        return x

    inputs = {3: (".001", ".003", ".01", ".03", ".1", "1"), 5: (".001", ".003", ".01", ".03")}
    images = [round(image(Fraction(x), steps), 3) for steps in (3, 5) for x in inputs[steps]]
    printed = [Fraction(x) for x in PRINTED.split()]
    return Finding(printed, [round(a**3, 3), round(a**5, 2), *images])


def _largest_drop(method: str = QUINTIC) -> Finding:
    """Image of .03 minus image of .1, and the largest drop behind a running maximum on [1e-4, 1], after 3 steps."""
    from muon_theory.polar import scalar_map

    after_three = scalar_map(method, 3)
    pair = after_three(np.array([0.03, 0.1]))
    images = after_three(np.geomspace(1e-4, 1.0, 200_001))
    return Finding(0.0, [float(pair[0] - pair[1]), float(np.max(np.maximum.accumulate(images) - images))])


@lru_cache(maxsize=2)
def _gaussian_spectra(shape: tuple[int, int]) -> np.ndarray:
    """Singular values over the Frobenius norm of Gaussian matrices, one row a seed."""
    spectra = [
        np.linalg.svd(np.random.default_rng(seed).standard_normal(shape), compute_uv=False) for seed in range(SEEDS)
    ]
    return np.stack([sigma / np.linalg.norm(sigma) for sigma in spectra])


def _distance_to_polar(more_steps: int = 0) -> Finding:
    """Mean relative Frobenius distance and cosine to the polar factor, 500 x 500 then 512 x 64, 3 and 5 steps."""
    from muon_theory.polar import scalar_map

    measured: list[float] = []
    for shape in ((500, 500), (512, 64)):
        for steps in (3, 5):
            images = scalar_map(QUINTIC, steps + more_steps)(_gaussian_spectra(shape))
            rank = images.shape[-1]
            distance = np.linalg.norm(images - 1, axis=-1) / rank**0.5
            cosine = images.sum(axis=-1) / (rank**0.5 * np.linalg.norm(images, axis=-1))
            measured += [float(distance.mean()), float(cosine.mean())]
    return Finding([0.364, 0.931, 0.192, 0.982, 0.235, 0.994, 0.244, 0.990], measured)


def claims() -> list[Claim]:
    """The claims FN-01, FN-02 and FN-03.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="FN-01",
            statement="three (five) quintic steps have slope 40.868 (484.88) at 0; three send (.001, .003, .01, .03, "
            ".1, 1) to (.041, .122, .400, 1.012, .707, .721), five (.001, .003, .01, .03) to (.471, 1.110, .699, "
            "1.122)",
            source=f"derived here for the coefficients of the public code of {PAPER}",
            relation="==",
            method="exact rational",
            evaluate=_printed_images,
            mutations=(Mutation("3.445 for 3.4445", {"leading": "3.445"}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="FN-02",
            statement="three quintic steps are not monotone, so they can reverse the order of singular values: "
            "NS(.03) > NS(.1), and the largest drop on [1e-4, 1] is positive",
            source="derived here; monotonicity is asked for by the isotropic curvature model, arXiv 2511.00674",
            relation=">",
            method="float64 evaluation",
            evaluate=_largest_drop,
            mutations=(Mutation("the monotone cubic 1.5 x - .5 x^3", {"method": "taylor_3"}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="FN-03",
            statement="relative distance and cosine to the polar factor on Gaussian matrices: 500 x 500 .364, .931 "
            "(3 steps), .192, .982 (5); 512 x 64 .235, .994 (3), .244, .990 (5)",
            source="derived here (simulation, 5 seeds)",
            relation="==",
            method="simulation",
            evaluate=_distance_to_polar,
            mutations=(
                Mutation("one step more", {"more_steps": 1}),
                Mutation("one step less", {"more_steps": -1}),
            ),
            expected="holds",
            attribution="ours",
            tolerance=0.005,
            tolerance_reason="three printed digits, and a scatter of .0013 between seeds",
            tier="medium",
        ),
    ]
