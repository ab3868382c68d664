"""Which process, if any, is the server of a data directory; and how it ends.

Neither a pid file nor a pid proves anything: the file survives SIGKILL, a killed server may stay a
zombie for ever where nobody reaps, and after a reboot its number belongs to somebody else. Two
things do prove it:

- a process with the pid from `postmaster.pid` that is no zombie and was started as `postgres` on
  exactly this data directory: that one may be signalled, and no other ever is;
- the `alive` lock. The server and every process it forks inherit an open file that is flocked, so
  the kernel says whether any of them still runs, in this pid namespace or another.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil

from .errors import EmbeddedPostgresFailed, EmbeddedPostgresUnreachable

_POLL_SECONDS = 0.01
_FAST_SECONDS = 30.0
_IMMEDIATE_SECONDS = 15.0


def find(data: Path) -> psutil.Process | None:
    """The running server of a data directory, verified."""
    try:
        pid = int((data / "postmaster.pid").read_text().partition("\n")[0])
        process = psutil.Process(pid)
        command = process.cmdline()  # a zombie has none: psutil.ZombieProcess
    except (FileNotFoundError, NotADirectoryError, ValueError, psutil.Error):
        return None
    except OSError as error:
        raise EmbeddedPostgresUnreachable.at(
            data, f"cannot be read ({error.strerror})", "run AOS as the user who owns it"
        ) from None
    return process if _serves(command, data) else None


def _serves(command: list[str], data: Path) -> bool:
    return len(command) > 2 and Path(command[0]).name == "postgres" and str(data) in command[1:]


def end(process: psutil.Process) -> None:
    """Shut a verified server down: fast, and if that takes too long immediately (the next start
    then replays the log, nothing committed is lost). psutil checks again that the pid was not
    reused. Raises `EmbeddedPostgresFailed` if it outlives both.
    """
    for how, seconds in ((signal.SIGINT, _FAST_SECONDS), (signal.SIGQUIT, _IMMEDIATE_SECONDS)):
        try:
            process.send_signal(how)
        except psutil.NoSuchProcess:
            return
        if _gone(process, seconds):
            return
    raise EmbeddedPostgresFailed(f"the server (pid {process.pid}) does not stop", pid=process.pid)


def _gone(process: psutil.Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(_POLL_SECONDS)
    return False


@contextmanager
def held(path: Path, seconds: float) -> Generator[int | None]:
    """Hold an exclusive flock on a file, made 0600 if missing.

    Yields its descriptor, or None if the lock is not free within `seconds`. The lock goes when the
    last copy of the descriptor is closed, copies that children inherited included.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise EmbeddedPostgresUnreachable.at(
            path, f"cannot be opened ({error.strerror})", "run AOS as the user who owns it"
        ) from None
    try:
        yield descriptor if _locked(descriptor, seconds) else None
    finally:
        os.close(descriptor)


def _locked(descriptor: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True
