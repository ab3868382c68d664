"""Values that people send: small enough, and such that they can be written down."""

from __future__ import annotations

from ..cluster.canonical import NotCanonical, canonical
from ..skills.contracts import JsonValue
from .errors import PayloadTooLarge, ValidationFailed

_NEARLY = 0.8


def check_payload(value: JsonValue, limit: int, name: str) -> str | None:
    """A warning if a value is nearly too large. Raises `PayloadTooLarge`, `ValidationFailed`."""
    try:
        size = len(canonical(value))
    except NotCanonical as error:
        fields = [{"field": name, "message": str(error)}]
        raise ValidationFailed(f"{name}: {error}", errors=fields) from None
    if size > limit:
        raise PayloadTooLarge(f"{name} has {size:,} bytes, and {limit:,} is the limit")
    if size > _NEARLY * limit:
        return f"{name} has {size:,} bytes; over {limit:,} it is refused"
    return None
