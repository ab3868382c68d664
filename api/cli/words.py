"""Numbers, times and foreign text as people read them. Pure.

Goals, answers and messages may come from anywhere, web pages included: control characters, which
would drive the terminal, are replaced, and rich gets `Text`, never markup.
"""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime

from ...skills.contracts import JsonValue

_KEPT = "\n\t"


def plain(text: str) -> str:
    """Text without control characters, line ends and tabs excepted."""
    return "".join(
        character if character in _KEPT or unicodedata.category(character)[0] != "C" else "\ufffd"
        for character in text.replace("\r\n", "\n")
    )


def one_line(text: str, width: int = 100) -> str:
    """The beginning of a text, on one line."""
    flat = " ".join(plain(text).split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"


def value(anything: JsonValue) -> str:
    """A JSON value: strings as they are, everything else indented."""
    if isinstance(anything, str):
        return plain(anything).strip()
    return plain(json.dumps(anything, indent=2, ensure_ascii=False))


def money(microusd: int) -> str:
    """Millionths of a dollar as dollars, exactly."""
    return f"${microusd / 1_000_000:.6f}".rstrip("0").rstrip(".")


def duration(milliseconds: int | None) -> str:
    """Milliseconds, seconds or minutes, whatever is short."""
    if milliseconds is None:
        return "–"
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1_000:.1f} s"
    return f"{milliseconds // 60_000} min {milliseconds // 1_000 % 60} s"


def moment(instant: datetime) -> str:
    """An instant to the second, in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def clock(instant: datetime) -> str:
    """The time of day to the millisecond, in UTC."""
    return instant.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]


def size(number: float) -> str:
    """Bytes in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"
