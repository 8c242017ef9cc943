"""The patient of the demo: a CT phantom that no training has seen, as a DICOM series, and its truth.

    python3 tools/phantoms/kidney_sample.py make FOLDER
    python3 tools/phantoms/kidney_sample.py score FOLDER --result LABELS.nii.gz

`make` writes the series into FOLDER and the label map beside it, FOLDER_truth.nii.gz. `score` prints the Dice
of cortex, medulla and artery against that truth.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _venv

if TYPE_CHECKING:
    import numpy as np

SEED = 90_001
"""Beyond every seed of the training population (docs/README.md of the bundle names it)."""

PHASE = "corticomedullary"
MATRIX, SLICE_MM = 512, 4.0


def main(arguments: list[str]) -> int:
    """Run one command. Returns the exit status."""
    options = parse(arguments)
    _venv.enter_venv()
    from common.errors import BundleError

    try:
        if options.command == "make":
            make(options.folder)
        else:
            score(options.folder, options.result)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="A generated CT as DICOM series, with a known truth.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, text in (("make", "write series and truth"), ("score", "Dice of a result")):
        command = commands.add_parser(name, help=text)
        command.add_argument("folder", type=Path, help="folder of the series")
        if name == "score":
            command.add_argument("--result", type=Path, required=True, help="label map (NIfTI)")
    return parser.parse_args(arguments)


def truth_path(folder: Path) -> Path:
    """The label map beside the series."""
    return folder.with_name(f"{folder.name}_truth.nii.gz")


def make(folder: Path, matrix: int = MATRIX, slice_mm: float = SLICE_MM) -> None:
    """Series and truth; the series appears whole or not at all, after its truth. Raises BundleError."""
    from common.io.ct_types import CtVolume, Source
    from common.io.nifti import write_nifti_mask
    from phantoms.ct_dataset import Population
    from phantoms.ct_protocol import Protocol
    from phantoms.ct_series import write_ct_series

    population = Population(1, SEED, damaged=0.0, protocol=Protocol(matrix=matrix, slices_mm=(slice_mm,)))
    images, _ = population.scan_patient(0, PHASE)
    affine = images.scan.affine_ras_mm
    volume = CtVolume(images.voxels_hu, affine, Source("NIfTI", "phantom", 1))
    write_nifti_mask(images.labels, volume, truth_path(folder))
    temporary = folder.with_name(f".{os.getpid()}-{folder.name}")
    try:
        write_ct_series(temporary, images.voxels_hu, affine, seed=SEED)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def score(folder: Path, result: Path) -> None:
    """Print a line per structure. Raises BundleError."""
    from phantoms.ct_labels import KIDNEY_STRUCTURES

    truth, found = read_on_one_grid(truth_path(folder)), read_on_one_grid(result)
    print("Dice against the phantom's known truth:")
    for structure in KIDNEY_STRUCTURES:
        value = structure["values"][0]
        print(f"  {structure['name']:8} {find_dice(truth == value, found == value):.3f}")


def read_on_one_grid(path: Path) -> "np.ndarray":
    """A label map with axes to right, anterior, superior. Raises InputError."""
    import nibabel as nib

    from common.io.nifti import read_label_nifti

    labels, affine = read_label_nifti(path)
    turn = nib.orientations.io_orientation(affine)
    return nib.orientations.apply_orientation(labels, turn)


def find_dice(truth: "np.ndarray", found: "np.ndarray") -> float:
    """Dice of two masks; 1 where both are empty. Raises InputError: other sizes."""
    from common.errors import InputError

    if truth.shape != found.shape:
        raise InputError(
            f"expected a label map of {truth.shape} voxels, got {found.shape}: give the result of this series"
        )
    total = int(truth.sum()) + int(found.sum())
    return 2 * int((truth & found).sum()) / total if total else 1.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
