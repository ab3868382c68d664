"""`aos runs trace` and `aos trace …`: journals as files, checked without a database."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ...actors.programs import load_source
from ...actors.replay.errors import InvalidSignature, InvalidTrace
from ...actors.replay.programs import Reexecute, reexecuting
from ...actors.replay.signing import (
    PUBLIC_FILE,
    Signer,
    check_signature,
    trusted_keys,
)
from ...actors.replay.trace import read_trace, verify_trace
from ...cluster.settings import default_home
from ...skills.contracts import JsonValue
from ..client import AosClient
from ..client.replay_models import VerificationView
from ..present_replay import verification_view
from .exits import FAILED, OK
from .output import Json, console, emit
from .render_replay import render_verification
from .teams import UnreadableFile

Flag = Annotated[bool, Parameter(negative=())]


def take(
    run_id: str, /, *, output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    sign: Flag = False,
) -> int:  # fmt: skip
    """Write a run's journal as a file that anybody can check.

    Parameters
    ----------
    run_id
        The run's id.
    output
        The file. Without it the trace goes to standard output.
    sign
        Sign the file with this installation's key, as `aos trace sign` does.
    """
    with AosClient() as aos:
        found = aos.replays.trace(run_id)
    if output is None:
        sys.stdout.write(found.trace)
        return OK
    output.write_text(found.trace)
    console().print(f"{output}: {found.events} events, last link {found.last_link}")
    return sign_files(output) if sign else OK


def verify_files(
    file: Path,
    /,
    *more: Path,
    program: str | None = None,
    key: Path | None = None,
    json: Json = False,
) -> int:
    """Check traces: chain, legality, each decision, and the signature if there is one. Needs no
    AOS that runs. The exit code is 1 if anything is not as it must be.

    Parameters
    ----------
    file
        A file that `aos runs trace` wrote.
    more
        More of them.
    program
        FILE:FUNCTION of the durable program, to execute it again. Your code runs.
    key
        A file of public keys that are trusted, one a line. Without it: this installation's.
    json
        Print JSON, a line for each file.
    """
    worst = OK
    for each in (file, *more):
        text = _text(each)
        trace = read_trace(text)
        executed = _program(program, trace.values)
        found = verification_view(verify_trace(trace, executed))
        try:
            signed = _signed_by(each, text, key)
        except InvalidSignature as error:
            signed, worst = f"not as signed: {error.detail}", FAILED
        worst = worst if found.holds else FAILED
        _print(each.name, found, signed, json=json)
    return worst


def sign_files(file: Path, /, *more: Path) -> int:
    """Sign traces: FILE.sig beside each. The key is made on first use and lies in the home, for
    its owner alone; give others its public half, golden.pub.

    Parameters
    ----------
    file
        A file that `aos runs trace` wrote.
    more
        More of them.
    """
    home = default_home()
    home.mkdir(parents=True, exist_ok=True, mode=0o711)
    signer = Signer.of_home(home)
    for each in (file, *more):
        text = _text(each)
        found = verify_trace(read_trace(text)).divergence
        if found is not None:
            raise InvalidTrace(f"{each} does not verify: seq {found.seq}: {found.cause}")
        signature = Path(f"{each}.sig")
        signature.write_text(signer.sign(text.encode()))
        console().print(f"{signature}: check it with --key {home / PUBLIC_FILE}")
    return OK


def program_of(place: str, values: Mapping[str, JsonValue]) -> Reexecute:
    """What executes FILE:FUNCTION again."""
    name, _, entry = place.rpartition(":")
    file = Path(name or entry)
    loaded = load_source(_text(file), entry if name else "agent", file_name=file.name)
    return reexecuting(loaded, values)


def _program(place: str | None, values: Mapping[str, JsonValue]) -> Reexecute | None:
    return None if place is None else program_of(place, values)


def _signed_by(file: Path, text: str, key: Path | None) -> str:
    """Whose signature it has, in words. Raises `InvalidSignature` if it is not one."""
    signature = Path(f"{file}.sig")
    if key is None and not signature.exists():
        return ""
    trusted = key or default_home() / PUBLIC_FILE
    if key is None and not trusted.exists():
        return "signed; not checked: give --key"
    content = signature.read_text() if signature.exists() else ""
    return f"signed by {check_signature(text.encode(), content, trusted_keys(trusted))}"


def _text(file: Path) -> str:
    try:
        # No translation of line ends: every byte counts.
        return file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(f"{file}: {error}") from None


def _print(name: str, found: VerificationView, signed: str, *, json: bool) -> None:
    if json:
        emit(found)
    else:
        console().print(render_verification(found, name, signed))
