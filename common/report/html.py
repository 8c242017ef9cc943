"""Self-contained HTML pages: everything escaped, pictures inside, no scripts, no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..errors import InputError

BASE_FOLDER = Path(__file__).parent


def render_page(template: Path, context: Mapping[str, Any]) -> str:
    """Fill a template, which may extend `base.html` of this folder.

    Args:
        template: file; every value in it is escaped, an unknown name is an error.
        context: values by name.

    Returns:
        HTML.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, BASE_FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(**context)


def embed_picture(path: Path) -> str:
    """A PNG as a data URI.

    Raises:
        InputError: the picture is not there.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name}: expected a picture, got '{error.strerror}': draw it first") from error
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
