"""Rules for the four workflow configs."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from .bundle import WORKFLOWS, Bundle, read_json, walk

MAX_LINES = 120
MAX_EXPRESSIONS = 10
TEMPORARY = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
IMPORTS = ("$import ", "$from ")
LIBRARIES = ("monai", "torch", "ignite")
NOT_ARGUMENTS = frozenset(("_target_", "_disabled_", "_requires_", "_desc_", "_mode_"))


def check_size(bundle: Bundle) -> Iterator[str]:
    """At most 120 lines and ten `$`: a config wires, Python does."""
    for workflow in WORKFLOWS:
        text = (bundle.path / f"configs/{workflow}.json").read_text(encoding="utf-8")
        if len(text.splitlines()) > MAX_LINES:
            yield f"{workflow}.json: {len(text.splitlines())} lines, at most {MAX_LINES}"
        if text.count("$") > MAX_EXPRESSIONS:
            yield f"{workflow}.json: {text.count('$')} times $, at most {MAX_EXPRESSIONS}"


def check_expressions(bundle: Bundle) -> Iterator[str]:
    """Expressions are Python without lambda and comprehension, imports succeed, no other file is read."""
    for workflow in WORKFLOWS:
        for place, value in walk(read_json(bundle.path / f"configs/{workflow}.json")):
            if not isinstance(value, str):
                continue
            if value.startswith("%"):
                yield f"{workflow}.json: {place} reads another file ({value})"
            elif value.startswith("$"):
                yield from (
                    f"{workflow}.json: {place} {fault}" for fault in _check_expression(bundle, value[1:])
                )


def _check_expression(bundle: Bundle, expression: str) -> Iterator[str]:
    plain = expression.replace("::", "_").replace("#", "_").replace("@", "")
    try:
        tree = ast.parse(plain.strip())
    except SyntaxError:
        yield f"is not Python: {expression}"
        return
    if any(isinstance(node, TEMPORARY) for node in ast.walk(tree)):
        yield f"holds a lambda or a comprehension: {expression}"
    for node in ast.walk(tree):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            try:
                with bundle.importable():
                    importlib.import_module(name)
            except ImportError as error:
                yield f"imports {name}: {error}"
        if isinstance(node, ast.Import) and any("." in a.name and not a.asname for a in node.names):
            yield f"imports {names[0]} without `as`: MONAI binds the dotted name, which no expression can use"


def check_targets(bundle: Bundle) -> Iterator[str]:
    """MONAI finds every `_target_`, in the bundle's own package or a library, and it takes its arguments."""
    for workflow in WORKFLOWS:
        for place, item in walk(bundle.config(workflow)):
            if not isinstance(item, dict) or not isinstance(item.get("_target_"), str):
                continue
            if item["_target_"].startswith(("$", "@")):
                continue
            for fault in _check_target(bundle, item):
                yield f"{workflow}.json: {place}: {fault}"


def _check_target(bundle: Bundle, item: dict[str, Any]) -> Iterator[str]:
    from monai.bundle import ConfigComponent

    name = ConfigComponent(item).resolve_module_name()
    module, _, attribute = name.rpartition(".")
    top = name.partition(".")[0]
    if top not in (*bundle.packages, *LIBRARIES):
        yield f"_target_ {item['_target_']} lies outside the bundle and {', '.join(LIBRARIES)}"
        return
    try:
        with bundle.importable():
            target = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        yield f"_target_ {item['_target_']}: {error}"
        return
    if not callable(target):
        yield f"_target_ {item['_target_']} is not callable"
        return
    yield from _check_arguments(item, target)


def _check_arguments(item: dict[str, Any], target: Callable[..., Any]) -> Iterator[str]:
    arguments = {key: value for key, value in item.items() if key not in NOT_ARGUMENTS}
    try:
        signature = inspect.signature(target)
        partial = item.get("_mode_") == "callable"
        (signature.bind_partial if partial else signature.bind)(**arguments)
    except TypeError as error:
        yield f"{item['_target_']}: {error}"


def check_references(bundle: Bundle) -> Iterator[str]:
    """Every `@id` exists in the config itself (a later file of a command sees the earlier one's ids)."""
    from monai.bundle import ConfigParser, ReferenceResolver

    for workflow in WORKFLOWS:
        parser = ConfigParser(bundle.config(workflow))
        parser.read_meta(str(bundle.path / "configs/metadata.json"))
        parser.parse()
        items = parser.ref_resolver.items
        for place, item in items.items():
            for reference in ReferenceResolver.find_refs_in_config(config=item.get_config(), id=place):
                if reference not in items:
                    yield f"{workflow}.json: {place} refers to @{reference}, which does not exist"


def check_start(bundle: Bundle) -> Iterator[str]:
    """`initialize` needs nothing of the bundle's package: MONAI puts it on `sys.path` only for `run`."""
    from monai.bundle import ConfigParser, ReferenceResolver

    for workflow in WORKFLOWS:
        parser = ConfigParser(bundle.config(workflow))
        parser.parse()
        items = {place: item.get_config() for place, item in parser.ref_resolver.items.items()}
        waiting = [place for place in items if place.partition("::")[0] == "initialize"]
        if waiting:  # any expression makes MONAI evaluate every import statement of the file
            waiting += [
                place for place, value in items.items() if str(value).startswith(("$import ", "$from "))
            ]
        seen: set[str] = set()
        while waiting:
            place = waiting.pop()
            if place in seen or place not in items:
                continue
            seen.add(place)
            waiting += ReferenceResolver.find_refs_in_config(config=items[place], id=place)
            waiting += [child for child in items if child.startswith(f"{place}::")]
            if _names_package(items[place], bundle.packages):
                yield f"{workflow}.json: initialize needs {place} of the bundle's package: move it into run"


def _names_package(value: Any, packages: list[str]) -> bool:
    target = value.get("_target_", "") if isinstance(value, dict) else value
    text = str(target) if isinstance(value, dict) or str(value).startswith("$") else ""
    return any(re.search(rf"\b{package}\b", text) for package in packages)


def check_required_ids(bundle: Bundle) -> Iterator[str]:
    """The ids that MONAI's applications ask for, and `run`."""
    from monai.utils import BundleProperty, BundlePropertyConfig

    for workflow in WORKFLOWS:
        config = bundle.config(workflow)
        required = [
            str(rule[BundlePropertyConfig.ID])
            for rule in find_properties(workflow).values()
            if rule[BundleProperty.REQUIRED]
        ]
        for name in (*required, "run"):
            if _look_up(config, name) is None:
                yield f"{workflow}.json: id {name} is missing"


def find_properties(workflow: str) -> dict[str, dict[Any, Any]]:
    """MONAI's table of the properties of a workflow."""
    from monai.bundle.properties import InferProperties, TrainProperties

    return dict(TrainProperties if "train" in workflow else InferProperties)


def _look_up(config: Any, name: str) -> Any:
    """The value at `a::b`, or None; a component's argument counts as there when it is null."""
    for key in name.split("::"):
        if not isinstance(config, dict) or key not in config:
            return None
        config = config[key]
    return "null" if config is None else config


def check_optional_ids(bundle: Bundle) -> Iterator[str]:
    """The place of an optional property, where used, holds exactly the reference to its id ("@handlers")."""
    from monai.utils import BundlePropertyConfig

    for workflow in WORKFLOWS:
        config = bundle.config(workflow)
        for rule in find_properties(workflow).values():
            place, name = rule.get(BundlePropertyConfig.REF_ID), rule[BundlePropertyConfig.ID]
            value = _look_up(config, str(place)) if place else None
            if value is not None and value not in (f"@{name}", "null"):
                yield f"{workflow}.json: {place} is not '@{name}'"
