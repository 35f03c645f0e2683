"""Convergence of Muon with Newton-Schulz steps (Kim and Oh, 2026, arXiv 2601.19156).

Source: Gyu Yeol Kim and Min-hwan Oh, "Convergence of Muon with Newton-Schulz", ICLR 2026; read in full.

The paper analyses momentum followed by q steps X <- p_k(X X^T) X of the Taylor Newton-Schulz iteration, where p_k is
the degree-k Taylor polynomial of lambda^(-1/2) at 1. On the residual u = 1 - sigma^2 one step acts as the scalar map
phi(u) = 1 - (1 - u) p_k(1 - u)^2 <= u^(k+1), so the operator error eps_q decays doubly exponentially in q (Theorem 2)
and the nuclear-norm stationarity bound of exact Muon is worsened by the factor chi_q = 1/(1 - eps_q) only (Theorem 1).

Assumptions: smoothness from the spectral to the nuclear norm, nuc(grad f(X) - grad f(Y)) <= L op(X - Y); unbiased noise
of variance sigma^2 / B in the Frobenius norm; no weight decay, no Nesterov, no shape factor.

Read in the paper: the lemmas, theorems and constants whose attribution is `printed`. Derived here: the global proof
that phi(u) <= u^(k+1) for every k (printed for k = 1, 2), the slope bound eps_q <= eps_0^(a_k^q), the alignment deficit
as the constant that matters, and every tightness statement. The deployed quintic (3.4445, -4.7750, 2.0315) is outside
the paper's guarantees; what it does instead is stated beside them, as are the minimax polynomials of Polar Express.

Beyond the paper: Theorem A (any oracle with alignment deficit and overshoot, Nesterov momentum, tr Sigma for
sqrt(r) sigma, layers of a network, (L0, L1) smoothness), Theorem B (the repaired heavy ball), a universal bound on the
alignment, and the neighbours' statements: Kovalev (relayed), FedMuon, Polar Express, CANS, Zhang and Lin, Tao et al.

Formulas: `taylor` has the polynomial, the maps of one step and their constants; `error_bounds` the error and alignment
after q steps, the bounds on them and the minimax cubics; `polynomial_range` decides polynomial inequalities on an
interval; `rates` has the paper's stationarity bounds, `stationarity` the ones derived here; `steps` the cost and use of
a step inside Muon. The quadratic the bounds are run on, the linear program that proves the best constants and the
search for what attains them are in `muon_theory.rates`.
"""
