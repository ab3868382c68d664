"""Durable programs: an agent as an async function whose awaits are recorded.

    async def agent(ctx, goal):
        pages = await ctx.gather(*(ctx.call("http_call", url=url) for url in goal.split()))
        if await ctx.decision(f"send {len(pages)} pages?") == "yes":
            await ctx.call("mail", to="ops", pages=pages)
        return len(pages)

The function runs inside the agent's process, and a crash takes it along. What survives is the
journal: what the function asked for, and what came of it. To take a run up again, the function is
**executed from its start** and told, turn by turn, what is recorded; when the record is at its end,
it stands where it stood, and goes on. So it must do the same again:

* It may know only its goal, its context and what it awaited. The clock is `ctx.now()`, chance is
  `ctx.random`, waiting is `ctx.sleep`, and everything that touches the world is a skill.
* It runs on an event loop of its own (`loop`) without clock, threads or sockets. asyncio's tasks,
  groups, locks and queues are there; what would ask the world is refused, with what to use instead.
* Names of requests follow from the order of calls within each task (`identity`), so branches do not
  disturb each other.
* On re-execution everything it asks for is compared with what is recorded, and the first difference
  ends the attempt (`compare`). A deliberate change is guarded with `ctx.patched`.

A **turn** is the unit: some results are delivered, one at a time, and the program runs until it can
do nothing but wait. A turn is recorded as a whole or not at all; one that was not recorded has had
no effect, because nothing is dispatched before its record. What several results did in one turn is
therefore repeated in the same order.

    Execution(program, goal, history=…)      re-executes what is recorded
    execution.advance(deliveries, at)        one more turn: requests, or the end

An exception that the program lets out ends its run, as do waiting for what cannot come and what
could not be repeated alike. `development=True` turns on `guard`, which finds most of the latter
where it is written.

Nothing here bounds how long a turn computes: a program that never awaits makes its agent hang, and
supervision ends hung agents.
"""

from .context import ProgramContext
from .errors import (
    IllegalAdvance,
    InvalidProgram,
    NondeterministicProgram,
    ProgramDiverged,
    SkillFailed,
    UnrecordableRequest,
)
from .execution import Execution
from .loading import Program, load_installed, load_source, program_hash, program_of
from .protocol import Advanced, Delivery, Request, RequestKind, Turn, kind_of

__all__ = [
    "Advanced",
    "Delivery",
    "Execution",
    "IllegalAdvance",
    "InvalidProgram",
    "NondeterministicProgram",
    "Program",
    "ProgramContext",
    "ProgramDiverged",
    "Request",
    "RequestKind",
    "SkillFailed",
    "Turn",
    "UnrecordableRequest",
    "kind_of",
    "load_installed",
    "load_source",
    "program_hash",
    "program_of",
]
