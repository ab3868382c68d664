"""Where the layers meet: what the supervision tree runs, by dotted path, that stands above it."""

from __future__ import annotations

from typing import Any

from ..cluster.postgres import dsn_of
from ..cluster.settings import load
from .server import HttpFront


class Front(HttpFront):
    """The HTTP front as the tree starts it: it finds settings and database by itself."""

    def __init__(self) -> None:
        super().__init__("{}", "")

    async def start(self) -> dict[str, Any]:
        """Listen. Raises `PortTaken`."""
        self._dsn = self._dsn or dsn_of(load())
        return {**await super().start(), "kind": "http"}
