"""What `http_call` takes and gives."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from ..contracts import Contract, JsonValue

MAX_BYTES = 10 * 1024 * 1024
DEFAULT_BYTES = 2 * 1024 * 1024
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e]*")  # RFC 9110, 5.5, without obsolete bytes
_OURS = frozenset(
    {"accept-encoding", "connection", "content-length", "host", "transfer-encoding", "upgrade"}
)

Method = Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
Scalar = str | int | float | bool


class HttpCallInput(Contract):
    """What to request. `timeout_s` bounds the whole call, redirects and body included."""

    url: str = Field(pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#]", max_length=8_192)
    method: Method = "GET"
    headers: dict[str, str] = Field(default_factory=dict)
    params: dict[str, Scalar | list[Scalar]] = Field(
        default_factory=dict, description="Added to the query string of the URL."
    )
    body: JsonValue = Field(
        default=None, description="A string is sent as it is, any other value as JSON."
    )
    timeout_s: float = Field(default=30.0, gt=0, le=300)
    max_bytes: int = Field(default=DEFAULT_BYTES, ge=1, le=MAX_BYTES)
    idempotent: bool = Field(
        default=False,
        description="True if the server does the work once per Idempotency-Key header.",
    )

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name) or name.lower() in _OURS:
                raise ValueError(f"{name!r} is not a header that can be set")
            if not _FIELD_VALUE.fullmatch(value):
                raise ValueError(f"the value of {name!r} has characters that headers cannot carry")
        return headers


class HttpCallOutput(Contract):
    """The answer. `url` is the last one of the redirects, `body_hash` is over the body's bytes."""

    status_code: int
    headers: dict[str, str] = Field(description="Names in lower case; repeated ones are joined.")
    body: str
    body_hash: str
    url: str
