"""Reconciling and compensating: how they are declared, and how they are called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from tests.support.skill_calls import call_of, run, settings

from aos.skills.call import Mode, SkillCall
from aos.skills.contracts import (
    EffectRule,
    Effects,
    EffectState,
    InDoubtPolicy,
    Reconciliation,
    ResourceContract,
    SkillDescriptor,
    StructuredOutcome,
    Usage,
    Verdict,
)
from aos.skills.redaction import MASK
from aos.skills.skill import (
    DidNotHappen,
    Happened,
    InvalidSkill,
    Skill,
    SkillContext,
    SkillFailure,
    Unclear,
    skill,
)


class Payment(BaseModel):
    cents: int = 100


class Receipt(BaseModel):
    number: int


class LongReceipt(Receipt):
    text: str = ""


class Hooked:
    """What the hooks of `pay` do next, and what they were given."""

    finds: Any = None
    undone: Any = None


@skill(
    version="1.1.0",
    permissions=("money:spend",),
    resources=ResourceContract(timeout_s=0.05, memory_mb=500),
)
async def pay(input: Payment, context: SkillContext) -> Receipt:  # noqa: A002 - as users write it
    """Pay."""
    return Receipt(number=input.cents)


@pay.reconcile
async def find_payment(
    input: Payment,  # noqa: A002
    context: SkillContext,
) -> Happened[Receipt] | DidNotHappen | Unclear:
    return await Hooked.finds(input, context)


@pay.compensate
async def refund(input: Payment, output: Receipt | None, context: SkillContext) -> None:  # noqa: A002
    Hooked.undone = (input, output, context.undo_key)


PERMITTED: dict[str, Any] = {"permissions": ("money:spend",)}


async def reconciled(finds: Any, **fields: Any) -> StructuredOutcome:
    async def answer(given: Payment, context: SkillContext) -> Any:
        return finds(given, context) if callable(finds) else finds

    Hooked.finds = answer
    return await run(pay, {"cents": 7}, mode="reconcile", **(PERMITTED | fields))


def test_the_descriptor_says_which_hooks_there_are() -> None:
    assert (pay.descriptor.reconciles, pay.descriptor.compensates) == (True, True)
    assert (find_payment, refund) == (pay.reconciler, pay.compensator)

    @skill()
    async def bare(input: Payment, context: SkillContext) -> Receipt:  # noqa: A002
        """Pay."""
        raise AssertionError

    assert (bare.descriptor.reconciles, bare.descriptor.compensates) == (False, False)


def test_a_descriptor_without_hooks_is_on_the_wire_what_it_was() -> None:
    plain = pay.descriptor.model_copy(update={"reconciles": False, "compensates": False})
    assert not {"reconciles", "compensates"} & plain.model_dump(mode="json").keys()
    dumped = pay.descriptor.model_dump(mode="json")
    assert (dumped["reconciles"], dumped["compensates"]) == (True, True)
    for each in (plain, pay.descriptor):
        assert SkillDescriptor.model_validate_json(each.model_dump_json()) == each


async def test_direct_calls_of_hooks_keep_working() -> None:
    await refund(Payment(cents=3), None, SkillContext(settings=settings(), idempotency_key="k"))
    assert Hooked.undone == (Payment(cents=3), None, "k/undo")


def test_a_call_says_what_it_may_do_to_the_world() -> None:
    ruled = pay.descriptor.model_copy(
        update={"effect_rules": (EffectRule(field="cents", values=(0,), effects=Effects.PURE),)}
    )
    for mode, effects in [("execute", Effects.UNSAFE), ("reconcile", Effects.READ),
                          ("compensate", Effects.IDEMPOTENT)]:  # fmt: skip
        assert call_of(pay, {"cents": 1}, mode=mode).effects(ruled) is effects
    assert call_of(pay, {"cents": 0}).effects(ruled) is Effects.PURE
    assert call_of(pay, {}).mode is Mode.EXECUTE
    payload = call_of(pay, {}).model_dump_json(exclude_defaults=True)
    assert '"mode"' not in payload
    assert SkillCall.model_validate_json(payload) == call_of(pay, {})


async def test_it_happened_and_the_output_is_what_the_call_would_have_returned() -> None:
    def finds(given: Payment, context: SkillContext) -> Happened[Receipt]:
        context.charge(Usage(provider="p", model="m"), 3)
        assert context.idempotency_key == "run-1/s1/1"
        return Happened(LongReceipt(number=given.cents))

    outcome = await reconciled(finds)
    assert (outcome.status, outcome.code, outcome.effect) == ("success", "OK", EffectState.NONE)
    assert outcome.output == {
        "verdict": "happened", "output": {"number": 7, "text": ""}, "reason": "",
    }  # fmt: skip
    assert (outcome.skill, outcome.version, outcome.cost_microusd) == ("pay", "1.1.0", 3)


@pytest.mark.parametrize(
    ("answer", "verdict", "reason"),
    [
        (DidNotHappen(), Verdict.DID_NOT_HAPPEN, ""),
        (Unclear("the bank is closed"), Verdict.UNCLEAR, "the bank is closed"),
        (Unclear("half a \ud800 character"), Verdict.UNCLEAR, "half a ? character"),
    ],
)
async def test_other_verdicts(answer: Any, verdict: Verdict, reason: str) -> None:
    outcome = await reconciled(answer)
    assert Reconciliation.model_validate(outcome.output) == Reconciliation(
        verdict=verdict, reason=reason
    )


@pytest.mark.parametrize(
    "answer", [None, True, Receipt(number=1), DidNotHappen, Happened({"n": 1})]
)
async def test_an_answer_of_another_shape_is_no_verdict(answer: Any) -> None:
    outcome = await reconciled(lambda given, context: answer)
    assert (outcome.code, outcome.output, outcome.effect) == (
        "ERR_SCHEMA_MISMATCH", None, EffectState.NONE,
    )  # fmt: skip


async def test_a_reconciliation_that_fails_has_changed_nothing() -> None:
    def lost(given: Payment, context: SkillContext) -> Any:
        raise SkillFailure("ERR_CONNECTION_LOST")

    def broken(given: Payment, context: SkillContext) -> Any:
        raise ValueError("bug")

    failed = await reconciled(lost)
    assert (failed.code, failed.retryable, failed.effect) == (
        "ERR_CONNECTION_LOST", True, EffectState.NONE,
    )  # fmt: skip
    assert (await reconciled(broken)).effect is EffectState.NONE


async def test_hooks_go_through_the_same_guards_and_limits() -> None:
    async def hang(given: Payment, context: SkillContext) -> Any:
        await asyncio.Event().wait()

    denied = await reconciled(DidNotHappen(), permissions=())
    assert denied.code == "ERR_PERMISSION_DENIED"
    invalid = await run(pay, {"cents": "x"}, mode="reconcile", **PERMITTED)
    assert invalid.code == "ERR_VALIDATION_FAILED"
    Hooked.finds = hang
    late = await run(pay, {}, mode="reconcile", **PERMITTED)
    assert (late.code, late.effect) == ("ERR_TIMEOUT", EffectState.NONE)
    exhausted = await reconciled(_out_of_memory)
    assert (exhausted.code, exhausted.details) == ("ERR_OUT_OF_MEMORY", {"memory_mb": 500})


def _out_of_memory(given: Payment, context: SkillContext) -> Any:
    raise MemoryError


@pytest.mark.parametrize("mode", ["reconcile", "compensate"])
async def test_a_hook_that_is_not_there_is_a_clear_refusal(mode: str) -> None:
    bare = skill(name="bare")(pay.function)
    outcome = await run(bare, {}, mode=mode)
    code = "ERR_NO_RECONCILER" if mode == "reconcile" else "ERR_NO_COMPENSATOR"
    assert (outcome.code, outcome.retryable, outcome.effect) == (code, False, EffectState.NONE)
    assert (outcome.skill, outcome.version) == ("bare", "1.0.0")


@pytest.mark.parametrize("key", ["run-1/s1/1", "run-1/s1/1/undo"])
async def test_a_compensation_gets_what_the_call_returned_and_its_key(key: str) -> None:
    given: dict[str, Any] = {"prior_output": {"number": 9}, "idempotency_key": key, **PERMITTED}
    outcome = await run(pay, {"cents": 4}, mode="compensate", **given)
    assert (outcome.status, outcome.output, outcome.effect) == ("success", None, EffectState.DONE)
    assert Hooked.undone == (Payment(cents=4), Receipt(number=9), "run-1/s1/1/undo")


@pytest.mark.parametrize("prior", [None, {"number": MASK}])
async def test_what_is_unknown_or_redacted_reads_as_none(prior: Any) -> None:
    outcome = await run(pay, {}, mode="compensate", prior_output=prior, **PERMITTED)
    assert outcome.ok
    assert Hooked.undone == (Payment(), None, "run-1/s1/1/undo")


async def test_a_prior_output_that_never_fitted_is_refused() -> None:
    outcome = await run(pay, {}, mode="compensate", prior_output={"n": 1}, **PERMITTED)
    assert (outcome.code, outcome.effect) == ("ERR_VALIDATION_FAILED", EffectState.NONE)


async def test_a_compensation_that_fails_may_have_happened() -> None:
    failing = skill(name="failing")(pay.function)

    @failing.compensate
    async def undo(given: Payment, output: Receipt | None, context: SkillContext) -> None:
        if output is None:
            raise OSError("cut off")
        return output  # pyright: ignore[reportReturnType]

    cut = await run(failing, {}, mode="compensate")
    assert (cut.code, cut.effect) == ("ERR_INTERNAL", EffectState.UNKNOWN)
    wrong = await run(failing, {}, mode="compensate", prior_output={"number": 1})
    assert (wrong.code, wrong.effect) == ("ERR_SCHEMA_MISMATCH", EffectState.DONE)
    assert undo is failing.compensator


def test_the_careful_policy_is_the_default_and_the_blunt_one_has_to_be_said() -> None:
    assert [each.value for each in InDoubtPolicy] == [
        "quarantine", "fail", "ask", "compensate", "retry",
    ]  # fmt: skip


def synchronous(input: Payment, context: SkillContext) -> DidNotHappen:  # noqa: A002
    raise AssertionError


async def no_context(input: Payment) -> DidNotHappen:  # noqa: A002
    raise AssertionError


async def other_input(input: Receipt, context: SkillContext) -> DidNotHappen:  # noqa: A002
    raise AssertionError


async def bare_output(input: Payment, context: SkillContext) -> Receipt:  # noqa: A002
    raise AssertionError


async def other_output(input: Payment, context: SkillContext) -> Happened[Payment] | Unclear:  # noqa: A002
    raise AssertionError


async def unparameterized(input: Payment, context: SkillContext) -> Happened:  # noqa: A002 # pyright: ignore
    raise AssertionError


async def reconcile_well(input: BaseModel, context: SkillContext) -> Happened[LongReceipt]:  # noqa: A002
    raise AssertionError


async def never_none(input: Payment, output: Receipt, context: SkillContext) -> None:  # noqa: A002
    raise AssertionError


async def other_prior(input: Payment, output: Payment | None, context: SkillContext) -> None:  # noqa: A002
    raise AssertionError


async def returns(input: Payment, output: Receipt | None, context: SkillContext) -> Receipt:  # noqa: A002
    raise AssertionError


async def compensate_well(
    input: Payment,  # noqa: A002
    output: BaseModel | None,
    context: SkillContext,
) -> None:
    raise AssertionError


def fresh(**declared: Any) -> Skill[Payment, Receipt]:
    return skill(name="fresh", **declared)(pay.function)


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (synchronous, "must be an `async def`"),
        (no_context, r"exactly two arguments: \(input, context\)"),
        (other_input, "must be annotated Payment"),
        (bare_output, r"must return Happened\[Receipt\] \| DidNotHappen \| Unclear"),
        (other_output, r"must return Happened\[Receipt\]"),
        (unparameterized, r"must return Happened\[Receipt\]"),
    ],
)
def test_wrong_reconcilers_are_refused(function: Callable[..., Any], complaint: str) -> None:
    with pytest.raises(InvalidSkill, match=complaint):
        fresh().reconcile(function)


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (bare_output, r"exactly three arguments: \(input, output, context\)"),
        (never_none, r"must be Receipt \| None"),
        (other_prior, "must accept Receipt"),
        (returns, "annotated to return None"),
    ],
)
def test_wrong_compensators_are_refused(function: Callable[..., Any], complaint: str) -> None:
    with pytest.raises(InvalidSkill, match=complaint):
        fresh().compensate(function)


def test_wider_arguments_and_narrower_results_are_fine() -> None:
    made = fresh()
    made.reconcile(reconcile_well)
    made.compensate(compensate_well)
    assert made.descriptor.reconciles
    assert made.descriptor.compensates


def test_a_hook_is_declared_once_and_where_there_is_an_effect() -> None:
    made = fresh()
    made.reconcile(reconcile_well)
    with pytest.raises(InvalidSkill, match="has a reconcile function already"):
        made.reconcile(reconcile_well)
    with pytest.raises(InvalidSkill, match="has nothing to compensate"):
        fresh(effects=Effects.READ).compensate(compensate_well)
    rule = EffectRule(field="cents", values=(1,), effects=Effects.UNSAFE)
    fresh(effects=Effects.READ, effect_rules=(rule,)).compensate(compensate_well)


def test_a_hook_does_not_hide_its_skill() -> None:
    async def pay(input: Payment, context: SkillContext) -> DidNotHappen:  # noqa: A002
        raise AssertionError

    pay.__qualname__ = "pay"
    with pytest.raises(InvalidSkill, match="another name than pay"):
        fresh().reconcile(pay)
