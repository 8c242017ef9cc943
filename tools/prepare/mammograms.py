"""A mammography data set as it was downloaded -> one datalist for mmbcd_mammo, split by patient.

    python3 tools/prepare/mammograms.py LAYOUT SOURCE --output DIR/datalist.json

LAYOUT: paper (CSV files with UHID, text, cancer, im_path), cbis_ddsm, vindr, cmmd, embed, inbreast, mias.
Sets without clinical histories get templated ones, from what is known before reading (age, density, kind of
visit, never the label); the datalist marks them as synthetic. What the project does not read (MIAS' PGM) is
converted into datalist_files/ beside the datalist.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _venv

LAYOUTS = ("paper", "cbis_ddsm", "vindr", "cmmd", "embed", "inbreast", "mias")


def main(arguments: list[str]) -> int:
    """Write the datalist; one line on what it holds. Returns the exit status."""
    options = parse(arguments)
    _venv.enter_venv()
    sys.path.append(str(Path(__file__).resolve().parents[2] / "bundles" / "mmbcd_mammo"))
    from common.errors import BundleError

    try:
        write_datalist(options)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Makes a datalist of mammograms, split by patient.", allow_abbrev=False
    )
    parser.add_argument("layout", choices=LAYOUTS, metavar="LAYOUT", help=", ".join(LAYOUTS))
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder of the data set")
    parser.add_argument("--output", type=Path, required=True, help="the datalist (JSON)")
    parser.add_argument(
        "--split",
        default="auto",
        help="auto (the set's own test part, validation drawn from the rest), random, or a CSV: name,part",
    )
    parser.add_argument(
        "--fractions", default="0.7,0.15,0.15", help="training, validation, test of a random split"
    )
    parser.add_argument("--seed", type=int, default=0, help="of a random split and of the histories' wording")
    parser.add_argument(
        "--patient", help="regular expression; its first group in an image's name is the patient"
    )
    parser.add_argument(
        "--histories", choices=("templated", "none"), default="templated", help="for sets without texts"
    )
    parser.add_argument(
        "--check", action="store_true", help="read every header, leave out what training would refuse"
    )
    return parser.parse_args(arguments)


def write_datalist(options: argparse.Namespace) -> None:
    """Collect, split, write. Raises BundleError."""
    from common.errors import InputError
    from prepare.mammo_cbis import collect_cbis_ddsm
    from prepare.mammo_cmmd import collect_cmmd
    from prepare.mammo_embed import collect_embed
    from prepare.mammo_paper import collect_paper
    from prepare.mammo_small import collect_inbreast, collect_mias
    from prepare.mammo_vindr import collect_vindr
    from prepare.mammo_writing import leave_out, write
    from prepare.split import Split

    collectors = {
        "paper": collect_paper,
        "cbis_ddsm": collect_cbis_ddsm,
        "vindr": collect_vindr,
        "cmmd": collect_cmmd,
        "embed": collect_embed,
        "inbreast": collect_inbreast,
        "mias": collect_mias,
    }
    if not options.source.is_dir():
        raise InputError(f"{options.source.name}: expected a folder, got none: correct SOURCE")
    found = collectors[options.layout](options.source.resolve())
    if options.check:
        found = leave_out(found)
    split = Split(options.split, options.fractions, options.seed, options.patient)
    print(write(found, split, options.output, options.histories, options.seed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
