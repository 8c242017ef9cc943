"""Does `model.ts` draw the masks of the network that it was made of? Plain torch in a process of its own.

    python3 tools/experiment/ksam_export.py CT [--slices 6]

Squares a third as wide as the slice, left and right of its middle, go through the bundle's network with its
bank, and through its TorchScript file, which a second process loads with torch alone. Prints the Dice between
the two for each structure, and the largest difference of a logit.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "bundles" / "ksam_kidney_seg"
sys.path[:0] = [str(ROOT / "tools"), str(BUNDLE)]
import _venv  # noqa: E402

if __name__ == "__main__":
    _venv.enter_venv()

import numpy as np  # noqa: E402
import torch  # noqa: E402

from common.errors import BundleError  # noqa: E402
from common.io.ct_volume import read_ct  # noqa: E402
from experiment.ksam_volumes import dice  # noqa: E402
from ksam.frame import Window, build_frame  # noqa: E402
from ksam.network import build_network  # noqa: E402
from ksam.script import save_script  # noqa: E402
from ksam.structures import read_structures  # noqa: E402

WINDOW = Window(100, 500)
WEIGHTS = {
    "weights": BUNDLE / "models/kidney_phantom_delta.safetensors",
    "base": BUNDLE / "models/lite_medsam.pth",
}
PLAIN = """
import sys, torch
network, pictures = torch.jit.load(sys.argv[1]), torch.load(sys.argv[2], weights_only=True)
with torch.no_grad():
    torch.save(torch.cat([network(picture[None]) for picture in pictures]), sys.argv[3])
assert not {"ksam", "common", "segment_anything", "timm", "monai"} & set(sys.modules)
"""


def main(arguments: list[str]) -> int:
    """Compare and print. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Compares model.ts with its network.")
    parser.add_argument("ct", type=Path, metavar="CT", help="DICOM folder or zip, NIfTI, NRRD")
    parser.add_argument("--slices", type=int, default=6, help="evenly spaced (default: 6)")
    options = parser.parse_args(arguments)
    try:
        network = build_network(**WEIGHTS)
        pictures = cut_pictures(options.ct, options.slices, network.image_size)
        with torch.no_grad():
            eager = torch.cat([network(picture[None]) for picture in pictures])
        with tempfile.TemporaryDirectory() as folder:
            save_script(network, Path(folder) / "model.ts")
            scripted = run_plainly(Path(folder), pictures)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for place, structure in enumerate(read_structures(BUNDLE / "configs/labels.json")):
        masks = [(logits[:, place] > 0).numpy() for logits in (eager, scripted)]
        print(f"{structure.name}: {masks[0].sum()} pixels, Dice {dice(*masks):.6f}")
    print(f"{len(pictures)} pictures; logits differ by up to {float((eager - scripted).abs().max()):.2g}")
    return 0


def cut_pictures(ct: Path, slices: int, size_px: int) -> torch.Tensor:
    """(2 x slices, 3, S, S), RGB 0..255. Raises InputError."""
    voxels = read_ct(ct).to_axial().voxels
    rows, columns, depth = voxels.shape
    edge = max(rows, columns) // 3
    top, found = (rows - edge) // 2, []
    for z in np.linspace(0, depth - 1, slices + 2).round().astype(int)[1:-1]:
        for left in (columns // 2 - edge, columns // 2):
            square = np.ascontiguousarray(voxels[top : top + edge, left : left + edge, z])
            found.append(build_frame(square, "none", size_px).to_network(square, WINDOW))
    return torch.from_numpy(np.stack(found)).float()


def run_plainly(folder: Path, pictures: torch.Tensor) -> torch.Tensor:
    """Logits of `model.ts` in `folder`, by a process that has torch and nothing of this repository."""
    torch.save(pictures, folder / "pictures.pt")
    paths = [str(folder / name) for name in ("model.ts", "pictures.pt", "logits.pt")]
    subprocess.run([sys.executable, "-I", "-W", "ignore", "-c", PLAIN, *paths], cwd=folder, check=True)
    logits: torch.Tensor = torch.load(folder / "logits.pt", weights_only=True)
    return logits


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
