"""The class map against a plain double loop over windows and cells, and its resume, memory and refusals."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import softmax

from common.engines import Engine
from common.errors import InputError, OutputError
from common.io.slide import Slide, open_slide
from scale_selector.class_map import MEAN_FILE, ClassMap, build_class_map
from scale_selector.window_reader import READ_AHEAD, _read_ahead
from scale_selector.windows import MAX_READ_PX

WEIGHT = np.array([[6.0, -2.0, 0.0], [-1.0, 5.0, 0.0], [0.0, 1.0, 4.0]], dtype=np.float32)
BIAS = np.array([0.5, 0.0, -0.5], dtype=np.float32)


class Network(torch.nn.Module):
    """Only what the map takes from a classifier: the hyperplanes and something to hash."""

    def __init__(self, weight: np.ndarray = WEIGHT) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight))
        self.bias = torch.nn.Parameter(torch.tensor(BIAS))


class MeanColor(Engine):
    """Features = mean red, green, blue of the patch in 0..1; counts its patches; may fail on request."""

    engine, precision, device, version = "fake", "fp32", "cpu", "1"

    def __init__(self, size_px: int, fail_after: int | None = None) -> None:
        self.shape_px = (3, size_px, size_px)
        self.patches = 0
        self.fail_after = fail_after

    def _infer(self, batch: np.ndarray) -> np.ndarray:
        if self.fail_after is not None and self.patches >= self.fail_after:
            raise KeyboardInterrupt
        self.patches += len(batch)
        return batch.mean(axis=(2, 3), dtype=np.float32) / 255


class Procedural(SimpleNamespace):
    """A slide of any size that exists only where it is read."""

    def read_region(self, x: float, y: float, step: float, width: int, height: int, pad: bool) -> np.ndarray:
        self.threads.add(threading.get_ident())
        return np.full((height, width, 3), int(x + y) % 256, dtype=np.uint8)

    def fingerprint(self) -> str:
        return "procedural"


def make_slide(folder: Path, width: int, height: int, mpp: float | None = 0.25) -> Slide:
    pixels = np.random.default_rng(7).integers(0, 256, (height // 5 + 1, width // 5 + 1, 3), dtype=np.uint8)
    pixels = pixels.repeat(5, axis=0).repeat(5, axis=1)[:height, :width]
    Image.fromarray(pixels).save(folder / "slide.png")
    return open_slide(folder / "slide.png", mpp=mpp)


def expect(slide: Slide, downsample: int, size: int, stride: int, wanted: np.ndarray | None = None) -> tuple:
    """Window by window and cell by cell, straight from the definition."""
    pixels = slide.read_region(0, 0, 1.0, slide.width_px, slide.height_px)
    width, height = slide.width_px // downsample, slide.height_px // downsample
    small = pixels[: height * downsample, : width * downsample].astype(np.float64)
    small = small.reshape(height, downsample, width, downsample, 3).mean(axis=(1, 3)).round()
    rows, columns, k = -(-height // stride), -(-width // stride), size // stride
    total, counts = np.zeros((rows, columns, 3)), np.zeros((rows, columns), dtype=int)
    for i in range(rows - k + 1):
        for j in range(columns - k + 1):
            if wanted is not None and not wanted[i, j]:
                continue
            y, x = min(i * stride, height - size), min(j * stride, width - size)
            features = small[y : y + size, x : x + size].mean(axis=(0, 1)) / 255
            total[i : i + k, j : j + k] += softmax(features @ WEIGHT + BIAS)
            counts[i : i + k, j : j + k] += 1
    return (total / np.maximum(counts, 1)[..., None]).transpose(2, 0, 1), counts


@pytest.mark.parametrize(
    ("width", "height", "downsample", "size", "stride"),
    [(64, 48, 1, 16, 16), (70, 53, 1, 16, 8), (131, 99, 2, 12, 3), (40, 40, 1, 40, 10), (47, 32, 1, 16, 16)],
)
def test_equals_a_plain_double_loop(
    tmp_path: Path, width: int, height: int, downsample: int, size: int, stride: int
) -> None:
    slide = make_slide(tmp_path, width, height)
    result = build_class_map(
        slide, Network(), MeanColor(size), downsample, stride, tmp_path / "work", batch_size=7, progress=False
    )
    probabilities, counts = expect(slide, downsample, size, stride)
    np.testing.assert_array_equal(result.counts, counts)
    np.testing.assert_allclose(result.probabilities, probabilities, atol=2e-3)
    np.testing.assert_allclose(result.probabilities.sum(axis=0), 1, atol=1e-5)
    assert result.counts.max() == (size // stride) ** 2 or (size == min(width, height))
    assert result.cell_px == stride * downsample and result.mpp == 0.25 * downsample


def test_two_colours_worked_by_hand(tmp_path: Path) -> None:
    """4 px of red, 4 px of blue; windows of 4 px every 2 px: red, half of each, blue."""
    pixels = np.zeros((4, 8, 3), dtype=np.uint8)
    pixels[:, :4, 0] = pixels[:, 4:, 2] = 255
    Image.fromarray(pixels).save(tmp_path / "two.png")
    identity = np.eye(3, dtype=np.float32)
    network = Network(identity)
    torch.nn.init.zeros_(network.bias)
    result = build_class_map(
        open_slide(tmp_path / "two.png"), network, MeanColor(4), 1.0, 2, tmp_path, progress=False
    )
    e, root = np.e, np.sqrt(np.e)
    red = np.array([e, 1, 1]) / (e + 2)
    both = np.array([root, 1, root]) / (2 * root + 1)
    blue = red[::-1]
    expected = np.stack([red, (red + both) / 2, (both + blue) / 2, blue], axis=1)
    np.testing.assert_allclose(result.probabilities[:, 0], expected, rtol=1e-5)
    assert result.counts.tolist() == [[1, 2, 2, 1]] * 2
    assert result.labels().tolist() == [[0, 0, 2, 2]] * 2
    assert result.mpp is None and result.grid().areas_mm2([]) == {}


def test_background_is_never_a_class(tmp_path: Path) -> None:
    slide = make_slide(tmp_path, 96, 64)
    tissue = np.zeros((64, 96), dtype=bool)
    tissue[:20, :40] = True
    engine = MeanColor(16)
    result = build_class_map(
        slide, Network(), engine, 1.0, 8, tmp_path / "work", tissue, min_tissue=0.25, progress=False
    )
    wanted = np.zeros((7, 11), dtype=bool)
    wanted[:2, :5] = True  # tops 0 and 8: 16 and 12 of 16 rows; top 16: 4 of 16 rows = 0.25 of the whole
    wanted[2, :4] = True  # left 32: half of 4 rows is below the limit
    probabilities, counts = expect(slide, 1, 16, 8, wanted)
    counts[3:] = counts[:, 5:] = 0  # these cells hold no tissue; row 2 holds 4 of 8 rows of it
    assert (counts[:3, :5] > 0).all()
    np.testing.assert_array_equal(result.counts, counts)
    np.testing.assert_allclose(result.probabilities, probabilities * (counts > 0), atol=1e-3)
    assert ((result.labels() == -1) == (counts == 0)).all()
    assert engine.patches == wanted.sum()


def interrupted(slide: Slide, workdir: Path, fail_after: int) -> int:
    engine = MeanColor(16, fail_after)
    with pytest.raises(KeyboardInterrupt):
        build_class_map(slide, Network(), engine, 1.0, 8, workdir, batch_size=8, progress=False)
    return engine.patches


@pytest.fixture
def narrow_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of three rows of windows, so that a small picture has several."""
    monkeypatch.setattr("scale_selector.windows.MAX_READ_PX", 32)


def run(slide: Slide, workdir: Path, network: Network | None = None, stride: int = 8) -> tuple[ClassMap, int]:
    engine = MeanColor(16)
    result = build_class_map(
        slide, network or Network(), engine, 1.0, stride, workdir, batch_size=8, progress=False
    )
    return result, engine.patches


@pytest.mark.usefixtures("narrow_reads")
def test_goes_on_after_an_interruption(tmp_path: Path) -> None:
    slide = make_slide(tmp_path, 128, 128)  # 15 x 15 windows, bands of 45
    reference, total = run(slide, tmp_path / "whole")
    assert total == 225
    assert interrupted(slide, tmp_path / "work", fail_after=100) >= 100
    resumed, computed = run(slide, tmp_path / "work")
    assert computed == 225 - 90
    np.testing.assert_array_equal(resumed.probabilities, reference.probabilities)
    finished, computed = run(slide, tmp_path / "work")
    assert computed == 0
    np.testing.assert_array_equal(finished.probabilities, reference.probabilities)


@pytest.mark.usefixtures("narrow_reads")
def test_goes_on_after_losing_the_end_of_a_file(tmp_path: Path) -> None:
    slide = make_slide(tmp_path, 128, 128)
    reference, _ = run(slide, tmp_path / "work")
    rows = tmp_path / "work" / "rows.f32"
    with rows.open("r+b") as file:
        file.truncate(4 * 15 * 3 * 4 + 11)  # four rows and a bit
    resumed, computed = run(slide, tmp_path / "work")
    assert computed == 225 - 60
    np.testing.assert_array_equal(resumed.probabilities, reference.probabilities)


@pytest.mark.usefixtures("narrow_reads")
def test_another_network_grid_or_slide_starts_anew(tmp_path: Path) -> None:
    slide = make_slide(tmp_path, 128, 128)
    interrupted(slide, tmp_path / "work", fail_after=100)
    assert run(slide, tmp_path / "work", Network(WEIGHT * 2))[1] == 225
    assert run(slide, tmp_path / "work", stride=16)[1] == 64
    (tmp_path / "other").mkdir()
    assert run(make_slide(tmp_path / "other", 128, 144), tmp_path / "work", stride=16)[1] == 72


def make_procedural(edge: int) -> Procedural:
    return Procedural(
        path=Path("huge.svs"), width_px=edge, height_px=edge, mpp=0.25, downsamples=(1.0,), threads=set()
    )


def test_memory_is_bounded_and_reading_has_its_own_thread(tmp_path: Path) -> None:
    slide = make_procedural(10240)
    tracemalloc.start()
    build_class_map(slide, Network(), MeanColor(128), 1.0, 128, tmp_path, batch_size=8, progress=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    reads = (READ_AHEAD + 2) * MAX_READ_PX**2 * 3
    assert peak < reads + 10e6 < slide.width_px**2 * 3 / 4
    assert threading.get_ident() not in slide.threads


def test_reading_runs_ahead_of_the_network() -> None:
    started: list[int] = []
    gate = threading.Event()

    def read(item: int) -> int:
        started.append(item)
        if item == READ_AHEAD:
            gate.set()
        return item * 10

    results = _read_ahead(read, range(6))
    assert next(results) == (0, 0)
    assert gate.wait(5)
    assert [value for _, value in results] == [10, 20, 30, 40, 50] and started == list(range(6))


def test_a_failed_read_is_not_swallowed(tmp_path: Path) -> None:
    slide = make_procedural(512)
    slide.read_region = lambda *_, **__: (_ for _ in ()).throw(InputError("damaged tile"))
    with pytest.raises(InputError, match="damaged tile"):
        build_class_map(slide, Network(), MeanColor(128), 1.0, 128, tmp_path, progress=False)


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_tissue_is_needed(tmp_path: Path, share: float) -> None:
    tissue = np.random.default_rng(0).random((100, 100)) < share
    with pytest.raises(InputError, match="huge.svs: expected windows with at least 10% tissue"):
        build_class_map(
            make_procedural(512), Network(), MeanColor(128), 1.0, 128, tmp_path, tissue, min_tissue=0.1
        )


def test_full_disk_at_the_end_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / MEAN_FILE).mkdir()
    with pytest.raises(OutputError, match="class map: expected room for it in output_dir"):
        build_class_map(make_procedural(512), Network(), MeanColor(128), 1.0, 128, tmp_path, progress=False)
