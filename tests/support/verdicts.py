"""What a chaos run proves: of what was promised, of what the world saw, of how it ended. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from aos.skills.contracts import JsonValue
from tests.support.effect_ledger import Effect
from tests.support.noting import Work, class_of

ONCE = ("unsafe", "reconciled")
"""Effect classes that must not happen twice."""


@dataclass(frozen=True, slots=True)
class End:
    """How a run stands when all is over. `broken_at`: the event whose hash is wrong; `twice`: steps
    with more than one successful outcome in the journal.
    """

    status: str
    code: str | None = None
    answer: JsonValue = None
    message: str = ""
    broken_at: int | None = None
    twice: tuple[str, ...] = ()


@dataclass
class Tally:
    """Counts, and a sentence for each thing that is wrong."""

    submitted: int = 0
    completed: int = 0
    in_doubt: int = 0
    poisoned: int = 0
    effects: int = 0
    repeated_reads: int = 0
    repeated_idempotent: int = 0
    lost: list[str] = field(default_factory=list[str])
    wrong_ends: list[str] = field(default_factory=list[str])
    wrong_answers: list[str] = field(default_factory=list[str])
    repeated_once_only: list[str] = field(default_factory=list[str])
    other_keys: list[str] = field(default_factory=list[str])
    unaccounted: list[str] = field(default_factory=list[str])
    bad_journals: list[str] = field(default_factory=list[str])

    @property
    def broken(self) -> dict[str, list[str]]:
        """The invariants that do not hold, with what shows it."""
        named = {
            "lost runs": self.lost,
            "wrong ends": self.wrong_ends,
            "wrong answers": self.wrong_answers,
            "repeated unsafe effects": self.repeated_once_only,
            "repeats under another key": self.other_keys,
            "outcomes without an effect": self.unaccounted,
            "journals that do not hold": self.bad_journals,
        }
        return {name: found for name, found in named.items() if found}

    def lines(self) -> Iterable[str]:
        """The tally as it is printed."""
        yield f"{self.submitted:6} runs submitted"
        yield f"{self.completed:6} completed"
        yield f"{self.in_doubt:6} in doubt, of those that nobody could be asked about"
        yield f"{self.poisoned:6} dead letters after three deaths in a row"
        yield f"{self.effects:6} effects in the ledger"
        yield f"{self.repeated_idempotent:6} idempotent ones repeated under their key"
        yield f"{self.repeated_reads:6} pure or reading steps repeated"
        for name, found in (
            ("runs lost", self.lost),
            ("unsafe effects repeated", self.repeated_once_only),
            ("idempotent effects repeated under another key", self.other_keys),
            ("wrong answers", self.wrong_answers),
            ("wrong ends", self.wrong_ends),
            ("outcomes without an effect", self.unaccounted),
            ("journals that do not hold", self.bad_journals),
        ):
            yield f"{len(found):6} {name}"


def judge(
    promised: Mapping[UUID, Work], ended: Mapping[UUID, End], effects: Iterable[Effect]
) -> Tally:
    """The tally of these runs; effects may be those of their children, too."""
    seen = list(effects)
    tally = Tally(submitted=len(promised), effects=len(seen))
    by_step = Counter((effect.run, effect.step) for effect in seen)
    for run_id, work in promised.items():
        _judge_end(tally, run_id, work, ended.get(run_id), by_step)
    _judge_effects(tally, seen, by_step)
    return tally


def _judge_end(
    tally: Tally, run_id: UUID, work: Work, end: End | None, by_step: Counter[tuple[str, str]]
) -> None:
    name = f"{run_id} ({work.shape})"
    if end is None or end.status not in ("completed", "failed", "quarantined", "cancelled"):
        tally.lost.append(f"{name} is {'unknown' if end is None else end.status}")
        return
    if end.broken_at is not None:
        tally.bad_journals.append(f"{name} is broken at event {end.broken_at}")
    if end.twice:
        tally.bad_journals.append(f"{name} has two outcomes of {', '.join(end.twice)}")
    if end.status == "completed":
        tally.completed += 1
        if end.answer != work.answer:
            tally.wrong_answers.append(f"{name}: {end.answer!r} instead of {work.answer!r}")
        for step in work.writes:
            if not by_step[str(run_id), step]:
                tally.unaccounted.append(f"{name}: {step}")
    elif end.code == "ERR_IN_DOUBT" and work.hopeless:
        tally.in_doubt += 1
    elif end.code == "ERR_POISON_RUN":
        tally.poisoned += 1
    else:
        tally.wrong_ends.append(f"{name} is {end.status} with {end.code}: {end.message[:200]}")


def _judge_effects(tally: Tally, seen: list[Effect], by_step: Counter[tuple[str, str]]) -> None:
    keys: dict[tuple[str, str], set[str]] = {}
    for effect in seen:
        keys.setdefault((effect.run, effect.step), set()).add(effect.key)
    for (run, step), times in by_step.items():
        if len(keys[run, step]) > 1:
            tally.other_keys.append(f"{run} {step}: {sorted(keys[run, step])}")
        if times == 1:
            continue
        if class_of(step) in ONCE:
            tally.repeated_once_only.append(f"{run} {step}: {times} times")
        elif class_of(step) == "idempotent":
            tally.repeated_idempotent += 1
        else:
            tally.repeated_reads += 1
