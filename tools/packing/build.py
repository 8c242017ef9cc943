"""A bundle as a zip of its own: private package name, private copy of what it uses of `common`, manifest.

Why the package gets another name: MONAI finds a `_target_` by its dotted name in `sys.modules`, and `run`
leaves every bundle's root on `sys.path`. Two versions that both hold a package `scale_selector` would in one
process both run the code that was imported first. So the packed package is called
`<package>_v<version>_<hash of its code>`: other code, other name.

Why only the reached modules of `common`: the zip holds what a hospital has to review and nothing else, and a
change elsewhere in `common` leaves the packed bundle as it was. They are copied byte for byte, so that drift
shows in their sha256.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import ConfigError

from .archive import LEFT_OUT, collect_files, describe_commit, hash_contents, hash_file, write_zip
from .imports import find_imports, find_modules, find_reached, rename_imports, rename_text

TEXT_SUFFIXES = (".json", ".conf", ".md", ".txt", ".yml", ".yaml")
VENDOR_INIT = b'"""Private copies; manifest.json says of what."""\n'
JSON_NAME = re.compile(r'"\s*(common(?:\.\w+)+)')


@dataclass(frozen=True)
class Sources:
    """What is packed and under which names.

    Attributes:
        package: the name of the bundle's package in the repository.
        private_name: its name in the zip.
        modules: dotted name -> file of the package's and of `common`'s modules.
        vendored: path below `_vendor/` -> file of the reached part of `common`.
    """

    package: str
    private_name: str
    modules: Mapping[str, Path]
    vendored: Mapping[str, Path]

    @property
    def names(self) -> dict[str, str]:
        """Package name -> name in the zip."""
        return {self.package: self.private_name, "common": f"{self.private_name}._vendor.common"}


def build_zip(root: Path, name: str, target: Path, with_weights: bool = True) -> None:
    """Pack `root/bundles/name` into `target`. Raises ConfigError, InputError."""
    bundle = find_bundle(root, name)
    version = read_version(bundle)
    package = find_package(bundle)
    files = collect_files(bundle, package, with_weights)
    sources = read_sources(root / "common", package, version, files)
    contents = rename_files(files, sources)
    manifest = describe(root, name, version, sources, contents)
    write_zip(target, name, {**contents, f"{sources.private_name}/_vendor/manifest.json": manifest})


def find_bundle(root: Path, name: str) -> Path:
    """The folder of the bundle `name`. Raises ConfigError."""
    known = sorted(path.parents[1].name for path in root.glob("bundles/*/configs/metadata.json"))
    if name not in known:
        raise ConfigError(
            f"expected a bundle of this repository ({', '.join(known)}), got '{name}': name one"
        )
    return root / "bundles" / name


def read_version(bundle: Path) -> str:
    """`version` of configs/metadata.json. Raises ConfigError."""
    file = bundle / "configs/metadata.json"
    try:
        version = json.loads(file.read_text(encoding="utf-8"))["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file.name}: expected JSON with a version, got {error!r}: correct it") from error
    if not isinstance(version, str) or not re.fullmatch(r"\d+\.\d+\.\d+[\w.-]*", version):
        raise ConfigError(f"{file.name}: expected a version such as 0.1.0, got {version!r}: correct it")
    return version


def find_package(bundle: Path) -> str:
    """The name of the one Python package in a bundle. Raises ConfigError."""
    packages = sorted(path.parent.name for path in bundle.glob("*/__init__.py"))
    if len(packages) != 1:
        raise ConfigError(f"{bundle.name}: expected one Python package, got {packages or 'none'}: keep one")
    return packages[0]


def read_sources(common: Path, package: str, version: str, files: Mapping[str, Path]) -> Sources:
    """Find what of `common` the packed files reach, and the private name. Raises ConfigError."""
    own = {name: file for name, file in files.items() if name.startswith(f"{package}/")}
    bundle_modules = _modules_of(own)
    shared = find_modules(common, "common")
    reached = find_reached(_wanted(files, bundle_modules), shared)
    vendored = _with_data(common, {module: shared[module] for module in reached})
    digest = hash_contents({name: file.read_bytes() for name, file in {**own, **vendored}.items()})
    private_name = f"{package}_v{re.sub(r'[^0-9A-Za-z]', '_', version)}_{digest[:8]}"
    return Sources(package, private_name, {**bundle_modules, **shared}, vendored)


def _modules_of(files: Mapping[str, Path]) -> dict[str, Path]:
    python = {name.removesuffix(".py"): file for name, file in files.items() if name.endswith(".py")}
    return {name.removesuffix("/__init__").replace("/", "."): file for name, file in python.items()}


def _wanted(files: Mapping[str, Path], modules: Mapping[str, Path]) -> set[str]:
    """Names of `common` that the bundle's Python and JSON files use."""
    wanted: set[str] = set()
    for module, file in modules.items():
        try:
            wanted |= find_imports(file.read_text(encoding="utf-8"), module, file.name == "__init__.py")
        except SyntaxError as error:
            raise ConfigError(
                f"{module}: expected Python, got a syntax error in line {error.lineno}: correct it"
            ) from error
    for name, file in files.items():
        if name.endswith(".json"):
            for dotted in JSON_NAME.findall(file.read_text(encoding="utf-8")):
                parts = dotted.split(".")
                wanted.update(".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return {name for name in wanted if name.partition(".")[0] == "common"}


def _with_data(common: Path, reached: Mapping[str, Path]) -> dict[str, Path]:
    """Path below `_vendor/` -> file: the reached modules and the data beside them. Raises ConfigError."""
    files = {f"common/{file.relative_to(common).as_posix()}": file for file in reached.values()}
    for module, file in reached.items():
        absolute = {
            name
            for name in find_imports(file.read_text(encoding="utf-8"), "", False)
            if name.startswith("common.") or name == "common"
        }
        if absolute:
            raise ConfigError(
                f"{module}: expected relative imports inside common, got {min(absolute)}: change it"
            )
    for folder in {file.parent for file in reached.values() if file.name == "__init__.py"}:
        for file in sorted(folder.iterdir()):
            name = f"common/{file.relative_to(common).as_posix()}"
            if file.is_file() and file.suffix != ".py" and not LEFT_OUT.search(name):
                files[name] = file
    return files


def rename_files(files: Mapping[str, Path], sources: Sources) -> dict[str, bytes | Path]:
    """Path in the zip's folder -> content, with every name of the package and of `common` replaced."""
    contents: dict[str, bytes | Path] = {
        f"{sources.private_name}/_vendor/{name}": file for name, file in sources.vendored.items()
    }
    contents[f"{sources.private_name}/_vendor/__init__.py"] = VENDOR_INIT
    for name, file in files.items():
        own = name.startswith(f"{sources.package}/")
        target = sources.private_name + name.removeprefix(sources.package) if own else name
        if file.suffix == ".py":
            text = rename_imports(file.read_text(encoding="utf-8"), sources.names, sources.modules)
            contents[target] = text.encode()
        elif file.suffix in TEXT_SUFFIXES and not own:
            text = rename_text(
                file.read_text(encoding="utf-8"), sources.package, sources.names, sources.modules
            )
            contents[target] = text.encode()
        else:
            contents[target] = file
    return contents


def describe(
    root: Path, name: str, version: str, sources: Sources, contents: Mapping[str, bytes | Path]
) -> bytes:
    """The manifest: names, version, commit, and the sha256 of every file of the zip but itself."""
    manifest: dict[str, Any] = {
        "bundle": name,
        "version": version,
        "package": {"name": sources.package, "private_name": sources.private_name},
        "common": {"version": read_project_version(root), **describe_commit(root)},
        "vendored_sha256": {path: hash_file(file) for path, file in sorted(sources.vendored.items())},
        "files_sha256": {
            path: hash_file(content) if isinstance(content, Path) else hashlib.sha256(content).hexdigest()
            for path, content in sorted(contents.items())
        },
    }
    return (json.dumps(manifest, indent=1) + "\n").encode()


def read_project_version(root: Path) -> str | None:
    """`version` of pyproject.toml, which is the version of `common`; None when there is none."""
    project = root / "pyproject.toml"
    text = project.read_text(encoding="utf-8") if project.is_file() else ""
    found = re.search(r'^version\s*=\s*"([^"]+)"', text, re.MULTILINE)
    return found.group(1) if found else None
