"""Provokes deaths on a running cluster and prints what was seen of each, as a line of JSON.

A driver in a process of its own, `python -m tests.support.deaths`, so that whoever wants to know
holds no Ray itself. `AOS_RAY_ADDRESS` and the rest of the environment say which cluster.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import ray
from ray._private import state as control_plane
from ray.util.scheduling_strategies import (
    NodeAffinitySchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)

from aos.cluster.engine import (
    ActorOptions,
    ActorRef,
    connect,
    find,
    shutdown,
    spawn,
)
from aos.cluster.ids import new_id
from aos.cluster.settings import load
from tests.support.mortal import MORTAL, TALKER, Mortal

LOSE_THE_FIRST_CALL = json.dumps(
    {
        "CoreWorkerService.grpc_client.PushTask": {
            "num_failures": 1,
            "req_failure_prob": 100,
            "resp_failure_prob": 0,
            "in_flight_failure_prob": 0,
        }
    }
)
"""For `RAY_testing_rpc_failure` of the driver's environment: Ray reads it while it is loaded."""

PF_EXITING = 0x4
"""Of Linux's include/linux/sched.h."""

_SOON, _LONG = 1.0, 30.0
NO_NODE = "ab" * 28

Seen = dict[str, Any]
CASES: dict[str, Callable[[], Awaitable[Seen]]] = {}


def case(provoke: Callable[[], Awaitable[Seen]]) -> Callable[[], Awaitable[Seen]]:
    CASES[provoke.__name__] = provoke
    return provoke


def new_name() -> str:
    return f"mortal:{new_id().hex[-12:]}"


async def born(path: str = MORTAL) -> tuple[ActorRef, int]:
    ref = spawn(path, options=ActorOptions(name=new_name(), detached=False))
    return ref, await ref.call("pid", timeout=_LONG)


def made(**options: Any) -> ActorRef:
    """An actor with options of Ray's that AOS does not use."""
    name = new_name()
    handle = ray.remote(Mortal).options(name=name, num_cpus=0, **options).remote()
    return ActorRef(name, handle)


async def watched(ref: ActorRef, pid: int | None, provoke: Callable[[], object]) -> Seen:
    """Watch, provoke, and tell what the watch returned."""
    watching = asyncio.create_task(ref.watch())
    if pid is not None:  # the watch has arrived when what is called after it answers
        await asyncio.sleep(0)
        await ref.call("pid", timeout=_LONG)
    provoke()
    return await seen(ref, pid, watching)


async def seen(ref: ActorRef, pid: int | None, watching: asyncio.Task[Any]) -> Seen:
    began = time.monotonic()
    exit_ = await asyncio.wait_for(watching, _LONG)
    return {
        "reason": exit_.reason,
        "detail": exit_.detail,
        "gone": pid is None or not alive(pid),
        "seconds": round(time.monotonic() - began, 3),
        "cause": cause(ref),
    }


async def unseen(ref: ActorRef, pid: int, provoke: Callable[[], object]) -> Seen:
    """Watch and provoke what does not end the process, then end it."""
    watching = asyncio.create_task(ref.watch())
    await asyncio.sleep(0)
    await ref.call("pid", timeout=_LONG)
    provoke()
    done, _ = await asyncio.wait({watching}, timeout=_SOON)
    assert not done, f"the watch returned {watching.result()}"
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)
    return await seen(ref, pid, watching)


def cause(ref: ActorRef) -> str:
    """What Ray's control plane keeps: the kind of cause, and its reason if it has one."""
    death = control_plane.actors(ref._handle._actor_id.hex())["DeathCause"]
    kind = death.WhichOneof("context")
    if kind != "actor_died_error_context":
        return str(kind)
    context = death.actor_died_error_context
    return str(type(context).Reason.Name(context.reason))


def alive(pid: int) -> bool:
    """Whether the process can still run code. For some milliseconds after its connections have
    ended the kernel is busy taking it down, and it is there, but has no future.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    state, flags = (stat.rpartition(")")[2].split()[index] for index in (0, 6))
    return state not in "XZ" and not int(flags) & PF_EXITING


async def until_gone(pid: int) -> None:
    with suppress(psutil.NoSuchProcess):
        await asyncio.to_thread(psutil.Process(pid).wait, _LONG)


@case
async def out_of_touch() -> Seen:
    """The first call that this driver makes is lost on its way: `LOSE_THE_FIRST_CALL`."""
    ref = spawn(MORTAL, options=ActorOptions(name=new_name(), detached=False))
    exit_ = await ref.watch()
    pid = await ref.call("pid", timeout=_LONG)
    return {"reason": exit_.reason, "detail": exit_.detail, "alive": alive(pid)}


@case
async def exit_actor_unwatched() -> Seen:
    ref, pid = await born()
    ref.tell("exit_actor")
    await until_gone(pid)
    return await watched(ref, None, lambda: None)


@case
async def sys_exit_unwatched() -> Seen:
    ref, pid = await born()
    ref.tell("sys_exit")
    await until_gone(pid)
    return await watched(ref, None, lambda: None)


@case
async def exit_actor_watched() -> Seen:
    ref, pid = await born()
    return await unseen(ref, pid, lambda: ref.tell("exit_actor"))


@case
async def sys_exit_watched() -> Seen:
    ref, pid = await born()
    return await unseen(ref, pid, lambda: ref.tell("sys_exit"))


@case
async def sigterm_watched() -> Seen:
    ref, pid = await born()
    return await unseen(ref, pid, lambda: os.kill(pid, signal.SIGTERM))


@case
async def sigstop() -> Seen:
    ref, pid = await born()
    return await unseen(ref, pid, lambda: os.kill(pid, signal.SIGSTOP))


@case
async def ray_kill() -> Seen:
    ref, pid = await born()
    return await watched(ref, pid, ref.kill) | {"gone": None}  # Ray says it before it is done


@case
async def sigkill() -> Seen:
    ref, pid = await born()
    return await watched(ref, pid, lambda: os.kill(pid, signal.SIGKILL))


@case
async def sigsegv() -> Seen:
    ref, pid = await born()
    return await watched(ref, pid, lambda: ref.tell("overrun"))


@case
async def os_exit() -> Seen:
    ref, pid = await born()
    return await watched(ref, pid, lambda: ref.tell("os_exit", 1))


@case
async def init_raises() -> Seen:
    ref = spawn(MORTAL, "raise", options=ActorOptions(name=new_name(), detached=False))
    return await watched(ref, None, lambda: None)


@case
async def init_os_exit() -> Seen:
    ref = spawn(MORTAL, "os_exit", options=ActorOptions(name=new_name(), detached=False))
    return await watched(ref, None, lambda: None)


@case
async def owner_killed() -> Seen:
    owner, _ = await born()
    name = new_name()
    await owner.call("bear", name, timeout=_LONG)
    child = find(name)
    assert child is not None
    found = await watched(child, await child.call("pid", timeout=_LONG), owner.kill)
    return found | {"gone": None}  # as with `ray.kill`


@case
async def out_of_scope() -> Seen:
    ref, pid = await born()
    weak = find(ref.name)
    assert weak is not None
    del ref
    await until_gone(pid)
    return await watched(weak, None, lambda: None)


@case
async def no_such_node() -> Seen:
    nowhere = NodeAffinitySchedulingStrategy(NO_NODE, soft=False)
    return await watched(made(scheduling_strategy=nowhere), None, lambda: None)


@case
async def resources_that_nobody_has() -> Seen:
    options = ActorOptions(name=new_name(), detached=False, resources=(("unobtainium", 1),))
    ref = spawn(MORTAL, options=options)
    watching = asyncio.create_task(ref.watch())
    done, _ = await asyncio.wait({watching}, timeout=_SOON)
    assert not done, f"the watch returned {watching.result()}"
    ref.kill()
    return await seen(ref, None, watching)


@case
async def runtime_env() -> Seen:
    missing = {"py_modules": [f"gcs://_ray_pkg_{new_id().hex[:16]}.zip"]}
    return await watched(made(runtime_env=missing), None, lambda: None)


@case
async def placement_group_removed() -> Seen:
    group = ray.util.placement_group([{"CPU": 0.01}])
    ref = made(scheduling_strategy=PlacementGroupSchedulingStrategy(group), max_concurrency=10)
    pid = await ref.call("pid", timeout=_LONG)
    found = await watched(ref, pid, lambda: ray.util.remove_placement_group(group))
    return found | {"gone": None}


@case
async def said_fenced() -> Seen:
    ref, pid = await born()
    return await watched(ref, pid, lambda: ref.tell("leave", "fenced", "epoch 3 has passed", 70))


@case
async def said_crash() -> Seen:
    ref, pid = await born()
    return await watched(ref, pid, lambda: ref.tell("leave", "crash", "ValueError: wrong", 71))


@case
async def said_to_two() -> Seen:
    """All who watch are told, and each finds the process gone."""
    ref, pid = await born()
    other = find(ref.name)
    assert other is not None
    second = asyncio.create_task(watched(other, pid, lambda: None))
    first = await watched(ref, pid, lambda: ref.tell("leave", "fenced", "epoch 3 has passed", 70))
    return {"first": first, "second": await second}


@case
async def leaves_while_stuck() -> Seen:
    ref, pid = await born()
    return await watched(ref, pid, lambda: ref.tell("leave_stuck"))


@case
async def says_it_leaves_and_stays() -> Seen:
    ref, pid = await born(TALKER)
    exit_ = await ref.watch()
    await until_gone(pid)
    return {"reason": exit_.reason, "detail": exit_.detail, "cause": cause(ref)}


@case
async def cannot_be_watched() -> Seen:
    """An actor whose watch fails would end unseen: it is ended."""
    ref = ActorRef("plain", ray.remote(Plain).options(num_cpus=0).remote())
    pid = await ref.call("pid", timeout=_LONG)
    exit_ = await ref.watch()
    await until_gone(pid)
    return {"reason": exit_.reason, "detail": exit_.detail, "cause": cause(ref)}


class Plain:
    def pid(self) -> int:
        return os.getpid()

    def watch(self) -> None:
        raise TimeoutError("not watchable")


async def main() -> None:
    for name, provoke in CASES.items():
        try:
            found = await provoke()
        except Exception as error:
            found = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps({"case": name, **found}), flush=True)  # noqa: T201 - its only purpose


if __name__ == "__main__":
    connect(load())
    try:
        asyncio.run(main())
    finally:
        shutdown()
