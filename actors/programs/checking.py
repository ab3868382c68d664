"""What can be known of a program's text without executing it: for the door, which never does."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .errors import InvalidProgram
from .loading import SOURCE_LIMIT


def check(source: str, entry: str) -> None:
    """Raises `InvalidProgram`: the text is too large, no Python, or does not have the function."""
    if len(source.encode(errors="replace")) > SOURCE_LIMIT:
        raise InvalidProgram(f"the program is over {SOURCE_LIMIT} bytes", reason="too_large")
    try:
        tree = ast.parse(source)
        compile(tree, "program.py", "exec", dont_inherit=True)
    except SyntaxError as error:
        text = f": {error.text.strip()}" if error.text else ""
        raise InvalidProgram(f"line {error.lineno}: {error.msg}{text}", reason="syntax") from None
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise InvalidProgram(f"it cannot be compiled: {error}", reason="syntax") from None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry and not node.decorator_list:
            raise InvalidProgram(f"line {node.lineno}: {entry} is not async", reason="not_async")
    bound = set(_bound(tree))
    if entry not in bound and "*" not in bound:
        raise InvalidProgram(f"there is no function {entry!r} in it", reason="no_function")


def _bound(tree: ast.Module) -> Iterator[str]:
    """Every name that the top level may define, inside of conditions too."""
    for node in ast.walk(tree):
        match node:
            case ast.AsyncFunctionDef(name=name) | ast.FunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.alias(name=name, asname=alias):
                yield alias or name.partition(".")[0]
            case _:
                pass
