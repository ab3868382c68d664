"""Why something was restarted, or is not: its newest events and its living state, in words. Pure.

What is said is what the record has. Where the record is silent, because events were trimmed or are
not written yet, so is the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..cluster.exits import ExitReason
from ..supervisors.state import PASSIVE
from ..supervisors.tree import ROOT
from .client.models import AgentView, SupervisionEvent, TreeNode
from .times import at, span

EVENTS_READ = 200
"""How many of the newest events an answer is made from."""

_LATELY = timedelta(hours=24)
_ONE_STREAK = timedelta(minutes=3)
"""Ends further apart are not one trouble: a failing child's life and backoff fit in."""

VERBS = {
    "normal": "ended by itself",
    "shutdown": "was told to stop",
    "killed": "was killed",
    "crash": "crashed",
    "out_of_memory": "took too much memory",
    "node_lost": "lost its machine",
    "preempted": "had its machine taken away",
    "start_error": "failed to start",
    "no_capacity": "found no machine",
    "fenced": "was taken over by a newer activation",
    "noproc": "lost the process that it belonged to",
    "suspect": "was out of touch",
}
"""What a child did that ended with each reason."""

_FRESH_STARTS = ("quarantined", "trial", "released")
_INTENDED = frozenset(reason for reason in ExitReason if reason.intended)


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is asked about: what people call it, where it stands in the tree (None: it is not there,
    or there is no tree to be had), the agent's row if it is one, its events, newest first, and the
    command that ends its quarantine, if there is one.
    """

    name: str
    node: TreeNode | None
    agent: AgentView | None
    events: Sequence[SupervisionEvent]
    release: str = ""


def why(subject: Subject, now: datetime) -> str:
    """The answer, in one or two sentences. Times are UTC."""
    node = subject.node
    if node is None:
        return _absent(subject, now)
    if node.id == ROOT:
        lives = _lives(subject, now)
        return f"{subject.name} {lives}. Ray brings it back whenever it ends; nobody counts that."
    match node.state:
        case "quarantined":
            return _quarantined(subject, node.until, now)
        case "waiting":
            return _waiting(subject, node, now)
        case "stopped":
            return _stopped(subject, now)
        case _:
            return f"{subject.name} {_restarts(subject, now)}; it {_lives(subject, now)}."


def _quarantined(subject: Subject, until: datetime | None, now: datetime) -> str:
    time = f" until {at(until, now)} (in {span(until - now)})" if until else ""
    answer = f"{subject.name} is quarantined{time} because it {_streak(subject.events)}."
    waits = " Its runs wait." if subject.agent else ""
    release = f" Release it now with `{subject.release}`." if subject.release else ""
    return f"{answer}{waits}{release}"


def _streak(events: Sequence[SupervisionEvent]) -> str:
    """What the child did, over and over, until it was quarantined."""
    ends: list[SupervisionEvent] = []
    shut = next((place for place, event in enumerate(events) if event.kind == "quarantined"), -1)
    for event in events[shut + 1 :]:
        if event.kind in _FRESH_STARTS or _is_passive(event):
            break
        if event.kind == "ended" and event.reason not in _INTENDED:
            if ends and ends[-1].at - event.at > _ONE_STREAK:
                break
            ends.append(event)
    if not ends:
        return "failed too often"
    if len(ends) == 1:
        return _did(ends[0])
    within = span(ends[0].at - ends[-1].at)
    kinds = Counter(event.reason for event in ends)
    last = f" (last: {_brief(ends[0].detail)})" if ends[0].detail else ""
    if len(kinds) == 1:
        return f"{_verb(ends[0].reason)} {_times(len(ends))} in {within}{last}"
    parts = ", ".join(f"{_verb(reason)} {_times(number)}" for reason, number in kinds.items())
    return f"ended {_times(len(ends))} in {within}: it {parts}{last}"


def _waiting(subject: Subject, node: TreeNode, now: datetime) -> str:
    if node.waits_for:
        return f"{subject.name} waits: {_brief(node.waits_for)}. It is tried again and again."
    if node.until is None:
        return f"{subject.name} is about to be started."
    ended = next((event for event in subject.events if event.kind == "ended"), None)
    because = f" because it {_did(ended)}" if ended else ""
    time = f"{at(node.until, now)} (in {span(node.until - now)})"
    return f"{subject.name} is started again at {time}{because}."


def _stopped(subject: Subject, now: datetime) -> str:
    for event in subject.events:
        if event.kind == "ended":
            since = span(now - event.at)
            return (
                f"{subject.name} is stopped: {since} ago it {_did(event)}, and it is not started "
                "again by itself."
            )
        if event.kind == "ignored":
            return f"{subject.name} is not started: there was nothing to do for it."
    return f"{subject.name} is stopped."


def _restarts(subject: Subject, now: datetime) -> str:
    """What became of it before its present life."""
    cause = next((event for event in subject.events if event.kind != "started"), None)
    if cause is None:
        return "was not restarted, as far as the record goes"
    ago = span(now - cause.at)
    match cause.kind:
        case "restarting":
            return _restarted(subject, cause, now)
        case "trial":
            return f"is on trial: its quarantine ended {ago} ago"
        case "released":
            return f"was released from quarantine {ago} ago"
        case "pending":
            return f"waited for a machine that has what it needs ({_brief(cause.detail)})"
        case "gave_up":
            return f"was started again {ago} ago with its supervisor, which had given up"
        case "ended" if _is_passive(cause):
            return f"was passive until it had work; it had become so {ago} ago"
        case "ended":
            return f"was stopped {ago} ago, by request or with a sibling, and started again"
        case _:
            return f"was {cause.kind} {ago} ago"


def _restarted(subject: Subject, last: SupervisionEvent, now: datetime) -> str:
    recent = [e for e in subject.events if e.kind == "restarting" and now - e.at <= _LATELY]
    more = "at least " if len(subject.events) >= EVENTS_READ else ""
    count = f"{more}{_times(len(recent))} in the last 24 h, " if recent else ""
    ended = next((event for event in subject.events if event.kind == "ended"), last)
    together = f", {last.detail}" if last.detail else ""
    ago = span(now - last.at)
    return f"was restarted {count}last {ago} ago{together}, because it {_did(ended)}"


def _is_passive(event: SupervisionEvent) -> bool:
    return event.kind == "ended" and (event.reason, event.detail) == (
        PASSIVE.reason,
        PASSIVE.detail,
    )


def _lives(subject: Subject, now: datetime) -> str:
    node = subject.node
    if node is None or node.state != "running":
        return f"is {node.state if node else 'not there'}"
    process = f"runs as process {node.pid}" if node.pid else "runs"
    return f"{process} since {at(node.since, now)}" if node.since else process


def _absent(subject: Subject, now: datetime) -> str:
    agent, last = subject.agent, next(iter(subject.events), None)
    if agent is not None:
        until = agent.quarantined_until
        if agent.state == "quarantined" and until is not None and until > now:
            return _quarantined(subject, until, now)
        if agent.state == "active":
            return (
                f"{subject.name} is active as process {agent.pid}, as far as the table knows; its "
                "supervisor does not tell of it just now."
            )
        if last is None:
            return f"{subject.name} is passive: it had no run yet. Its first run activates it."
        return f"{subject.name} is passive: {_left(subject, now)}. Its next run activates it."
    if last is None:
        return f"Nothing is known of {subject.name}."
    return f"{subject.name} is not in the tree: {_left(subject, now)}."


def _left(subject: Subject, now: datetime) -> str:
    """How its last life ended."""
    last = subject.events[0]
    ago = span(now - last.at)
    if _is_passive(last):
        return f"{ago} ago it had nothing more to do"
    if last.kind == "ended":
        return f"{ago} ago it {_did(last)}"
    return f"the last that is known of it is `{last.kind}`, {ago} ago"


def _did(ended: SupervisionEvent) -> str:
    return (
        f"{_verb(ended.reason)} ({_brief(ended.detail)})" if ended.detail else _verb(ended.reason)
    )


def _verb(reason: str) -> str:
    return VERBS.get(reason, f"ended with `{reason}`")


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _brief(text: str) -> str:
    flat = " ".join(text.split()).rstrip(".")
    return flat if len(flat) <= 160 else f"{flat[:159]}…"
