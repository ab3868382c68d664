"""How a process leaves by its own decision, and says why.

Ray cannot tell one `os._exit` from another, nor from a crash, so those who watch the process are
told by an answer to their watch. Ray's own ways out cannot be used: `exit_actor`, `sys.exit` and
SIGTERM wait for the calls under way, and the watches among them never end.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any

from ..cluster.exits import Exit

_LONGEST_SECONDS = 0.1


class Farewell:
    """One process's end. It has `seconds` to cancel what is under way, and as many again until all
    who watch have heard why; then it is gone, even if its event loop is stuck. On a machine so busy
    that this is too short, they see a crash without a reason.
    """

    def __init__(
        self, seconds: float = _LONGEST_SECONDS, end: Callable[[int], object] = os._exit
    ) -> None:
        self._seconds, self._end = seconds, end
        self._leaving = False
        self._word: dict[str, str] = {}
        self._said = asyncio.Event()
        self._unheard = 0
        self._all_heard = asyncio.Event()

    async def watch(self, heard: bool) -> dict[str, str]:
        """The last word, once there is one. `heard`: the caller has it and waits for the end
        itself, so there is no answer.
        """
        if heard:
            self._unheard -= 1
            if self._unheard <= 0:
                self._all_heard.set()
            await asyncio.Event().wait()
        self._unheard += 1
        await self._said.wait()
        return self._word

    async def leave(self, exit_: Exit, code: int, under_way: Iterable[asyncio.Task[Any]]) -> None:
        """Cancel what is under way, say why, and end the process with `code`. Returns only if it is
        leaving already: the first reason is the one that counts.
        """
        if self._leaving:
            return
        self._leaving = True
        try:
            with self._alarm(code):
                await self._cancel({*under_way} - {asyncio.current_task()})
            with self._alarm(code):
                self._word = exit_.last_word()
                self._said.set()
                if self._unheard:
                    await self._all_heard.wait()
        finally:  # also if no thread could be made
            self._end(code)

    @contextmanager
    def _alarm(self, code: int) -> Generator[None]:
        """A thread that ends the process unless the block is left in time."""
        alarm = threading.Timer(self._seconds, self._end, (code,))
        alarm.daemon = True
        alarm.start()
        yield
        alarm.cancel()

    async def _cancel(self, tasks: set[Any]) -> None:
        """Before the last word: a successor may begin as soon as that is out."""
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self._seconds / 2)
