"""What the outside says to a run, as it stands in the journal."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ...skills.contracts.values import JsonValue
from .words import Action, Journaled, RunStatus


class Heard(Journaled):
    """Base of what the outside said to a run. `number` is the message's place in its inbox: they
    are heard in order, each once.
    """

    number: int
    by: str = ""


class SignalReceived(Heard):
    """A named signal. One that nobody waits for yet is kept."""

    kind: Literal["signal_received"] = "signal_received"
    name: str
    payload: JsonValue = None
    large: dict[str, str] = Field(default_factory=dict[str, str])


class DecisionMade(Heard):
    """A person answered the question that a step waits with."""

    kind: Literal["decision_made"] = "decision_made"
    step_id: str
    approved: bool
    value: JsonValue = None
    large: dict[str, str] = Field(default_factory=dict[str, str])
    comment: str = ""


class ChildEnded(Heard):
    """A child run came to its end."""

    kind: Literal["child_ended"] = "child_ended"
    step_id: str
    child_run_id: str
    status: RunStatus
    code: str
    message: str = ""
    answer: JsonValue = None
    large: dict[str, str] = Field(default_factory=dict[str, str])


class CancelRequested(Heard):
    """The run is to end as soon as what it has under way is stopped."""

    kind: Literal["cancel_requested"] = "cancel_requested"
    reason: str = ""


class RunPaused(Heard):
    """Nothing new is begun until `run_continued`."""

    kind: Literal["run_paused"] = "run_paused"
    reason: str = ""


class RunContinued(Heard):
    """The pause is over."""

    kind: Literal["run_continued"] = "run_continued"


class StepRepaired(Heard):
    """An operator set right what the run cannot by itself."""

    kind: Literal["step_repaired"] = "step_repaired"
    step_id: str
    action: Action
    output: JsonValue = None
    large: dict[str, str] = Field(default_factory=dict[str, str])
    reason: str = ""


class MessageIgnored(Heard):
    """What was said had no meaning any more when it was heard."""

    kind: Literal["message_ignored"] = "message_ignored"
    about: str
    reason: str
