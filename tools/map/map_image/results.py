"""An image and the files that stand beside it; nothing is made again that has not changed."""

from __future__ import annotations

import shutil
from pathlib import Path

from _base import say
from packing.archive import hash_contents, hash_file

from .engine import Engine


def provide_image(engine: Engine, image: str, base: str, context: Path, stem: Path) -> Path:
    """Build `image` from its folder and write its files, unless all that is there just so.

    Args:
        engine: what builds.
        image: its name.
        base: name of the image that it stands on.
        context: folder with the Containerfile.
        stem: path of the files without their suffixes.

    Returns:
        The archive.
    """
    stamp, wanted = context.with_suffix(f".{engine.name}.built"), describe_inputs(base, context)
    current = stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted and engine.has(image)
    if not current:
        stamp.unlink(missing_ok=True)
        say(f"building {image}")
        engine.build(image, context, {"BASE": base})
    archive, bill, unproven = (Path(f"{stem}{end}") for end in (".tar", ".bom.cdx.json", ".part"))
    stem.parent.mkdir(parents=True, exist_ok=True)
    if not current or not bill.is_file():
        bill.write_text(engine.read(image, ["show", "bom"]), encoding="utf-8")
    if not current or not archive.is_file():
        engine.export(image, unproven)  # minutes: what is cut short must not be taken for the archive
        unproven.replace(archive)
    shutil.copyfile(context / "opt/docs/weights.sha256", f"{stem}.weights.sha256")
    stamp.write_text(wanted, encoding="utf-8")
    return archive


def describe_inputs(base: str, context: Path) -> str:
    """The base, and one hash over the names and contents of all files of the folder."""
    files = {file.relative_to(context).as_posix(): file for file in context.rglob("*") if file.is_file()}
    hashes = {name: hash_file(file).encode() for name, file in files.items()}
    return f"{base} {hash_contents(hashes)}\n"
