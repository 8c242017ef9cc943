"""Which requests the server refuses, and what a browser is told about other pages."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import FastAPI
from fastapi.middleware import Middleware
from fastapi.middleware.cors import CORSMiddleware
from guard import find_refusal, limit_origins

VIEWER = "https://ohif.example"
HERE = {"host": "127.0.0.1:8000"}


def ask(app: FastAPI, origin: str) -> dict[str, str]:
    """Headers of the answer to a page of `origin`."""
    answers: list[dict] = []
    fixed = {"http_version": "1.1", "method": "GET", "scheme": "http", "path": "/", "query_string": b""}
    headers = [(b"host", b"127.0.0.1:8000"), (b"origin", origin.encode())]

    async def receive() -> dict:
        return {"type": "http.request", "body": b""}

    async def send(message: dict) -> None:
        answers.append(message)

    asyncio.run(app({"type": "http", **fixed, "headers": headers}, receive, send))
    return {name.decode(): value.decode() for name, value in answers[0]["headers"]}


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        ("http://localhost:3000", True),
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:3000", True),
        (VIEWER, True),
        ("https://evil.example", False),
        ("http://localhost.evil.example", False),
        ("null", False),
    ],
)
def test_only_pages_of_this_machine_and_named_ones_may_read(origin, told):
    """MONAI Label's own middleware, as it makes it; before the limit it tells every page."""
    every = {
        "allow_origins": ["*"],
        "allow_credentials": True,
        "allow_methods": ["*"],
        "allow_headers": ["*"],
    }
    app = FastAPI(middleware=[Middleware(CORSMiddleware, **every)])
    limit_origins(app, [VIEWER])
    assert ask(app, origin).get("access-control-allow-origin") == (origin if told else None)


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("GET", "/info/", {}),
        ("POST", "/infer/ksam", {"image": "ct"}),
        ("PUT", "/datastore/label", {"image": "ct", "tag": "final"}),
        ("PUT", "/datastore/image", {"image": "1.2.3..4"}),
        ("DELETE", "/datastore/label", {"id": "ct", "tag": "final"}),
        ("DELETE", "/session/17", {}),
        ("GET", "/model/ksam", {}),
    ],
)
@pytest.mark.parametrize("more", [{}, {"origin": "http://localhost:3000"}, {"origin": VIEWER}])
def test_what_clients_need_is_let_through(method, path, query, more):
    assert find_refusal(method, path, query, HERE | more, [VIEWER]) is None


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "status", "words"),
    [
        (
            "POST",
            "/infer/ksam",
            {},
            {"origin": "https://evil.example"},
            403,
            "expected a page of this machine",
        ),
        (
            "POST",
            "/infer/ksam",
            {},
            {"origin": "null"},
            403,
            "expected a page of this machine, got another's",
        ),
        ("GET", "/datastore/image", {}, {"host": "evil.example:8000"}, 403, "expected this machine's name"),
        (
            "GET",
            "/info/",
            {},
            {"host": "127.0.0.1.evil.example"},
            403,
            "expected this machine's name as Host",
        ),
        ("PUT", "/model/ksam", {}, {}, 403, "expected no change of images and weights over HTTP"),
        ("DELETE", "/model/ksam", {}, {}, 403, "expected no change of images and weights over HTTP"),
        ("DELETE", "/datastore/image", {"id": "ct"}, {}, 403, "expected no change of images and weights"),
        ("PUT", "/datastore/image", {"image": "../../x"}, {}, 422, "expected names without folders in image"),
        (
            "PUT",
            "/datastore/label",
            {"image": "ct", "tag": "a\\b"},
            {},
            422,
            "expected names without folders",
        ),
        ("PUT", "/datastore/label", {"image": "ct", "tag": ".."}, {}, 422, "expected names without folders"),
    ],
)
def test_what_nobody_may(method, path, query, headers, status, words):
    found = find_refusal(method, path, query, HERE | headers, [VIEWER])
    assert found is not None and found[0] == status and found[1].startswith(words)


def test_a_named_origin_may_be_the_name_of_a_proxy_before_the_server():
    assert find_refusal("GET", "/info/", {}, {"host": "ohif.example"}, [VIEWER]) is None
