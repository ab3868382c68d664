"""How the installed Ray tells of deaths, provoked on the session's cluster.

What cannot be provoked here: the loss or preemption of a machine (it takes a second one), Ray's
memory monitor (it takes the machine's memory), and a restart of Ray's control plane. For these the
unit tests read errors as Ray built them, and the last test looks for their texts in its binaries.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import ray
from ray.core.generated.common_pb2 import WorkerExitType
from tests.support.deaths import CASES, LOSE_THE_FIRST_CALL
from tests.support.running import RunningAos

from aos.cluster.engine.exits import TABLE
from aos.cluster.environment import cluster_environment
from aos.cluster.exits import ExitReason

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[3]
R = ExitReason

EXIT_TYPE = "Worker exit type: "
CONNECTION_ENDED = "Worker unexpectedly exits with a connection error code"


class Expected(NamedTuple):
    """`detail`: a part of it. `causes`: what Ray's control plane keeps of the same death, where it
    is not sure of one among several that are the same to us.
    """

    reason: ExitReason
    detail: str
    causes: tuple[str, ...] = ("WORKER_DIED",)


DEATHS = {
    "exit_actor_unwatched": Expected(R.NORMAL, "exit"),
    "sys_exit_unwatched": Expected(R.CRASH, "exits with an exit code 1"),
    "sigkill": Expected(R.CRASH, CONNECTION_ENDED),
    "sigsegv": Expected(R.CRASH, CONNECTION_ENDED),
    "os_exit": Expected(R.CRASH, CONNECTION_ENDED),
    "ray_kill": Expected(R.KILLED, "killed by `ray.kill`", ("RAY_KILL",)),
    "init_raises": Expected(
        R.START_ERROR, "ValueError: no luck in __init__", ("creation_task_failure_context",)
    ),
    "init_os_exit": Expected(R.START_ERROR, CONNECTION_ENDED),
    "owner_killed": Expected(R.NOPROC, "Owner's worker process has crashed", ("OWNER_DIED",)),
    "out_of_scope": Expected(
        R.NOPROC, "all references to the actor were removed", ("OUT_OF_SCOPE", "REF_DELETED")
    ),
    "no_such_node": Expected(R.NO_CAPACITY, "not schedulable", ("actor_unschedulable_context",)),
    "runtime_env": Expected(R.START_ERROR, "Failed to download", ("runtime_env_failed_context",)),
    "placement_group_removed": Expected(R.SHUTDOWN, "its placement group was removed"),
}
"""Deaths that Ray tells of."""

LIVING = {
    # It waits for the watch, and the watch for its end: only SIGKILL helps. So nothing of ours that
    # is watched leaves in these ways.
    "exit_actor_watched": Expected(R.CRASH, CONNECTION_ENDED),
    "sys_exit_watched": Expected(R.CRASH, CONNECTION_ENDED),
    "sigterm_watched": Expected(R.CRASH, CONNECTION_ENDED),
    "sigstop": Expected(R.CRASH, CONNECTION_ENDED),
    "resources_that_nobody_has": Expected(R.KILLED, "killed by `ray.kill`", ("RAY_KILL",)),
}
"""What no watch tells of: for as long as it lasts the watch is pending, then something ends it."""

LAST_WORDS = {
    "said_fenced": Expected(R.FENCED, "epoch 3 has passed"),
    "said_crash": Expected(R.CRASH, "ValueError: wrong"),
    "leaves_while_stuck": Expected(R.CRASH, CONNECTION_ENDED),
}
"""Processes that leave by themselves."""


@pytest.fixture(scope="module")
def deaths(aos: RunningAos) -> dict[str, dict[str, Any]]:
    """What was seen of each death, by a driver of its own on the session's cluster."""
    environment = cluster_environment(aos.settings) | {
        "AOS_RAY_ADDRESS": aos.info["ray_address"],
        "AOS_RAY_NAMESPACE": "deaths",
        "RAY_testing_rpc_failure": LOSE_THE_FIRST_CALL,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.deaths"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line.pop("case"): line for line in lines}


def assert_seen(seen: dict[str, Any], expected: Expected) -> None:
    assert seen.get("reason") == expected.reason, seen
    assert seen["cause"] in expected.causes
    assert expected.detail in seen["detail"]
    assert seen["gone"] is not False, "the process was gone when the watch returned"


@pytest.mark.parametrize("name", DEATHS)
def test_ray_tells_of(deaths: dict[str, dict[str, Any]], name: str) -> None:
    assert_seen(deaths[name], DEATHS[name])


@pytest.mark.parametrize("name", LIVING)
def test_no_watch_tells_of(deaths: dict[str, dict[str, Any]], name: str) -> None:
    assert_seen(deaths[name], LIVING[name])


@pytest.mark.parametrize("name", LAST_WORDS)
def test_a_process_leaves(deaths: dict[str, dict[str, Any]], name: str) -> None:
    assert_seen(deaths[name], LAST_WORDS[name])
    assert deaths[name]["seconds"] < 2


def test_all_who_watch_hear_the_last_word(deaths: dict[str, dict[str, Any]]) -> None:
    assert_seen(deaths["said_to_two"]["first"], LAST_WORDS["said_fenced"])
    assert_seen(deaths["said_to_two"]["second"], LAST_WORDS["said_fenced"])


def test_who_says_that_it_leaves_and_stays_is_killed(deaths: dict[str, dict[str, Any]]) -> None:
    seen = deaths["says_it_leaves_and_stays"]
    assert seen == {"reason": R.NORMAL, "detail": "done", "cause": "RAY_KILL"}


def test_who_cannot_be_watched_is_killed(deaths: dict[str, dict[str, Any]]) -> None:
    seen = deaths["cannot_be_watched"]
    assert (seen["reason"], seen["cause"]) == (R.CRASH, "RAY_KILL")
    assert seen["detail"] == "its watch failed: TimeoutError: not watchable"


def test_losing_touch_is_no_death(deaths: dict[str, dict[str, Any]]) -> None:
    seen = deaths["out_of_touch"]
    assert (seen["reason"], seen["alive"]) == (R.SUSPECT, True), seen
    assert "is unavailable" in seen["detail"]


def test_all_that_is_provoked_is_looked_at() -> None:
    others = {"said_to_two", "says_it_leaves_and_stays", "cannot_be_watched", "out_of_touch"}
    assert set(CASES) == DEATHS.keys() | LIVING.keys() | LAST_WORDS.keys() | others


def test_every_telltale_is_a_text_of_the_installed_ray() -> None:
    """Also those of deaths that cannot be provoked here, after an upgrade of Ray above all."""
    package = Path(ray.__file__).parent
    sources = ("core/src/ray/gcs/gcs_server", "exceptions.py")
    texts = b"\0".join((package / name).read_bytes() for name in sources)
    telltales = {telltale for row in TABLE for telltale in row.telltales}
    assert len(telltales) > 8
    for telltale in telltales:
        _, composed, exit_type = telltale.partition(EXIT_TYPE)
        if composed:
            assert exit_type in list(WorkerExitType.keys())
        assert (EXIT_TYPE if composed else telltale).encode() in texts, telltale
