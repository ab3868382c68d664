"""Server-sent events from bytes, as the WHATWG specification reads them.

Lines end with CR LF, LF or CR and with nothing else: splitting at everything that Unicode calls a
line would cut events in two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Message:
    """One event of a stream."""

    event: str
    data: str
    id: str


class Decoder:
    """Takes bytes as they come, gives messages as they are complete. Comments are dropped."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._event = ""
        self._id = ""

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """The messages that a chunk completes."""
        text = self._rest + chunk
        # A CR at the very end may be half of a CR LF: it waits for its other half.
        held = b"\r" if text.endswith(b"\r") else b""
        *lines, rest = _LINE_END.split(text[: len(text) - len(held)])
        self._rest = rest + held
        for line in lines:
            if line:
                self._field(line.decode("utf-8", "replace"))
            elif self._data:
                yield Message(self._event or "message", "\n".join(self._data), self._id)
                self._data, self._event = [], ""

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id":
            self._id = value
