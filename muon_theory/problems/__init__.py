"""Data and networks that the studies train on."""

from muon_theory.problems.bigram import BigramLaw, bigram_zipf, uniform_law
from muon_theory.problems.convolution_networks import airbench_net, set_whitening, tutorial_conv_net
from muon_theory.problems.data_folder import data_folder, fetch_mnist
from muon_theory.problems.data_sets import DATA_SETS, fetch
from muon_theory.problems.images import IMAGE_SETS, Images, load_images, read_idx
from muon_theory.problems.language_networks import Transformer, context_model, transformer
from muon_theory.problems.networks import first_convolution_net, mlp, width_mlp
from muon_theory.problems.text import TEXT_SETS, Text, load_text, text_of_characters, windows

__all__ = [
    "DATA_SETS",
    "IMAGE_SETS",
    "TEXT_SETS",
    "BigramLaw",
    "Images",
    "Text",
    "Transformer",
    "airbench_net",
    "bigram_zipf",
    "context_model",
    "data_folder",
    "fetch",
    "fetch_mnist",
    "first_convolution_net",
    "load_images",
    "load_text",
    "mlp",
    "read_idx",
    "set_whitening",
    "text_of_characters",
    "transformer",
    "tutorial_conv_net",
    "uniform_law",
    "width_mlp",
    "windows",
]
