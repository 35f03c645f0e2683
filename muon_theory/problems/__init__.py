"""Data and networks that the studies train on."""

from muon_theory.problems.data_folder import data_folder, fetch_mnist
from muon_theory.problems.images import IMAGE_SETS, Images, load_images, read_idx
from muon_theory.problems.networks import first_convolution_net, mlp, width_mlp

__all__ = [
    "IMAGE_SETS",
    "Images",
    "data_folder",
    "fetch_mnist",
    "first_convolution_net",
    "load_images",
    "mlp",
    "read_idx",
    "width_mlp",
]
