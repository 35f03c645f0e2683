"""Isotropic curvature model: which update of a matrix is best if curvature depends on ||Q zeta|| alone (Su, 2025).

Source: Weijie Su, "Isotropic Curvature Model for Understanding Deep Learning Optimization: Is Gradient
Orthogonalization Optimal?", 2025, arXiv 2511.00674. Its abstract was read; program, assumptions and theorems are
relayed (their numbering is uncertain), and so is its measurement on a language model.

The model: one step Q along a gradient G, against a growth H of the loss that is the same in all directions,

    min over Q of -<Q, G> + E H(||Q zeta||),   zeta uniform on the unit sphere of R^n,   H convex, rising, H(0) = 0.

What is stated here. (1) The program is convex and aligned with G, so it is a convex program in the singular values s,
with sigma_i = s_i w_i, w_i = E[(H'(rho)/rho) zeta_i^2]. (2) Homogenisation, both ways: if H'(r)/r is nondecreasing the
spectrum of Q is closer in ratio than the gradient's, if it is nonincreasing farther; H = c r^2 is gradient descent.
(3) The polar factor is optimal if and only if H has a kink strong enough: a linear program in a weight g on the sphere
with values between the two slopes; at n = 2 a sine; the jump needed grows steeply with n and with the condition number.
(4) With the exponents reported for a language model (2.2 to 2.5) the optimum is almost the gradient; polar beats the
gradient direction only beyond p = 16 to 30 at n = 64. (5) The norm dual to E rho, not the sum of sigma, decides when
the optimum is zero and when the program is unbounded. (6) A cost of this kind cannot tell an update from its left
rotations, whatever the inputs; a trained network does (study isotropic_curvature/measured_curvature).

Assumptions: isotropic inputs (elliptical ones reduce to them by a change of variables), one matrix, one step. m < n is
open in the source: there the optimum under a kink is nearly, not exactly, orthogonal.

Read: the abstract. Relayed: program, assumptions, the two theorems, the cubic for r^4. Derived here: everything that
carries a number, all solvers and all certificates, the sharp criterion, the sphere's moments, the elliptical reduction.

Formulas: `moments` has the exact expectations over the sphere; `exact_solver` the program for sums of powers, without
sampling; `growth` a general H; `sampled_solver` the program for it on common random numbers, with a certified gap;
`kink` the criterion for the polar factor; `maps` what the gradient, its square root, the polar factor and Newton-Schulz
steps reach of the optimum, the high-dimension formula, elliptical inputs and left rotations.
"""
