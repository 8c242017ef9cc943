"""Labelled pictures as other cameras would show them: is a template of a new camera worth anything?

    python3 tools/experiment/ksam_cameras.py out/fundus/datalist.json --out out/cameras

For every camera below: OUT/CAMERA/datalist.json with the pictures of the test part, half of the patients as a
source of templates ("training"), the others to be segmented ("test"), for `configs/evaluate.json`. The
cameras are made by other means than the augmentation of training (`ksam/camera.py`): mixed channels, turned
hue, CLAHE, vignette, tone curve, lost resolution, noise, JPEG; and the crop has another scale. `id` is the
camera of the source. There is another annotator's convention too: "between", what lies deeper than 35 % of
the way from the border of the cup to that of the disc, which nobody drew.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "bundles" / "ksam_kidney_seg")]
import _venv  # noqa: E402

if TYPE_CHECKING:
    import numpy as np

LEVEL = 0.35
_VALUES = {"disc": [1, 2, 3], "between": [2, 3], "cup": [3]}


class ForeignCamera(NamedTuple):
    """How pictures change, in this order, and how much larger things become."""

    matrix: tuple[tuple[float, float, float], ...] | None = None
    hue_deg: float = 0.0
    saturation: float = 1.0
    tone: float = 0.0
    resolution_px: int = 0
    clahe: float = 0.0
    vignette: float = 0.0
    noise: float = 0.0
    jpeg: int = 0
    scale: float = 1.0


CAMERAS = {
    "id": ForeignCamera(),
    "val1": ForeignCamera(((0.55, 0.35, 0.0), (0.15, 0.7, 0.2), (0.1, 0.25, 0.5)), jpeg=35, scale=1.2),
    "val2": ForeignCamera(hue_deg=28, saturation=1.2, vignette=0.5, noise=7, scale=0.8),
    "val3": ForeignCamera(hue_deg=-25, saturation=0.5, resolution_px=110, clahe=3),
    "t1": ForeignCamera(((0.8, 0.0, 0.1), (0.0, 1.2, 0.0), (0.35, 0.25, 0.6)), jpeg=50, scale=1.3),
    "t2": ForeignCamera(hue_deg=20, saturation=0.8, clahe=4, scale=0.8),
    "t3": ForeignCamera(
        ((0.4, 0.3, 0.3), (0.2, 0.6, 0.2), (0.1, 0.3, 0.6)), resolution_px=128, noise=6, scale=1.1
    ),
    "t4": ForeignCamera(hue_deg=-35, saturation=1.3, tone=5, jpeg=30, scale=0.7),
    "t5": ForeignCamera(((0.2, 0.9, 0.0), (0.6, 0.3, 0.0), (0.0, 0.5, 0.6)), tone=4, vignette=0.6),
}


def main(arguments: list[str]) -> int:
    """Write the pictures and datalists. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Labelled pictures as other cameras would show them.")
    parser.add_argument("datalist", type=Path, help="with structures disc and cup, pictures")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--camera", nargs="+", choices=list(CAMERAS), default=list(CAMERAS))
    options = parser.parse_args(arguments)
    _venv.enter_venv()
    from common.errors import BundleError

    try:
        for name in options.camera:
            print(f"{name}: {write_camera(options.datalist, name, options.out / name)} pictures")
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def write_camera(datalist: Path, name: str, folder: Path) -> int:
    """Pictures, label maps and datalist of one camera. Returns the number of pictures.

    Raises:
        InputError: structures other than disc and cup.
    """
    from common.errors import InputError
    from common.io.files import write_json
    from ksam.datalist import load_datalist

    cases = load_datalist(datalist, "test")
    found = [structure.name for structure in cases[0].header.structures]
    if sorted(found) != ["cup", "disc"]:
        raise InputError(f"{datalist.name}: expected the structures disc and cup, got {found}: take REFUGE's")
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number, case in enumerate(cases):
        entry = next(iter(case.slices()))
        stem = f"{number:03d}"
        image, labels = show(entry.image, entry.masks, CAMERAS[name], number)
        _write_png(folder / f"{stem}.png", image)
        _write_png(folder / f"{stem}_label.png", labels)
        entries.append({"image": f"{stem}.png", "label": f"{stem}_label.png", "patient": case.patient})
    half = len(entries) // 2
    write_json(folder / "datalist.json", _describe(datalist, name, entries[:half], entries[half:]))
    return len(entries)


def _describe(datalist: Path, name: str, templates: list[dict], targets: list[dict]) -> dict:
    licence = json.loads(datalist.read_text(encoding="utf-8"))["licence"]
    structures = [
        {"name": "disc", "values": _VALUES["disc"], "parent": None, "code": None, "color": [86, 180, 233]},
        {
            "name": "between",
            "values": _VALUES["between"],
            "parent": "disc",
            "code": None,
            "color": [0, 158, 1],
        },
        {"name": "cup", "values": _VALUES["cup"], "parent": "between", "code": None, "color": [240, 228, 66]},
    ]
    head = {"name": f"{name} of {datalist.stem}", "modality": "picture", "licence": licence, "window": None}
    return head | {"crop": "none", "structures": structures, "training": templates, "test": targets}


def show(
    image: "np.ndarray", masks: dict[str, "np.ndarray"], camera: ForeignCamera, seed: int
) -> tuple["np.ndarray", "np.ndarray"]:
    """Picture and label map of one camera.

    Args:
        image: RGB uint8 (r, c, 3).
        masks: disc and cup, bool (r, c).
        camera: see `CAMERAS`.
        seed: of the noise.

    Returns:
        uint8 (r, c, 3) and uint8 (r, c): 0 background, 1 rim, 2 between the level and the cup, 3 cup.
    """
    import numpy as np

    from ksam.fields import View
    from ksam.warp import Geometry

    for change in _changes(camera, seed):
        image = change(image)
    both = np.stack([masks["disc"], masks["cup"]])
    shown, moved = Geometry(scale=camera.scale).apply(image, both, image.shape[0])
    labels = moved[0].astype(np.uint8)
    if moved.any(axis=(1, 2)).all():
        labels[moved[0] & (View(shown, moved).depth(0, 1) < LEVEL)] = 2
    labels[moved[1]] = 3
    return shown, labels


def _changes(camera: ForeignCamera, seed: int) -> list[Callable[["np.ndarray"], "np.ndarray"]]:
    """What the camera does, one change after the other, each uint8 -> uint8."""
    steps: list[tuple[bool, Callable[[np.ndarray], np.ndarray]]] = [
        (camera.matrix is not None, lambda x: _mix(x, camera)),
        (bool(camera.hue_deg), lambda x: _turn_hue(x, camera)),
        (bool(camera.tone), lambda x: _bend(x, camera.tone)),
        (bool(camera.resolution_px), lambda x: _coarsen(x, camera.resolution_px)),
        (bool(camera.clahe), lambda x: _equalise(x, camera.clahe)),
        (bool(camera.vignette), lambda x: _darken(x, camera.vignette)),
        (bool(camera.noise), lambda x: _disturb(x, camera.noise, seed)),
        (bool(camera.jpeg), lambda x: _compress(x, camera.jpeg)),
    ]
    return [change for wanted, change in steps if wanted]


def _mix(image: "np.ndarray", camera: ForeignCamera) -> "np.ndarray":
    import numpy as np

    return np.clip(image @ np.array(camera.matrix, dtype=np.float32).T, 0, 255).astype(np.uint8)


def _turn_hue(image: "np.ndarray", camera: ForeignCamera) -> "np.ndarray":
    import cv2
    import numpy as np

    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + camera.hue_deg / 2) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * camera.saturation, 0, 255)
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)


def _bend(image: "np.ndarray", tone: float) -> "np.ndarray":
    import numpy as np

    bent = np.tanh(tone * (image / 255 - 0.5)) / np.tanh(tone / 2) / 2 + 0.5
    return np.clip(bent * 255, 0, 255).astype(np.uint8)


def _coarsen(image: "np.ndarray", edge_px: int) -> "np.ndarray":
    import cv2

    small = cv2.resize(image, (edge_px, edge_px), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)


def _equalise(image: "np.ndarray", limit: float) -> "np.ndarray":
    import cv2

    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(limit, (8, 8)).apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def _darken(image: "np.ndarray", share: float) -> "np.ndarray":
    import numpy as np

    rows, columns = image.shape[:2]
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    return (image * (1 - share * (x**2 + y**2) / 2)[..., None]).astype(np.uint8)


def _disturb(image: "np.ndarray", sigma: float, seed: int) -> "np.ndarray":
    import numpy as np

    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _compress(image: "np.ndarray", quality: int) -> "np.ndarray":
    import cv2

    packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1]


def _write_png(path: Path, image: "np.ndarray") -> None:
    import cv2

    from common.io.files import atomic_path

    with atomic_path(path) as temporary:
        cv2.imwrite(str(temporary), image[..., ::-1] if image.ndim == 3 else image)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
