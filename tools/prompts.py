"""The prompt library: knowledge prompts from labelled slices.

    python3 tools/prompts.py make LIBRARY/TASK --image CT_OR_PICTURE --labels LABELS [--structures RULE ...]
    python3 tools/prompts.py list LIBRARY
    python3 tools/prompts.py preview LIBRARY/TASK [--output FILE.png]

`make` starts a task or adds templates to one. The image is a DICOM folder or zip, NIfTI, NRRD, or a picture
(PNG, JPEG, TIFF). The labels are a label map on the same grid (NIfTI, NRRD, PNG) or a DICOM Segmentation. A
rule says what is what: `cortex=1`; `disc=1,2 cup=2:disc` (the cup lies in the disc, whose values include it);
`liver=FILE` (a mask of its own); for a DICOM Segmentation `name=SEGMENT`. Without rules: every segment of a
DICOM Segmentation, else the task's own structures, or those of the bundle's labels.json, by their values.
"""

import argparse
import sys
from pathlib import Path

import _venv
from _base import ROOT, run_tool

BUNDLE = ROOT / "bundles" / "ksam_kidney_seg"


def main(arguments: list[str]) -> int:
    """Run one command. Returns the exit status."""
    options = build_parser().parse_args(arguments)
    _venv.enter_venv()
    sys.path.insert(0, str(BUNDLE))
    import prompt_commands

    from common.errors import BundleError

    try:
        return int(prompt_commands.COMMANDS[options.command](options))
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(description="Knowledge prompts: make, list, preview.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    _add_make(commands.add_parser("make", help="start a task, or add templates to one"))
    listing = commands.add_parser("list", help="tasks, their structures and templates")
    listing.add_argument("library", type=Path, help="library folder, or one task")
    preview = commands.add_parser("preview", help="a picture of the templates with their outlines")
    preview.add_argument("task", type=Path, help="task folder")
    preview.add_argument("--output", type=Path, metavar="FILE.png", help="default: preview.png in the task")
    return parser


def _add_make(make: argparse.ArgumentParser) -> None:
    make.add_argument("task", type=Path, help="task folder, made if it is not there")
    make.add_argument("--image", type=Path, required=True, help="CT or picture")
    make.add_argument("--labels", type=Path, help="label map or DICOM Segmentation")
    make.add_argument("--structures", nargs="+", default=[], metavar="RULE", help="see above")
    chosen = make.add_mutually_exclusive_group()
    chosen.add_argument("--slices", type=int, nargs="+", metavar="Z", help="numbers from the lowest slice, 0")
    chosen.add_argument("--count", type=int, default=1, help="how many of the best slices (default 1)")
    make.add_argument("--series", help="SeriesInstanceUID or number, where a folder holds several")
    make.add_argument(
        "--window", type=float, nargs=2, metavar=("CENTER", "WIDTH"), help="HU of a new CT task (40 400)"
    )
    make.add_argument("--crop", choices=("none", "body", "region"), help="of a new task (default: none)")
    make.add_argument("--name", help="beginning of the templates' ids (default: template1, template2, ...)")
    make.add_argument("--licence", default="", help="of image and labels")
    make.add_argument("--author", default="", help="who labelled it, if that is to be kept")


if __name__ == "__main__":
    run_tool(main)
