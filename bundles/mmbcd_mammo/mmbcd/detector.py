"""From a mammogram to its regions of interest: breast, detector, boxes in full-resolution pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from common.engines.tensors import TensorEngine, build_tensor_engine
from common.errors import ClassifierError, ConfigError
from common.io.mammogram import Mammogram
from common.networks.card import WeightsCard
from common.networks.focalnet_dino.build import build_focalnet_dino
from common.networks.focalnet_dino.convert import load_detector
from common.networks.focalnet_dino.model import FocalNetDino
from common.networks.sam_weights import hash_file

from .breast_frame import fit_breast, prepare_breast
from .detector_weights import read_detector
from .rois import IOU, K, RoiSet, select_rois


class Detections(nn.Module):
    """The network with one tensor as its answer, as engines want it.

    Args:
        network: detector.
    """

    def __init__(self, network: FocalNetDino) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Image (B, 3, H, W) and mask (B, H, W), 1 in the padding -> (B, Q, 5): cx, cy, w, h, best score."""
        output = self.network(image, mask > 0.5)
        return torch.cat((output.boxes, output.logits.sigmoid().amax(-1, keepdim=True)), dim=-1)


class Detector:
    """Callable: a mammogram in, its regions out; none where no box keeps an area inside the breast.

    Args:
        engine: runs `Detections`.
        image_size: (H, W) that the breast is scaled to.
        k, iou: see `select_rois`.
        card: of the weights.
        patients: hashes of those it was trained on, as far as the file says.
    """

    def __init__(
        self,
        engine: TensorEngine,
        image_size: tuple[int, int],
        k: int,
        iou: float,
        card: WeightsCard,
        patients: Sequence[str] = (),
    ) -> None:
        self.engine, self.image_size, self.k, self.iou = engine, image_size, k, iou
        self.card, self.patients = card, patients

    def __call__(self, mammogram: Mammogram) -> RoiSet:
        """Boxes in pixels of the whole picture, best first."""
        image, mask, frame = prepare_breast(mammogram.pixels, mammogram.breast_px, self.image_size)
        found = self.engine(image[None], mask[None].float())[0].float().cpu().numpy()
        return select_rois(frame.to_pixels(found[:, :4]), found[:, 4], self.k, self.iou)


def build_detector(
    weights: str | Path,
    size: str | None = None,
    image_size: int | Sequence[int] | None = None,
    k: int = K,
    iou: float = IOU,
    engine: str = "torch",
    precision: str = "fp32",
    device: str = "cpu",
    num_classes: int = 1,
) -> Detector:
    """Prepare a trained detector.

    Args:
        weights: a file of `save_detector`, which brings its sizes; or, with `size`, a plain state dict or an
            official checkpoint of FocalNet-DINO.
        size: see `build_focalnet_dino`; None: the file's own.
        image_size: rows and columns that the breast is fitted into, one number for both, multiples of 32;
            None: the file's own.
        k, iou: see `select_rois`.
        num_classes: of a plain state dict or official checkpoint.
        engine, device: see `build_tensor_engine`. OpenVINO takes seconds to start, which four pictures of a
            tiny detector do not win back (choice).
        precision: "fp32" (choice: bf16 keeps 8 bits of a coordinate; 10 of 4,000 pixels), "bf16" or "auto".

    Raises:
        ConfigError: `size` without `image_size`, or settings that do not fit.
        ClassifierError: weights that do not fit.
    """
    path, patients = Path(weights), list[str]()
    if size is None:
        trained = read_detector(path)
        network, card, edges = trained.build(), trained.card, image_size or trained.image_size
        patients = trained.training_patients
    else:
        if image_size is None:
            raise ConfigError("detector: expected image_size beside size, got none: 1024 is usual")
        network, edges = build_focalnet_dino(size, num_classes), image_size
        if load_detector(network, path):
            raise ClassifierError(
                f"{path.name}: expected a detector of {num_classes} classes, got another number: train it on "
                "mammograms first (train_detector), or set num_classes"
            )
        card = WeightsCard(path.stem, purpose="research", training_data="unknown", sha256=hash_file(path))
    rows, columns = (edges, edges) if isinstance(edges, int) else edges
    fit_breast((0, 0, rows, columns), (rows, columns))  # refuses other edges
    examples = torch.zeros(1, 3, rows, columns), torch.zeros(1, rows, columns)
    ready = build_tensor_engine(Detections(network), examples, engine, precision, device)
    return Detector(ready, (rows, columns), k, iou, card, patients)
