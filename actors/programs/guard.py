"""Development's guard: a program's own use of clocks and chance is refused where it happens.

While a turn runs, this thread's profile hook sees every call with the frame that makes it. A call
is refused if the calling line is in the program's own file and the callee is one of these, however
it was imported:

    time        time, monotonic, perf_counter, process_time, clock_gettime (and _ns), sleep
    datetime    now, utcnow, today of datetime and date
    random      every function of the module, SystemRandom, Random and seed without a seed
    os          urandom, getrandom
    uuid        uuid1, uuid4 (and uuid6, uuid7 where Python has them)
    secrets     everything but compare_digest

Nothing is patched, so other threads, other runs and libraries are not affected, and production pays
nothing. What it cannot catch:

* what a library does for the program (a helper module that calls `time.time`, numpy's random);
* what C code calls back, such as `default_factory=uuid4` or `map(random.choice, …)`;
* `time.localtime()` and the like without an argument, files, the environment, threads;
* the order of a set of strings, `hash(text)` and `id(…)`: they differ between processes;
* anything at all while another profiler is set in the thread: then the guard stays away.

Divergence from what is recorded is found all the same, when the run is executed again.
"""

from __future__ import annotations

import os
import random
import secrets
import sys
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import date
from types import FrameType
from typing import Any, NoReturn

Refuse = Callable[[str, str], NoReturn]

_NOW, _SLEEP, _RANDOM, _UUID = "ctx.now()", "ctx.sleep", "ctx.random", "ctx.uuid()"
_BYTES = "ctx.random.randbytes"
_TODAY = frozenset({"now", "utcnow", "today"})
_CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
_UNSEEDED = {"__init__": "x", "seed": "a"}
"""The methods of Random that ask the system for a seed when this argument is None."""


def _there(module: Any, *names: str) -> list[Any]:
    return [getattr(module, name) for name in names if hasattr(module, name)]


_BUILTINS: dict[Any, str] = {
    **dict.fromkeys(_there(time, *_CLOCKS, *(f"{name}_ns" for name in _CLOCKS)), _NOW),
    **dict.fromkeys(_there(time, "sleep"), _SLEEP),
    **dict.fromkeys(_there(os, "urandom", "getrandom"), _BYTES),
}
_FUNCTIONS = {
    function.__code__: _UUID for function in _there(uuid, "uuid1", "uuid4", "uuid6", "uuid7")
}
_RANDOM_FILE = random.Random.__init__.__code__.co_filename
_SECRETS_FILE = secrets.token_bytes.__code__.co_filename
_SHARED: Any = getattr(random.random, "__self__", None)
"""The generator behind the module's functions."""


@contextmanager
def guarded(own: str, refuse: Refuse, *, active: bool) -> Generator[None]:
    """Refuse what the file `own` calls in this thread. `refuse` gets what, and what instead."""
    if not active or sys.getprofile() is not None:
        yield
        return
    sys.setprofile(_hook(own, refuse))
    try:
        yield
    finally:
        sys.setprofile(None)


def _hook(own: str, refuse: Refuse) -> Callable[[FrameType, str, Any], None]:
    def see(frame: FrameType, event: str, arg: Any) -> None:
        if event == "c_call":
            if frame.f_code.co_filename == own and (instead := _of_builtin(arg)):
                refuse(f"{_owner(arg)}.{arg.__name__}", instead)
        elif event == "call":
            calling = frame.f_back
            if calling is None or calling.f_code.co_filename != own:
                return
            if instead := _of_function(frame):
                refuse(f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}", instead)

    return see


def _of_builtin(function: Any) -> str | None:
    instance = getattr(function, "__self__", None)
    if isinstance(instance, type):
        return _NOW if issubclass(instance, date) and function.__name__ in _TODAY else None
    if instance is _SHARED or isinstance(instance, random.SystemRandom):
        return _RANDOM
    try:
        return _BUILTINS.get(function)
    except TypeError:  # bound to something that has no hash
        return None


def _of_function(frame: FrameType) -> str | None:
    code = frame.f_code
    if code.co_filename == _RANDOM_FILE:
        return _of_generator(frame)
    if code.co_filename == _SECRETS_FILE:
        return _BYTES
    return _FUNCTIONS.get(code)


def _of_generator(frame: FrameType) -> str | None:
    code, given = frame.f_code, frame.f_locals
    instance = given.get("self")
    if instance is _SHARED or isinstance(instance, random.SystemRandom):
        return _RANDOM
    argument = _UNSEEDED.get(code.co_name)
    return _RANDOM if argument is not None and given.get(argument) is None else None


def _owner(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    return getattr(owner, "__name__", None) or type(owner).__name__
