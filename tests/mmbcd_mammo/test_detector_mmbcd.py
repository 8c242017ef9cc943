"""A mammogram through breast, network and back: boxes land where they were; weights bring their sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_mammo_boxes import build_mammogram
from toy_mammo_dino import SMALL, official_state

from common.errors import ClassifierError, ConfigError
from common.networks.card import WeightsCard
from common.networks.focalnet_dino.build import build_focalnet_dino
from common.networks.focalnet_dino.model import FocalNetDino
from mmbcd.breast_frame import fit_breast, prepare_breast
from mmbcd.detector import Detections, Detector, build_detector
from mmbcd.detector_weights import FORMAT, read_detector, save_detector

CARD = WeightsCard("toy", "1", "demonstration", "phantoms")


def build_smallest() -> FocalNetDino:
    return build_focalnet_dino(
        "tiny", queries=12, depths=[1, 1, 1, 1], stages=[2, 3], levels=2, encoder_layers=1, decoder_layers=1
    )


def test_boxes_go_there_and_back() -> None:
    frame = fit_breast((100, 40, 3000, 1700), (512, 320))
    boxes = np.array([[50.0, 120, 90, 260], [40, 100, 1700, 3000], [1234.5, 777.25, 1300, 801]])
    np.testing.assert_allclose(frame.to_pixels(frame.to_parts(boxes)), boxes, atol=1e-9)
    np.testing.assert_allclose(frame.to_parts(boxes[1:2]), [[0.5, 0.5, 1, 1]])


def test_boxes_beyond_the_breast_are_cut_or_left_out() -> None:
    frame = fit_breast((10, 20, 110, 70), (64, 64))
    parts = frame.to_parts(np.array([[0.0, 0, 45, 60], [80, 0, 90, 9]]))
    np.testing.assert_allclose(parts, [[0.25, 0.25, 0.5, 0.5]])
    np.testing.assert_allclose(frame.to_pixels(np.array([[1.0, 1, 0.2, 0.2]])), [[65, 100, 70, 110]])


@pytest.mark.parametrize(
    ("breast", "seen"), [((0, 0, 400, 100), (64, 16)), ((0, 0, 100, 400), (8, 32)), ((0, 0, 16, 8), (64, 32))]
)
def test_the_breast_fills_the_canvas_without_changing_its_shape(breast, seen) -> None:
    assert fit_breast(breast, (64, 32)).seen_px == seen


def test_the_detector_sees_the_breast_normalised_and_padded() -> None:
    pixels = np.zeros((60, 40), np.float32)
    pixels[10:42, 20:36] = 0.5
    image, mask, frame = prepare_breast(pixels, (10, 20, 42, 36), (32, 32))
    assert frame.seen_px == (32, 16)
    assert (~mask).sum(1).tolist() == [16] * 32
    torch.testing.assert_close(
        image[:, 5, 5], (0.5 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    )
    assert not image[:, :, 16:].any()


def test_sizes_that_are_no_multiples_of_32_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected rows and columns as multiples of 32, got \(500, 512\)"):
        fit_breast((0, 0, 10, 10), (500, 512))


class Fixed:
    """An engine that always finds the same boxes."""

    engine, precision, device, version = "torch", "fp32", "cpu", "0"

    def __call__(self, *tensors: torch.Tensor) -> torch.Tensor:
        image, mask = tensors
        assert image.shape == (1, 3, 64, 32)
        assert mask.dtype == torch.float32
        return torch.tensor(
            [[[0.5, 0.5, 0.2, 0.1, 0.3], [0.5, 0.5, 0.2, 0.11, 0.2], [0.25, 0.1, 0.1, 0.1, 0.9]]]
        )


def test_regions_are_in_pixels_of_the_whole_picture() -> None:
    mammogram = build_mammogram(np.zeros((300, 200)), breast_px=(100, 50, 200, 100))
    rois = Detector(Fixed(), (64, 32), k=8, iou=0.1, card=CARD)(mammogram)
    np.testing.assert_allclose(rois.boxes_px, [[60, 105, 65, 115], [70, 145, 80, 155]], atol=1e-3)
    np.testing.assert_allclose(rois.scores, [0.9, 0.3])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("detector") / "detector.safetensors"
    save_detector(build_smallest(), path, CARD, (96, 64), notes={"epochs": 3})
    return path


def test_weights_bring_their_sizes_and_their_card(saved: Path) -> None:
    weights = read_detector(saved)
    assert weights.sizes == build_smallest().sizes
    assert (weights.card.name, weights.card.purpose, len(weights.card.sha256)) == ("toy", "demonstration", 64)
    assert weights.notes == {"epochs": 3}
    assert weights.image_size == (96, 64)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_saved_detector_finds_what_its_network_finds(saved: Path, engine: str) -> None:
    pixels = np.random.RandomState(0).rand(120, 70)
    rois = build_detector(saved, k=5, engine=engine)(build_mammogram(pixels, breast_px=(10, 0, 106, 64)))
    image, mask, frame = prepare_breast(pixels, (10, 0, 106, 64), (96, 64))
    with torch.inference_mode():
        found = Detections(read_detector(saved).build().eval())(image[None], mask[None].float())[0]
    best = found[found[:, 4].argmax()].numpy()
    np.testing.assert_allclose(rois.boxes_px[0], frame.to_pixels(best[None, :4])[0], atol=0.05)
    assert rois.scores[0] == pytest.approx(best[4], abs=1e-4)
    assert 1 <= len(rois) <= 5


def test_official_checkpoints_are_taken_with_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmbcd.detector.build_focalnet_dino", lambda size, classes: FocalNetDino(SMALL))
    torch.save({"model": official_state(SMALL)}, tmp_path / "official.pth")
    detector = build_detector(tmp_path / "official.pth", "large_fl4", 64, engine="torch", num_classes=3)
    assert detector.image_size == (64, 64)
    assert detector.card.name == "official"
    assert len(detector(build_mammogram(np.zeros((50, 50))))) >= 1


def test_official_checkpoints_of_other_classes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(SMALL, num_classes=1)
    monkeypatch.setattr("mmbcd.detector.build_focalnet_dino", lambda size, classes: FocalNetDino(small))
    torch.save({"model": official_state(SMALL)}, tmp_path / "official.pth")
    with pytest.raises(
        ClassifierError, match=r"official.pth: expected a detector of 1 classes, got another number"
    ):
        build_detector(tmp_path / "official.pth", "large_fl4", 64)


def test_a_size_needs_an_image_size(saved: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected image_size beside size, got none"):
        build_detector(saved, "tiny")


def test_other_files_are_refused(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "x.pt")
    with pytest.raises(ClassifierError, match=rf"x.pt: expected weights of the detector \({FORMAT}\), got '"):
        build_detector(tmp_path / "x.pt")


def test_weights_of_another_format_are_refused(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmbcd.detector_weights.FORMAT", "mmbcd-detector-9")
    with pytest.raises(
        ClassifierError, match=r"expected weights of the detector .* got 'format mmbcd-detector-1'"
    ):
        read_detector(saved)


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    network = build_smallest()
    torch.nn.init.constant_(network.level_embed, float("inf"))
    with pytest.raises(ClassifierError, match=r"d.safetensors: expected finite weights"):
        save_detector(network, tmp_path / "d.safetensors", CARD, (64, 64))
    assert not list(tmp_path.iterdir())
