"""Rules for the Python package of a bundle."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

from packing.imports import find_imports, find_modules, find_reached

from .bundle import Bundle

GENERIC_NAMES = frozenset(
    (
        "scripts",
        "src",
        "lib",
        "code",
        "common",
        "utils",
        "tools",
        "tests",
        "models",
        "configs",
        "docs",
        "bundles",
    )
)


@cache
def packages_distributions() -> dict[str, list[str]]:
    """Importable name -> distributions that provide it; looking through a venv takes a second."""
    return dict(metadata.packages_distributions())


def check_package_name(bundle: Bundle) -> Iterator[str]:
    """One package, with a name that no other bundle, library or habit uses."""
    if len(bundle.packages) != 1:
        yield f"expected one Python package, got {bundle.packages}"
    others = {
        file.parent.name
        for file in bundle.path.parent.glob("*/*/__init__.py")
        if file.parents[1].name != bundle.name
    }
    for name in bundle.packages:
        if name in GENERIC_NAMES | others | set(packages_distributions()) | set(sys.stdlib_module_names):
            yield f"{name}: a package of this name exists elsewhere; the first one imported would run"
    if (bundle.path / "scripts").exists():
        yield "scripts: MONAI Label unloads every module of this name"


def check_reexports(bundle: Bundle) -> Iterator[str]:
    """No `__init__.py` binds a submodule's name to something else: MONAI would not find targets in it."""
    for file in bundle.python_files:
        if file.name != "__init__.py":
            continue
        submodules = {path.stem for path in file.parent.glob("*.py")} | {
            path.parent.name for path in file.parent.glob("*/__init__.py")
        }
        for name in _bound_names(ast.parse(file.read_text(encoding="utf-8"))):
            if name in submodules:
                yield f"{file.relative_to(bundle.path)}: '{name}' hides the submodule of that name"


def _bound_names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or node.level == 0):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def check_imports(bundle: Bundle) -> Iterator[str]:
    """Every package that the bundle's Python or its part of `common` imports is named in metadata.json."""
    allowed = {"monai", "torch", "numpy"} | {
        normalise(name)
        for key in ("required_packages_version", "optional_packages_version")
        for name in bundle.metadata.get(key, {})
    }
    own = {module: file for package in bundle.packages for module, file in _modules(bundle, package).items()}
    shared = find_modules(bundle.repository / "common", "common")
    used = {module: _imports(module, file) for module, file in own.items()}
    reached = find_reached({name for names in used.values() for name in names}, shared)
    used |= {module: _imports(module, shared[module]) for module in reached}
    missing: dict[str, list[str]] = {}
    for module, names in sorted(used.items()):
        for top in {name.partition(".")[0] for name in names} - {"common", *bundle.packages}:
            source = _find_distribution(top)
            if top not in sys.stdlib_module_names and not source & allowed:
                missing.setdefault(" or ".join(sorted(source)) or top, []).append(module)
    for source_name, modules in sorted(missing.items()):
        used_by = f"{modules[0]} and {len(modules) - 1} more" if len(modules) > 1 else modules[0]
        yield f"metadata.json: required_packages_version does not name {source_name}, imported by {used_by}"


def _find_distribution(top: str) -> set[str]:
    """Normalised names of the installed distributions that provide the package `top`."""
    return {normalise(name) for name in packages_distributions().get(top, [])}


def _modules(bundle: Bundle, package: str) -> dict[str, Path]:
    modules = find_modules(bundle.path / package, package)
    return {name: file for name, file in modules.items() if "_vendor" not in name.split(".")}


def _imports(module: str, file: Path) -> set[str]:
    source = file.read_text(encoding="utf-8")
    names = find_imports(source, module, file.name == "__init__.py")
    strings = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    return {name for name in names if name not in strings}


def normalise(distribution: str) -> str:
    """The form of a distribution's name that package indexes compare."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
