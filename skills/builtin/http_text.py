"""What counts as text on the wire, and how its bytes become a string."""

from __future__ import annotations

_TEXT_TYPES = frozenset(
    f"application/{name}"
    for name in (
        "ecmascript", "graphql", "javascript", "json", "jsonl", "ld+json", "ndjson", "sql", "toml",
        "x-javascript", "x-ndjson", "x-www-form-urlencoded", "x-yaml", "xhtml+xml", "xml", "yaml",
    )
)  # fmt: skip
_TEXT_SUFFIXES = ("+json", "+xml", "+yaml")


def is_text(content_type: str) -> bool:
    """Whether a Content-Type promises text. An absent one promises nothing and may be text."""
    kind = content_type.partition(";")[0].strip().lower()
    return (
        not kind or kind.startswith("text/") or kind in _TEXT_TYPES or kind.endswith(_TEXT_SUFFIXES)
    )


def decode(body: bytes, charset: str | None) -> str:
    """Decode as declared, else as UTF-8; what does not decode becomes U+FFFD. A byte order mark
    is dropped, and the result is always storable as UTF-8.
    """
    try:
        text = body.decode(charset or "utf-8", "replace")
    except (LookupError, ValueError):  # a charset that does not exist, or is not a charset
        text = body.decode("utf-8", "replace")
    return text.removeprefix("\ufeff").encode("utf-8", "replace").decode()
