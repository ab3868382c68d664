"""`aos doctor`."""

from __future__ import annotations

import json as json_format
from collections.abc import Iterator
from dataclasses import asdict

from rich.text import Text

from ...cluster.errors import AosError
from ...cluster.settings import load
from . import checks
from .checks import Check, Level
from .exits import FAILED, OK
from .output import Json, console

_MARKS = {Level.OK: ("✓", "green"), Level.WARN: ("!", "yellow"), Level.FAIL: ("✗", "bold red")}


def doctor(*, json: Json = False) -> int:
    """Check this machine, and say what to do. Works with nothing up; exits with 1 on a failure.

    Parameters
    ----------
    json
        Print JSON.
    """
    out = console()
    found: list[Check] = []
    for check in findings():
        found.append(check)
        if not json:
            out.print(line(check))
    if json:
        print(json_format.dumps([asdict(check) for check in found]))
    return FAILED if any(check.level is Level.FAIL for check in found) else OK


def findings() -> Iterator[Check]:
    """All checks, those that need settings only if there are any."""
    for check in checks.WITHOUT_SETTINGS:
        yield check()
    try:
        settings = load()
    except AosError as error:
        yield Check("settings", Level.FAIL, error.detail, error.next_action)
        return
    yield Check("settings", Level.OK, f"{settings.home / 'aos.toml'} and the environment")
    for check_with in checks.WITH_SETTINGS:
        yield check_with(settings)
    yield checks.front()


def line(check: Check) -> Text:
    """A check as people read it."""
    text = Text.assemble(_MARKS[check.level], f" {check.name:<9} {check.detail}")
    if check.next_action:
        text.append(f"\n            next: {check.next_action}", "dim")
    return text
