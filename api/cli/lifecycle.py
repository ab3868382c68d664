"""`aos up` and `aos down`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from json import dumps, loads
from pathlib import Path
from typing import Any

import psutil

from ...cluster.environment import cluster_environment
from ...cluster.errors import EngineError
from ...cluster.settings import Settings, load
from .output import Json

_STEPS = {
    "postgres": "Postgres",
    "schema": "Schema",
    "key": "API key",
    "ray": "Ray",
    "tree": "Supervision tree",
    "http": "HTTP front",
}
_DOWN_SECONDS = 20.0

_started: list[subprocess.Popen[bytes]] = []
"""Nodes that this process started and that outlive it: kept, or Python would warn of them."""


class NodeFailed(EngineError):
    """The node process ended before it was ready, without a reason of its own."""

    code = "AOS-6112"
    title = "AOS did not come up."
    next_action = "Read $AOS_HOME/logs/node.jsonl and node.err, then run `aos doctor`."


class NodeRefused(EngineError):
    """The node process said why it cannot come up; its code is in the text."""

    code = "AOS-6113"
    title = "AOS cannot come up."
    next_action = "Do what the text says."

    def __init__(self, detail: str = "", **context: Any) -> None:
        super().__init__(detail, **context)
        self.code = context.get("code", self.code)  # type: ignore[misc] - the reason's own code
        self.next_action = context.get("next_action", "")  # type: ignore[misc] - likewise


def up(*, json: Json = False) -> int:
    """Start AOS on this machine and leave it running; a second `aos up` finds the first.

    Parameters
    ----------
    json
        Print JSON.
    """
    settings = load()
    began = time.monotonic()
    found = running(settings)
    if found is None:
        for fact in start_node(settings):
            if "ready" in fact:
                found = fact["ready"]
            elif not json:
                print(f"  {_STEPS.get(fact['step'], fact['step']):<17} {fact.get('detail', '')}")
        note = f"AOS is up after {time.monotonic() - began:.1f} s."
    else:
        note = "AOS is up already."
    if json:
        print(dumps(found))
    else:
        print(note)
        print(_where(settings, found or {}))
    return 0


def down(*, json: Json = False) -> int:
    """Stop AOS on this machine. Unfinished runs go on at the next `aos up`.

    Parameters
    ----------
    json
        Print JSON.
    """
    settings = load()
    began = time.monotonic()
    stopped = stop_node(settings)
    seconds = round(time.monotonic() - began, 2)
    if json:
        print(dumps({"stopped": stopped, "seconds": seconds}))
    else:
        print(f"AOS is down after {seconds:.1f} s." if stopped else "AOS was not up.")
    return 0


def running(settings: Settings) -> dict[str, Any] | None:
    """What the node of this home says of itself, if it runs."""
    try:
        info = loads((settings.home / "node.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return info if _node(info.get("pid", 0)) is not None else None


def start_node(settings: Settings) -> Iterator[dict[str, Any]]:
    """Start the node process in a session of its own; yields what it says until it is ready.

    Raises `NodeRefused` with the node's own reason, or `NodeFailed`.
    """
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o711)
    errors = settings.home / "node.err"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "aos.api.node"],
            env=cluster_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=settings.home,
            start_new_session=True,
        )
    _started.append(process)
    assert process.stdout is not None  # noqa: S101 - it is a pipe, as asked for
    with process.stdout:
        for line in process.stdout:
            fact: dict[str, Any] = loads(line)
            if "failed" in fact:
                process.wait()
                raise NodeRefused(
                    fact["detail"], code=fact["failed"], next_action=fact["next_action"]
                )
            yield fact
            if "ready" in fact:
                return
    code = process.wait()
    raise NodeFailed(f"the node process ended with code {code}: {_last_line(errors)}")


def stop_node(settings: Settings) -> bool:
    """Ask the node to stop and wait until it and its children are gone; whether there was one."""
    info = running(settings)
    process = _node(info["pid"]) if info else None
    if process is None:
        return _stop_leftovers(settings)
    children = process.children(recursive=True)
    process.send_signal(signal.SIGTERM)
    gone, alive = psutil.wait_procs([process, *children], timeout=_DOWN_SECONDS)
    del gone
    for stubborn in alive:
        stubborn.kill()
    return True


def _stop_leftovers(settings: Settings) -> bool:
    """Postgres outlives a node that was killed; `down` means that nothing is left."""
    if not settings.embedded or not (settings.home / "postgres").exists():
        return False
    import asyncio  # noqa: PLC0415 - rarely needed, and this command line starts fast

    from ...cluster.postgres import EmbeddedPostgres  # noqa: PLC0415 - likewise

    server = EmbeddedPostgres(settings.home, os_user=settings.postgres_os_user)
    if not server.status().running:
        return False
    asyncio.run(server.stop())
    return True


def _node(pid: int) -> psutil.Process | None:
    """The node process, if the pid is still one: pids are used again."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process if "aos.api.node" in process.cmdline() else None
    except (psutil.Error, ValueError):
        return None


def _where(settings: Settings, info: dict[str, Any]) -> str:
    lines = [f"  API        {info.get('url')}   (key in {settings.home / 'credentials'})"]
    if info.get("dashboard_url"):
        lines.append(f"  Ray        {info['dashboard_url']}")
    lines.append("  next       aos agent create researcher && aos run GOAL --agent researcher")
    return "\n".join(lines)


def _last_line(file: Path) -> str:
    lines = file.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else f"{os.fspath(file)} is empty"
