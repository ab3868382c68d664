"""An unsafe skill with both hooks, against a ledger in a process of its own."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from tests.support.effect_ledger import EffectLedger
from tests.support.skill_calls import run

from aos.skills.contracts import EffectState, Reconciliation, StructuredOutcome, Verdict
from aos.skills.registry import AnySkill

PLUGIN = Path(__file__).parents[2] / "plugin"


@pytest.fixture
def pay(monkeypatch: pytest.MonkeyPatch) -> AnySkill:
    monkeypatch.syspath_prepend(PLUGIN)
    return importlib.import_module("aos_test_skills").pay


async def call(pay: AnySkill, ledger: EffectLedger, mode: str = "execute") -> StructuredOutcome:
    params: dict[str, Any] = {"ledger": ledger.url, "amount": 5, "timeout_s": 0.3}
    return await run(pay, params, mode=mode)


async def verdict(pay: AnySkill, ledger: EffectLedger) -> Reconciliation:
    return Reconciliation.model_validate((await call(pay, ledger, "reconcile")).output)


async def test_an_effect_is_one_line_and_doing_it_twice_is_two(
    pay: AnySkill, effect_ledger: EffectLedger
) -> None:
    outcome = await call(pay, effect_ledger)
    assert outcome.output == {"number": 1, "key": "run-1/s1/1"}
    (line,) = effect_ledger.done("run-1")
    assert (line.key, line.step, line.attempt, line.amount) == ("run-1/s1/1", "s1", 1, 5)
    await call(pay, effect_ledger)
    assert len(effect_ledger.done()) == 2


@pytest.mark.parametrize(
    ("fault", "code"), [("hang", "ERR_TIMEOUT"), ("close", "ERR_CONNECTION_LOST")]
)
async def test_what_happened_without_an_answer_is_found(
    pay: AnySkill, effect_ledger: EffectLedger, fault: Any, code: str
) -> None:
    effect_ledger.fault(fault)
    lost = await call(pay, effect_ledger)
    assert (lost.code, lost.effect) == (code, EffectState.UNKNOWN)
    found = await verdict(pay, effect_ledger)
    assert (found.verdict, found.output) == (
        Verdict.HAPPENED, {"number": 1, "key": "run-1/s1/1"},
    )  # fmt: skip
    assert len(effect_ledger.done()) == 1


async def test_what_did_not_happen_is_known_not_to_have(
    pay: AnySkill, effect_ledger: EffectLedger
) -> None:
    effect_ledger.fault("refuse")
    lost = await call(pay, effect_ledger)
    assert (lost.code, lost.effect) == ("ERR_CONNECTION_LOST", EffectState.UNKNOWN)
    assert (await verdict(pay, effect_ledger)).verdict is Verdict.DID_NOT_HAPPEN
    assert effect_ledger.lines() == []


async def test_a_ledger_that_does_not_say_leaves_it_unclear(
    pay: AnySkill, effect_ledger: EffectLedger
) -> None:
    effect_ledger.fault("fail", on="GET")
    unclear = await verdict(pay, effect_ledger)
    assert (unclear.verdict, unclear.reason) == (Verdict.UNCLEAR, "the ledger answered 503")
    effect_ledger.stop()
    silent = await call(pay, effect_ledger, "reconcile")
    assert (silent.code, silent.effect) == ("ERR_CONNECTION_REFUSED", EffectState.NONE)


async def test_undoing_is_done_once_and_harmless_where_nothing_was_done(
    pay: AnySkill, effect_ledger: EffectLedger
) -> None:
    assert (await call(pay, effect_ledger, "compensate")).ok
    assert effect_ledger.lines() == []
    await call(pay, effect_ledger)
    for _ in range(2):
        assert (await call(pay, effect_ledger, "compensate")).ok
    assert [each.key for each in effect_ledger.undone("run-1")] == ["run-1/s1/1"]
    assert (await verdict(pay, effect_ledger)).verdict is Verdict.DID_NOT_HAPPEN


async def test_the_file_outlives_the_process(pay: AnySkill, effect_ledger: EffectLedger) -> None:
    await call(pay, effect_ledger)
    effect_ledger.stop()
    effect_ledger.start()
    assert (await verdict(pay, effect_ledger)).verdict is Verdict.HAPPENED
