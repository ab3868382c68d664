"""Answers of the API as people read them. Pure: values in, rich renderables out."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..client.models import (
    AgentPage,
    AgentView,
    RunPage,
    RunSummary,
    RunView,
    StatusView,
    StepView,
    TreeNode,
)
from .event_lines import STATUS_STYLES, event_line
from .tables import facts as _facts
from .tables import page as _page
from .tables import table as _table
from .tree_view import render_tree
from .words import duration, moment, money, one_line, plain, value

__all__ = [
    "accepted_line",
    "event_line",
    "render_accepted",
    "render_agent",
    "render_agents",
    "render_released",
    "render_run",
    "render_runs",
    "render_status",
]

_AGENTS_SHOWN = 10
"""The status says how things stand at large; the tree has them all."""

_STEP_STYLES = {
    "succeeded": "green",
    "failed": "red",
    "in_doubt": "bold red",
    "skipped": "dim",
    "waiting": "yellow",
    "open": "cyan",
}


def accepted_line(run: RunSummary) -> Text:
    """That a run was accepted, by whom, and which."""
    return Text.assemble("run ", (str(run.id), "bold"), f" accepted for {run.agent}")


def render_accepted(run: RunView) -> RenderableType:
    """A run that has just been submitted, and where to look next."""
    return Group(accepted_line(run), Text(f"next: aos runs watch {run.id}", "dim"))


def render_run(run: RunView) -> RenderableType:
    """The report of a run: how it ended, the answer, the steps, what it cost."""
    parts: list[RenderableType] = [_headline(run), Text(one_line(run.goal, 200), "italic")]
    if run.message:
        parts.append(Text.assemble("why: ", plain(run.message)))
    if run.waits_for:
        parts.append(Text.assemble(_waits(run), (f"  more: aos runs why {run.id}", "dim")))
    if run.derived_from:
        parts.append(Text(f"{run.derived_how} of run {run.derived_from}", "dim"))
    if run.parent_run_id:
        parts.append(Text(f"child of run {run.parent_run_id}", "dim"))
    if run.answer is not None:
        parts += ["", Text("Answer", "bold"), Padding(Text(value(run.answer)), (0, 2))]
    if run.steps:
        parts += ["", _steps(run.steps)]
    parts.append(_consumed(run))
    return Group(*parts)


def render_runs(page: RunPage) -> RenderableType:
    """A page of runs."""
    table = _table("id", "status", "agent", "submitted", "took", "cost", "goal")
    for run in page.items:
        table.add_row(
            str(run.id),
            Text(run.status, STATUS_STYLES.get(run.status, "")),
            run.agent,
            moment(run.created_at),
            duration(run.duration_ms),
            money(run.totals.cost_microusd),
            Text(one_line(run.goal, 60)),
        )
    return _page(table, page.next_cursor, empty=not page.items, what="runs")


def render_agents(page: AgentPage) -> RenderableType:
    """A page of agents."""
    table = _table("name", "state", "planner", "skills", "created", "id")
    for agent in page.items:
        table.add_row(
            agent.name,
            agent.state,
            agent.profile.planner.name,
            _skills(agent),
            moment(agent.created_at),
            str(agent.id),
        )
    return _page(table, page.next_cursor, empty=not page.items, what="agents")


def render_agent(agent: AgentView) -> RenderableType:
    """One agent: who it is, what it may do, where it is active."""
    profile = agent.profile
    rows: dict[str, str] = {
        "id": str(agent.id),
        "description": plain(profile.description) or "–",
        "planner": profile.planner.name
        + (f", model {profile.planner.model}" if profile.planner.model else ""),
        "skills": _skills(agent),
        "permissions": ", ".join(profile.permissions) or "none",
        "limits": f"{profile.limits.max_steps} steps, {profile.limits.max_rounds} rounds, "
        f"{profile.limits.run_timeout_s:g} s",
        "state": _state(agent),
        "epoch": str(agent.epoch),
        "created": moment(agent.created_at),
    }
    return Group(Text(agent.name, "bold"), _facts(rows))


def render_released(agent: AgentView) -> RenderableType:
    """That an agent may be activated again, and where to see how it goes."""
    released = Text.assemble("agent ", (agent.name, "bold"), " is released")
    return Group(released, Text(f"next: aos tree events {agent.name}", "dim"))


def render_status(status: StatusView, url: str) -> RenderableType:
    """What runs: the tree, counts, resources, and what could not be had."""
    postgres = status.postgres
    rows: dict[str, str] = {
        "http": url,
        "postgres": str(postgres.get("version")) if postgres.get("ok") else "not reachable",
        "ray": status.ray_address or "–",
        "dashboard": status.dashboard_url or "–",
        "agents": _counts(status.agents),
        "runs": _counts(status.runs),
        "resources": _resources(status.resources),
    }
    for reason in status.stops:
        rows["stopped"] = f"{plain(reason)}: aos stop show"
    parts: list[RenderableType] = [Text(f"AOS {status.version} · {status.instance}", "bold")]
    parts.append(_facts(rows))
    if status.tree is not None:
        now = datetime.now(UTC)
        parts += ["", render_tree(TreeNode.model_validate(status.tree), now, _AGENTS_SHOWN)]
        parts.append(Text("more: aos tree, aos tree --watch, aos tree events", "dim"))
    parts += [Text(f"problem: {problem}", "yellow") for problem in status.problems]
    return Group(*parts)


def _headline(run: RunSummary) -> Text:
    return Text.assemble(
        ("■ ", STATUS_STYLES.get(run.status, "")),
        (run.status, STATUS_STYLES.get(run.status, "")),
        f" {run.code or ''}  run {run.id}  agent {run.agent}  planner {run.planner}",
    )


def _waits(run: RunSummary) -> str:
    until = f", until {moment(run.wake_at)}" if run.wake_at else ""
    return f"{plain(run.waits_for or '')}{until}"


def _steps(steps: list[StepView]) -> Table:
    table = _table("step", "skill", "outcome", "attempts", "duration", "cost", "")
    for step in steps:
        table.add_row(
            step.id,
            f"{step.skill}@{step.version}",
            Text(step.code or step.status, _STEP_STYLES.get(step.status, "")),
            str(step.attempts),
            duration(step.duration_ms) if step.attempts else "–",
            money(step.cost_microusd),
            Text(one_line(step.waits_for or step.message, 60)),
            style="dim" if step.plans else None,
        )
    for column in (3, 4, 5):
        table.columns[column].justify = "right"
    return table


def _consumed(run: RunView) -> Text:
    totals = run.totals
    text = (
        f"{money(totals.cost_microusd)} · {totals.input_tokens} tokens in, {totals.output_tokens} "
        f"out · {totals.attempts} attempts · {duration(run.duration_ms)}"
    )
    if run.resumes:
        text += f" · taken up again {run.resumes}×"
    return Text(text, "dim")


def _state(agent: AgentView) -> str:
    if agent.state == "quarantined" and agent.quarantined_until is not None:
        return f"quarantined until {moment(agent.quarantined_until)}: aos tree events {agent.name}"
    return agent.state + (f", process {agent.pid}" if agent.pid else "")


def _skills(agent: AgentView) -> str:
    skills = agent.profile.skills
    return "all" if skills is None else ", ".join(skills) or "none"


def _counts(counts: dict[str, int] | None) -> str:
    if counts is None:
        return "not known"
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "none"


def _resources(resources: dict[str, float] | None) -> str:
    if resources is None:
        return "not known"
    shown = {"CPU": "CPUs", "GPU": "GPUs"}
    parts = [f"{resources[name]:g} {label}" for name, label in shown.items() if name in resources]
    if "memory" in resources:
        parts.append(f"{resources['memory'] / 2**30:.1f} GiB memory")
    return ", ".join(parts) or "none"
