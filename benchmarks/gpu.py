"""One call of under ten minutes on whatever GPU is here: recipes, benchmarks and GPU tests, in one table with its name.

Run: make gpu, or python benchmarks/gpu.py [--device cuda] [--data FOLDER] [--out FILE.md] [--minutes 9] [--short].
The parts are, in this order, the tests marked gpu, the speed of polar factors, of an optimizer step and of recording,
and the recipes tutorial and airbench. A part that fails, or for which no time is left, is a row that says so; exit
status 1 if one failed. `--device cpu --short` walks the same path in a minute, on digits where CIFAR-10 is missing: its
times say nothing about a GPU.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import optimizer_step
import polar
import torch
from paired_timing import interleaved, machine, paired_difference, paired_ratio
from recording_overhead import THREE, training_step

from muon_theory.problems import Images, load_images
from muon_theory.recorder import every
from muon_theory.recorder.schedule import default_schedule
from muon_theory.training.recipe_run import train_recipe
from muon_theory.training.recipes import recipe_for

POLAR_SHAPES = ((512, 2048), (2048, 2048), (2048, 8192))
TUTORIAL_STEPS = 5 * 391


@dataclass(frozen=True)
class Options:
    """How the call is made."""

    device: str
    data: Path | None
    short: bool
    rounds: int
    ends: float

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.ends - time.monotonic()

    def clock(self) -> float:
        """Seconds, once the device has done what it was given."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


Rows = Iterator[tuple[str, str]]


def gpu_tests(options: Options) -> Rows:
    """The tests marked gpu, in a process of their own."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    done = subprocess.run(  # noqa: S603  (our own tests)
        command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, timeout=options.left, check=False
    )
    yield "pytest -m gpu", (done.stdout.strip().splitlines() or ["nothing said"])[-1].strip("= ")
    if done.returncode not in (0, 5):
        raise RuntimeError(f"exit status {done.returncode}: {done.stdout[-2000:]}{done.stderr[-500:]}")


def polar_factors(options: Options) -> Rows:
    """Ways to the polar factor beside five float32 Newton-Schulz steps, and these beside a product of their size."""
    for rows, columns in POLAR_SHAPES[: 1 if options.short else None]:
        contestants = polar.contestants(rows, columns, options.device)
        if rows > 512:
            contestants = {name: call for name, call in contestants.items() if "svd" not in name and "QDWH" not in name}
        X = torch.randn(rows, columns, device=options.device)
        product = f"product {rows} x {columns} x {rows}"
        contestants[product] = lambda X=X: X @ X.mT
        seconds = interleaved(contestants, options.rounds, options.clock)
        for name, times in seconds.items():
            ratio = paired_ratio(seconds, name, polar.NEWTON_SCHULZ)
            yield f"{rows} x {columns}, {name}", f"{1e3 * median(times):.3f} ms, ratio {ratio:.3f}"


def optimizer_steps(options: Options) -> Rows:
    """One step of Muon beside torch.optim.Muon, with its distance from the exact polar factors."""
    for model, (title, shapes) in optimizer_step.MODELS.items():
        given = [gradient.to(options.device) for gradient in optimizer_step.gradients(shapes, "gaussian")]
        running = {name: optimizer_step.Contestant(entry, given) for name, entry in optimizer_step.CONTESTANTS.items()}
        seconds = interleaved(dict(running), options.rounds, options.clock)
        for name, times in seconds.items():
            ratio = paired_ratio(seconds, name, optimizer_step.TORCH)
            distance = running[name].distance
            yield (
                f"({model}) {title}, {name}",
                f"{1e3 * median(times):.3f} ms, ratio {ratio:.3f}, distance {distance:.4f}",
            )


def recording(options: Options) -> Rows:
    """What recording three kinds at every step adds to a training step of the tutorial's net, and on silent steps."""
    ways = {"no recorder": {}, "step not scheduled": {"schedule": lambda _: False},
            "every step": {"schedule": every(1), "kinds": THREE}}  # fmt: skip
    for name, muon in (("Muon()", {}), ("Muon(exact=True)", {"exact": True})):
        with ExitStack() as stack:
            steps = {way: training_step(muon, stack, device=options.device, **how)[1] for way, how in ways.items()}
            seconds = interleaved(steps, max(options.rounds, 7), options.clock)
        whole = median(seconds["no recorder"])
        for way in list(ways)[1:]:
            added = paired_difference(seconds, way, "no recorder")
            yield f"{name}, {way}", f"adds {1e3 * added:.3f} ms to a step of {1e3 * whole:.3f} ms: {added / whole:.3f}"
            if way == "every step":
                share = sum(map(default_schedule(), range(TUTORIAL_STEPS))) * added / (TUTORIAL_STEPS * whole)
                yield f"{name}, default schedule", f"{share:.4f} of a run of {TUTORIAL_STEPS} steps"


def recipes(options: Options) -> Rows:
    """The recipes as published; published values beside."""
    for name in ("mnist", "cifar10"):
        images = _images(name, options)
        recipe = recipe_for("tutorial", images)
        for optimizer, setting in recipe.optimizers.items():
            if options.left < 0:
                yield f"tutorial on {name}, {optimizer}", "no time left"
                continue
            table = train_recipe(
                "tutorial", images, optimizer, device=options.device, epochs=1 if options.short else None
            )
            last = table.iloc[-1]
            beside = "" if setting.test_accuracy is None else f" (published {100 * setting.test_accuracy:.2f} %)"
            yield (
                f"tutorial on {images.name}, {optimizer}, {len(table)} epochs",
                f"train loss {last.train_loss:.4f}, test accuracy {100 * last.test_accuracy:.2f} %{beside}, "
                f"{table.time_s.median():.2f} s an epoch, {table.optimizer_time_s.median():.2f} s of it the optimizer",
            )
    images = _images("cifar10", options)
    if images.image_shape == (32, 32):
        precision = "float16" if options.device.startswith("cuda") else "bfloat16"
        table = train_recipe("airbench", images, device=options.device, precision=precision,
                             compile=not options.short, epochs=1 if options.short else None)  # fmt: skip
        yield (
            f"airbench on {images.name}, muon, {len(table)} epochs",
            f"test accuracy {100 * table.test_accuracy.iloc[-1]:.2f} % (published 94.01 %), {table.time_s.sum():.2f} s "
            f"of training with compilation, {table.time_s.iloc[1:].median() if len(table) > 1 else float('nan'):.3f} s "
            "a later epoch",
        )


def _images(name: str, options: Options) -> Images:
    """The data set; in the short profile its first images, or digits where it is missing."""
    try:
        images = load_images(name, options.data)
    except FileNotFoundError:
        if not options.short:
            raise
        images = load_images("digits")
    if not options.short:
        return images
    first = slice(0, 2000)
    return replace(images, train_images=images.train_images[first], train_labels=images.train_labels[first],
                   test_images=images.test_images[first], test_labels=images.test_labels[first])  # fmt: skip


PARTS: dict[str, Callable[[Options], Rows]] = {
    "tests": gpu_tests,
    "polar factors": polar_factors,
    "optimizer step": optimizer_steps,
    "recorder": recording,
    "recipes": recipes,
}


def device_name(device: str) -> str:
    """The device in words."""
    if not device.startswith("cuda"):
        return f"no GPU ({device})"
    found = torch.cuda.get_device_properties(device)
    return f"{found.name}, {found.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"


def main() -> int:
    """Run the parts, print and write the table; 1 if a part failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", type=Path, help="folder of data sets [default: $MUON_THEORY_DATA]")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/gpu.md"))
    parser.add_argument("--minutes", type=float, default=9.0, help="no part is begun later than this")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--short", action="store_true", help="the same path on little data")
    given = parser.parse_args()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA device here: `--device cpu --short` walks the path without one", file=sys.stderr)
        return 2
    options = Options(
        given.device, given.data, given.short, 3 if given.short else 9, time.monotonic() + 60 * given.minutes
    )
    lines = [f"# {device_name(given.device)}", "", machine(), "", "| part | what | measured |", "| --- | --- | --- |"]
    print(lines[0], lines[2], sep="\n", flush=True)
    failed = False
    for part in given.parts.split(","):
        for what, measured in _guarded(PARTS[part], options):
            failed |= measured.startswith("FAILED")
            lines.append(f"| {part} | {what} | {measured} |")
            print(f"{part:<16}{what:<78}{measured}", flush=True)
            given.out.write_text("\n".join(lines) + "\n")
    return 1 if failed else 0


def _guarded(part: Callable[[Options], Rows], options: Options) -> Rows:
    """The rows of a part; an error is a row."""
    if options.left < 0:
        yield part.__name__, "no time left"
        return
    try:
        yield from part(options)
    except Exception as error:  # one part must not keep the others from being measured
        yield part.__name__, f"FAILED: {type(error).__name__}: {' '.join(str(error).split())[:400]}"


if __name__ == "__main__":
    sys.exit(main())
