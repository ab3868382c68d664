"""Who is served first when there are too few cores."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_FIRST = -5


def come_first() -> bool:
    """Let every thread of this process go before what does the work: whoever restarts and resumes
    must not wait for what has just died to be taken down. False where the kernel does not allow it.
    """
    try:
        for thread in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.setpriority(os.PRIO_PROCESS, int(thread.name), _FIRST)
    except OSError:
        return False
    return True
