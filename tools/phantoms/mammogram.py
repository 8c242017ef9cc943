"""Generated four-view mammography studies with lesions of known place, and clinical histories.

    python3 tools/phantoms/mammogram.py --patients 240 --output DIR

writes DIR/studies/phantom_00000/phantom_00000_{R,L}_{CC,MLO}.dcm ..., DIR/datalist.json (split by patient,
as configs/train.json takes it), DIR/boxes.json (candidates as a detector would give them, with mistakes) and
DIR/patients.json (condition, maker, every lesion and distractor with its box on each picture). A seed always
gives the same patient; seeds that were not used are unseen patients. As large as from a detector, in all
transfer syntaxes:

    python3 tools/phantoms/mammogram.py --patients 4 --size 4000x3000 --compress mixed --output DIR

What is drawn from what, and how well the best possible reader could do, stand in `mammo_tables` and
`mammo_bayes`: neither the pictures nor the texts are enough alone.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _venv

if TYPE_CHECKING:
    from phantoms.mammo_dataset import Population


def main(arguments: list[str]) -> int:
    """Write the patients, one line each. Returns the exit status."""
    options = parse(arguments)
    _venv.enter_venv()
    from common.errors import BundleError
    from phantoms.mammo_dataset import write_population

    try:
        for line in write_population(build_population(options), options.output):
            print(line, flush=True)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Writes generated mammography studies with histories.", allow_abbrev=False
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for studies/, datalist.json")
    parser.add_argument("--patients", type=int, default=1, help="number of patients (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first; the next ones follow")
    parser.add_argument("--size", default="640x512", help="ROWSxCOLUMNS in pixels (default 640x512)")
    parser.add_argument("--malignant", type=float, help="share of patients with a cancer (default 0.4)")
    parser.add_argument("--fractions", default="0.7,0.15,0.15", help="training, validation, test")
    parser.add_argument(
        "--compress", default="none", help="none, jpeg2000, jpegls, jpeg (lossless), rle, or mixed"
    )
    parser.add_argument(
        "--vendors", default="0,1,2,3,4", help="numbers of the makers; one is drawn for each patient"
    )
    return parser.parse_args(arguments)


def build_population(options: argparse.Namespace) -> "Population":
    """The patients that the options ask for. Raises ConfigError."""
    from prepare.split import read_fractions

    from phantoms.mammo_dataset import Population

    return Population(
        count=options.patients,
        seed=options.seed,
        size_px=read_size(options.size),
        malignant=options.malignant,
        fractions=read_fractions(options.fractions),
        syntax=options.compress,
        vendors=read_whole(options.vendors, "--vendors", "0,1,2,3,4"),
    )


def read_size(text: str) -> tuple[int, int]:
    """ "640x512" -> (640, 512): rows and columns. Raises ConfigError."""
    rows, _, columns = text.partition("x")
    return read_whole(rows, "--size", "640x512")[0], read_whole(columns, "--size", "640x512")[0]


def read_whole(text: str, option: str, example: str) -> tuple[int, ...]:
    """ "0,2" -> (0, 2). Raises ConfigError."""
    from common.errors import ConfigError

    parts = text.split(",")
    if not all(part.isdigit() for part in parts):
        raise ConfigError(f"{option}: expected whole numbers, got '{text}': try {example}")
    return tuple(int(part) for part in parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
