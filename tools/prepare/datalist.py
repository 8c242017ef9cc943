"""A data set as it was downloaded, or as a clinic made it -> one datalist for ksam_kidney_seg, by patient.

    python3 tools/prepare/datalist.py LAYOUT SOURCE --output DIR/datalist.json

LAYOUT: slicer (folders of 3D Slicer, as KAS), kits23, totalsegmentator, kipa22, amos22, refuge,
refuge_multirater, fundus (image/ and mask/ with REFUGE's values), pairs (image/ and mask/, any values: see
--labels). What a data set does not have (joined label maps, crops, HU) is written beside the datalist into
datalist_files/. For example, the fundus crops, split by file:

    python3 tools/prepare/datalist.py fundus ../shared/data/fundus --output out/fundus/datalist.json --check
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _venv

if TYPE_CHECKING:
    from prepare.entries import Request

LAYOUTS = (
    "slicer",
    "kits23",
    "totalsegmentator",
    "kipa22",
    "amos22",
    "refuge",
    "refuge_multirater",
    "fundus",
    "pairs",
)


def main(arguments: list[str]) -> int:
    """Write the datalist; one line on what it holds. Returns the exit status."""
    options = parse(arguments)
    _venv.enter_venv()
    sys.path.append(str(Path(__file__).resolve().parents[2] / "bundles" / "ksam_kidney_seg"))
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
        description="Makes a datalist of a data set, split by patient.", allow_abbrev=False
    )
    parser.add_argument("layout", choices=LAYOUTS, metavar="LAYOUT", help=", ".join(LAYOUTS))
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder of the data set")
    parser.add_argument("--output", type=Path, required=True, help="the datalist (JSON)")
    parser.add_argument(
        "--split", default="auto", help="auto (the data set's own, else random), random, or a CSV: name,part"
    )
    parser.add_argument(
        "--fractions", default="0.7,0.15,0.15", help="training, validation, test of a random split"
    )
    parser.add_argument("--seed", type=int, default=0, help="of a random split")
    parser.add_argument(
        "--patient", help="regular expression; its first group in a case's name is the patient"
    )
    parser.add_argument(
        "--structures", default="", help="wanted names, with commas (default: the layout's own)"
    )
    parser.add_argument("--labels", default="", help="names of the values of label maps: 1=cortex,2=medulla")
    parser.add_argument("--rename", default="", help="segment=structure, with commas (layout slicer)")
    parser.add_argument("--background", default="0", help="other values of the masks (layout pairs)")
    parser.add_argument(
        "--crop-px", type=int, help="cut squares of this side around the disc (fundus, refuge)"
    )
    parser.add_argument("--hu-offset", type=float, default=-1024, help="of stored values (kipa22)")
    parser.add_argument(
        "--licence", default="", help="terms of your copy (default: what the layout's publishers state)"
    )
    parser.add_argument("--check", action="store_true", help="read every image and label and count pixels")
    return parser.parse_args(arguments)


def write_datalist(options: argparse.Namespace) -> None:
    """Collect, split, write. Raises BundleError."""
    from prepare.ct_sets import collect_amos22, collect_kipa22, collect_kits23, collect_totalsegmentator
    from prepare.folders import collect_pairs
    from prepare.refuge import collect_fundus, collect_multirater, collect_refuge
    from prepare.slicer import collect_slicer
    from prepare.split import Split
    from prepare.writing import check_cases, write

    collectors = {
        "slicer": collect_slicer,
        "kits23": collect_kits23,
        "totalsegmentator": collect_totalsegmentator,
        "kipa22": collect_kipa22,
        "amos22": collect_amos22,
        "refuge": collect_refuge,
        "refuge_multirater": collect_multirater,
        "fundus": collect_fundus,
        "pairs": collect_pairs,
    }
    request = read_request(options)
    collected = collectors[options.layout](request)
    collected = replace(collected, licence=request.licence or collected.licence)
    split = Split(options.split, options.fractions, options.seed, options.patient)
    print(write(collected, split, options.output))
    if options.check:
        print(check_cases(options.output))


def read_request(options: argparse.Namespace) -> "Request":
    """What the options ask of the layout. Raises ConfigError, InputError."""
    from common.errors import ConfigError, InputError
    from prepare.entries import Request
    from prepare.reading import read_names, read_pairs, read_values

    if not options.source.is_dir():
        raise InputError(f"{options.source.name}: expected a folder, got none: correct SOURCE")
    if options.crop_px is not None and not 16 <= options.crop_px <= 4096:
        raise ConfigError(f"crop-px: expected 16 to 4096, got {options.crop_px}: 512 is pOSAL's for REFUGE")
    return Request(
        source=options.source.resolve(),
        structures=read_names(options.structures),
        named_values=read_values(options.labels),
        rename=dict(read_pairs(options.rename, "rename")),
        background=tuple(value for value, _ in read_values(options.background, "background", named=False)),
        crop_px=options.crop_px,
        hu_offset=options.hu_offset,
        licence=options.licence.strip(),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
