"""The offline planner: what it understands, word by word, and that it never guesses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st
from tests.support.catalogue import SHIPPED, plan_request
from tests.support.runs import profile
from tests.support.skill_calls import settings

from aos.actors.planning.admission import admit
from aos.actors.planning.protocol import PlanProposal, ProposedStep
from aos.actors.planning.rules import rules
from aos.actors.runs.references import referenced, resolve
from aos.cluster.canonical import canonical
from aos.skills.contracts import Effects, SkillDescriptor
from aos.skills.skill import SkillContext, SkillFailure

PAGE = "https://example.com/a?b=1"


async def planned(goal: str, catalogue: Any = SHIPPED, **fields: Any) -> PlanProposal:
    return await rules(plan_request(goal, catalogue, **fields), SkillContext(settings=settings()))


async def shape(goal: str) -> list[tuple[str, str]]:
    return [(step.id, step.skill) for step in (await planned(goal)).steps]


async def refusal(goal: str, catalogue: Any = SHIPPED, **fields: Any) -> SkillFailure:
    with pytest.raises(SkillFailure) as caught:
        await planned(goal, catalogue, **fields)
    return caught.value


def parts_of(step: ProposedStep) -> list[Any]:
    wanted = step.params["what"]
    assert isinstance(wanted, list)
    return wanted


def text_of(value: Any) -> str:
    return canonical(value).decode()


async def test_one_page_is_fetched_extracted_and_written_about() -> None:
    proposal = await planned(f"Fetch {PAGE}, extract the headings and summarise them.")
    fetch, extract, summarise = proposal.steps
    assert (fetch.id, fetch.skill, fetch.params) == ("fetch", "http_call", {"url": PAGE})
    assert (extract.id, extract.skill) == ("extract", "html_extract")
    assert extract.params["html"] == "{{fetch.body}}"
    assert "headings" in parts_of(extract)
    assert (summarise.id, summarise.skill) == ("summarise", "llm_invoke")
    assert referenced(summarise.params) == {"extract"}
    assert proposal.answer == "{{summarise.text}}"


async def test_many_pages_are_branches_that_meet_at_the_end() -> None:
    proposal = await planned("Compare http://b.example/1 with http://a.example/2.")
    assert [step.params["url"] for step in proposal.steps[:2]] == [
        "http://b.example/1", "http://a.example/2",
    ]  # fmt: skip
    plan = admit(proposal.model_dump(mode="json"), SHIPPED, profile(), ["plan"])
    assert {step.id: step.depends_on for step in plan.steps} == {
        "fetch-1": (),
        "fetch-2": (),
        "extract-1": ("fetch-1",),
        "extract-2": ("fetch-2",),
        "summarise": ("extract-1", "extract-2"),
    }
    assert {step.skill: step.effects for step in plan.steps}["http_call"] is Effects.READ


async def test_a_page_is_fetched_once_however_often_it_is_named() -> None:
    assert await shape(f"fetch {PAGE} and again {PAGE}.") == [("fetch", "http_call")]


async def test_fetching_alone_answers_with_the_bodies() -> None:
    assert (await planned(f"get {PAGE}")).answer == "{{fetch.body}}"
    assert (await planned("http://a.example http://b.example")).answer == [
        "{{fetch-1.body}}", "{{fetch-2.body}}",
    ]  # fmt: skip


async def test_extracting_alone_answers_with_what_was_found() -> None:
    proposal = await planned(f"the links and the title of {PAGE}")
    assert [step.id for step in proposal.steps] == ["fetch", "extract"]
    assert proposal.steps[1].params["what"] == ["links", "title"]
    assert proposal.answer == "{{extract}}"


@pytest.mark.parametrize("part", ["headings", "links", "tables", "text", "title", "metadata"])
async def test_each_part_of_a_page_can_be_asked_for(part: str) -> None:
    for word in (part, part.upper(), part.rstrip("s")):
        assert (await planned(f"{word} of {PAGE}")).steps[1].params["what"] == [part]


async def test_words_inside_an_address_are_not_wishes() -> None:
    assert await shape("get https://example.com/links/title") == [("fetch", "http_call")]


@pytest.mark.parametrize(
    ("goal", "page"),
    [
        ("see (https://x.example/a).", "https://x.example/a"),
        ("see <https://x.example/a>", "https://x.example/a"),
        ('see "https://x.example/a",', "https://x.example/a"),
        ("see https://x.example/a!?", "https://x.example/a"),
    ],
)
async def test_the_punctuation_of_the_sentence_is_not_the_addresss(goal: str, page: str) -> None:
    assert (await planned(goal)).steps[0].params == {"url": page}


@pytest.mark.parametrize(
    "verb", ["Summarise", "summarize", "Explain", "describe", "Analyse", "write", "report"]
)
async def test_a_goal_without_a_page_but_with_a_writing_verb_is_one_model_call(verb: str) -> None:
    proposal = await planned(f"{verb} the tides")
    (step,) = proposal.steps
    assert (step.skill, step.params) == ("llm_invoke", {"prompt": f"{verb} the tides"})
    assert proposal.answer == "{{write.text}}"


@pytest.mark.parametrize("goal", ["", "do something", "ftp://x.example/a", "http:// is a scheme"])
async def test_anything_else_is_refused_and_says_what_would_help(goal: str) -> None:
    failure = await refusal(goal)
    assert failure.code == "ERR_PLANNER_NO_PLAN"
    assert "http" in failure.message
    assert "ANTHROPIC_API_KEY" in failure.message


def without(*names: str) -> dict[str, SkillDescriptor]:
    return {name: each for name, each in SHIPPED.items() if name not in names}


async def test_a_plan_that_needs_a_forbidden_skill_is_refused_by_its_name() -> None:
    failure = await refusal(f"summarise {PAGE}", without("llm_invoke", "http_call"))
    assert failure.code == "ERR_PLANNER_NO_PLAN"
    assert "http_call, llm_invoke" in failure.message
    assert len((await planned(f"get {PAGE}", without("llm_invoke"))).steps) == 1


async def test_more_pages_than_steps_are_refused_before_admission_does() -> None:
    pages = " ".join(f"http://x.example/{number}" for number in range(9))
    assert (await refusal(f"get {pages}", max_steps=8)).code == "ERR_PLANNER_NO_PLAN"


@pytest.mark.parametrize(
    "braces",
    ["{{a.text}}", "{{{a.text}}}", "{{{{a}}}}", "{ {{ a }}", "{{{a}}", "{{extract.secret}}"],
)
async def test_braces_in_a_goal_are_text(braces: str) -> None:
    (alone,) = (await planned(f"explain {braces}")).steps
    assert referenced(alone.params) == frozenset()
    summarise = (await planned(f"summarise {PAGE} and {braces}")).steps[-1]
    found = {"title": "", "text": "", "headings": [], "links": [], "tables": [], "metadata": {}}
    resolve(dict(summarise.params), {"extract": found})  # refuses what is not there


@pytest.mark.parametrize("path", ["{{fetch.body}}/x", "{{fetch-2.body}}/x", "?q={{{fetch}}}/"])
async def test_braces_in_an_address_are_text(path: str) -> None:
    proposal = await planned(f"get http://a.example/{path} and http://b.example/")
    assert referenced([step.params for step in proposal.steps]) == frozenset()
    assert "{" not in text_of(proposal.steps[0].params["url"])


def words(*some: Iterable[str]) -> st.SearchStrategy[str]:
    return st.one_of(*(st.sampled_from(list(each)) for each in some))


goals = st.lists(
    words(
        [
            "https://a.example/x",
            "http://b.example/?q=1",
            "https://",
            "http://[",
            "HTTP://C.EXAMPLE",
        ],
        ["summarise", "links", "table", "title", "and", "explain", "text."],
        ["{{", "}}", "{{fetch}}", "{{{extract}}}", "{{write.text}}", "{"],
    )
    | st.text(max_size=10),
    max_size=8,
).flatmap(lambda parts: st.sampled_from(["", " "]).map(lambda glue: glue.join(parts)))


@given(goals)
@example("http://a.example/{{fetch.body}}/x")
@example("explain {{{write.text}}")
async def test_every_goal_is_planned_admissibly_or_refused(goal: str) -> None:
    try:
        proposal = await planned(goal)
    except SkillFailure as failure:
        event(failure.code)
        return
    event(f"{len(proposal.steps)} steps")
    plan = admit(proposal.model_dump(mode="json"), SHIPPED, profile(), ["plan"])
    ids = {step.id for step in plan.steps}
    assert referenced(plan.answer) <= ids
    for step in plan.steps:
        assert referenced(step.params) == set(step.depends_on) <= ids


@given(goals)
async def test_the_same_question_gives_the_same_plan_byte_for_byte(goal: str) -> None:
    async def said() -> str:
        try:
            return text_of((await planned(goal)).model_dump(mode="json"))
        except SkillFailure as failure:
            return str(failure)

    assert await said() == await said()


PROGRAM = """
import asyncio, sys
from tests.unit.actors.test_rules_planner import planned, text_of
print(text_of(asyncio.run(planned(sys.argv[1])).model_dump(mode="json")))
"""


async def test_another_process_plans_the_same_byte_for_byte() -> None:
    """In which sets, for one thing, have another order."""
    pages = " ".join(f"http://{name}.example/" for name in "abcdef")
    goal = f"Compare the links, tables, titles and metadata of {pages}"
    here = text_of((await planned(goal)).model_dump(mode="json"))
    elsewhere = subprocess.run(  # noqa: ASYNC221 - nothing else runs
        [sys.executable, "-c", PROGRAM, goal],
        env=os.environ | {"PYTHONHASHSEED": "7"}, cwd=Path(__file__).parents[3],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert elsewhere.stdout.strip() == here


def test_it_declares_itself_a_function_of_its_input() -> None:
    assert rules.descriptor.effects is Effects.PURE
    assert rules.descriptor.permissions == ()
