"""How the watcher presents itself to the DICOMweb server: password or token, certificates, no proxies."""

from __future__ import annotations

import base64
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests

from .errors import SettingError, SiteError

TOKEN, PASSWORD = "WATCH_PACS_TOKEN", "WATCH_PACS_PASSWORD"
"""Environment variables that take the place of the files; they are not handed to the command."""


@dataclass(frozen=True)
class Secret(requests.auth.AuthBase):
    """Basic or bearer authentication whose secret is read anew for every request: a token may be renewed.

    Attributes:
        user: name for basic authentication; without it the secret is a bearer token.
        file: that holds the secret; without it `variable` of the environment does.
    """

    user: str | None
    file: Path | None
    variable: str

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the Authorization header."""
        secret = self.read()
        if self.user is None:
            value = f"Bearer {secret}"
        else:
            value = "Basic " + base64.b64encode(f"{self.user}:{secret}".encode()).decode()
        request.headers["Authorization"] = value
        return request

    def read(self) -> str:
        """The secret, without the line end. Raises SiteError where it cannot be read or is empty."""
        try:
            text = os.environ[self.variable] if self.file is None else self.file.read_text(encoding="utf-8")
        except (OSError, KeyError, ValueError):
            text = ""
        if not text.strip():
            where = self.variable if self.file is None else self.file.name
            raise SiteError(f"expected the password or token in {where}, got none: write it there")
        return text.strip()


def choose_secret(user: str | None, password_file: Path | None, token_file: Path | None) -> Secret | None:
    """The secret that the options and the environment name, or None for a server that asks for none.

    Raises:
        SettingError: a password and a token at once, or a password without a user.
    """
    password = password_file is not None or PASSWORD in os.environ
    token = token_file is not None or TOKEN in os.environ
    if password and token:
        raise SettingError("expected a password or a token, got both: leave one out")
    if password != (user is not None):
        got = "a user without a password" if user else "a password without a user"
        raise SettingError(f"expected --user with --password-file (or {PASSWORD}), got {got}: give both")
    if password:
        return Secret(user, password_file, PASSWORD)
    return Secret(None, token_file, TOKEN) if token else None


def open_session(url: str, secret: Secret | None, certificates: Path | None) -> requests.Session:
    """A session that uses no proxy and nothing of the environment.

    Args:
        url: of the DICOMweb root.
        secret: for the Authorization header.
        certificates: PEM file of the authorities that are trusted; None: those that come with requests.

    Raises:
        SettingError: not a URL, no such file, or a secret that would travel unencrypted.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise SettingError("--url: expected http(s)://HOST[:PORT]/PATH, got something else: correct it")
    if secret is not None and parts.scheme == "http" and not is_loopback(parts.hostname):
        raise SettingError("--url: expected https for a password or token, got http: it would be readable")
    if certificates is not None and not certificates.is_file():
        raise SettingError(f"--ca: expected a PEM file, got none named {certificates.name}: correct it")
    session = requests.Session()
    session.trust_env = False
    session.verify = True if certificates is None else str(certificates)
    session.auth = secret
    return session


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
