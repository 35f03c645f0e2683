"""The isotropic curvature model: when orthogonalisation is optimal in it, and whether curvature is isotropic."""
