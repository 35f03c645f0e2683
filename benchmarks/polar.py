"""Speed of the exact polar factor beside the five Newton-Schulz steps that it replaces.

Run: python benchmarks/polar.py [--rounds 9] [--threads 1]. Exit status 1 if a goal is missed.
"""

import argparse
import sys

import torch
from paired_timing import interleaved, machine, report

from muon_theory.polar import orthogonalize, polar_factor
from muon_theory.spectra import log_uniform_spectrum, prescribed_matrix, singular_values

NEWTON_SCHULZ = "five Newton-Schulz steps, float32"
EXACT = "exact, float64 Gram matrix"
SHAPES = ((128, 512), (256, 1024), (512, 512), (512, 2048))
GOALS = {(512, 2048): 0.9}


def contestants(rows: int, columns: int, device: str = "cpu") -> dict:
    """What is timed on one matrix of condition number 1e3."""
    X = prescribed_matrix(log_uniform_spectrum(min(rows, columns), 1e3), rows, columns, dtype=torch.float32).to(device)
    Y = X.double()
    return {
        NEWTON_SCHULZ: lambda: orthogonalize(X, "jordan_2024", steps=5, form="dense"),
        EXACT: lambda: polar_factor(X, method="gram"),
        "exact, float64 SVD": lambda: polar_factor(X, method="svd"),
        "exact, float64 QDWH": lambda: polar_factor(X, method="qdwh"),
        "float32 torch.linalg.svd and product": lambda: _svd_product(X),
        "float64 torch.linalg.svd and product": lambda: _svd_product(Y),
        "five Newton-Schulz steps, float32, Gram form": lambda: orthogonalize(X, "jordan_2024", steps=5, form="gram"),
        "five Newton-Schulz steps, bfloat16": lambda: orthogonalize(
            X, "jordan_2024", steps=5, compute_dtype=torch.bfloat16, form="dense"
        ),
        "exact singular values alone": lambda: singular_values(X),
    }


def _svd_product(X: torch.Tensor) -> torch.Tensor:
    """What an exact orthogonalizer usually does."""
    U, _, Vt = torch.linalg.svd(X, full_matrices=False)
    return U @ Vt


def main() -> int:
    """Print one table a shape; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="at least 7 for a verdict")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(machine())
    met = True
    for rows, columns in SHAPES:
        seconds = interleaved(contestants(rows, columns), options.rounds)
        goal = GOALS.get((rows, columns))
        goals = {} if goal is None else {EXACT: goal}
        met &= report(f"polar factor of a {rows} x {columns} float32 matrix", seconds, NEWTON_SCHULZ, goals)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
