"""Loss and accuracy on the test images of a recipe, with or without averaging over mirrored and shifted images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from muon_theory.problems.images import Images


@torch.no_grad()
def loss_and_accuracy(
    model: nn.Module,
    images: Images,
    normalised: Callable[[Tensor], Tensor],
    *,
    mirrored: bool = False,
    batch: int = 500,
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy on the test images, in evaluation mode; the model's mode is restored.

    Args:
        model: the network.
        images: the data.
        normalised: from rows of pixels to the network's inputs, on its device.
        mirrored: whether outputs are averaged as in `averaged_outputs`.
        batch: how many images at a time.

    Returns:
        (loss in nats, accuracy from 0 to 1).

    Source: elementary.
    """
    training = model.training
    model.eval()
    loss, correct = 0.0, 0
    for start in range(0, len(images.test_labels), batch):
        inputs = normalised(images.test_images[start : start + batch])
        labels = images.test_labels[start : start + batch].to(inputs.device)
        outputs = (averaged_outputs(model, inputs) if mirrored else model(inputs)).float()
        loss += float(nn.functional.cross_entropy(outputs, labels, reduction="sum"))
        correct += int((outputs.argmax(1) == labels).sum())
    model.train(training)
    return loss / len(images.test_labels), correct / len(images.test_labels)


def averaged_outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    """Outputs averaged over an image, two shifts of it by a pixel, and the mirror images of all three.

    Half of the weight is on the unshifted image; the shifts go one pixel up and left, and down and right, with
    reflected borders.

    Args:
        model: the network, in evaluation mode.
        inputs: shape (batch, channels, height, width).

    Returns:
        The mean outputs, shape (batch, classes).

    Source: Jordan 2024, arXiv 2404.00498, section 3.5 (multi-crop evaluation).

    >>> averaged_outputs(lambda images: images.flatten(1)[:, :1], torch.arange(9.0).reshape(1, 1, 3, 3))
    tensor([[2.5000]])
    """
    height, width = inputs.shape[2:]

    def both_ways(images: Tensor) -> Tensor:
        return (model(images) + model(images.flip(-1))) / 2

    padded = nn.functional.pad(inputs, (1, 1, 1, 1), mode="reflect")
    shifted = [both_ways(padded[:, :, start : start + height, start : start + width]) for start in (0, 2)]
    return both_ways(inputs) / 2 + (shifted[0] + shifted[1]) / 4
