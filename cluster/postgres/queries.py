"""SQL is a document: files of named statements, each with a line that says why it exists.

    -- claim_run
    -- One supervisor takes a run that nobody leases; the others skip it.
    UPDATE runs SET … WHERE … RETURNING id;

The rule. A line that is exactly `-- name` (from the first column, lower-case words joined by
underscores) and does not itself follow a comment line begins a query. The comment lines right
below it say why; there is at least one. Everything up to the next name is the statement, its
final semicolon optional. Comments inside a statement are indented, or longer than one word.
Before the first name a file may hold comments only, followed by an empty line.

The text that Postgres gets begins with the name, so that logs and `pg_stat_activity` show it.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_NAME = re.compile(r"-- ([a-z][a-z0-9_]*)")


class InvalidQueryFile(ValueError):
    """A query file breaks the rule; the message names file and line. A programmer's mistake."""


class UnknownQuery(KeyError):
    """There is no query of this name. A programmer's mistake."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class _Query:
    name: str
    doc: str
    text: str


class Queries:
    """The named statements of one file: `queries["claim_run"]` or `queries.claim_run`."""

    def __init__(self, path: Path, queries: tuple[_Query, ...]) -> None:
        self._path = path
        self._queries = {query.name: query for query in queries}

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file. Raises `InvalidQueryFile`, or OSError if it cannot be read."""
        blocks = _split(path, path.read_text(encoding="utf-8").splitlines())
        queries = tuple(_parse(path, number, lines) for number, lines in blocks)
        seen: set[str] = set()
        for query in queries:
            if query.name in seen:
                raise InvalidQueryFile(f"{path}: query {query.name} is defined twice")
            if hasattr(cls, query.name):
                raise InvalidQueryFile(f"{path}: a query cannot be called {query.name}")
            seen.add(query.name)
        return cls(path, queries)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order of the file."""
        return tuple(self._queries)

    def doc(self, name: str) -> str:
        """Why a query exists: its comment, in one line."""
        return self._find(name).doc

    def __getitem__(self, name: str) -> str:
        return self._find(name).text

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):  # before __init__ has run, and for protocols that look for dunders
            raise AttributeError(name)
        try:
            return self[name]
        except UnknownQuery as error:
            raise AttributeError(str(error)) from None

    def __repr__(self) -> str:
        return f"<Queries {self._path}: {', '.join(self.names)}>"

    def _find(self, name: str) -> _Query:
        if (query := self._queries.get(name)) is None:
            near = difflib.get_close_matches(name, self.names, n=3, cutoff=0.5) or self.names
            raise UnknownQuery(f"no query {name!r} in {self._path}; there is: {', '.join(near)}")
        return query


def _split(path: Path, lines: list[str]) -> list[tuple[int, list[str]]]:
    """The blocks of a file, each with the number of its first line, which is its name."""
    blocks: list[tuple[int, list[str]]] = []
    previous = ""
    for number, line in enumerate(lines, start=1):
        if _NAME.fullmatch(line) and not previous.startswith("--"):
            blocks.append((number, []))
        if blocks:
            blocks[-1][1].append(line)
        elif line.strip() and not line.startswith("--"):
            raise InvalidQueryFile(f"{path}:{number}: a statement needs a name: `-- name_of_query`")
        previous = line
    return blocks


def _parse(path: Path, number: int, lines: list[str]) -> _Query:
    name = lines[0].removeprefix("-- ")
    why: list[str] = []
    for line in lines[1:]:
        if not line.startswith("--"):
            break
        why.append(line.removeprefix("--").strip())
    statement = "\n".join(lines[1 + len(why) :]).strip().removesuffix(";").rstrip()
    if not why:
        raise InvalidQueryFile(f"{path}:{number}: query {name} needs a comment line that says why")
    if not statement:
        raise InvalidQueryFile(f"{path}:{number}: query {name} has no statement")
    return _Query(name, " ".join(why), f"-- {name}\n{statement}")
