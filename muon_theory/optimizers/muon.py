"""Muon: momentum, then (nearly) the polar factor of every matrix, then decoupled weight decay and the step.

The rule is torch.optim.Muon's; what is added is a choice of orthogonalizer, any number of dimensions from two on,
scale invariance, batching by shape, and access to the matrix that was orthogonalised (`lmo_input`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from muon_theory.optimizers.checked_optimizer import CheckedOptimizer, signed_gradient
from muon_theory.optimizers.matrix_blocks import check_blocks, joined_blocks, matrix_blocks
from muon_theory.optimizers.orthogonal_step import Orthogonalizer
from muon_theory.optimizers.step_details import DetailedSteps
from muon_theory.optimizers.validation import check_iteration, check_number, check_parameters
from muon_theory.polar import coefficient_set

_BATCH_ELEMENTS = 2**24

AdjustLearningRate = Literal["none", "original", "match_rms_adamw", "spectral"]


def shape_factor(rows: int, columns: int, adjust_lr_fn: str | None = None) -> float:
    """Shape factor: what Muon multiplies the learning rate of a rows x columns matrix by.

    "none": 1. None and "original": sqrt(max(1, rows/columns)). "match_rms_adamw": 0.2 sqrt(max(rows, columns)).
    "spectral": sqrt(rows/columns), the ratio of the RMS norms that fixes the update's operator norm between RMS norms.

    Args:
        rows: number of rows (outputs) of the flattened matrix, at least 1.
        columns: number of columns (inputs) of the flattened matrix, at least 1.
        adjust_lr_fn: None, "none", "original", "match_rms_adamw" or "spectral".

    Returns:
        The factor, a positive float without unit.

    Raises:
        ValueError: if `adjust_lr_fn` is none of the above.

    Source: Jordan 2024 ("original"); Liu et al. 2025, arXiv 2502.16982, section 2.2 ("match_rms_adamw"); Yang, Simon,
    Bernstein 2023, arXiv 2310.17813, condition 1 ("spectral").

    >>> shape_factor(256, 64), shape_factor(64, 256), shape_factor(64, 256, "spectral")
    (2.0, 1.0, 0.5)
    """
    if adjust_lr_fn == "none":
        return 1.0
    if adjust_lr_fn is None or adjust_lr_fn == "original":
        return math.sqrt(max(1.0, rows / columns))
    if adjust_lr_fn == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    if adjust_lr_fn == "spectral":
        return math.sqrt(rows / columns)
    raise ValueError(f"adjust_lr_fn is {adjust_lr_fn!r}; choose 'none', 'original', 'match_rms_adamw' or 'spectral'")


class Muon(DetailedSteps, CheckedOptimizer):
    """Muon, the optimizer that steps along the (approximate) polar factor of its momentum.

    With gradient G, buffer B, momentum b, learning rate lr, decay w and shape factor c (see `shape_factor`)::

        B <- b B + (1 - b) G
        X  = b B + (1 - b) G  with Nesterov, else B     (`lmo_input`; more than two dimensions as (out, -1))
        O  = orthogonalize(X, method, ns_steps) or polar_factor(X)
        W <- (1 - lr w) W - lr c O

    The first nine arguments are torch.optim.Muon's and mean the same; a state_dict saved by it loads here. Differences:
    tensors of more than two dimensions are accepted (flattened to (out, -1), from which the shape factor is taken too);
    updates do not depend on the scale of the gradient (so that where the gradient becomes zero, rather than None, steps
    keep their length for thousands of steps, as long as the buffer has an entry left); the iteration runs in
    `compute_dtype` (torch: always bfloat16) and on matrices of one shape together; neither `p.grad` nor the buffer is
    modified by the orthogonalization.

    Args:
        params: parameters, named parameters or parameter groups; each tensor real floating point with ndim >= 2.
        lr: learning rate >= 0; a float or a tensor of one element.
        weight_decay: decoupled decay w >= 0, multiplied by the unadjusted lr.
        momentum: b in [0, 1).
        nesterov: whether X looks one step ahead.
        ns_coefficients: (a, b, c) of the quintic a s + b s^3 + c s^5 that takes the place of `method` in every step.
        eps: >= 0, accepted so that torch's calls and saved states work. torch bounds the norm it divides by from below
            by eps, so that its update fades once the norm of X is under eps; here every scale gives the same update.
        ns_steps: number of Newton-Schulz steps, 0 to 99; 0 gives X / ||X||_F. A UserWarning says so where `method` is a
            schedule of another number of steps (`you_2024`: five).
        adjust_lr_fn: None (torch's default, the same as "original"), "none", "original", "match_rms_adamw" or
            "spectral", see `shape_factor`.
        method: a key of `COEFFICIENTS`, "taylor_<degree>", or "auto": the cheapest route known whose worst error and
            slope at zero are no worse than those of five Jordan steps in bfloat16, see `few_steps`; `ns_steps` is idle.
        exact: whether O is the exact polar factor; `method` and `ns_steps` are then idle.
        compute_dtype: dtype of the iteration; None leaves it to `orthogonalize`.
        match_frobenius: whether O is rescaled to the Frobenius norm of the exact polar factor, sqrt(rank X), with the
            numerical rank that `polar_factor` uses. Costs one exact spectrum a matrix and step.
        maximize: whether to ascend.
        check_finite: whether each step first looks for NaN and inf in the gradients (one pass over them) and raises
            ValueError before anything is changed. None: on CPU only, because it would synchronise a GPU.
        split_rows: numbers of rows of matrices fused in one weight, e.g. (d, d, d) for queries, keys, values; each is
            orthogonalised and scaled on its own. An option of a group, as is the next.
        stacked: number of leading dimensions that index matrices, e.g. 1 for experts in one tensor (experts, out, in).

    Raises:
        ValueError: if an argument or a parameter's shape is out of range, a group is empty, or a parameter is given
            twice.
        TypeError: if a parameter is not a real floating-point tensor.

    Source: Jordan 2024, "Muon: an optimizer for hidden layers in neural networks"; the rule in detail is torch's.

    Accuracy: equal to torch.optim.Muon within bfloat16 rounding for 2-D parameters and compute_dtype=torch.bfloat16
    (checked in tests/optimizers).

    Cost: `orthogonalize`, `few_steps` or `polar_factor` of each matrix; memory: the buffer, and X kept until the next
    step. On a CPU with bfloat16 products, method="auto" takes about half the time of torch.optim.Muon on large matrices
    and a small fraction of it on many small ones (benchmarks/optimizer_step.py).

    >>> weight = torch.nn.Parameter(torch.eye(4, 3))
    >>> optimizer = Muon([weight], lr=0.1, weight_decay=0.0, exact=True)
    >>> weight.sum().backward()
    >>> optimizer.step()
    >>> bool(torch.allclose(weight[3], torch.full((3,), -0.1 * (4 / 3) ** 0.5 / 12**0.5)))
    True
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] | None = None,
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: AdjustLearningRate | None = None,
        *,
        method: str = "jordan_2024",
        exact: bool = False,
        compute_dtype: torch.dtype | None = None,
        match_frobenius: bool = False,
        maximize: bool = False,
        check_finite: bool | None = None,
        split_rows: tuple[int, ...] | None = None,
        stacked: int = 0,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
            "method": method,
            "exact": exact,
            "compute_dtype": compute_dtype,
            "match_frobenius": match_frobenius,
            "maximize": maximize,
            "split_rows": None if split_rows is None else tuple(split_rows),
            "stacked": stacked,
        }
        super().__init__(params, defaults, check_finite=check_finite)

    def check_options(self, options: dict[str, Any]) -> None:
        """Raise for options or parameters out of range.

        Args:
            options: a group with the defaults filled in.

        Raises:
            ValueError: if one is out of range.
            TypeError: if a parameter is not a real floating-point tensor.

        Source: elementary.
        """  # noqa: DOC502  (raised by the checks below)
        check_number("lr", options["lr"])
        check_number("weight_decay", options["weight_decay"])
        check_number("eps", options["eps"])
        check_number("momentum", options["momentum"], below=1.0)
        shape_factor(1, 1, options["adjust_lr_fn"])
        automatic = options["method"] == "auto"  # no coefficient set
        if not automatic:
            coefficient_set(options["method"])  # a wrong name is refused where an exact factor leaves it idle, too
        check_iteration(options | {"method": "jordan_2024"} if automatic or options["exact"] else options)
        remedy = (
            "Muon steps matrices (and kernels, flattened to (out, -1)): "
            "give vectors and scalars to AdamW, for instance by muon_with_adamw(model)"
        )
        check_parameters(options, "Muon", dimensions=2, remedy=remedy)
        for index, entry in enumerate(options.get("params", ())):
            name, parameter = entry if isinstance(entry, tuple) else (f"parameter {index}", entry)
            check_blocks(name, parameter.shape, options["split_rows"], options["stacked"])

    def step_group(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        """Step the matrices of a group, those of one shape, dtype and device together.

        Args:
            group: the group.
            parameters: those of its parameters that have a gradient, in order.

        Source: Jordan 2024.
        """
        split_rows, stacked = group["split_rows"], group["stacked"]
        whole = split_rows is None and stacked == 0
        blocks: list[list[Tensor]] = []
        alike: defaultdict[tuple[Any, ...], list[tuple[int, int]]] = defaultdict(list)
        for place, lmo_input in enumerate(self._advance(parameters, group)):
            matrix = lmo_input if lmo_input.ndim == 2 else lmo_input.reshape(lmo_input.shape[0], -1)
            self.lmo_inputs[parameters[place]] = matrix
            blocks.append([matrix] if whole else matrix_blocks(lmo_input, split_rows, stacked))
            for index, block in enumerate(blocks[-1]):
                alike[tuple(block.shape), block.dtype, block.device].append((place, index))
        orthogonalizer = Orthogonalizer.of_group(group)
        for (shape, _, device), places in alike.items():
            count = _matrices_at_once(shape, device)
            for start in range(0, len(places), count):
                batch = places[start : start + count]
                inputs = [blocks[place][index] for place, index in batch]
                stacked_inputs = inputs[0][None] if len(inputs) == 1 else torch.stack(inputs)
                factor = shape_factor(shape[0], shape[1], group["adjust_lr_fn"])
                if whole:
                    own = [parameters[place] for place, _ in batch]
                    updates = self._directions(orthogonalizer, stacked_inputs, own)
                    self._write(own, list(updates.unbind()), group, factor)
                    continue
                updates = orthogonalizer(stacked_inputs)
                for (place, index), update in zip(batch, updates * factor, strict=True):
                    blocks[place][index] = update
        if not whole:
            joined = [joined_blocks(own, p.shape, split_rows) for own, p in zip(blocks, parameters, strict=True)]
            self._write(parameters, joined, group, 1.0)

    def _directions(self, orthogonalizer: Orthogonalizer, inputs: Tensor, parameters: list[Tensor]) -> Tensor:
        """Directions of whole parameters; the singular values formed on the way are kept for who asked for them."""
        if self.details is None:
            return orthogonalizer(inputs)
        directions, sigma = orthogonalizer.with_spectrum(inputs)
        if sigma is not None:
            self.details.spectra.update(zip(parameters, sigma, strict=True))
        return directions

    def _write(self, parameters: list[Tensor], directions: list[Tensor], group: dict[str, Any], factor: float) -> None:
        """Write the directions into the parameters, and keep the updates for who asked for them."""
        lr = float(group["lr"])
        self.note_updates(parameters, directions, -lr * factor, lr * group["weight_decay"])
        _write(parameters, directions, group, factor)

    def _advance(self, parameters: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        """Advance the momentum buffers and return what is to be orthogonalised, as fresh tensors."""
        gradients = [signed_gradient(parameter, group) for parameter in parameters]
        buffers = [self.momentum_buffer(parameter) for parameter in parameters]
        torch._foreach_lerp_(buffers, gradients, 1 - group["momentum"])  # pyright: ignore[reportPrivateImportUsage]
        if group["nesterov"]:
            return list(torch._foreach_lerp(gradients, buffers, group["momentum"]))  # pyright: ignore[reportPrivateImportUsage]
        return [buffer.clone() for buffer in buffers]


def _write(parameters: list[Tensor], directions: list[Tensor], group: dict[str, Any], factor: float) -> None:
    """W <- (1 - lr w) W - lr factor O for every parameter."""
    lr = float(group["lr"])
    directions = [
        O if parameter.ndim == 2 else O.reshape(parameter.shape)
        for parameter, O in zip(parameters, directions, strict=True)
    ]
    if lr * group["weight_decay"] != 0:
        torch._foreach_mul_(parameters, 1 - lr * group["weight_decay"])  # pyright: ignore[reportPrivateImportUsage]
    torch._foreach_add_(parameters, directions, alpha=-lr * factor)  # pyright: ignore[reportPrivateImportUsage]


def _matrices_at_once(shape: tuple[int, int], device: torch.device) -> int:
    """How many matrices of a shape to orthogonalize in one batch: bounds memory, and a CPU batches small ones only."""
    if device.type == "cpu" and min(shape) > 128:
        return 1
    return max(1, _BATCH_ELEMENTS // (shape[0] * shape[1]))
