"""What replaying found, as people read it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from ..client.replay_models import ReplayView, VerificationView
from .tables import facts, table
from .words import money, one_line, plain

if TYPE_CHECKING:
    from .certifying import Certificate

_SAME, _OTHER = ("✓", "green"), ("✗", "bold red")


def render_verification(found: VerificationView, name: str, signed: str = "") -> RenderableType:
    """Whether a journal is what it must be; where not, recorded beside attempted."""
    head = Text.assemble(
        _SAME if found.holds else _OTHER, f" {name}  {found.events} events, {found.status}, ",
        f"chain {found.chain}",
    )  # fmt: skip
    rows = {"signature": found.signature} if found.signature else {}
    if found.divergence is not None:
        fault = found.divergence
        rows |= {
            "seq": str(fault.seq),
            **({"step": fault.step_id} if fault.step_id else {}),
            "recorded": plain(fault.recorded),
            "attempted": plain(fault.attempted),
            "cause": plain(fault.cause),
        }
    if signed:
        rows["recording"] = signed
    if found.unchecked:
        rows["unchecked"] = "; ".join(map(plain, found.unchecked))
    return Group(head, facts(rows))


def render_replay(found: ReplayView) -> RenderableType:
    """What came of a replay."""
    return _render_dry_run(found) if found.mode == "dry_run" else _render_driven(found)


def render_certificate(found: Certificate) -> RenderableType:
    """The report of a certification."""
    rows = table("", "RUN", "STATUS", "EVENTS", "BEHAVIOUR", "CAUSE")
    for run in found.runs:
        where = f"seq {run.seq}: " if run.seq is not None else ""
        rows.add_row(
            Text(*(_SAME if run.result == "same" else _OTHER)), run.name, run.status,
            str(run.events), run.signature.removeprefix("sha256:")[:12],
            Text(one_line(f"{where}{run.cause}")),
        )  # fmt: skip
    style = "bold red" if found.differ else "bold green"
    total = f"{found.same} of {len(found.runs)} runs are the same"
    return Group(rows, Text(total, style))


def _render_driven(found: ReplayView) -> RenderableType:
    mark = _SAME if found.same else _OTHER
    same = "the same behaviour" if found.same else "another behaviour"
    head = Text.assemble(mark, f" {same}: {found.status} {found.code}".rstrip())
    rows = {"recorded": found.recorded, "attempted": found.attempted}
    if found.difference is not None:
        rows |= {
            "first difference": plain(found.difference.step_id) or "the end",
            "there recorded": plain(found.difference.recorded),
            "there attempted": plain(found.difference.attempted),
        }
    rows["answered"] = ", ".join(found.answered) or "nothing"
    rows["cost"] = money(found.cost_microusd)
    parts: list[RenderableType] = [head, facts(rows)]
    parts += [Text(f"would call {line}", "yellow") for line in _would_call(found)]
    return Group(*parts)


def _would_call(found: ReplayView) -> Iterator[str]:
    for call in found.would_call:
        yield f"{call.step_id} ({call.skill}, attempt {call.attempt}): {call.why}"


def _render_dry_run(found: ReplayView) -> RenderableType:
    rows = table("WAVE", "STEP", "SKILL", "EFFECTS", "ATTEMPTS", "TIMEOUT", "COST")
    for step in found.steps:
        rows.add_row(
            str(step.wave), step.step_id, step.skill, step.effects, str(step.attempts),
            f"{step.timeout_s:g} s", money(step.cost_microusd),
        )  # fmt: skip
    worst = f"estimated {money(found.cost_microusd)}, with every attempt"
    parts: list[RenderableType] = [rows, Text(f"{worst} {money(found.worst_microusd)}")]
    parts += [Text(f"✗ {plain(problem)}", "red") for problem in found.problems]
    return Group(*parts)
