"""Canonical JSON (RFC 8785) and the content hash built on it.

One module decides what "the same value" means: journal bodies, idempotency
checks, plan hashes and blobs all go through here.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, cast

import rfc8785

_SAFE_INTEGER = 2**53 - 1
_FIRST_SURROGATE = "\ud800"


class NotCanonical(ValueError):
    """The value has no canonical form: not JSON, NaN, a lone surrogate, or an integer over 2^53."""


def canonical(value: Any) -> bytes:
    """The RFC 8785 encoding of a JSON value, as UTF-8 bytes.

    Raises `NotCanonical` where the RFC gives no encoding.
    """
    try:
        if _is_simple(value):
            # For these values the C encoder writes exactly the RFC's bytes, fifty times faster.
            text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
            return text.encode()
        return rfc8785.dumps(value)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise NotCanonical(str(error) or type(error).__name__) from error


def content_hash(value: Any) -> str:
    """`sha256:` and 64 hex digits over the canonical bytes of a JSON value."""
    return bytes_hash(canonical(value))


def bytes_hash(data: bytes) -> str:
    """`sha256:` and 64 hex digits over raw bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _is_simple(value: Any) -> bool:
    """No floats, no integers over 2^53, only keys that sort alike by UTF-16 and by code point."""
    if value is None or isinstance(value, str | bool):
        return True
    if isinstance(value, int):
        return -_SAFE_INTEGER <= value <= _SAFE_INTEGER
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return all(
            isinstance(key, str) and _is_plain_key(key) and _is_simple(item) for key, item in items
        )
    if isinstance(value, list | tuple):
        return all(map(_is_simple, cast("list[Any]", value)))
    return False


def readable(value: Any) -> Any:
    """A value read from canonical bytes, as it was when written: JSON readers make an integer of
    what was the float 1e20, and an integer that large could not be written again.
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _SAFE_INTEGER:
        return float(value)
    if isinstance(value, dict):
        return {key: readable(item) for key, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list):
        return [readable(item) for item in cast("list[Any]", value)]
    return value


def _is_plain_key(key: str) -> bool:
    return key.isascii() or max(key) < _FIRST_SURROGATE
