"""The proof by chaos: many runs while something dies every few seconds. `make chaos`.

    python -m tests.chaos.monkey [--seconds 600] [--runs 2000] [--seed N]

Runs of all effect classes, with timers, signals and children, are submitted at an even pace while a
monkey kills and freezes processes, crashes Postgres, and takes everything down at once (`aos up`
brings it back). When all are over, the outside ledger, the journals and the answers are compared
with what was promised; the exit code is 1 if an invariant does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

from aos.actors.runs.inbox import Inbox
from aos.api.client import ApiError, NotRunning
from aos.cluster.postgres import Database, DatabaseUnavailable
from aos.skills.contracts import AgentProfile, PlannerChoice
from tests.support.effect_ledger import EffectLedger
from tests.support.endings import drained, ends
from tests.support.node import Node, node
from tests.support.noting import Work, after_signal, after_timer, chain, with_children
from tests.support.strikes import Striker
from tests.support.verdicts import Tally, judge

AGENTS = 6
GRACE = 180.0
"""Seconds after the last strike in which whatever is still unfinished has to end."""
PLUGIN = Path(__file__).parents[1] / "plugin"


class Monkey:
    """One proof."""

    def __init__(self, served: Node, ledger: str, seed: int) -> None:
        self.promised: dict[UUID, Work] = {}
        self.node = served
        self._ledger = ledger
        self._random = random.Random(seed)  # noqa: S311 - a failure can be repeated
        self._agents = [f"monkey-{number}" for number in range(AGENTS)]
        self._signals: asyncio.Queue[tuple[float, UUID, Work]] = asyncio.Queue()

    def register(self) -> None:
        """Make the agents."""
        for name in self._agents:
            planner = PlannerChoice(name="literal")
            self.node.client.agents.create(AgentProfile(name=name, planner=planner))

    async def submit(self, runs: int, seconds: float) -> None:
        """Submit at an even pace, for as long as it takes to be answered."""
        began = time.monotonic()
        for number in range(runs):
            await asyncio.sleep(max(0.0, began + seconds * number / runs - time.monotonic()))
            work, agent = self._work(number), self._random.choice(self._agents)
            run_id = await asyncio.to_thread(self._submit, agent, work, uuid4().hex)
            self.promised[run_id] = work
            if work.awaits:
                due = time.monotonic() + self._random.uniform(0, 3)
                self._signals.put_nowait((due, run_id, work))

    async def signal(self) -> None:
        """Give each run the signal that it waits for, some before it does. For ever."""
        async with self.node.database() as database:
            while True:
                due, run_id, work = await self._signals.get()
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await _say(database, run_id, work)
                self._signals.task_done()

    async def signalled(self) -> None:
        """Return when every signal is said."""
        await self._signals.join()

    def _work(self, number: int) -> Work:
        start = 100 * number
        busy = {"before_ms": self._random.randrange(400), "after_ms": self._random.randrange(400)}
        shapes = (
            lambda: chain(self._ledger, start, "pure", "read", "idempotent", "reconciled"),
            lambda: chain(self._ledger, start, "idempotent", "reconciled", **busy),
            lambda: chain(self._ledger, start, "idempotent", "unsafe", **busy),
            lambda: after_timer(self._ledger, start, self._random.uniform(0.2, 4)),
            lambda: after_signal(self._ledger, start, payload=number),
            lambda: with_children(self._ledger, start, 2, self._random.choice(self._agents)),
        )
        return self._random.choice(shapes)()

    def _submit(self, agent: str, work: Work, key: str) -> UUID:
        """As any client would: again under the same key until there is an answer."""
        while True:
            try:
                return self.node.client.runs.create(agent, work.goal, idempotency_key=key).id
            except (NotRunning, ApiError) as error:
                if isinstance(error, ApiError) and not error.retryable:
                    raise
                time.sleep(0.2)
                self.node.renew()


async def _say(database: Database, run_id: UUID, work: Work) -> None:
    while True:
        try:
            body = {"name": work.awaits, "payload": work.says}
            await Inbox(database).say("default", run_id, "signal", body, by="monkey", key="go")
        except DatabaseUnavailable:
            await asyncio.sleep(0.2)
        else:
            return


async def prove(served: Node, ledger: EffectLedger, options: argparse.Namespace) -> Tally:
    """Submit, strike, wait, judge; prints what happened."""
    monkey, striker = Monkey(served, ledger.url, options.seed), Striker(served, options.seed)
    monkey.register()
    signalling = asyncio.create_task(monkey.signal())
    try:
        await asyncio.gather(
            monkey.submit(options.runs, options.seconds), striker.run(options.seconds)
        )
        began = time.monotonic()
        await monkey.signalled()
        async with served.database() as database:
            await drained(database, GRACE)
            drain = time.monotonic() - began
            found = await ends(database)
    finally:
        signalling.cancel()
    tally = judge(monkey.promised, found, ledger.done())
    print(*_report(striker, tally, drain), sep="\n", flush=True)
    return tally


def _report(striker: Striker, tally: Tally, drain: float) -> Iterator[str]:
    yield from tally.lines()
    yield f"{sum(striker.counts.values()):6} strikes: " + ", ".join(
        f"{times} x {kind}" for kind, times in sorted(striker.counts.items())
    )
    if striker.ups:
        yield f"       aos up took {', '.join(f'{up:.1f} s' for up in striker.ups)}"
    yield f"       all was over {drain:.1f} s after the last strike"
    for name, found in tally.broken.items():
        yield f"BROKEN: {name}"
        yield from (f"    {each}" for each in found[:20])


def main() -> int:
    """The exit code: 0 if every invariant held."""
    parser = argparse.ArgumentParser(description=__doc__, prog="monkey")
    seconds = float(os.environ.get("AOS_CHAOS_SECONDS", "600"))
    parser.add_argument("--seconds", type=float, default=seconds)
    parser.add_argument("--runs", type=int, default=None)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    options.runs = options.runs or round(options.seconds * 3.5)
    print(f"seed {options.seed}: {options.runs} runs in {options.seconds:g} s", flush=True)
    given = {
        "PYTHONPATH": os.pathsep.join([str(PLUGIN), os.environ.get("PYTHONPATH", "")]),
        "AOS_HEARTBEAT_INTERVAL": "1",
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        EffectLedger(Path(folder) / "effects.jsonl") as ledger,
        node(**given) as served,
    ):
        tally = asyncio.run(prove(served, ledger, options))
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
