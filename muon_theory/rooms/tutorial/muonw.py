"""MuonW, the optimizer of OLMo's pull request 882: Muon or AdamW by the parameter's name, one rate for both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from muon_theory.polar import orthogonalize
from muon_theory.rooms.tutorial.routes import Target, name_rule
from muon_theory.rooms.tutorial.update import shape_scale


class MuonW(torch.optim.Optimizer):
    """MuonW: W <- W - lr w (mask) W, then W <- W - lr D with D by Muon or by AdamW.

    With betas (b1, b2), B <- b1 B + (1 - b1) G and the LMO input X = b1 B + (1 - b1) G (or B without Nesterov)::

        muon    D = shape factor * orthogonalize(X, Jordan's quintic, ns_steps)
        adamw   D = m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps), the two moments of AdamW

    The mask is G != 0 with selective_updates, else 1. The sizes of D are kept for `get_post_step_metrics`.

    Args:
        named_parameters: (name, parameter) pairs.
        lr: learning rate >= 0 of both rules.
        betas: b1 of both rules, b2 of AdamW; each in [0, 1).
        weight_decay: decoupled decay w >= 0.
        ns_steps: number of Newton-Schulz steps.
        nesterov: whether Muon's X looks one step ahead.
        eps: AdamW's guard.
        selective_updates: whether entries without a gradient in this step do not decay.
        route: from (name, dimensions) to "muon" or "adamw".
        adamw_lr: learning rate of AdamW's part where it is to differ; None: `lr`.

    Raises:
        ValueError: if a rate, a beta or the decay is out of range, or a route is unknown.

    Source: allenai/OLMo pull request 882; `route` and `adamw_lr` are added here, to vary one thing at a time.

    >>> layer = nn.Linear(3, 2)
    >>> optimizer = MuonW(layer.named_parameters(), lr=0.1)
    >>> layer(torch.ones(1, 3)).sum().backward()
    >>> optimizer.step()
    >>> sorted(optimizer.get_post_step_metrics(layer))
    ['update/bias.max', 'update/bias.norm', 'update/weight.max', 'update/weight.norm']
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, nn.Parameter]],
        lr: float = 0.01,
        betas: tuple[float, float] = (0.95, 0.95),
        weight_decay: float = 0.0,
        *,
        ns_steps: int = 5,
        nesterov: bool = True,
        eps: float = 1e-8,
        selective_updates: bool = False,
        route: Callable[[str, int], Target] = name_rule,
        adamw_lr: float | None = None,
    ) -> None:
        for name, value in (("lr", lr), ("weight_decay", weight_decay), ("adamw_lr", adamw_lr or 0.0)):
            if not value >= 0:
                raise ValueError(f"{name} is {value!r}; it must be >= 0")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas are {betas!r}; each must be in [0, 1)")
        groups: dict[str, list[tuple[str, nn.Parameter]]] = {"muon": [], "adamw": []}
        for name, parameter in named_parameters:
            target = route(name, parameter.ndim)
            if target not in groups:
                raise ValueError(f"route sends {name} to {target!r}; choose 'muon' or 'adamw'")
            groups[target].append((name, parameter))
        rates = {"muon": lr, "adamw": lr if adamw_lr is None else adamw_lr}
        options: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay, "betas": betas, "ns_steps": ns_steps}
        options |= {"nesterov": nesterov, "eps": eps, "selective_updates": selective_updates}
        chosen = [{"params": own, "rule": rule, "lr": rates[rule]} for rule, own in groups.items() if own]
        self._sizes: dict[Tensor, tuple[Tensor, Tensor]] = {}
        super().__init__(chosen, options)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Step every parameter that has a gradient.

        Args:
            closure: recomputes the loss, or None.

        Returns:
            What the closure returned, or None.

        Source: allenai/OLMo pull request 882.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._sizes = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                rule = self._by_muon if group["rule"] == "muon" else self._by_adamw
                direction = rule(parameter, parameter.grad, group)
                decay = group["lr"] * group["weight_decay"]
                if decay and group["selective_updates"]:
                    parameter.mul_(1 - decay * (parameter.grad != 0))
                elif decay:
                    parameter.mul_(1 - decay)
                parameter.add_(direction, alpha=-group["lr"])
                self._sizes[parameter] = (direction.float().norm(), direction.float().abs().max())
        return loss

    def get_post_step_metrics(self, model: nn.Module) -> dict[str, float]:
        """Norm and largest entry of each parameter's last D, before learning rate and decay; then they are forgotten.

        Args:
            model: gives the names.

        Returns:
            "update/{name}.norm" and "update/{name}.max" of every parameter, 0 where it had no gradient.

        Source: allenai/OLMo pull request 882.
        """
        metrics: dict[str, float] = {}
        nothing = (torch.zeros(()), torch.zeros(()))
        for name, parameter in model.named_parameters():
            norm, largest = self._sizes.get(parameter, nothing)
            metrics[f"update/{name}.norm"], metrics[f"update/{name}.max"] = float(norm), float(largest)
        self._sizes = {}
        return metrics

    def _by_muon(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """Muon's direction."""
        state, weight = self.state[parameter], 1 - group["betas"][0]
        buffer = state.setdefault("momentum_buffer", torch.zeros_like(parameter)).lerp_(gradient, weight)
        X = gradient.lerp(buffer, group["betas"][0]) if group["nesterov"] else buffer
        update = orthogonalize(X.flatten(1), "jordan_2024", group["ns_steps"], check_finite=False)
        return update.reshape(parameter.shape) * shape_scale(tuple(parameter.shape))

    def _by_adamw(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """AdamW's direction."""
        state, (first, second) = self.state[parameter], group["betas"]
        state["step"] = state.get("step", 0) + 1
        mean = state.setdefault("exp_avg", torch.zeros_like(parameter)).lerp_(gradient, 1 - first)
        square = state.setdefault("exp_avg_sq", torch.zeros_like(parameter)).mul_(second)
        square.addcmul_(gradient, gradient, value=1 - second)
        spread = (square / (1 - second ** state["step"])).sqrt_().add_(group["eps"])
        return mean / (1 - first ** state["step"]) / spread
