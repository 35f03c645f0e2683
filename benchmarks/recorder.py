"""Speed of what the recorder does at a scheduled step: the exact spectrum of every matrix, and the step it delays.

Run: python benchmarks/recorder.py [--rounds 7] [--threads 1]. Exit status 1 if a goal is missed.
"""

import argparse
import sys

import torch
from paired_timing import interleaved, machine, report
from recording_overhead import recording_overhead

from muon_theory.spectra import log_uniform_spectrum, prescribed_matrix, singular_values

SVDVALS = "torch.linalg.svdvals, float32"
EXACT = "singular_values, right to 1e-4 from 3e-6"
SHAPES = ((64, 576), (128, 1152), (256, 2304), (512, 4608))
GOALS = {(256, 2304): 0.25, (512, 4608): 0.25}


def spectrum_speed(rounds: int) -> bool:
    """Exact spectra against torch.linalg.svdvals in float32; True if the goals are met."""
    met = True
    for rows, columns in SHAPES:
        sigma = log_uniform_spectrum(min(rows, columns), 1 / 3e-6)
        X = prescribed_matrix(sigma, rows, columns, dtype=torch.float32)
        truth = torch.linalg.svdvals(X.double())
        seconds = interleaved(
            {
                SVDVALS: lambda X=X: torch.linalg.svdvals(X),
                EXACT: lambda X=X: singular_values(X),
                "singular_values, QR first": lambda X=X: singular_values(X, method="qr"),
                "torch.linalg.svdvals, float64": lambda X=X: torch.linalg.svdvals(X.double()),
            },
            rounds,
        )
        goal = GOALS.get((rows, columns))
        title = f"spectrum of a {rows} x {columns} float32 matrix, log-uniform from 1 to 3e-6"
        met &= report(title, seconds, SVDVALS, {} if goal is None else {EXACT: goal})
        for name, found in ((SVDVALS, torch.linalg.svdvals(X)), (EXACT, singular_values(X))):
            asked = truth >= 3e-6 * truth[0]
            print(f"largest relative error, {name}: {float((found / truth - 1).abs()[asked].max()):.1e}")
    return met


def main() -> int:
    """Print the tables; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="at least 7 for a verdict")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(machine())
    met = spectrum_speed(options.rounds)
    recording_overhead(options.rounds)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
