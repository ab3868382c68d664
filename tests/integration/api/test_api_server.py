"""The front as a process is run: ports, starting and stopping."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import httpx
import pytest
from tests.support.api_front import Bell, Front

from aos.api.errors import PortTaken
from aos.api.server import HttpFront
from aos.cluster.postgres import Database


def a_front(url: str, home: Path, port: int = 0) -> HttpFront:
    settings = json.dumps({"home": str(home), "http_port": port})
    return HttpFront(settings, url, Bell(), log_file=False)


async def test_a_taken_port_is_named_and_the_next_action_too(
    database_url: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=str(port)) as caught:
            await a_front(database_url, tmp_path, port).start()
    assert "AOS_HTTP_PORT" in caught.value.next_action
    front = a_front(database_url, tmp_path, port)
    assert (await front.start())["url"].endswith(f":{port}")
    await front.stop()


async def test_making_a_front_does_nothing_even_with_nonsense() -> None:
    front = HttpFront("not json", "not a dsn")
    await front.stop()


async def test_starting_twice_is_starting_once(front: Front) -> None:
    about = await front.served.start()
    assert about == {"url": front.url, "pid": os.getpid(), "kind": "http"}
    assert await front.served.ping() == {"url": front.url, "pid": os.getpid()}


async def test_the_process_keeps_its_signals(database_url: str, tmp_path: Path) -> None:
    def handlers() -> list[object]:
        return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    before = handlers()
    front = a_front(database_url, tmp_path)
    await front.start()
    assert handlers() == before
    await front.stop()


async def test_a_stopped_front_answers_no_more_and_a_new_one_takes_its_port(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    front = a_front(database_url, tmp_path)
    url = (await front.start())["url"]
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{url}/health")).status_code == 200
        async with asyncio.timeout(2):
            await front.stop()
        with pytest.raises(httpx.TransportError):
            await http.get(f"{url}/health")
    again = a_front(database_url, tmp_path, int(url.rsplit(":", 1)[1]))
    assert (await again.start())["url"] == url
    await again.stop()


async def test_watching_never_answers(front: Front) -> None:
    watching = asyncio.create_task(front.served.watch())
    done, _ = await asyncio.wait({watching}, timeout=0.05)
    assert not done
    watching.cancel()
