"""What `html_extract` does. Loads selectolax, so only skill processes import it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from ..skill import SkillFailure
from .html_model import Heading, HtmlExtractInput, HtmlExtractOutput, Link, Table

_SILENT = ["script", "style", "noscript", "template", "iframe", "svg"]
_HEADINGS = "h1, h2, h3, h4, h5, h6"
_BLOCKS = (
    "address, article, aside, blockquote, br, dd, div, dl, dt, figcaption, figure, footer, form, "
    "h1, h2, h3, h4, h5, h6, header, hr, li, main, nav, ol, p, pre, section, table, tr, ul"
)
_CELLS = "th, td"
_BREAK = "\x1e"
"""Marks block borders while text is collected: a separator that no page shows."""


def extract(request: HtmlExtractInput) -> HtmlExtractOutput:
    """Parse and extract. Raises `SkillFailure` for a selector that is not CSS."""
    tree = LexborHTMLParser(request.html.replace(_BREAK, " "))
    tree.strip_tags(_SILENT)
    roots = _roots(tree, request.selector)
    base = _base(tree, request.base_url)
    wanted = frozenset(request.what)
    # Text comes last: collecting it marks block borders in the tree.
    return HtmlExtractOutput(
        title=_words(_first(tree, "title")) if "title" in wanted else "",
        metadata=_metadata(tree, base) if "metadata" in wanted else {},
        headings=tuple(_headings(roots)) if "headings" in wanted else (),
        links=tuple(_links(roots, base)) if "links" in wanted else (),
        tables=tuple(_tables(roots)) if "tables" in wanted else (),
        matched=len(roots),
        text=_text(roots) if "text" in wanted else "",
    )


def _roots(tree: LexborHTMLParser, selector: str | None) -> list[LexborNode]:
    """The outermost elements that match, so that nothing inside is taken twice."""
    if selector is None:
        whole = tree.body or tree.root
        return [whole] if whole is not None else []
    try:
        found = tree.css(selector)
    except SelectolaxError as error:
        raise SkillFailure(
            "ERR_TRANSFORM_FAILED",
            f"{selector!r} is not a CSS selector",
            details={"reason": "selector_invalid", "selector": selector},
        ) from error
    known = {node.mem_id for node in found}
    return [node for node in found if not any(each.mem_id in known for each in _above(node))]


def _above(node: LexborNode) -> Iterator[LexborNode]:
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def _within(roots: Iterable[LexborNode], selector: str) -> Iterator[LexborNode]:
    for root in roots:
        yield from root.css(selector)


def _first(tree: LexborHTMLParser, selector: str) -> LexborNode | None:
    return tree.css_first(selector)


def _words(node: LexborNode | None) -> str:
    """The text of an element on one line."""
    return " ".join(node.text().split()) if node is not None else ""


def _attribute(node: LexborNode, name: str) -> str:
    return (node.attributes.get(name) or "").strip()


def _base(tree: LexborHTMLParser, given: str | None) -> str:
    """The document's own `<base>` counts, itself relative to where the page came from."""
    own = _first(tree, "base[href]")
    return _joined(given or "", _attribute(own, "href")) if own is not None else given or ""


def _joined(base: str, href: str) -> str:
    try:
        return urljoin(base, href)
    except ValueError:  # not a URL, such as an unclosed [
        return href


def _headings(roots: list[LexborNode]) -> Iterator[Heading]:
    for node in _within(roots, _HEADINGS):
        if (text := _words(node)) and node.tag is not None:
            yield Heading(level=int(node.tag[1]), text=text)


def _links(roots: list[LexborNode], base: str) -> Iterator[Link]:
    for node in _within(roots, "a[href]"):
        if href := _attribute(node, "href"):
            yield Link(href=_joined(base, href), text=_words(node))


def _metadata(tree: LexborHTMLParser, base: str) -> dict[str, str]:
    """`meta` names and properties, the language, the character set and the canonical address.

    Of repeated names the first counts.
    """
    found: dict[str, str] = {}
    root = _first(tree, "html")
    if root is not None and (language := _attribute(root, "lang")):
        found["lang"] = language
    for node in tree.css("meta"):
        if charset := _attribute(node, "charset"):
            found.setdefault("charset", charset)
        name = _attribute(node, "name") or _attribute(node, "property")
        if name and (content := _attribute(node, "content")):
            found.setdefault(name.lower(), content)
    canonical = _first(tree, "link[rel~=canonical][href]")
    if canonical is not None:
        found["canonical"] = _joined(base, _attribute(canonical, "href"))
    return found


def _tables(roots: list[LexborNode]) -> Iterator[Table]:
    for table in _within(roots, "table"):
        rows = [_row(row) for row in table.css("tr") if _belongs(row, table)]
        headers = rows.pop(0)[1] if rows and rows[0][0] else ()
        caption = table.css_first("caption")
        yield Table(caption=_words(caption), headers=headers, rows=tuple(row for _, row in rows))


def _row(row: LexborNode) -> tuple[bool, tuple[str, ...]]:
    """Whether all cells are header cells, and the cells' texts."""
    cells = [cell for cell in row.iter() if cell.tag in ("th", "td")]
    return all(cell.tag == "th" for cell in cells), tuple(_words(cell) for cell in cells)


def _belongs(row: LexborNode, table: LexborNode) -> bool:
    """Rows of a table inside a cell belong to that table."""
    return next((each.mem_id for each in _above(row) if each.tag == "table"), 0) == table.mem_id


def _text(roots: list[LexborNode]) -> str:
    for root in roots:
        for block in root.css(_BLOCKS):
            block.insert_before(_BREAK)
            block.insert_after(_BREAK)
        for cell in root.css(_CELLS):
            cell.insert_after(" ")
    parts = [root.text() for root in roots]
    lines = (" ".join(line.split()) for line in _BREAK.join(parts).split(_BREAK))
    return "\n".join(line for line in lines if line)
