"""What `html_extract` takes and gives."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..contracts import Contract

Part = Literal["headings", "links", "tables", "text", "title", "metadata"]
_ALL: tuple[Part, ...] = ("title", "metadata", "headings", "links", "tables", "text")


class HtmlExtractInput(Contract):
    """Which parts of which page. With a `selector`, headings, links, tables and text come only
    from the elements that match it.
    """

    html: str = Field(max_length=10 * 1024 * 1024)
    what: tuple[Part, ...] = Field(default=_ALL, min_length=1)
    selector: str | None = Field(default=None, min_length=1, max_length=1_000, description="CSS.")
    base_url: str | None = Field(
        default=None, max_length=8_192, description="Relative links are resolved against it."
    )


class Heading(Contract):
    """A heading; `level` is 1 to 6."""

    level: int
    text: str


class Link(Contract):
    """A hyperlink as written, or absolute where a base URL is known."""

    href: str
    text: str


class Table(Contract):
    """A table of texts. `headers` is empty where the first row has data cells."""

    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class HtmlExtractOutput(Contract):
    """The parts asked for, in document order; the others stay empty."""

    title: str = ""
    metadata: dict[str, str] = Field(default_factory=dict)
    headings: tuple[Heading, ...] = ()
    links: tuple[Link, ...] = ()
    tables: tuple[Table, ...] = ()
    text: str = Field(default="", description="One line per block, white space collapsed.")
    matched: int = Field(description="Elements the selector matched; 1 without a selector.")
