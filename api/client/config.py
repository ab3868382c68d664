"""Which AOS, and with which key: environment first, then what `aos up` has written down.

    AOS_URL, AOS_API_KEY           win over
    $AOS_HOME/node.json            {"url": …}
    $AOS_HOME/credentials          {"api_key": …}, readable by its owner only

The stored key is this machine's: it is sent to its own AOS, and to no other address.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from ...cluster.settings import default_home
from .errors import NoCredentials, NotRunning

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Target:
    """An AOS, and the key to it."""

    url: str
    api_key: str = field(repr=False)


def find_target(url: str | None = None, api_key: str | None = None) -> Target:
    """The AOS to talk to. Raises `NotRunning`, `NoCredentials`."""
    home = default_home()
    own = _read(home / "node.json").get("url")
    url = url or os.environ.get("AOS_URL") or own
    if url is None:
        raise NotRunning(f"no AOS is running in {home}")
    api_key = api_key or os.environ.get("AOS_API_KEY")
    if api_key is None and (url == own or is_local(url)):
        api_key = _read(home / "credentials").get("api_key")
    if api_key is None:
        raise NoCredentials(f"there is no API key for {url}")
    return Target(url.rstrip("/"), api_key)


def is_local(url: str) -> bool:
    """Whether a URL names this machine: no proxy stands between."""
    return urlsplit(url).hostname in _LOOPBACK


def _read(path: Path) -> dict[str, Any]:
    try:
        content: Any = json.loads(path.read_text())
    except PermissionError as error:
        raise NoCredentials(f"{path} is another user's") from error
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}
