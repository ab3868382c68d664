"""Plans for the skills of `tests/plugin/aos_ledger_skills.py`, and the answers they must have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aos.actors.runs.waiting import CHILD, SIGNAL, TIMER
from aos.skills.contracts import JsonValue

CLASSES = ("pure", "read", "idempotent", "reconciled", "unsafe")
"""Of the five skills, the last is the one whose lost effects nobody can be asked about."""

Step = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Work:
    """A goal for an agent that plans literally, and the one right answer.

    `hopeless`: it has a step whose lost effect nobody can be asked about, so that the run may end
    in doubt. `awaits`: the name of a signal that it waits for, and `says`: what it has to carry.
    """

    shape: str
    goal: str
    answer: JsonValue
    hopeless: bool = False
    awaits: str = ""
    says: JsonValue = None

    @property
    def writes(self) -> tuple[str, ...]:
        """The ids of the steps whose effect the ledger must have seen when all is done."""
        steps = json.loads(self.goal)["steps"]
        return tuple(step["id"] for step in steps if class_of(step["id"]) in CLASSES)


def note(ledger: str, skill: str, number: int = 0, value: Any = 0, **params: Any) -> Step:
    """A step that notes its value and returns the next. Its id tells the effect class, so that a
    line in the ledger does. `needs`: the ids of steps before it.
    """
    needs = params.pop("needs", ())
    return {
        "id": f"{skill}-{number}",
        "skill": f"note_{skill}",
        "params": {"ledger": ledger, "value": value, **params},
        "depends_on": list(needs),
    }


def class_of(step_id: str) -> str:
    """The effect class of a step that `note` made."""
    return step_id.partition("-")[0]


def plan(*steps: Step, answer: JsonValue) -> str:
    """A goal."""
    return json.dumps({"steps": list(steps), "answer": answer})


def chain(ledger: str, start: int, *skills: str, **params: Any) -> Work:
    """One skill after the other, each counting on."""
    value: Any = start
    steps: list[Step] = []
    for number, skill in enumerate(skills):
        steps.append(note(ledger, skill, number, value, **params))
        value = f"{{{{{skill}-{number}.value}}}}"
    shape = "-".join(skills)
    return Work(shape, plan(*steps, answer=value), start + len(skills), "unsafe" in skills)


def after_timer(ledger: str, start: int, seconds: float) -> Work:
    """A write, some time, another write."""
    steps = (
        note(ledger, "idempotent", 0, start),
        {"id": "w", "skill": TIMER, "params": {"seconds": seconds}, "depends_on": ["idempotent-0"]},
        note(ledger, "reconciled", 1, "{{idempotent-0.value}}", needs=["w"]),
    )
    return Work("timer", plan(*steps, answer="{{reconciled-1.value}}"), start + 2)


def after_signal(ledger: str, start: int, payload: int, name: str = "go") -> Work:
    """A write, a signal, another write of what the signal said."""
    steps = (
        note(ledger, "idempotent", 0, start),
        {"id": "w", "skill": SIGNAL, "params": {"name": name}},
        note(ledger, "reconciled", 1, "{{w}}", needs=["idempotent-0"]),
    )
    answer: JsonValue = ["{{idempotent-0.value}}", "{{reconciled-1.value}}"]
    return Work(
        "signal", plan(*steps, answer=answer), [start + 1, payload + 1], awaits=name, says=payload
    )


def with_children(ledger: str, start: int, children: int, agent: str) -> Work:
    """Children that write, and a write of the parent's own when all of them have."""
    names = [f"c{number}" for number in range(children)]
    goals = [chain(ledger, start + 10 * n, "read", "reconciled").goal for n in range(children)]
    steps = [
        {"id": name, "skill": CHILD, "params": {"goal": _inert(goal), "agent": agent}}
        for name, goal in zip(names, goals, strict=True)
    ]
    last = note(ledger, "idempotent", 0, start, needs=names)
    answer: JsonValue = ["{{idempotent-0.value}}", *(f"{{{{{name}}}}}" for name in names)]
    right: JsonValue = [start + 1, *(start + 10 * n + 2 for n in range(children))]
    return Work("children", plan(*steps, last, answer=answer), right)


def _inert(goal: str) -> str:
    """The goal with its references out of reach of its parent's plan, and readable in the child's:
    JSON may write a brace by its number.
    """
    return goal.replace("{{", "\\u007b\\u007b")
