"""Pages escape what they are given and stand alone."""

from __future__ import annotations

import base64
from pathlib import Path

import jinja2
import pytest

from common.errors import InputError
from common.report.html import embed_picture, render_page


def make_template(folder: Path, content: str) -> Path:
    path = folder / "page.html"
    path.write_text(
        "{% extends 'base.html' %}{% block title %}t{% endblock %}{% block content %}"
        + content
        + "{% endblock %}"
    )
    return path


def test_values_are_escaped_inside_the_base_page(tmp_path: Path) -> None:
    page = render_page(make_template(tmp_path, "<p>{{ name }}</p>"), {"name": "<script>&"})
    assert "<p>&lt;script&gt;&amp;</p>" in page
    assert page.startswith("<!DOCTYPE html>") and "<title>t</title>" in page
    assert "http" not in page and "src=" not in page


def test_an_unknown_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(jinja2.UndefinedError, match="'name' is undefined"):
        render_page(make_template(tmp_path, "{{ name }}"), {})


def test_pictures_are_embedded(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    head, _, data = embed_picture(tmp_path / "a.png").partition(",")
    assert head == "data:image/png;base64" and base64.b64decode(data) == b"\x89PNG"
    with pytest.raises(InputError, match="b.png: expected a picture, got 'No such file"):
        embed_picture(tmp_path / "b.png")


def test_shared_parts(tmp_path: Path) -> None:
    verdict = {"tone": "good", "headline": "All <well>", "sentences": ["One.", "Two."]}
    template = make_template(
        tmp_path,
        "{% import 'parts.html' as parts %}{{ parts.opening('toy weights', 'Case', verdict) }}"
        "{{ parts.bullets(['x&y']) }}{{ parts.technical([('T', [('a', '1')])], ['f.json']) }}",
    )
    page = render_page(template, {"verdict": verdict})
    assert '<div class="banner">Toy weights.</div>' in page and "All &lt;well&gt;" in page
    assert "<p>Two.</p>" in page and "<li>x&amp;y</li>" in page and "<dt>a</dt><dd>1</dd>" in page
    assert "<code>f.json</code>" in page
