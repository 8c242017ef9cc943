"""Who may ask the server, and what nobody may: MONAI Label answers every web page and takes any name."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

THIS_MACHINE = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
"""Origins that are always allowed, as a pattern."""

NAMES = ("image", "id", "label", "tag")
"""Parameters that MONAI Label makes paths of; its folders are flat."""

READ_ONLY = ("/model/", "/datastore/image")
"""Where a client could delete or replace the bundle's weights, or delete an image."""


def limit_origins(app: FastAPI, named: Collection[str]) -> None:
    """Let only pages of this machine and of the `named` origins read answers; MONAI Label allows all."""
    for entry in app.user_middleware:
        if entry.cls is CORSMiddleware:
            entry.kwargs |= {"allow_origins": list(named), "allow_origin_regex": THIS_MACHINE}


def is_allowed(origin: str, named: Collection[str]) -> bool:
    """Whether a page of this origin ("http://HOST:PORT") may use the server."""
    return origin in named or re.fullmatch(THIS_MACHINE, origin) is not None


def find_refusal(
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    named: Collection[str],
) -> tuple[int, str] | None:
    """Why a request is refused, as status and one line; None where it may proceed.

    A browser sends Origin with what a page of another site asks, and Host shows a foreign name that was
    made to lead to this machine (DNS rebinding).

    Args:
        method: of HTTP.
        path: of the address.
        query: its parameters.
        headers: names in small letters.
        named: origins that are allowed beside this machine's.
    """
    origin, host = headers.get("origin"), headers.get("host", "")
    if origin is not None and not is_allowed(origin, named):
        return 403, "expected a page of this machine, got another's: start serve.py with --origin for it"
    if not any(is_allowed(f"{scheme}://{host}", named) for scheme in ("http", "https")):
        return 403, "expected this machine's name as Host, got another: start serve.py with --origin for it"
    if (method == "DELETE" and path.startswith(READ_ONLY)) or (method == "PUT" and path.startswith("/model")):
        return 403, "expected no change of images and weights over HTTP, got one: change the files"
    if path.startswith("/datastore") and any(re.search(r"[/\\]|^\.+$", query.get(key, "")) for key in NAMES):
        return 422, f"expected names without folders in {', '.join(NAMES)}, got a path: leave the folder out"
    return None
