"""Structured logs: one JSON object a line, carrying the ids that were bound where the work is done.

Secrets have no way in: log calls take names and values of ours, never request bodies or settings.
What the text of an exception may bring along all the same is masked where its shape is known.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Generator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from ..credentials import MASK, mask_credentials, names_credential

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(level: str, *, file: Path | None = None) -> None:
    """Set up this process's logs: JSON lines to `file` (appended), else to standard error."""
    stream = file.open("a", buffering=1) if file is not None else sys.stderr
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            without_credentials,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=_LEVELS[level], stream=stream)


def logger(name: str) -> Any:
    """A logger: `log.info("what happened", key=value)`."""
    return structlog.get_logger(module=name)


@contextmanager
def bound(**ids: object) -> Generator[None]:
    """Carry ids (run, agent, request) on every line logged inside, also by called code."""
    with structlog.contextvars.bound_contextvars(**ids):
        yield


def without_credentials(
    _logger: object, _method: str, line: MutableMapping[str, Any]
) -> Mapping[str, Any]:
    """The line with every credential in its texts masked; a structlog processor."""
    return {
        name: value if not isinstance(value, str)
        else MASK if names_credential(name)
        else mask_credentials(value)
        for name, value in line.items()
    }  # fmt: skip
