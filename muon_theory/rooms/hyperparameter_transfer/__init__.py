"""Fast hyperparameter transfer across widths (Ghosh, Wu, Bietti, arXiv 2512.22768): when a small model is enough.

Source: Nikhil Ghosh, Denny Wu, Alberto Bietti, "Understanding the Mechanisms of Fast Hyperparameter Transfer", arXiv
2512.22768. READ: the LaTeX of the text and appendix. Figures: values read off. Its code is not public. A follow-up on
sketched linear regression is known by its abstract only.

phi_n(nu) is the loss at width n with the scale-free hyperparameter nu, nu*(n) its best value. Loss gap
a_n = |min phi_n - min phi_inf| ~ n^-alpha, hyperparameter gap b_n = |nu*(n) - nu*(inf)| ~ n^-beta, suboptimality
c_n = phi_inf(nu*(n)) - min phi_inf ~ b_n^2. If the gap is uniform in nu, b_n = O(a_n^(1/2)). Transfer is *fast* if
b_n = o(a_n^(1/2)), that is beta > alpha/2, and then and only then tuning small and training large beats tuning large.

What is checked here: the trivial rate and that a gap of the minima alone does not give it; the exponents of compute;
the random-feature theorem, whose rates stand and whose two printed constants do not (they are repaired, with direct
minimisation of the source's own two equations as the judge, and a simulation as the judge of these); the decomposition
of a trajectory, the bound b_n <= t_n and the algorithm that picks the truncation; and the word fast, slow or undecided
for measured curves, with both asymptotes fitted, since no run has infinite width.

Assumptions: one-sided claims on rates hold for smooth phi_n that converge with two derivatives to a locally strongly
convex limit with an interior minimum. The ridge theorem needs lambda*(inf) > 0.

Formulas: `gaps` (definitions, two perturbation lemmas), `compute_optimal` (exponents), `proportional_ridge` (fixed
point, limit, constants), `finite_ridge` (curves with an exact infinite width: ridge with the arc-cosine kernel, and
sketched descent), `decomposition` (alignment matrix, top-k change, J, J_proxy), `speed` (fit and verdict).
"""
