"""Which modules a Python source imports, and the same source with imports under other names."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def find_modules(folder: Path, name: str) -> dict[str, Path]:
    """Dotted name -> file of every module of the package `name` in `folder`."""
    modules: dict[str, Path] = {}
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder).with_suffix("").parts
        modules[".".join((name, *(part for part in parts if part != "__init__")))] = file
    return modules


def find_imports(source: str, module: str, is_package: bool) -> set[str]:
    """Absolute dotted names of everything `source` imports, wherever it stands in the file.

    `from a.b import c` gives `a.b` and `a.b.c`, because `c` may be a module. A string that is nothing but a
    dotted name counts as well: it is how modules are named to `importlib` and to `importlib.resources`.

    Raises:
        SyntaxError: `source` is not Python.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute_base(node, module, is_package)
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and DOTTED.fullmatch(node.value):
            names.add(node.value)
    return names


def _absolute_base(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    package = parts[: len(parts) - node.level + (1 if is_package else 0)]
    return ".".join((*package, *([node.module] if node.module else [])))


def find_reached(wanted: Iterable[str], modules: Mapping[str, Path]) -> set[str]:
    """The modules among `modules` that `wanted` names reach by import, parent packages included."""
    reached: set[str] = set()
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if "." in name:
            waiting.append(name.rpartition(".")[0])
        if name in reached or name not in modules:
            continue
        reached.add(name)
        file = modules[name]
        waiting.extend(find_imports(file.read_text(encoding="utf-8"), name, file.name == "__init__.py"))
    return reached


def rename_imports(source: str, names: Mapping[str, str], modules: Collection[str]) -> str:
    """`source` with absolute imports of the packages `names` (old -> new) under their new names.

    The names that the code binds stay: `import common.io` goes on binding `common`. Strings that are nothing
    but the dotted name of one of `modules`, or of something in it, are renamed too. All else keeps its bytes.

    Raises:
        SyntaxError: `source` is not Python.
    """
    edits: list[tuple[int, int, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.Constant)):
            segment = ast.get_source_segment(source, node) or ""
            changed = _rename_node(node, segment, names, modules)
            if changed != segment:
                edits.append((*_span(source, node), changed))
    data = source.encode()
    for start, end, text in sorted(edits, reverse=True):
        data = data[:start] + text.encode() + data[end:]
    return data.decode()


def _span(source: str, node: ast.Import | ast.ImportFrom | ast.Constant) -> tuple[int, int]:
    """First and last byte of `node` in the UTF-8 form of `source`."""
    starts = [0]
    for line in source.encode().split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
    return starts[node.lineno - 1] + node.col_offset, starts[end_line - 1] + end_column


def _rename_node(node: ast.AST, segment: str, names: Mapping[str, str], modules: Collection[str]) -> str:
    if isinstance(node, ast.Import):
        return "; ".join(_rename_aliases(node, names)) if _touches(node, names) else segment
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        head = re.compile(r"(from\s+)" + re.escape(node.module))
        return head.sub(lambda found: found.group(1) + rename(node.module or "", names), segment, count=1)
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and names_module(node.value, modules):
        plain = segment[1:-1] == node.value  # an f-string or an r-string is left alone
        return segment[0] + rename(node.value, names) + segment[-1] if plain else segment
    return segment


def names_module(text: str, modules: Collection[str]) -> bool:
    """Whether `text` is the dotted name of one of `modules` or of something in it; `package.json` is not."""
    parts = text.split(".")
    prefixes = {".".join(parts[:length]) for length in range(2, len(parts) + 1)}
    return bool(DOTTED.fullmatch(text)) and not prefixes.isdisjoint(modules)


def rename_text(text: str, package: str, names: Mapping[str, str], modules: Collection[str]) -> str:
    """A config, description or document with `package` and the dotted names of `modules` renamed.

    That is: paths (`package/...`), `_target_`s, import statements, logger names, dotted names of modules.
    """
    word = re.escape(package)
    new = names[package]
    before = r'("_target_"\s*:\s*"|\b(?:import|from)\s+|qualname\s*=\s*)'
    text = re.sub(rf"{before}{word}(?![\w-])", rf"\g<1>{new}", text)
    text = re.sub(rf"(?<![\w.-]){word}(?=/)", new, text)

    def rename_dotted(found: re.Match[str]) -> str:
        return rename(found[0], names) if names_module(found[0], modules) else found[0]

    first = "|".join(map(re.escape, names))
    return re.sub(rf"(?<![\w./-])(?:{first})(?:\.[A-Za-z_]\w*)+", rename_dotted, text)


def _touches(node: ast.Import, names: Mapping[str, str]) -> bool:
    return any(alias.name.partition(".")[0] in names for alias in node.names)


def _rename_aliases(node: ast.Import, names: Mapping[str, str]) -> Iterator[str]:
    """One statement per imported name; `import a.b` binds `a`, so the renamed form binds `a` as well."""
    for alias in node.names:
        first = alias.name.partition(".")[0]
        renamed = rename(alias.name, names)
        yield f"import {renamed}" + (f" as {alias.asname}" if alias.asname else "")
        if first in names and not alias.asname:
            yield f"import {names[first]} as {first}"


def rename(dotted: str, names: Mapping[str, str]) -> str:
    """`dotted` with its first component replaced when `names` holds it."""
    first, dot, rest = dotted.partition(".")
    return names.get(first, first) + dot + rest
