"""An HTTP server that answers exactly the bytes a test gives it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

Answer = bytes | Callable[["RawServer", asyncio.StreamWriter], Awaitable[None]]


def answer(
    status: str = "200 OK",
    body: bytes = b"",
    content_type: str = "text/plain; charset=utf-8",
    **headers: str,
) -> bytes:
    """A complete response; underscores in header names become hyphens."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"Content-Type: {content_type}"] if content_type else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class RawServer:
    """Answers the n-th request with the n-th answer, the last one for ever. One per connection.

    `requests` holds what was received: head and body, decoded as Latin-1. `sent` counts the bytes
    that the peer has taken.
    """

    def __init__(
        self, *answers: Answer, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self.requests: list[str] = []
        self.sent = 0
        self.received = asyncio.Event()
        self._answers = list(answers)
        self._host = host
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def host_port(self) -> str:
        """As `private_hosts_allowed` wants it."""
        return f"{self._host}:{self.port}"

    def url(self, path: str = "/") -> str:
        """A URL on this server."""
        return f"http{'s' if self._tls else ''}://{self.host_port}{path}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._tls)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._serving.values():
            writer.close()
        await asyncio.gather(*self._serving)
        await self._server.wait_closed()

    async def send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Write, and wait until the peer has taken it."""
        writer.write(data)
        await writer.drain()
        self.sent += len(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving[task] = writer
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next(
                (int(line.partition(":")[2]) for line in head.split("\r\n")
                 if line.lower().startswith("content-length:")),
                0,
            )  # fmt: skip
            body = (await reader.readexactly(length)).decode("latin-1")
            self.requests.append(head + body)
            self.received.set()
            turn = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            await (self.send(writer, turn) if isinstance(turn, bytes) else turn(self, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone: what some tests are about
        finally:
            writer.close()
            del self._serving[task]
