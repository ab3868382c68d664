"""`client.retention`, for both clients, and its calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .calls import Call
from .retention_models import ArchivePage, RetentionView

if TYPE_CHECKING:
    from .asynchronous import AsyncAosClient
    from .synchronous import AosClient

_RETENTION = "/api/v1/retention"


def _show() -> Call[RetentionView]:
    return Call(RetentionView, "GET", _RETENTION)


def _run(dry_run: bool) -> Call[RetentionView]:
    return Call(RetentionView, "POST", f"{_RETENTION}/run", {"dry_run": dry_run})


def _archives(cursor: str | None, limit: int) -> Call[ArchivePage]:
    return Call(ArchivePage, "GET", f"{_RETENTION}/archives", {"cursor": cursor, "limit": limit})


class Retention:
    """What is kept and what goes, for code that waits."""

    def __init__(self, client: AosClient) -> None:
        self._client = client

    def show(self) -> RetentionView:
        """The policy, what it lets go now, and what went last."""
        return self._client.send(_show())

    def run(self, *, dry_run: bool = False) -> RetentionView:
        """Have a round begin, which goes on by itself; what it will remove. Asking again is
        harmless. Raises `ApiError` with AOS-5103 where runs are kept for ever.
        """
        return self._client.send(_run(dry_run))

    def archives(self, *, cursor: str | None = None, limit: int = 50) -> ArchivePage:
        """A page of archives, newest first."""
        return self._client.send(_archives(cursor, limit))


class AsyncRetention:
    """What is kept and what goes, for asyncio."""

    def __init__(self, client: AsyncAosClient) -> None:
        self._client = client

    async def show(self) -> RetentionView:
        """As `Retention.show`."""
        return await self._client.send(_show())

    async def run(self, *, dry_run: bool = False) -> RetentionView:
        """As `Retention.run`."""
        return await self._client.send(_run(dry_run))

    async def archives(self, *, cursor: str | None = None, limit: int = 50) -> ArchivePage:
        """As `Retention.archives`."""
        return await self._client.send(_archives(cursor, limit))
