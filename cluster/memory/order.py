"""Whom the kernel kills first when memory runs out all the same: skills, agents, supervisors.

The kernel adds `oom_score_adj` to what a process uses, both in thousandths of all memory. The
cluster is started so that Ray leaves its processes where the cluster's first process stands
(`cluster/environment`). Supervisors stay there; skills go to the top, agents halfway.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from pathlib import Path

from ..telemetry import logger

_FILE = Path("/proc/self/oom_score_adj")
_TOP = 1000

log = logger(__name__)


class Rank(IntEnum):
    """How early a process is to be killed. Who takes no rank is killed last."""

    AGENT = 1
    SKILL = 2


def take_rank(rank: Rank) -> None:
    """Take a place in the kernel's order. It may be taken anew: Ray makes agents' processes of
    idle workers that were skills' before. Where the kernel does not allow it, the log says so.
    """
    base = _inherited()
    try:
        _FILE.write_text(str(base + (_TOP - base) * rank // max(Rank)))
    except OSError as error:
        log.warning("the kernel's killer does not know our order", rank=rank.name, error=str(error))


@cache
def _inherited() -> int:
    """The score that this process was made with: only `take_rank` changes it."""
    return int(_FILE.read_text())
