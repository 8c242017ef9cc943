"""Load a bundle as a machine would that has the pinned packages and nothing of this repository.

Started by `verify.py` as `python -S smoke.py FOLDER REPOSITORY`: `-S` reads no `.pth` files, so an editable
installation of `common` is out of reach. Prints one JSON line, or ends at the first fault with one line on
standard error and status 1.
"""

import importlib
import importlib.util
import json
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main(bundle: Path, repository: Path) -> None:
    """Import every module, resolve every target, build the network when its weights are there."""
    sys.path[:] = [str(bundle), *(place for place in sys.path if not is_own(Path(place), repository))]
    for name in ("common", "tools", "bundles"):
        if importlib.util.find_spec(name) is not None:
            sys.exit(f"expected no '{name}' on the path, got one: the check is not isolated")
    modules = import_all(bundle)
    targets = sorted({target for file in bundle.glob("configs/*.json") for target in find_targets(file)})
    for target in targets:
        resolve(target)
    network = build_network(bundle)
    foreign = sorted(
        name
        for name, module in list(sys.modules.items())
        if (file := getattr(module, "__file__", None)) and file != __file__ and is_own(Path(file), repository)
    )
    if foreign:
        sys.exit(f"expected nothing of the repository, got {', '.join(foreign)}")
    print(json.dumps({"modules": len(modules), "targets": len(targets), "network": network}))


def is_own(path: Path, repository: Path) -> bool:
    """Whether `path` belongs to the repository itself; installed packages may lie in a venv inside it."""
    inside = path.resolve().is_relative_to(repository.resolve())
    return inside and not {"site-packages", "dist-packages"} & set(path.parts)


def import_all(bundle: Path) -> list[str]:
    """Import every module of the bundle's package."""
    names: list[str] = []
    for package in sorted(path.parent.name for path in bundle.glob("*/__init__.py")):
        names.append(package)
        names += [info.name for info in pkgutil.walk_packages([str(bundle / package)], f"{package}.")]
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            sys.exit(f"{name}: {error}")
    return names


def find_targets(file: Path) -> Iterator[str]:
    """Every `_target_` of a config that is a name."""

    def walk(item: Any) -> Iterator[str]:
        if isinstance(item, dict):
            target = item.get("_target_")
            if isinstance(target, str) and not target.startswith(("$", "@", "%")):
                yield target
            item = list(item.values())
        if isinstance(item, list):
            for child in item:
                yield from walk(child)

    yield from walk(json.loads(file.read_text(encoding="utf-8")))


def resolve(target: str) -> None:
    """End unless MONAI would find `target`."""
    from monai.bundle import ConfigComponent

    name = ConfigComponent({"_target_": target}).resolve_module_name()
    module, _, attribute = name.rpartition(".")
    try:
        getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        sys.exit(f"_target_ {target}: {error}")


def build_network(bundle: Path) -> str | None:
    """Class of inference.json's network_def; None when there is none or the weights were left out."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(bundle / "configs/inference.json"))
    if "network_def" not in parser or not (bundle / "models/model.pt").is_file():
        return None
    parser["bundle_root"] = str(bundle)
    return type(parser.get_parsed_content("network_def")).__name__


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
