"""W2 and W4: what becomes of runs when a process or Postgres is killed in their middle.

Steps write to a ledger that no system knows of: `run step attempt time`, a line when a step begins.
From outside it is seen how long nobody worked, whether a step began twice, whether all was done.
Systems that nobody restarts, or that hand errors to their caller, are given what their users would
have to do: the process is started again at once, and every run that failed is asked for again.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .ledger import Ended, Ledger
from .server import Server
from .session import Child, Session, SystemFailed
from .workload import Workload

_TIMES_ASKED = 5
_LOOK_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Blow:
    """What is done at two fifths of the work: SIGKILL of the process that drives runs, SIGQUIT of
    Postgres (`pg_ctl stop -m immediate`) for so many seconds, or both.
    """

    name: str
    kills_worker: bool
    outage_seconds: float = 0.0


BLOWS = {
    blow.name: blow
    for blow in (
        Blow("w2", kills_worker=True),
        Blow("w4", kills_worker=False, outage_seconds=3.0),
        Blow("w4-recovery", kills_worker=True, outage_seconds=3.0),
    )
}


def strike(session: Session, blow: Blow, *, runs: int, step_seconds: float) -> Ended:
    """Do the workload, strike in its middle, see it through to its end."""
    with _ledger() as file:
        workload = Workload(
            blow.name, runs=runs, concurrency=4, step_seconds=step_seconds, ledger=str(file)
        )
        session.drive(Workload(f"{blow.name}-warm", runs=8, concurrency=4))
        (child,) = session.children
        victim = child.tell("victim", workload)["pid"]
        began = time.time()
        with ThreadPoolExecutor(1) as threads:
            driving = threads.submit(child.tell, "drive", workload)
            _await_lines(file, int(0.4 * runs * workload.steps), driving)
            struck = time.time()
            _strike(session, blow, victim)
            failures, errors = _see_through(session, workload, driving, victim)
        return Ledger.read(file).ended(
            system=session.spec.name, blow=blow.name, runs=runs, steps=workload.steps,
            began=began, struck=struck, ended=time.time(), asked_again=failures, errors=errors,
            concurrency=workload.concurrency,
        )  # fmt: skip


def _strike(session: Session, blow: Blow, victim: int) -> None:
    if blow.kills_worker:
        _kill(session, victim)
    if blow.outage_seconds:
        _interrupt(session.server, blow.outage_seconds)


def _kill(session: Session, victim: int) -> None:
    (child,) = session.children
    if victim == child.pid:
        child.kill()
    else:
        assert victim > 1, "zero is the caller's own process group"
        os.kill(victim, signal.SIGKILL)


def _interrupt(server: Server, seconds: float) -> None:
    os.kill(server.pid, signal.SIGQUIT)
    time.sleep(seconds)  # how long it is away is what is asked for
    server.start_again()


def _see_through(
    session: Session, workload: Workload, driving: Future[dict[str, Any]], victim: int
) -> tuple[int, list[str]]:
    """Ask for the runs again until none fails; how many had to be asked for again, and why.

    A library whose runs fail is asked in a new process: what it left may be taken up by nobody else
    (a workflow of DBOS whose process has seen its database go stays pending until the next launch).
    """
    again, errors = 0, list[str]()
    for _ in range(_TIMES_ASKED):
        try:
            answer = driving.result()
            failed, told = answer["failed"], answer["errors"]
        except SystemFailed:
            failed, told = workload.runs, []  # nobody knows which: its process is gone
        if not failed:
            return again, sorted(set(errors))[:3]
        again, errors = again + failed, errors + told
        if victim == session.children[0].pid:
            session.children[0] = _restarted(session, workload)
            victim = session.children[0].pid
        with ThreadPoolExecutor(1) as threads:
            driving = threads.submit(session.children[0].tell, "drive", workload)
    raise SystemFailed(f"{failed} runs fail however often they are asked for")


def _restarted(session: Session, workload: Workload) -> Child:
    gone = session.children[0]
    gone.close()
    child = gone.successor()
    child.tell("start", workload, dsn=session.dsn)
    return child


def _await_lines(file: Path, count: int, driving: Future[dict[str, Any]]) -> None:
    while not driving.done():
        if file.exists() and file.read_bytes().count(b"\n") >= count:
            return
        time.sleep(_LOOK_SECONDS)
    raise SystemFailed(f"the work was over before the blow: {driving.result()}")


@contextmanager
def _ledger() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ledger-", dir="/tmp") as folder:
        yield Path(folder) / "ledger"
