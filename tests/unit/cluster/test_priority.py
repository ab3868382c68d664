"""Supervisors and agents are served first, in every thread, where the kernel allows it."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, os, threading
from pathlib import Path
from aos.cluster.priority import come_first
threading.Thread(target=threading.Event().wait, daemon=True).start()
allowed = come_first()
threads = [int(each.name) for each in Path("/proc/self/task").iterdir()]
nice = [os.getpriority(os.PRIO_PROCESS, thread) for thread in threads]
print(json.dumps([allowed, nice]))
"""


def test_every_thread_of_the_process_comes_first_or_none_does() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    allowed, nice = json.loads(done.stdout)
    assert len(nice) == 2
    assert (nice == [-5, -5]) is allowed
