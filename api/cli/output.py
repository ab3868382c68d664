"""How commands print: for people on a terminal, JSON for programs."""

from __future__ import annotations

import json as json_format
import sys
from typing import Annotated

from cyclopts import Parameter
from pydantic import BaseModel
from rich.console import Console, RenderableType

from ...skills.contracts import JsonValue

Json = Annotated[bool, Parameter(negative=())]
"""`--json`, alike everywhere."""


def show(value: BaseModel, rendered: RenderableType, *, json: bool) -> None:
    """Print a value: itself as JSON, or how it is rendered."""
    if json:
        emit(value)
    else:
        console().print(rendered)


def value_of(text: str | None) -> JsonValue:
    """What was given on the command line: JSON; what is not JSON is text."""
    if text is None:
        return None
    try:
        value: JsonValue = json_format.loads(text)
    except ValueError:
        return text
    return value


def emit(value: BaseModel) -> None:
    """Print a value as one line of JSON, at once."""
    print(value.model_dump_json(), flush=True)


def console() -> Console:
    """Standard output for people. Long lines are wrapped only on a terminal."""
    wide = None if sys.stdout.isatty() else 200
    return Console(highlight=False, width=wide)
