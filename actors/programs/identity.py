"""The names of requests: from the order of calls within each logical task, and nothing else.

Every task counts what it begins: a request and a child task each take the next number. A request's
path is its task's path and its number; but the first request of a child task has the task's own
path, so that branches of a gather read as they look:

    await ctx.call("a")                               s1
    await ctx.gather(ctx.call("b"), two_calls())      s2   s3, s3-2
    await ctx.call("c")                               s4

No two requests share a path: one that ends in k belongs to slot k of the task above it, and a slot
is either a request or a task. A further call inside one branch moves no name of another branch.
A path that would not fit into 63 characters is replaced by its hash.
"""

from __future__ import annotations

import hashlib

Path = tuple[int, ...]
ROOT: Path = ()
_LONGEST = 63


def request_path(task: Path, slot: int) -> Path:
    """The path of the request in a task's slot, counted from 1."""
    return task if task and slot == 1 else (*task, slot)


def name_of(path: Path) -> str:
    """A path as a step id."""
    text = "s" + "-".join(map(str, path))
    if len(text) <= _LONGEST:
        return text
    return "h" + hashlib.sha256(text.encode()).hexdigest()[:40]
