"""Why a process ended: the words, the last word, and the table that reads Ray's errors.

The texts are what Ray 2.60 said when such a death was provoked, shortened where the text goes on.
`tests/integration/engine/test_exits.py` provokes them again.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from ray import exceptions as ray_errors
from ray.core.generated.common_pb2 import ActorDiedErrorContext, NodeDeathInfo

from aos.cluster.engine.exits import TABLE, brief, classify
from aos.cluster.exits import Exit, ExitReason

R = ExitReason
ID = bytes.fromhex("0c4504ad43d30fc9f2abce3401000000")

WORKER_DIED = "The actor is dead because its worker process has died. "
CONNECTION_ENDED = (
    "Worker unexpectedly exits with a connection error code 2. End of file. Some common causes "
    "include: (1) the process was killed by the OOM killer due to high memory usage, …"
)
OWNER_DIED = (
    "The actor is dead because its owner has died. Owner Id: d2cda9 Owner Ip address: 192.0.2.2 "
    "Owner worker exit type: INTENDED_SYSTEM_EXIT Worker exit detail: Owner's worker process has "
    "crashed."
)
NODE_DIED = (
    "The actor died because its node has died. Node Id: ed6efa\n"
    "\tthe actor's node was terminated expectedly: received SIGTERM"
)
MEMORY = (
    "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: "
    "192.0.2.2, ID: 5191cc) was 2.92GB used / 23.54GB limit (0.124035)\nOOM kill reason: …"
)
PLACEMENT = "Destroying worker since its placement group was removed. Placement group id: 9b7631"


def died(cause: str, **fields: object) -> ray_errors.ActorDiedError:
    """The error as Ray builds it from its control plane's message."""
    usual = {"class_name": "Dying", "actor_id": ID, "pid": 21363, "name": "a", "ray_namespace": "b"}
    return ray_errors.ActorDiedError(ActorDiedErrorContext(error_message=cause, **(usual | fields)))


def ended(exit_type: str, detail: str, **fields: object) -> ray_errors.ActorDiedError:
    return died(
        f"{WORKER_DIED}Worker exit type: {exit_type} Worker exit detail: {detail}", **fields
    )


def raised(error: Exception) -> ray_errors.RayTaskError:
    traceback = f"Traceback …\n{type(error).__name__}: {error}"
    return ray_errors.RayTaskError("method", traceback, error)


def preempted() -> ray_errors.ActorDiedError:
    reason = NodeDeathInfo(reason=NodeDeathInfo.AUTOSCALER_DRAIN_PREEMPTED)
    return died("", name="", class_name="", node_death_info=reason)


CASES: dict[str, tuple[Callable[[], BaseException], Exit]] = {
    "unavailable": (
        lambda: ray_errors.ActorUnavailableError("RPC error: Socket closed rpc_code: 14", ID),
        Exit(R.SUSPECT, f"The actor {ID.hex()} is unavailable: RPC error: Socket closed rpc_code: "
             "14. The task may or may not have been executed on the actor."),
    ),
    "unschedulable": (
        lambda: ray_errors.ActorUnschedulableError("The node doesn't exist any more."),
        Exit(R.NO_CAPACITY, "The actor is not schedulable: The node doesn't exist any more."),
    ),
    "runtime_env": (
        lambda: ray_errors.RuntimeEnvSetupError("Traceback …\n  File …\nOSError: no package\n"),
        Exit(R.START_ERROR, "OSError: no package"),
    ),
    "memory_monitor": (
        lambda: ray_errors.OutOfMemoryError(MEMORY),
        Exit(R.OUT_OF_MEMORY, MEMORY.splitlines()[0]),
    ),
    "init_raised": (
        lambda: ray_errors.ActorDiedError(raised(ValueError("no luck in __init__"))),
        Exit(R.START_ERROR, "ValueError: no luck in __init__"),
    ),
    # As a cluster of two nodes said it after `drain_node`: the cause is empty.
    "preempted": (
        preempted, Exit(R.PREEMPTED, "Its machine was reclaimed, as the autoscaler had announced."),
    ),
    "ray_kill": (
        lambda: died("The actor is dead because it was killed by `ray.kill`."),
        Exit(R.KILLED, "The actor is dead because it was killed by `ray.kill`."),
    ),
    "ray_kill_before_start": (
        lambda: died("The actor is dead because it was killed by `ray.kill`.", never_started=True),
        Exit(R.KILLED, "The actor is dead because it was killed by `ray.kill`."),
    ),
    "owner_died": (lambda: died(OWNER_DIED), Exit(R.NOPROC, "Owner's worker process has crashed.")),
    "out_of_scope": (
        lambda: died("The actor is dead because all references to the actor were removed."),
        Exit(R.NOPROC, "The actor is dead because all references to the actor were removed."),
    ),
    "ref_deleted": (
        lambda: died("The actor is dead because all references to the actor were removed including "
                     "lineage ref count."),
        Exit(R.NOPROC, "The actor is dead because all references to the actor were removed "
             "including lineage ref count."),
    ),
    "gcs_restarted": (
        lambda: died("The actor is dead because GCS could not load it during initialization (for "
                     "example, its owner is dead) and is removing its task spec."),
        Exit(R.NOPROC, "The actor is dead because GCS could not load it during initialization (for "
             "example, its owner is dead) and is removing its task spec."),
    ),
    "node_died": (
        lambda: died(NODE_DIED),
        Exit(R.NODE_LOST, "The actor died because its node has died. Node Id: ed6efa the actor's "
             "node was terminated expectedly: received SIGTERM"),
    ),
    "node_out_of_memory": (
        lambda: ended("NODE_OUT_OF_MEMORY", "too much"), Exit(R.OUT_OF_MEMORY, "too much"),
    ),
    "exit_actor": (
        lambda: ended("INTENDED_USER_EXIT", "Worker exits by an user request. exit_actor() is "
                      "called."),
        Exit(R.NORMAL, "Worker exits by an user request. exit_actor() is called."),
    ),
    "not_needed": (
        lambda: ended("INTENDED_SYSTEM_EXIT", PLACEMENT), Exit(R.SHUTDOWN, PLACEMENT),
    ),
    "user_error": (
        lambda: ended("USER_ERROR", "Worker exits because there was an exception in __init__"),
        Exit(R.START_ERROR, "Worker exits because there was an exception in __init__"),
    ),
    "died_in_init": (
        lambda: ended("SYSTEM_ERROR", CONNECTION_ENDED, never_started=True),
        Exit(R.START_ERROR, "Worker unexpectedly exits with a connection error code 2. End of "
             "file"),
    ),
    "signal": (
        lambda: ended("SYSTEM_ERROR", CONNECTION_ENDED),
        Exit(R.CRASH, "Worker unexpectedly exits with a connection error code 2. End of file"),
    ),
    "sys_exit": (
        lambda: ended("SYSTEM_ERROR", "Worker exits unexpectedly. Worker exits with an exit code "
                      "1."),
        Exit(R.CRASH, "Worker exits unexpectedly. Worker exits with an exit code 1."),
    ),
    "cause_not_known_in_time": (
        lambda: died(WORKER_DIED), Exit(R.CRASH, WORKER_DIED.strip()),
    ),
    "no_cause": (
        ray_errors.ActorDiedError,
        Exit(R.CRASH, TABLE[-1].meaning),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("error", "expected"), CASES.values(), ids=CASES)
def test_what_ray_says_is_read_as(error: Callable[[], BaseException], expected: Exit) -> None:
    assert classify(error()) == expected


def test_each_row_decides_a_case() -> None:
    errors = [error() for error, _ in CASES.values()]
    deciding = {next(index for index, row in enumerate(TABLE) if row.holds(e)) for e in errors}
    assert deciding == set(range(len(TABLE)))


def test_a_name_is_not_taken_for_a_cause() -> None:
    liar = ended("SYSTEM_ERROR", "a signal", name="it was killed by `ray.kill`", class_name="NODE")
    assert classify(liar) == Exit(R.CRASH, "a signal")


@pytest.mark.parametrize("error", [ray_errors.OutOfMemoryError("not here"), ValueError("wrong")])
def test_what_a_method_raised_is_no_end(error: Exception) -> None:
    asked = raised(error).as_instanceof_cause()
    assert isinstance(asked, type(error)), "Ray lets it look like what was raised"
    assert classify(asked) is None


@pytest.mark.parametrize(
    "error", [ray_errors.RaySystemError("lost"), ValueError("wrong"), OSError()]
)
def test_what_tells_of_no_end_is_not_made_one(error: Exception) -> None:
    assert classify(error) is None
    assert brief(error).startswith(f"{type(error).__name__}: ")


def test_details_are_bounded() -> None:
    found = classify(ended("SYSTEM_ERROR", "x" * 1_000))
    assert found is not None
    assert found.detail == "x" * 300


def test_only_these_ends_are_intended() -> None:
    assert {reason for reason in R if reason.intended} == {R.NORMAL, R.SHUTDOWN, R.FENCED}


@pytest.mark.parametrize("reason", R)
def test_a_last_word_is_plain_data_and_is_understood(reason: ExitReason) -> None:
    said = Exit(reason, "why")
    assert Exit.told(json.loads(json.dumps(said.last_word()))) == said


@pytest.mark.parametrize("word", [None, "normal", {}, {"reason": "bored"}, {"reason": ["normal"]}])
def test_nonsense_as_a_last_word_is_a_crash(word: object) -> None:
    assert Exit.told(word) == Exit(R.CRASH, f"its last word was {word!r}")
