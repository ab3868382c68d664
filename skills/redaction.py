"""Keeps configured secrets out of what leaves a skill's process."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote, unquote, urlsplit

from pydantic import JsonValue, SecretStr

from ..cluster.settings import Settings

MASK = "[redacted]"
_SHORTEST = 6
"""Shorter values are not secrets, and masking them would mangle ordinary text."""

Redact = Callable[[str], str]


def redactor(settings: Settings) -> Redact:
    """A function that masks every `SecretStr` value of the settings in a text.

    Also masked: the password inside a secret URL, and each value as it looks inside JSON, inside
    a Python literal and percent-encoded. Values under six characters are left alone.
    """
    forms: set[str] = set()
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            for secret in _parts(value.get_secret_value()):
                forms |= _spellings(secret)
    # Longest first: a whole URL is masked before the password in it.
    ordered = sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)

    def redact(text: str) -> str:
        for form in ordered:
            text = text.replace(form, MASK)
        return text

    return redact


def storable(text: str) -> str:
    """The text without what canonical JSON (lone surrogates) or Postgres (NUL) cannot take."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def redact_json(value: JsonValue, redact: Redact) -> JsonValue:
    """The same JSON value with every string in it redacted, keys included."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [redact_json(item, redact) for item in value]
    if isinstance(value, dict):
        return {redact(key): redact_json(item, redact) for key, item in value.items()}
    return value


def _parts(secret: str) -> tuple[str, ...]:
    """The value itself, and where it is a URL the password in it, as written and decoded."""
    try:
        password = urlsplit(secret).password or ""
    except ValueError:
        password = ""
    return (secret, password, unquote(password))


def _spellings(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
