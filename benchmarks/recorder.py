"""Speed of what the recorder does at a scheduled step: the exact spectrum of every matrix, and the step it delays.

Run: python benchmarks/recorder.py [--rounds 11] [--threads 1] [--optimizers default,auto,exact] [--clock wall|cpu].
Exit status 1 if a goal is missed. The other loggers are optional, `pip install -c constraints.txt -e ".[benchmarks]"`
brings them; one that is not importable is skipped. On a machine that others use, `--threads 1 --clock cpu` counts the
processor time of this process, which leaves out what wandb's own process takes.
"""

import argparse
import sys
import time

import torch
from paired_timing import Clock, interleaved, machine, report
from recording_overhead import OPTIMIZERS, recording_overhead
from rival_loggers import versions
from threadpoolctl import threadpool_limits

from muon_theory.recorder.exact_spectrum import exact_spectrum
from muon_theory.spectra import log_uniform_spectrum, prescribed_matrix, singular_values

SVDVALS = "torch.linalg.svdvals, float32"
EXACT = "the recorder's, right to 1e-4 from 3e-6"
SHAPES = ((128, 576), (256, 2304), (512, 2048), (512, 4608))
GOALS = dict.fromkeys(SHAPES[1:], 0.25)


def spectrum_speed(rounds: int, clock: Clock) -> bool:
    """Exact spectra against torch.linalg.svdvals in float32; True if the goals are met."""
    met = True
    for rows, columns in SHAPES:
        sigma = log_uniform_spectrum(min(rows, columns), 1 / 3e-6)
        X = prescribed_matrix(sigma, rows, columns, dtype=torch.float32)
        truth = torch.linalg.svdvals(X.double())
        seconds = interleaved(
            {
                SVDVALS: lambda X=X: torch.linalg.svdvals(X),
                EXACT: lambda X=X: exact_spectrum(X),
                "singular_values": lambda X=X: singular_values(X),
                "singular_values, QR first": lambda X=X: singular_values(X, method="qr"),
                "torch.linalg.svdvals, float64": lambda X=X: torch.linalg.svdvals(X.double()),
            },
            rounds,
            clock,
        )
        goal = GOALS.get((rows, columns))
        title = f"spectrum of a {rows} x {columns} float32 matrix, log-uniform from 1 to 3e-6"
        met &= report(title, seconds, SVDVALS, {} if goal is None else {EXACT: goal})
        for name, found in ((SVDVALS, torch.linalg.svdvals(X)), (EXACT, torch.from_numpy(exact_spectrum(X)))):
            asked = truth >= 3e-6 * truth[0]
            print(f"largest relative error, {name}: {float((found / truth - 1).abs()[asked].max()):.1e}")
    return met


def main() -> int:
    """Print the tables; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11, help="at least 7 for a verdict")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--optimizers", default="default,auto,exact", help=f"of {', '.join(OPTIMIZERS)}")
    parser.add_argument("--parts", default="spectra,training", help="spectra: single matrices; training: whole steps")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    threadpool_limits(options.threads)
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    print(f"{machine()}, {versions()}, {options.clock} clock")
    met = "spectra" not in options.parts or spectrum_speed(options.rounds, clock)
    if "training" in options.parts:
        met &= recording_overhead(options.rounds, options.optimizers.split(","), clock)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
