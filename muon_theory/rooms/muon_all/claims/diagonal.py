"""The O(n) form of the rule: equal to the n x n reference, in float64 and to the bit in bfloat16."""

from typing import Any

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation

HERE = "derived here: odd polynomials of a diagonal matrix act on its entries"
QUINTIC = (3.4445, -4.7750, 2.0315)


def _entrywise(steps: int = 6) -> Finding:
    """Largest difference to the scalar map of `steps` steps, and largest entry off the diagonal, n = 3, 64, 256."""
    import torch

    from muon_theory.polar import orthogonalize, scalar_map

    differences, off_diagonal = [], []
    for n in (3, 64, 256):
        g = np.random.default_rng(n).standard_normal(n)
        matrix = orthogonalize(torch.diag(torch.from_numpy(g)), "jordan_2024", 6, form="dense").numpy()
        expected = scalar_map("jordan_2024", steps)(g / np.sqrt(np.sum(g**2)))
        differences.append(float(np.abs(matrix.diagonal() - expected).max()))
        off_diagonal.append(float(np.abs(matrix - np.diag(matrix.diagonal())).max()))
    return Finding([0.0, 0.0], [max(differences), max(off_diagonal)])


def _reference_run(gradients: Any) -> Any:
    """The published rule on n x n matrices in float64: heavy-ball momentum, Nesterov, six steps, lr 1."""
    n = len(gradients[0])
    weight, buffer = np.zeros(n), np.zeros((n, n))
    for g in gradients:
        buffer = 0.95 * buffer + np.diag(g)
        X = np.diag(g) + 0.95 * buffer
        X = X / np.sqrt(np.sum(X**2))
        for _ in range(6):
            A = X @ X.T
            X = QUINTIC[0] * X + (QUINTIC[1] * A + QUINTIC[2] * A @ A) @ X
        weight = weight - X.diagonal()
    return weight


def _whole_run(nesterov: bool = True) -> Finding:
    """Largest difference of 20 steps of the optimizer, n = 32, to the reference."""
    import torch

    from muon_theory.optimizers.muon_all import MuonAll

    gradients = np.random.default_rng(0).standard_normal((20, 32))
    weight = torch.nn.Parameter(torch.zeros(32, dtype=torch.float64))
    optimizer = MuonAll([weight], lr=1.0, nesterov=nesterov)
    for gradient in gradients:
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
    return Finding(0.0, float(np.abs(weight.detach().numpy() - _reference_run(gradients)).max()))


def _bfloat16(order: str = "(c s) s") -> Finding:
    """Largest difference to the matrix iteration in bfloat16, n = 64, six steps, from one normalised vector."""
    import torch

    from muon_theory.optimizers.muon_all import orthogonalize_diagonal

    a, b, c = QUINTIC
    g = torch.randn(64, generator=torch.Generator().manual_seed(0))
    x = orthogonalize_diagonal(g, steps=0, compute_dtype=torch.bfloat16).bfloat16()
    X, v = torch.diag(x), x
    for _ in range(6):
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
        s = v * v
        v = a * v + (b * s + c * (s * s)) * v
    linear = orthogonalize_diagonal(g, compute_dtype=torch.bfloat16).bfloat16() if order == "(c s) s" else v
    return Finding(0.0, float((linear - X.diagonal()).abs().max()))


def claims() -> list[Claim]:
    """The claims MA-01, MA-02 and MA-03.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="MA-01",
            statement="six Newton-Schulz steps send diag(g) to diag(phi_6(g_i/norm(g))), off-diagonals exactly 0 "
            "(n = 3, 64, 256)",
            source=HERE,
            relation="==",
            method="property test",
            evaluate=_entrywise,
            mutations=(Mutation("phi_5", {"steps": 5}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-13,
            tolerance_reason="float64: one rounding a product, times a slope of at most 3.4 a step near saturation",
        ),
        Claim(
            id="MA-02",
            statement="the O(n) form (vector momentum, phi_6) equals the n x n rule over a run: n = 32, 20 steps, "
            "mu = .95, Nesterov",
            source=f"{HERE}; rule of arXiv 2511.06086 (code)",
            relation="==",
            method="property test",
            evaluate=_whole_run,
            mutations=(Mutation("plain in place of Nesterov momentum", {"nesterov": False}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-12,
            tolerance_reason="float64 rounding times slopes, summed over 20 steps",
        ),
        Claim(
            id="MA-03",
            statement="in bfloat16 the O(n) form is bit-identical to the matrix form if products are rounded in its "
            "order: (c s) s, then times v",
            source=f"{HERE}; order of products of arXiv 2511.06086 (code)",
            relation="==",
            method="property test",
            evaluate=_bfloat16,
            mutations=(Mutation("c (s s)", {"order": "c (s s)"}),),
            expected="holds",
            attribution="ours",
        ),
    ]
