"""Preconditioning by orthogonalization: matrix factorization and in-context regression under simplified Muon.

Source: Ma, Huang, Chi, Chen, "Preconditioning Benefits of Spectral Orthogonalization in Muon", arXiv 2601.13474. Only
the abstract was read: a simplified Muon converges linearly at a rate free of the condition number on matrix
factorization and on in-context learning of a linear transformer, faster than gradient descent and Adam; in the spectral
domain the dynamics decouple into scalar sequences. Normalisation, start, schedule and constants of the paper were not
read: **nothing here is its theorem**. Also arXiv 2606.30509 (abstract, released code) and 2607.13246 (abstract).

Derived here. Simplified Muon is X <- X - eta_t polar(grad f(X)), no momentum. On f(X) = fro(X X^T - M)^2 / 4 from
X_0 = alpha W, W orthogonal, the iterate is V diag(s_t) V^T W with s <- s - eta_t sign(s (s^2 - lam)): exact in reals,
unstable in floats. With eta_t = c (1 - rho) sigma_max rho^t, rho >= 1/2 and c >= 1, every mode obeys
abs(abs(s_t) - sigma) <= c sigma_max rho^t: log(2 lam_max / eps) / log(1 / rho) steps, whatever the condition number.
Effective steps in [lo, hi] eta need rho >= hi / (lo + hi), .638 for the deployed quintic above its floor. The
regression is a quadratic on which the same scalar argument holds from Q_0 = 0.

The limits are part of the statement: the start must commute with M (or be tiny), a fixed number of Newton-Schulz steps
loses the independence of kappa, the asymmetric problem with the spiked schedule converges only if the determinants have
the right sign, and tuned Adam lies between gradient descent and Muon.

Assumptions: deterministic gradients, known sigma_max (an upper bound is enough), no momentum, float64.

Formulas: `schedules` has step sizes, thresholds and promised counts; `scalar_modes` the sequences of one mode, also
exact; `directions` what is stepped along; `iteration_counts` the batched runs; `two_factors` the asymmetric problem;
`gradient_descent` its counts in closed form. The problems are `muon_theory.problems.matrix_factorization` and
`muon_theory.problems.in_context_regression`.
"""
