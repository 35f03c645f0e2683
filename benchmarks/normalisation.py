"""Speed of SCALE's normalisation beside the orthogonalizers that it does without.

Run: python benchmarks/normalisation.py [--rounds 9] [--threads 1] [--sizes 256 512 1024 2048]. Exit status 1 if a goal
is missed.
"""

import argparse
import sys

import torch
from paired_timing import interleaved, machine, report

from muon_theory.optimizers.scale import normalized_outputs
from muon_theory.polar import orthogonalize

COLUMNS = "rows of (out, in) by their length, float32"
GOALS = {COLUMNS: 0.1}


def contestants(n: int) -> dict:
    """What is timed on one Gaussian n x n matrix."""
    G = torch.randn(n, n, generator=torch.Generator().manual_seed(0))
    return {
        "five Newton-Schulz steps, float32": lambda: orthogonalize(G, "jordan_2024", 5),
        COLUMNS: lambda: normalized_outputs(G),
        "columns by their length, float32": lambda: normalized_outputs(G, outputs="columns"),
        "five Newton-Schulz steps, bfloat16": lambda: orthogonalize(G, "jordan_2024", 5, compute_dtype=torch.bfloat16),
        "no step: the Frobenius norm alone": lambda: orthogonalize(G, "jordan_2024", 0),
        "torch.linalg.svd, float32": lambda: torch.linalg.svd(G, full_matrices=False),
    }


def main() -> int:
    """Print one table a size; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="at least 7 for a verdict")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(machine())
    met = True
    for n in options.sizes:
        seconds = interleaved(contestants(n), options.rounds)
        met &= report(f"a {n} x {n} Gaussian matrix", seconds, "five Newton-Schulz steps, float32", GOALS)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
