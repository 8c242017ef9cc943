"""Generated CT of the abdomen with a known truth: cortex, medulla and arteries of the kidneys, and more.

    python3 tools/phantoms/kidney_ct.py --patients 40 --output DIR

writes DIR/images/phantom_0000.nii.gz ..., DIR/labels/phantom_0000.nii.gz ..., DIR/datalist.json (cortex,
medulla, artery; split by patient), DIR/organs.json (the other structures of the same label maps),
DIR/abdomen.json (all of them, and the kidney as a whole), DIR/labels.json and DIR/patients.json (phase,
spacing, damage). A seed always gives the same patient. Coarser and faster:

    python3 tools/phantoms/kidney_ct.py --patients 40 --output DIR --matrix 256 --slice-mm 3,4,5

With `--dicom` a series DIR/dicom/phantom_0000/*.dcm is written too, and with `--extra-series` a scout and an
unenhanced series beside it, in the same folder. With `--squares 4` four slices of a square of 120 mm around
each kidney are written to DIR/squares, with a datalist of their own: small, for experiments on a CPU.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _venv

if TYPE_CHECKING:
    from phantoms.ct_dataset import Population
    from phantoms.ct_scan import Images


def main(arguments: list[str]) -> int:
    """Write the patients, one line each. Returns the exit status."""
    options = parse(arguments)
    _venv.enter_venv()
    from common.errors import BundleError

    try:
        write_patients(options)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Writes generated CT of kidneys with label maps.", allow_abbrev=False
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for images/, labels/, datalist.json"
    )
    parser.add_argument("--patients", type=int, default=1, help="number of patients (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first; the next ones follow")
    parser.add_argument(
        "--phases",
        default="arterial,corticomedullary,nephrographic",
        help="drawn for each patient; also unenhanced (default arterial,corticomedullary,nephrographic)",
    )
    parser.add_argument(
        "--damaged", type=float, default=0.25, help="share of damaged left kidneys, 0..1 (default 0.25)"
    )
    parser.add_argument("--damage", default="atrophy,hydronephrosis", help="kinds of damage (default both)")
    parser.add_argument("--matrix", type=int, default=512, help="pixels along a side (default 512)")
    parser.add_argument(
        "--slice-mm", default="1,1.25,1.5,2,2.5,3,4,5", help="slice distances, drawn for each patient"
    )
    parser.add_argument("--region", default="kidneys", help="kidneys (default) or abdomen (300 mm)")
    parser.add_argument("--geometry", default="axial", help="axial, flipped, oblique or tilted")
    parser.add_argument(
        "--fractions", default="0.7,0.15,0.15", help="training, validation, test (default 0.7,0.15,0.15)"
    )
    parser.add_argument("--dicom", action="store_true", help="write a DICOM series of each patient too")
    parser.add_argument(
        "--extra-series", action="store_true", help="and a scout and an unenhanced series in the same folder"
    )
    parser.add_argument(
        "--squares",
        type=int,
        default=0,
        metavar="N",
        help="write N slices of a square around each kidney too",
    )
    parser.add_argument("--compress", default="none", help="none, jpeg2000, jpegls, jpeg (lossless) or rle")
    parser.add_argument("--fault", default="none", help="of the series: none, missing, duplicate, irregular")
    return parser.parse_args(arguments)


def write_patients(options: argparse.Namespace) -> None:
    """All patients and their datalists. Raises BundleError."""
    from common.io.files import write_json
    from phantoms.ct_dataset import write_datalists, write_squares_datalist, write_volumes
    from phantoms.ct_squares import write_squares

    population = build_population(options)
    names, records, squares = population.names(), {}, []
    for index, name in enumerate(names):
        start = time.perf_counter()
        images, record = population.scan_patient(index)
        write_volumes(images, options.output, name)
        if options.dicom:
            write_dicom(options, population, index, images)
        if options.squares:
            squares += write_squares(images, options.output, name, options.squares)
        spacing = [round(float(mm), 4) for mm in images.scan.spacing_mm]
        records[name] = {**record, "spacing_mm": spacing, "geometry": options.geometry}
        print(f"{name}  {record['phase']}  {time.perf_counter() - start:.1f} s", flush=True)
    write_datalists(options.output, names, population.parts())
    if squares:
        write_squares_datalist(options.output, squares, names, population.parts())
    write_json(options.output / "patients.json", records)


def write_dicom(options: argparse.Namespace, population: "Population", index: int, images: "Images") -> None:
    """The series of one patient. Raises BundleError."""
    from phantoms.ct_dicom import Series, write_scout, write_series

    name = population.names()[index]
    folder = options.output / "dicom" / name
    enhanced = Series(name, 2, "Abdomen contrast", options.compress, options.fault)
    write_series(images, enhanced, folder)
    if options.extra_series:
        plain, _ = population.scan_patient(index, "unenhanced")
        write_scout(images, Series(name, 1, "Scout", options.compress), folder)
        write_series(plain, Series(name, 3, "Abdomen plain", options.compress), folder)


def build_population(options: argparse.Namespace) -> "Population":
    """The patients that the options ask for. Raises ConfigError."""
    from prepare.split import read_fractions

    from phantoms.ct_dataset import Population
    from phantoms.ct_protocol import Protocol

    protocol = Protocol(
        matrix=options.matrix,
        slices_mm=read_numbers(options.slice_mm, "--slice-mm"),
        region=options.region,
        geometry=options.geometry,
    )
    return Population(
        count=options.patients,
        seed=options.seed,
        phases=tuple(options.phases.split(",")),
        damaged=options.damaged,
        damages=tuple(options.damage.split(",")),
        fractions=read_fractions(options.fractions),
        protocol=protocol,
    )


def read_numbers(text: str, option: str) -> tuple[float, ...]:
    """ "1,2.5" -> (1.0, 2.5). Raises ConfigError."""
    from common.errors import ConfigError

    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"{option}: expected numbers with commas, got '{text}': try 1,2.5") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
