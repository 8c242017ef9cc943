"""MONAI Label's web application with answers that a user can act on, and the right values of the labels."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.middleware import Middleware
from fastapi.responses import JSONResponse
from guard import find_refusal, limit_origins
from monailabel.interfaces.exception import ImageNotFoundException, MONAILabelException
from monailabel.interfaces.utils.app import app_instance
from monailabel.tasks.infer.bundle import BundleInferTask
from starlette.middleware.base import BaseHTTPMiddleware

with redirect_stdout(io.StringIO()):  # it says that all origins are allowed, which ends below
    from monailabel.app import app

logger = logging.getLogger("label")
NAMED = json.loads(os.environ["LABEL_ORIGINS"])
"""From serve.py; with MONAI Label's own setting, MONAI_LABEL_CORS_ORIGINS, version 0.8.5 does not start."""


async def answer_refusals(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
    """A refusal becomes status 422 (403: not allowed; 404: no such image ...) with its line as "detail"."""
    query, path = request.query_params, request.url.path
    refused = find_refusal(request.method, path, query, request.headers, NAMED)
    if refused:
        logger.warning("answered with %d: %s", *refused)
        return JSONResponse({"detail": refused[1]}, refused[0])
    try:
        if "/infer/" in path:
            check_image(query.get("image", ""))
        return await proceed(request)
    except Exception as error:
        status, line = explain(error)
        logger.warning("answered with %d", status)  # the line may hold a file's name, and that a patient's
        if status == 500:
            logger.error("a fault of the server", exc_info=error)
        return JSONResponse({"detail": line}, status)


def check_image(name: str) -> None:
    """Only images of the studies folder may be named: MONAI Label opens any path, and "." for a wrong name.

    Raises:
        ImageNotFoundException: a path, or a name that is not there.
    """
    if name and (os.path.exists(name) or not app_instance().datastore().get_image_uri(name)):
        raise ImageNotFoundException(
            "image: expected the name of an image of the studies folder without its suffix, got another: "
            "choose one of those that the server lists"
        )


def explain(error: BaseException) -> tuple[int, str]:
    """Status and one line for whatever was raised."""
    found: BaseException | None = error
    while found is not None:
        # by name: each packed bundle brings its own copy of the class
        if any(parent.__name__ == "BundleError" for parent in type(found).__mro__):
            return 422, str(found)
        if isinstance(found, MONAILabelException):
            return 404, " ".join(str(found.msg).split())
        found = found.__cause__ or found.__context__
    return 500, f"expected a result, got a fault of the server ({type(error).__name__}): see its output"


def correct_labels(tasks: dict[str, Any]) -> None:
    """Label values as in labels.json: MONAI Label takes the channels' numbers, which have no background."""
    for task in tasks.values():
        if isinstance(task, BundleInferTask):
            rows = json.loads(Path(task.bundle_path, "configs", "labels.json").read_text(encoding="utf-8"))
            task.labels = {row["name"]: row["value"] for row in rows if row["name"] != "background"}


limit_origins(app, NAMED)
# innermost: a page that may ask can read its refusals, too
app.user_middleware.append(Middleware(BaseHTTPMiddleware, dispatch=answer_refusals))
correct_labels(app_instance()._infers)
