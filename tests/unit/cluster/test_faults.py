from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aos.cluster import faults
from aos.cluster.faults import FaultInjected, arm, fired, point
from aos.cluster.memory import MIB, limited

PROGRAM = """
from aos.cluster import faults
for passage in range(1, 5):
    print(passage, flush=True)
    faults.point("journal.appended")
print("alive")
"""


@pytest.fixture
def armory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The directory that this process was started with."""
    monkeypatch.setattr(faults, "_directory", str(tmp_path))
    monkeypatch.setattr(faults, "_passages", {})
    return tmp_path


def run_program(environment: dict[str, str]) -> tuple[int, list[str]]:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stdout.split()


def test_without_a_directory_no_point_does_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "_directory", None)
    for name in faults.POINTS:
        point(name)


def test_a_point_raises_at_its_next_passage(armory: Path) -> None:
    point("step.dispatched")
    arm(armory, "step.dispatched", "raise")
    point("journal.appended")
    with pytest.raises(FaultInjected, match=r"^step\.dispatched$"):
        point("step.dispatched")


def test_a_point_raises_at_the_nth_passage_and_not_before(armory: Path) -> None:
    point("step.dispatched")
    arm(armory, "step.dispatched", "raise@3")
    point("step.dispatched")
    point("step.dispatched")
    assert not fired(armory, "step.dispatched")
    with pytest.raises(FaultInjected):
        point("step.dispatched")
    assert fired(armory, "step.dispatched")


def test_points_count_their_passages_each_for_itself(armory: Path) -> None:
    arm(armory, "step.dispatched", "raise@2")
    arm(armory, "step.outcome", "raise@2")
    point("step.dispatched")
    point("step.outcome")
    with pytest.raises(FaultInjected, match="outcome"):
        point("step.outcome")
    with pytest.raises(FaultInjected, match="dispatched"):
        point("step.dispatched")


def test_a_point_fires_once_for_each_arming(armory: Path) -> None:
    for _ in range(2):
        arm(armory, "step.dispatched", "raise")
        with pytest.raises(FaultInjected):
            point("step.dispatched")
        point("step.dispatched")


def test_a_point_that_is_armed_again_counts_from_the_start(armory: Path) -> None:
    for _ in range(2):
        arm(armory, "step.dispatched", "raise@2")
        point("step.dispatched")
        with pytest.raises(FaultInjected):
            point("step.dispatched")


def test_a_fault_that_is_about_something_leaves_the_others_alone(armory: Path) -> None:
    arm(armory, "agent.activated", "raise*2 of ada")
    point("agent.activated")
    point("agent.activated", about="bob")
    for _ in range(2):
        with pytest.raises(FaultInjected):
            point("agent.activated", about="ada")
    assert fired(armory, "agent.activated")


def test_a_point_that_is_being_armed_is_not_armed_yet(armory: Path) -> None:
    (armory / "step.dispatched").write_text("")
    point("step.dispatched")
    assert not fired(armory, "step.dispatched")


@pytest.mark.parametrize(
    ("name", "fault", "complaint"),
    [
        ("journal.apended", "kill", "unknown fault point 'journal.apended'; known: run.accepted, "),
        (
            "journal.appended",
            "explode",
            "unknown fault action 'explode'; known: kill, ",
        ),
        ("journal.appended", "kill@soon", "soon"),
    ],
)
def test_arming_what_would_never_fire_is_refused(
    armory: Path, name: str, fault: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        arm(armory, name, fault)
    assert list(armory.iterdir()) == []


def test_kill_ends_one_process_and_not_the_one_that_follows_it(tmp_path: Path) -> None:
    environment = {"AOS_FAULTS_DIR": str(tmp_path)}
    arm(tmp_path, "journal.appended", "kill@3")
    assert run_program(environment) == (-signal.SIGKILL, ["1", "2", "3"])
    assert fired(tmp_path, "journal.appended")
    assert run_program(environment) == (0, ["1", "2", "3", "4", "alive"])


def test_kill_is_what_arming_means_unless_said_otherwise(tmp_path: Path) -> None:
    arm(tmp_path, "journal.appended")
    assert run_program({"AOS_FAULTS_DIR": str(tmp_path)}) == (-signal.SIGKILL, ["1"])


def test_a_process_outside_the_cluster_is_not_touched(tmp_path: Path) -> None:
    arm(tmp_path, "journal.appended")
    assert run_program({}) == (0, ["1", "2", "3", "4", "alive"])


def test_a_point_can_be_told_to_fire_several_times(armory: Path) -> None:
    arm(armory, "journal.appended", "raise*2")
    with pytest.raises(FaultInjected):
        point("journal.appended")
    assert not fired(armory, "journal.appended")
    with pytest.raises(FaultInjected):
        point("journal.appended")
    assert fired(armory, "journal.appended")
    point("journal.appended")


def test_exhaust_runs_into_the_limit_of_the_process_and_gives_everything_back(armory: Path) -> None:
    arm(armory, "step.dispatched", "exhaust")
    with limited(64 * MIB), pytest.raises(MemoryError):
        point("step.dispatched")
    assert fired(armory, "step.dispatched")
    assert len(bytearray(64 * MIB)) == 64 * MIB


def test_exhaust_never_takes_the_machine(armory: Path) -> None:
    arm(armory, "step.dispatched", "exhaust")
    with pytest.raises(FaultInjected, match="without a limit"):
        point("step.dispatched")


def test_a_rehearsal_passes_over_what_is_armed(armory: Path) -> None:
    arm(armory, "journal.appended", "raise")
    with faults.passed_over():
        point("journal.appended")
    assert not fired(armory, "journal.appended")
    with pytest.raises(FaultInjected):
        point("journal.appended")
