"""How commands print: for people on a terminal, JSON for programs."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter
from pydantic import BaseModel
from rich.console import Console, RenderableType

Json = Annotated[bool, Parameter(negative=())]
"""`--json`, alike everywhere."""


def show(value: BaseModel, rendered: RenderableType, *, json: bool) -> None:
    """Print a value: itself as JSON, or how it is rendered."""
    if json:
        emit(value)
    else:
        console().print(rendered)


def emit(value: BaseModel) -> None:
    """Print a value as one line of JSON, at once."""
    print(value.model_dump_json(), flush=True)


def console() -> Console:
    """Standard output for people. Long lines are wrapped only on a terminal."""
    wide = None if sys.stdout.isatty() else 200
    return Console(highlight=False, width=wide)
