"""Programs from source text, and from what is installed.

A program from text is executed as a module of its own, anew for every `load_source`: its globals
belong to one run, so that a run cannot see what another left there. The module's name is made of
the content's hash, and its file is shown as `<aos 1f2e3d4c5b6a>/agent.py`; tracebacks have its
lines. An installed program is an ordinary module, imported once per process: what it keeps in
globals is shared between runs and not recorded.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
import linecache
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from types import CodeType, ModuleType
from typing import Any, NoReturn

from ...cluster.canonical import content_hash
from .endings import leaves
from .errors import InvalidProgram, NondeterministicProgram
from .guard import guarded
from .lines import raised_at
from .refusals import refusal
from .values import legible

SOURCE_LIMIT = 256 * 1024
"""Bytes of a program's text in UTF-8."""

Function = Callable[[Any, Any], Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Program:
    """An async function of a context and a goal. `file` is the one that tracebacks name; `hash`
    changes with the text of its module and with the function's name.
    """

    name: str
    function: Function
    hash: str
    file: str


def program_hash(source: str, entry: str) -> str:
    """What identifies a program: `sha256:` and 64 hex digits over its text and its function.

    Raises `InvalidProgram` for text beyond Unicode or the limit.
    """
    try:
        size = len(source.encode())
    except UnicodeEncodeError as error:
        _refuse("encoding", f"the source is not Unicode text: {error}")
    if size > SOURCE_LIMIT:
        _refuse("too_large", f"the source has {size:,} bytes; {SOURCE_LIMIT:,} is the limit")
    return content_hash({"source": source, "entry": entry})


def load_source(
    source: str, entry: str, *, file_name: str = "program.py", development: bool = False
) -> Program:
    """The program that a text defines. Executes the text's top level.

    `development` guards that too, see `guard`. Raises `InvalidProgram` (too_large, encoding,
    syntax, import, no_function, not_async, signature), and in development
    `NondeterministicProgram`.
    """
    digest = program_hash(source, entry)
    short = digest.removeprefix("sha256:")[:12]
    file = f"<aos {short}>/{PurePath(file_name).name or 'program.py'}"
    code = _compiled(source, file)
    lines = source.splitlines(keepends=True)
    linecache.cache[file] = (len(source), None, lines, file)
    module = ModuleType(f"aos_program_{short}")
    module.__file__ = file
    # Dataclasses and pydantic look their module up while it is executed, and annotations later.
    sys.modules[module.__name__] = module
    try:
        _execute(code, module, development)
    except BaseException:
        sys.modules.pop(module.__name__, None)
        raise
    return _program(module, entry, f"{PurePath(file).name}:{entry}", digest, file)


def load_installed(reference: str) -> Program:
    """The program that `module:function` names. Raises `InvalidProgram`, as `load_source`."""
    name, _, entry = reference.partition(":")
    if not name or not entry:
        _refuse("import", f"{reference!r} is not `module:function`")
    try:
        module = importlib.import_module(name)
        source = inspect.getsource(module)
    except Exception as error:
        _refuse("import", f"{name} cannot be imported: {type(error).__name__}: {error}", error)
    return _program(module, entry, reference, program_hash(source, entry), "")


def program_of(function: Function) -> Program:
    """A function that is here already, as a program: for tests and notebooks."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = function.__qualname__
    return _checked(function, function.__qualname__, program_hash(source, function.__name__), "")


@lru_cache(maxsize=64)
def _compiled(source: str, file: str) -> CodeType:
    try:
        return compile(source, file, "exec", dont_inherit=True)
    except SyntaxError as error:
        text = f": {error.text.strip()}" if error.text else ""
        where = f"{PurePath(file).name}:{error.lineno}"
        _refuse("syntax", f"{where}: {error.msg}{text}", error, line=error.lineno)
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        _refuse("syntax", f"it cannot be compiled: {error or 'nested too deeply'}", error)


def _execute(code: CodeType, module: ModuleType, development: bool) -> None:
    def refuse(what: str, instead: str) -> NoReturn:
        raise refusal(what, instead, code.co_filename)

    module.__dict__["__builtins__"] = builtins
    try:
        with guarded(code.co_filename, refuse, active=development):
            exec(code, module.__dict__)  # noqa: S102 - the agent's author wrote it, to be executed
    except (NondeterministicProgram, MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:
        what = "; ".join(f"{type(leaf).__name__}: {leaf}" for leaf in leaves(error))
        place = raised_at(code.co_filename, error)
        _refuse("import", f"its top level failed at {place}: {what}", error)


def _program(module: ModuleType, entry: str, name: str, digest: str, file: str) -> Program:
    function = getattr(module, entry, None)
    if not callable(function):
        there = [
            known
            for known, value in vars(module).items()
            if inspect.iscoroutinefunction(value) and value.__module__ == module.__name__
        ]
        known = f"; it has {', '.join(there)}" if there else ""
        _refuse("no_function", f"{name}: there is no function {entry!r}{known}")
    return _checked(function, name, digest, file)


def _checked(function: Any, name: str, digest: str, file: str) -> Program:
    if not inspect.iscoroutinefunction(function):
        _refuse("not_async", f"{name} is not `async def`")
    signature = inspect.signature(function)
    try:
        signature.bind(object(), object())
    except TypeError as error:
        shown = f"{function.__name__}{signature}"
        _refuse("signature", f"{shown} cannot be called with (ctx, goal): {error}", error)
    own = file or inspect.unwrap(function).__code__.co_filename
    return Program(name, function, digest, own)


def _refuse(
    reason: str, detail: str, cause: BaseException | None = None, *, line: int | None = None
) -> NoReturn:
    raise InvalidProgram(legible(detail), reason=reason, line=line) from cause
