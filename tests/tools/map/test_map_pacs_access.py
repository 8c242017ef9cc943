"""Passwords and tokens: where they come from, where they do not go."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import requests
from dicomweb_server import serve
from pacs.access import PASSWORD, TOKEN, choose_secret, is_loopback, open_session
from pacs.dicomweb import DicomWeb
from pacs.errors import SettingError, SiteError
from toy_pacs import TODAY


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """None in the environment."""
    for name in (TOKEN, PASSWORD):
        monkeypatch.delenv(name, raising=False)


def sent(tmp_path: Path, **chosen: object) -> list[str | None]:
    """Authorization headers of a search."""
    with serve(tmp_path / "pacs") as fake:
        secret = choose_secret(**{"user": None, "password_file": None, "token_file": None, **chosen})
        DicomWeb(fake.url, open_session(fake.url, secret, None), 2).find_studies("CT", TODAY)
    return fake.authorizations


def test_without_secrets_nothing_is_sent_though_there_is_a_netrc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert sent(tmp_path) == [None]


def test_basic_authentication_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("gehëim\n", encoding="utf-8")
    value = base64.b64encode("me:gehëim".encode()).decode()
    assert sent(tmp_path, user="me", password_file=tmp_path / "password") == [f"Basic {value}"]


def test_secrets_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "abc")
    assert sent(tmp_path) == ["Bearer abc"]
    monkeypatch.delenv(TOKEN)
    monkeypatch.setenv(PASSWORD, "x")
    assert sent(tmp_path, user="me") == [f"Basic {base64.b64encode(b'me:x').decode()}"]


def test_a_renewed_token_is_used_at_once(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    with serve(tmp_path / "pacs") as fake:
        session = open_session(fake.url, choose_secret(None, None, token), None)
        client = DicomWeb(fake.url, session, 2)
        client.find_studies("CT", TODAY)
        token.write_text("new")
        client.find_studies("CT", TODAY)
    assert fake.authorizations == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_secret_that_is_not_there_is_said(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SiteError, match="expected the password or token in token, got none"):
        sent(tmp_path, token_file=path)


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    with serve(tmp_path / "pacs") as fake:
        fake.status = lambda method, path: 302
        client = DicomWeb(fake.url, open_session(fake.url, None, None), 2)
        with pytest.raises(Exception, match="expected HTTP 200, got 302"):
            client.find_studies("CT", TODAY)
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"user": "me", "password_file": "p", "token_file": "t"}, "expected a password or a token, got both"),
        ({"user": "me"}, "got a user without a password"),
        ({"password_file": "p"}, "got a password without a user"),
    ],
)
def test_half_a_secret_is_refused(chosen: dict[str, str], message: str) -> None:
    paths = {name: value if name == "user" else Path(value) for name, value in chosen.items()}
    with pytest.raises(SettingError, match=message):
        choose_secret(**{"user": None, "password_file": None, "token_file": None, **paths})


def test_a_secret_does_not_travel_unencrypted(tmp_path: Path) -> None:
    secret = choose_secret(None, None, tmp_path / "token")
    with pytest.raises(SettingError, match="expected https for a password or token, got http"):
        open_session("http://pacs.hospital/dicom-web", secret, None)
    open_session("https://pacs.hospital/dicom-web", secret, None)
    open_session("http://pacs.hospital/dicom-web", None, None)


@pytest.mark.parametrize("url", ["pacs", "ftp://pacs/", "http:///x", "http://me:x@pacs/", "http://pacs/?a=1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingError, match="--url: expected http"):
        open_session(url, None, None)


def test_certificates_are_checked(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--ca: expected a PEM file, got none named ca.pem"):
        open_session("https://pacs/", None, tmp_path / "ca.pem")
    (tmp_path / "ca.pem").touch()
    assert open_session("https://pacs/", None, tmp_path / "ca.pem").verify == str(tmp_path / "ca.pem")
    assert open_session("https://pacs/", None, None).verify is True


def test_a_server_without_tls_behind_https_is_said(tmp_path: Path) -> None:
    with serve(tmp_path / "pacs") as fake:
        client = DicomWeb(fake.url.replace("http", "https", 1), requests.Session(), 2)
        with pytest.raises(SiteError, match="expected a trusted certificate of the server"):
            client.find_studies("CT", TODAY)


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("pacs", False)],
)
def test_this_machine(host: str, here: bool) -> None:
    assert is_loopback(host) is here
