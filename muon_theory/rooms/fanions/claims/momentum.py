"""The momentum rule the code runs against the one the text writes, and what an update may touch."""

from fractions import Fraction

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.fanions.momentum_rules import Rule, impulse_response, momentum_direction

PAPER = "Kravatskiy et al. 2025, arXiv 2512.09678"
BETA = 0.9


def _square_root(sigma):
    """A spectral map for the list below."""
    return sigma**0.5


# Class or constructor, its arguments after the parameters, and whether it looks ahead (None: no such option).
MOMENTUM_OPTIMIZERS: tuple[tuple[str, tuple, bool | None], ...] = (
    *((name, arguments, nesterov) for name, arguments in (("Muon", ()), ("Fanion", (2,)), ("Neon", ()), ("FFanion", ()),
      ("SFanion", ()), ("normalized_sgd", ()), ("sign_descent", ()), ("MuonAll", ()),
      ("SpectralMap", (_square_root,))) for nesterov in (False, True)),
    ("Scale", (), None),
)  # fmt: skip


def _weights(swap: bool = False) -> Finding:
    """Impulse responses at beta = 7/10 over 5 steps, coded then written, against their closed forms."""
    beta, steps = Fraction(7, 10), 5
    coded = [1 + beta, *(beta ** (j + 1) for j in range(1, steps))]
    written = [1 + beta * (1 - beta), *(beta * (1 - beta) * beta**j for j in range(1, steps))]
    rules: tuple[Rule, Rule] = ("written", "coded") if swap else ("coded", "written")
    return Finding(coded + written, [weight for rule in rules for weight in impulse_response(rule, beta, steps)])


def _direction_distance(beta: float = 0.9, rescaled: bool = False) -> Finding:
    """Relative distance of the polar factors of both rules' directions on two Gaussian 4 x 4 gradients."""
    import torch

    from muon_theory.polar import polar_factor

    first, second = np.random.default_rng(0).standard_normal((2, 4, 4))
    coded = momentum_direction([first, second], "coded", beta)
    written = momentum_direction([first, second], "written", beta)
    if rescaled:  # the written buffer over 1 - beta is the coded buffer
        written = second + (written - second) / (1 - beta)
    P, Q = (polar_factor(torch.from_numpy(M)) for M in (coded, written))
    return Finding(0.0, float(torch.linalg.norm(P - Q) / torch.linalg.norm(P)))


def _buffer_change(in_place: bool = False) -> Finding:
    """Relative distance of each buffer after three steps to the nearest recursion; 1 if a gradient changed."""
    import torch
    from torch import nn

    from muon_theory import optimizers

    gradients = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 4, 6)))
    recursions = [_buffer(gradients, gain) for gain in (1.0, 1 - BETA)]
    measured = []
    for name, arguments, nesterov in MOMENTUM_OPTIMIZERS:
        options = {} if nesterov is None else {"nesterov": nesterov}
        parameter = nn.Parameter(torch.zeros(4, 6, dtype=torch.float64))
        optimizer = getattr(optimizers, name)([parameter], *arguments, lr=0.1, momentum=BETA, **options)
        unchanged = True
        for gradient in gradients:
            parameter.grad = gradient.clone()
            optimizer.step()
            unchanged &= torch.equal(parameter.grad, gradient)
        buffer = optimizer.state[parameter]["momentum_buffer"]
        measured += [_nearest(buffer, recursions), 0.0 if unchanged else 1.0]
    if in_place:
        measured.append(_nearest(_buffer(gradients, 1.0, divide=True), recursions))
    return Finding(0.0, measured)


def _buffer(gradients, gain: float, divide: bool = False):
    """The buffer after b <- BETA b + gain g; `divide` divides it in place by its norm, as the published code does."""
    buffer = gradients[0] * 0
    for gradient in gradients:
        buffer = BETA * buffer + gain * gradient
        if divide:
            buffer /= buffer.norm()
    return buffer


def _nearest(buffer, recursions) -> float:
    """Relative Frobenius distance to the nearest of the recursions."""
    return min(((buffer - other).norm() / other.norm()).item() for other in recursions)


def claims() -> list[Claim]:
    """The claims MO-01, MO-02 and MO-03.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="MO-01",
            statement="the coded direction is (1+b) g_t + b^2 g_{t-1} + b^3 g_{t-2} + ..., the written one "
            "(1+b(1-b)) g_t + b(1-b)(b g_{t-1} + b^2 g_{t-2} + ...)",
            source=f"derived here from the text and the code of {PAPER}",
            relation="==",
            method="exact rational",
            evaluate=_weights,
            mutations=(Mutation("swap the two rules", {"swap": True}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="MO-02",
            statement="the code's and the text's momentum give the same LMO direction because an LMO ignores scale",
            source=f"reading of {PAPER} against its code: the ratio of the weights differs too",
            relation="==",
            method="float64 evaluation",
            evaluate=_direction_distance,
            mutations=(
                Mutation("no momentum", {"beta": 0.0}),
                Mutation("written rule with its buffer over 1 - beta", {"rescaled": True}),
            ),
            expected="refuted",
            attribution="implied",
            tolerance=1e-10,
            tolerance_reason="float64 rounding of polar factors of 4 x 4 matrices of condition number below 1e3",
        ),
        Claim(
            id="MO-03",
            statement="an update never changes its momentum buffer or the gradient: every optimizer with plain "
            "momentum, with and without look-ahead",
            source=f"derived here; the code of {PAPER} divides its buffer in place when nesterov is off",
            relation="==",
            method="property test",
            evaluate=_buffer_change,
            mutations=(Mutation("in-place division of the direction, nesterov off", {"in_place": True}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-14,
            tolerance_reason="float64 rounding of three steps of a recursion, written in another order",
        ),
    ]
