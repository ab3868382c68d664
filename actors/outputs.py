"""Step outputs as values: packed before they enter an event, restored when somebody uses them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from uuid import UUID

from ..cluster.telemetry import logger
from ..skills.contracts import JsonObject, JsonValue, StructuredOutcome
from ..skills.guards import MAX_OUTPUT_BYTES
from .runs.events import Plan, PlannedStep
from .runs.references import referenced, resolve
from .runs.state import RunState
from .runs.values import restore, shrink

LoadBlob = Callable[[UUID, str], Awaitable[JsonValue]]

log = logger(__name__)

_NEAR = MAX_OUTPUT_BYTES * 8 // 10
"""From here on an output is spoken of: a little more, and its step will fail."""

_REMEMBERED = 4
"""Values of up to 10 MiB each: an agent's process is meant to stay small."""


class Outputs:
    """The large values of an activation's runs, the most recent kept in memory."""

    def __init__(self, load: LoadBlob) -> None:
        self._load = load
        self._recent: OrderedDict[str, JsonValue] = OrderedDict()

    def pack(
        self, outcome: StructuredOutcome, threshold: int
    ) -> tuple[StructuredOutcome, dict[str, str], dict[str, bytes]]:
        """The outcome fit for an event, the names of its large fields, and their contents."""
        output, large, contents = self.pack_value(outcome.output, threshold)
        if not large:
            return outcome, {}, {}
        if (size := sum(map(len, contents.values()))) >= _NEAR:
            log.warning(
                "output near its limit", skill=outcome.skill, bytes=size, limit=MAX_OUTPUT_BYTES
            )
        return outcome.model_copy(update={"output": output}), large, contents

    def pack_value(
        self, value: JsonValue, threshold: int
    ) -> tuple[JsonValue, dict[str, str], dict[str, bytes]]:
        """The same for a bare value."""
        packed, large, contents = shrink(value, threshold)
        for name, digest in large.items():
            whole = value[name] if name and isinstance(value, dict) else value
            self._remember(digest, whole)
        return packed, large, contents

    async def of(self, state: RunState, step_ids: Iterable[str]) -> dict[str, JsonValue]:
        """The outputs of these steps, whole; steps that have none are left out."""
        found: dict[str, JsonValue] = {}
        for step_id in step_ids:
            step = state.steps.get(step_id)
            if step is None or step.outcome is None or not step.outcome.ok:
                continue
            contents = await self.contents(state.run_id, step.large)
            found[step_id] = restore(step.outcome.output, step.large, contents)
        return found

    async def params(self, state: RunState, step_id: str) -> JsonObject:
        """A step's params with references resolved. Raises `UnresolvedReference`."""
        step = state.steps[step_id].spec
        if (given := state.origin.overrides.get(step_id)) is not None:
            return given
        params = await self.planned(state.run_id, step)
        if step.literal:
            return params
        resolved = resolve(params, await self.of(state, step.depends_on))
        return resolved if isinstance(resolved, dict) else {}

    async def planned(self, run_id: UUID, step: PlannedStep) -> JsonObject:
        """A step's params as they were planned, whole."""
        params = await self.whole(run_id, step.params, step.large)
        return params if isinstance(params, dict) else {}

    async def whole(self, run_id: UUID, packed: JsonValue, large: Mapping[str, str]) -> JsonValue:
        """A value with what was too large for its event."""
        return restore(packed, large, await self.contents(run_id, large)) if large else packed

    def pack_steps(
        self, steps: tuple[PlannedStep, ...], threshold: int
    ) -> tuple[tuple[PlannedStep, ...], dict[str, bytes]]:
        """Steps whose params fit into an event, and the contents that do not."""
        packed: list[PlannedStep] = []
        contents: dict[str, bytes] = {}
        for step in steps:
            params, large, apart = self.pack_value(step.params, threshold)
            changed = {"params": params or {}, "large": large}
            packed.append(step.model_copy(update=changed) if large else step)
            contents |= apart
        return tuple(packed), contents

    def pack_plan(self, plan: Plan, threshold: int) -> tuple[Plan, dict[str, bytes]]:
        """A plan that fits into an event, and the contents that do not."""
        steps, contents = self.pack_steps(plan.steps, threshold)
        answer, answer_large, of_answer = self.pack_value(plan.answer, threshold)
        memo, memo_large, of_memo = self.pack_value(plan.memo, threshold)
        apart = contents | of_answer | of_memo
        if not apart:
            return plan, {}
        packed = {"steps": steps, "answer": answer, "memo": memo}
        large = {"answer_large": answer_large, "memo_large": memo_large}
        return plan.model_copy(update=packed | large), apart

    async def answer(self, state: RunState, template: JsonValue) -> JsonValue:
        """An answer's template with its references resolved. References to steps that failed in a
        partial run read as null. Raises `UnresolvedReference`.
        """
        names = referenced(template)
        outputs = await self.of(state, names)
        lost = {name for name in names - outputs.keys() if name in state.steps}
        return resolve(_without(template, lost), outputs)

    async def contents(self, run_id: UUID, large: Mapping[str, str]) -> dict[str, JsonValue]:
        """Large values by content hash."""
        contents: dict[str, JsonValue] = {}
        for digest in large.values():
            if digest not in self._recent:
                self._remember(digest, await self._load(run_id, digest))
            contents[digest] = self._recent[digest]
        return contents

    def _remember(self, digest: str, value: JsonValue) -> None:
        self._recent[digest] = value
        self._recent.move_to_end(digest)
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)


def _without(template: JsonValue, lost: set[str]) -> JsonValue:
    """The template with every string that refers to a lost step replaced by null."""
    if isinstance(template, str):
        return None if referenced(template) & lost else template
    if isinstance(template, list):
        return [_without(item, lost) for item in template]
    if isinstance(template, dict):
        return {key: _without(item, lost) for key, item in template.items()}
    return template
