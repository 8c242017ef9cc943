"""Imports found and renamed, against hand-written sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from packing.imports import find_imports, find_modules, find_reached, rename_imports, rename_text

NAMES = {"common": "p_v1._vendor.common", "pack": "p_v1"}
MODULES = {"common", "common.io", "common.io.slide", "pack", "pack.view"}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import a.b as c, d", {"a.b", "d"}),
        ("from a.b import c", {"a.b", "a.b.c"}),
        ("from . import c", {"pack.sub", "pack.sub.c"}),
        ("from ..x import c", {"pack.x", "pack.x.c"}),
        ("def f():\n    if f:\n        import late", {"late"}),
        ("load('common.io.slide')", {"common.io.slide"}),
        ("text = 'see common.io.slide'", set()),
    ],
)
def test_find_imports(source: str, names: set[str]) -> None:
    assert find_imports(source, "pack.sub.module", is_package=False) == names


def test_find_imports_of_a_package_counts_from_itself() -> None:
    assert find_imports("from .x import y", "pack.sub", is_package=True) == {"pack.sub.x", "pack.sub.x.y"}


@pytest.mark.parametrize(
    ("source", "renamed"),
    [
        ("from common.io.slide import Slide\n", "from p_v1._vendor.common.io.slide import Slide\n"),
        ("from common import io", "from p_v1._vendor.common import io"),
        ("import common.io as x", "import p_v1._vendor.common.io as x"),
        ("import common.io", "import p_v1._vendor.common.io; import p_v1._vendor.common as common"),
        (
            "import os, common.io",
            "import os; import p_v1._vendor.common.io; import p_v1._vendor.common as common",
        ),
        ("import pack.view", "import p_v1.view; import p_v1 as pack"),
        (
            "from pack.view import (\n    a,  # µ\n    b,\n)",
            "from p_v1.view import (\n    a,  # µ\n    b,\n)",
        ),
        ("from .view import a", "from .view import a"),
        ("import commonplace", "import commonplace"),
        ("from commonplace.io import x", "from commonplace.io import x"),
        ("'µ'; load('common.io.slide')", "'µ'; load('p_v1._vendor.common.io.slide')"),
        ("name = 'pack.json'", "name = 'pack.json'"),
        ("name = 'common.none'", "name = 'common.none'"),
        ("name = f'common.io{x}'", "name = f'common.io{x}'"),
        ("'''See common.io.slide.'''", "'''See common.io.slide.'''"),
    ],
)
def test_rename_imports(source: str, renamed: str) -> None:
    assert rename_imports(source, NAMES, MODULES) == renamed


def test_renamed_import_binds_the_same_names() -> None:
    source = "import os.path, json as j\nvalue = (os.path.sep, j.dumps(1))\n"
    renamed = rename_imports(
        source.replace("os", "opera").replace("json", "joy"), {"opera": "os", "joy": "json"}, ()
    )
    bound: dict[str, object] = {}
    exec(renamed, bound)
    assert bound["value"] == ("/", "1")
    assert {"opera", "j"} <= set(bound)


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ('{"_target_": "pack.view.build"}', '{"_target_": "p_v1.view.build"}'),
        ('{"_target_": "pack.Reexported"}', '{"_target_": "p_v1.Reexported"}'),
        ('"$import pack.view as v"', '"$import p_v1.view as v"'),
        ('"$from pack import view"', '"$from p_v1 import view"'),
        ('"$pack.view.run(@x)"', '"$p_v1.view.run(@x)"'),
        ('"name": "common.io.slide.Slide"', '"name": "p_v1._vendor.common.io.slide.Slide"'),
        ("[code](../pack/view.py)", "[code](../p_v1/view.py)"),
        ("bundles/wsi_pack/pack/view.py", "bundles/wsi_pack/p_v1/view.py"),
        ("qualname=pack\n", "qualname=p_v1\n"),
        ("wsi_pack/x and unpack/y", "wsi_pack/x and unpack/y"),
        ("write pack.json", "write pack.json"),
        ("pack the bundle", "pack the bundle"),
        ("python -m pack.view", "python -m p_v1.view"),
    ],
)
def test_rename_text(text: str, renamed: str) -> None:
    assert rename_text(text, "pack", NAMES, MODULES) == renamed


def test_find_reached_follows_imports_and_parents(tmp_path: Path) -> None:
    sources = {
        "__init__.py": "",
        "a/__init__.py": "",
        "a/one.py": "from ..b import two",
        "b/__init__.py": "from .three import x",
        "b/two.py": "",
        "b/three.py": "x = 1",
        "b/unused.py": "from ..c import y",
        "c.py": "",
    }
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    modules = find_modules(tmp_path, "common")
    assert set(modules) == {
        "common",
        "common.a",
        "common.a.one",
        "common.b",
        "common.b.two",
        "common.b.three",
    } | {
        "common.b.unused",
        "common.c",
    }
    expected = {"common", "common.a", "common.a.one", "common.b", "common.b.two", "common.b.three"}
    assert find_reached({"common.a.one.function", "os.path"}, modules) == expected
