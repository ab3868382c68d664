"""The gate between planners and runs: what gets through, what is pinned, and what is said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.catalogue import SHIPPED, SMALL
from tests.support.runs import profile
from tests.support.strategies import json_objects, json_values, step_ids

from aos.actors.planning.admission import InvalidPlan, admit, allowed
from aos.actors.runs.events import OnError, Plan
from aos.actors.runs.waiting import CHILD, WAITS
from aos.skills.contracts import Effects, JsonValue

RICH = profile(permissions=("money:spend", "network:outbound", "model:invoke"))


def proposal(*steps: dict[str, Any], **fields: Any) -> JsonValue:
    return {"steps": list(steps), "answer": "done", **fields}


def a_step(step_id: str, skill: str = "look", **fields: Any) -> dict[str, Any]:
    return {"id": step_id, "skill": skill, **fields}


def admitted(*steps: dict[str, Any], taken: tuple[str, ...] = ("plan",), **fields: Any) -> Plan:
    return admit(proposal(*steps, **fields), SMALL, RICH, taken)


def problems(
    *steps: dict[str, Any], taken: tuple[str, ...] = ("plan",), using: Any = RICH, **fields: Any
) -> list[str]:
    with pytest.raises(InvalidPlan) as caught:
        admit(proposal(*steps, **fields), SMALL, using, taken)
    assert str(caught.value) == "; ".join(caught.value.problems)
    return caught.value.problems


# what is pinned


def test_a_step_is_pinned_to_what_is_installed_now() -> None:
    (step,) = admitted(a_step("s", "send", params={"method": "POST"}, on_error="continue")).steps
    assert (step.version, step.effects) == ("2.1.0", Effects.UNSAFE)
    assert step.retry == SMALL["send"].retry
    assert step.on_error is OnError.CONTINUE


def test_what_a_skill_has_hooks_for_is_pinned_too() -> None:
    descriptor = SMALL["send"].model_copy(update={"reconciles": True, "compensates": True})
    plan = admit(proposal(a_step("s", "send")), {"send": descriptor}, RICH, ())
    assert (plan.steps[0].reconciles, plan.steps[0].compensates) == (True, True)
    assert not admitted(a_step("s", "send")).steps[0].reconciles


@pytest.mark.parametrize("skill", sorted(WAITS))
def test_waits_may_be_planned_though_no_skill_of_the_name_is_installed(skill: str) -> None:
    (step,) = admitted(a_step("w", skill)).steps
    assert (step.skill, step.effects) == (skill, Effects.PURE)
    narrow = allowed(SMALL, profile(skills=("look",)))
    assert (skill in narrow) is (skill != CHILD), "waits are everybody's, child runs are not"


def test_answer_and_memo_pass_through() -> None:
    plan = admitted(a_step("a"), answer={"x": ["{{a.n}}"]}, memo={"m": [1]})
    assert (plan.answer, plan.memo, plan.literal) == ({"x": ["{{a.n}}"]}, {"m": [1]}, False)


@pytest.mark.parametrize(
    ("params", "effects"),
    [
        ({}, Effects.READ),
        ({"method": "GET"}, Effects.READ),
        ({"method": "POST"}, Effects.UNSAFE),
        ({"method": "{{a.verb}}"}, Effects.UNSAFE),
        ({"method": " {{ a }} "}, Effects.UNSAFE),
        ({"method": ["GET"]}, Effects.UNSAFE),
        ({"method": None}, Effects.UNSAFE),
        ({"method": "GET", "body": "{{a}}"}, Effects.READ),
    ],
)
def test_what_a_reference_may_turn_out_to_be_counts_as_the_worst(
    params: dict[str, JsonValue], effects: Effects
) -> None:
    assert admitted(a_step("a"), a_step("s", "send", params=params)).steps[1].effects is effects


def test_a_post_by_reference_is_unsafe_with_the_real_http_call_too() -> None:
    for method, effects in (("GET", Effects.READ), ("{{a.verb}}", Effects.UNSAFE)):
        params = {"url": "https://x.example", "method": method}
        plan = admit(
            proposal(a_step("s", "http_call", params=params)), SHIPPED, RICH, ["plan", "a"]
        )
        assert plan.steps[0].effects is effects


def test_references_are_dependencies_that_need_not_be_named() -> None:
    deep: JsonValue = {"x": [{"y": "see {{b.t}}"}]}
    plan = admitted(a_step("a"), a_step("b"), a_step("c", params=deep, depends_on=["a"]))
    step = plan.steps[2]
    assert step.depends_on == ("a", "b")


def test_earlier_rounds_may_be_referred_to() -> None:
    (step,) = admitted(a_step("b", params={"x": "{{a}}"}), taken=("plan", "a", "plan-2")).steps
    assert step.depends_on == ("a",)


def test_in_a_literal_plan_braces_are_text() -> None:
    plan = admitted(
        a_step("a", params={"x": "{{nobody}}"}), literal=True, answer="{{nobody.either}}"
    )
    assert plan.literal
    assert plan.steps[0].literal
    assert plan.steps[0].depends_on == ()


# what is refused


def test_neither_steps_nor_an_answer() -> None:
    assert problems(answer=None) == ["the plan has neither steps nor an answer"]
    assert admitted(a_step("a"), answer=None).answer is None
    assert admitted(answer="at once").steps == ()
    assert admitted(answer=0).answer == 0


def test_an_unknown_skill() -> None:
    assert problems(a_step("a", "fly")) == ["step 'a' names the unknown skill 'fly'"]


@pytest.mark.parametrize(
    "using",
    [
        profile(permissions=("money:spend",), skills=("look",)),
        profile(permissions=("money:spend",), denied_skills=("pay",)),
        profile(permissions=("money:spend",), skills=("pay",), denied_skills=("pay",)),
        profile(permissions=()),
    ],
    ids=["not listed", "denied", "listed and denied", "without the permission"],
)
def test_a_skill_that_this_agent_may_not_use(using: Any) -> None:
    assert problems(a_step("a", "pay"), using=using) == [
        "step 'a' uses skill 'pay', which this agent may not use"
    ]
    assert "pay" not in allowed(SMALL, using)


def test_a_planner_cannot_plan_planners() -> None:
    assert "planner.scripted" not in allowed(SMALL, RICH)
    assert "may not use" in problems(a_step("a", "planner.scripted"))[0]


def test_an_id_used_twice_in_the_plan_or_before_it() -> None:
    assert problems(a_step("a"), a_step("a")) == ["step id 'a' is used twice"]
    assert problems(a_step("b"), taken=("plan", "b")) == ["step id 'b' is used twice"]


def test_the_ids_of_later_planning_rounds_are_not_free() -> None:
    """`plan-2` is the run's own: a step of that name would be overwritten when round 2 opens."""
    assert problems(a_step("plan-2"), answer=None) != []


def test_a_dependency_that_does_not_exist() -> None:
    assert problems(a_step("a", depends_on=["b"])) == [
        "step 'a' depends on 'b', which does not exist"
    ]
    assert problems(a_step("a", params={"x": "{{b.c}}"})) == [
        "step 'a' depends on 'b', which does not exist"
    ]
    assert problems(a_step("a"), answer="{{b}}") == [
        "the answer refers to 'b', which does not exist"
    ]


@pytest.mark.parametrize(
    ("edges", "circle"),
    [
        ({"a": ["a"]}, "a → a"),
        ({"a": ["b"], "b": ["a"]}, "a → b → a"),
        ({"a": [], "b": ["a", "d"], "c": ["b"], "d": ["c"], "e": ["d"]}, "b → d → c → b"),
    ],
)
def test_a_circle_is_shown(edges: dict[str, list[str]], circle: str) -> None:
    steps = [a_step(step_id, depends_on=needs) for step_id, needs in edges.items()]
    assert problems(*steps) == [f"the steps depend on each other in a circle: {circle}"]


def test_a_circle_by_reference_is_one_too() -> None:
    steps = (a_step("a", params={"x": "{{b}}"}), a_step("b", params={"x": "{{a}}"}))
    assert "circle" in problems(*steps)[0]


def test_more_steps_than_the_profile_allows() -> None:
    few = profile(max_steps=3)
    assert len(admit(proposal(*map(a_step, "abc")), SMALL, few, ["plan"]).steps) == 3
    assert problems(*map(a_step, "abcd"), using=few) == ["the plan goes over the limit of 3 steps"]
    assert problems(*map(a_step, "cd"), using=few, taken=("plan", "a", "b", "plan-2")) == [
        "the plan goes over the limit of 3 steps"
    ]


def test_every_problem_is_named_at_once() -> None:
    found = problems(a_step("a", "fly"), a_step("b", depends_on=["x"]), answer="{{y}}")
    assert len(found) == 3


@pytest.mark.parametrize(
    "malformed",
    [None, 7, "steps", [], {}, {"steps": 1}, {"steps": [None]}, {"steps": [{"id": "a"}]},
     {"answer": 1, "more": 2}, {"steps": [a_step("A b")]}, {"steps": [a_step("")]},
     {"steps": [a_step("a", params=[1])]}, {"steps": [a_step("a", on_error="ignore")]}],
    ids=repr,
)  # fmt: skip
def test_what_is_no_proposal_is_an_invalid_plan(malformed: JsonValue) -> None:
    with pytest.raises(InvalidPlan) as caught:
        admit(malformed, SMALL, RICH, ["plan"])
    assert caught.value.problems


names = st.sampled_from([*SMALL, "fly"])
words = st.sampled_from(["a", "b", "c", "plan", "x y", "{{a}}", "{{b.t}}", "\ud800"])
near_misses = st.fixed_dictionaries(
    {},
    optional={
        "steps": st.lists(
            st.fixed_dictionaries(
                {"id": words | step_ids, "skill": names},
                optional={
                    "params": st.dictionaries(words, words | json_values, max_size=3) | json_values,
                    "depends_on": st.lists(words, max_size=2),
                    "on_error": st.sampled_from(["abort", "continue", "x"]),
                },
            ),
            max_size=4,
        ),
        "answer": words | json_values,
        "memo": json_values,
        "literal": st.booleans(),
    },
)


@given(json_values | json_objects | near_misses, st.sets(words, max_size=3))
def test_whatever_a_planner_says_is_a_plan_or_an_invalid_plan(said: Any, taken: set[str]) -> None:
    named: list[str] = []
    try:
        plan = admit(said, SMALL, RICH, taken)
    except InvalidPlan as error:
        plan, named = None, error.problems
    if plan is None:
        assert named
        assert all(named)
        return
    ids = [step.id for step in plan.steps]
    assert len(set(ids)) == len(ids)
    assert not set(ids) & taken
    assert all(set(step.depends_on) <= set(ids) | taken for step in plan.steps)
    assert plan.steps or plan.answer is not None
