"""Declarations: what is accepted, and what each mistake is answered with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aos.cluster.errors import AosError
from aos.supervisors.spec import (
    NO_BACKOFF,
    AutoShutdown,
    Backoff,
    ChildType,
    Intensity,
    Restart,
    Shutdown,
    Strategy,
)
from aos.supervisors.teams.errors import (
    AgentTwice,
    DuplicateChild,
    EmptyTeam,
    InvalidDeclaration,
    NeverSignificant,
    TeamCycle,
    TooLarge,
    UnknownTeam,
    UnreadableText,
)
from aos.supervisors.teams.rules import declared, members
from aos.supervisors.teams.specs import supervisor_spec, team_child

WHOLE = """\
name: research-desk
strategy: rest_for_one
intensity: {restarts: 3, period_s: 60}
auto_shutdown: any_significant
restart: transient
children:
  - {id: planner, agent: planner-1, restart: transient, significant: true, goal: "Fetch it"}
  - {id: scribe, agent: scribe-1, shutdown: 12}
  - {id: clock, service: my_package.clock:Clock, args: {tick_s: 5}, resources: {CPU: 0.1}}
  - id: desk
    team: {strategy: one_for_all, children: [{id: alice, agent: alice, shutdown: brutal_kill}]}
  - {id: night, team: night-shift, shutdown: infinity}
teams:
  night-shift:
    quarantine: {restarts: 2, period_s: 10, for_s: 30}
    backoff: {first_s: 1}
    children: [{id: owl, agent: owl}]
"""
TEAM_ID = UUID(int=7)


def refusal(text: str) -> InvalidDeclaration:
    with pytest.raises(InvalidDeclaration) as refused:
        declared(text)
    return refused.value


def of_children(*children: str, **fields: str) -> str:
    """A small team; each child and field as YAML."""
    head = "".join(f"{name}: {value}\n" for name, value in fields.items())
    return f"name: t\n{head}children:\n" + "".join(f"  - {{{child}}}\n" for child in children)


def spec_of(text: str, **agents: UUID) -> object:
    declaration, _ = declared(text)
    names = [m.child.agent for m in members(declaration) if m.child.agent]
    return supervisor_spec(declaration, TEAM_ID, {name: uuid4() for name in names} | agents)


def test_a_whole_declaration_becomes_a_tree_of_specs() -> None:
    declaration, _ = declared(WHOLE)
    ids = {name: uuid4() for name in ("planner-1", "scribe-1", "alice", "owl")}
    spec = supervisor_spec(declaration, TEAM_ID, ids)
    assert (spec.id, spec.strategy) == (f"team:{TEAM_ID}", Strategy.REST_FOR_ONE)
    assert spec.intensity == Intensity(3, timedelta(seconds=60))
    assert (spec.auto_shutdown, spec.budgets) == (AutoShutdown.ANY_SIGNIFICANT, None)
    planner, scribe, clock, desk, night = spec.children
    assert (planner.start, planner.restart, planner.significant) == (
        "agent", Restart.TRANSIENT, True,
    )  # fmt: skip
    assert planner.args == {"agent_id": str(ids["planner-1"]), "goal": True}
    assert (scribe.restart, scribe.shutdown) == (Restart.PERMANENT, timedelta(seconds=12))
    assert clock.args == {
        "service": "my_package.clock:Clock",
        "args": {"tick_s": 5},
        "resources": {"CPU": 0.1},
        "place": f"team:{TEAM_ID}/clock",
    }
    assert (desk.start, desk.type, desk.patience) == ("supervisor", ChildType.SUPERVISOR, None)
    inner = desk.args["spec"]
    assert (inner.id, inner.strategy) == (f"team:{TEAM_ID}/desk", Strategy.ONE_FOR_ALL)
    assert inner.children[0].shutdown is Shutdown.BRUTAL_KILL
    named = night.args["spec"]
    assert night.shutdown is Shutdown.INFINITY
    assert named.budgets.crash == Intensity(2, timedelta(seconds=10))
    assert named.quarantine == timedelta(seconds=30)
    assert named.backoff == Backoff(timedelta(seconds=1), timedelta(seconds=60))


def test_the_team_itself_is_a_child_of_the_agents_supervisor() -> None:
    child = team_child(TEAM_ID, "permanent")
    assert (child.id, child.start, child.type) == (f"team:{TEAM_ID}", "team", ChildType.SUPERVISOR)
    assert (child.restart, child.args) == (Restart.PERMANENT, {"team_id": str(TEAM_ID)})


def test_members_are_found_in_start_order_with_their_paths() -> None:
    declaration, _ = declared(WHOLE)
    assert [member.name for member in members(declaration)] == [
        "planner", "scribe", "clock", "desk", "desk/alice", "night", "night/owl",
    ]  # fmt: skip


def test_what_is_left_out_has_defaults() -> None:
    declaration, _ = declared("name: t\nchildren: [{id: a, agent: a}]")
    assert (declaration.strategy, declaration.restart) == ("one_for_one", "transient")
    assert declaration.children[0].restart == "permanent"
    spec = supervisor_spec(declaration, TEAM_ID, {"a": uuid4()})
    assert (spec.intensity, spec.backoff) == (Intensity(5, timedelta(seconds=30)), Backoff())


def test_otp_mode_does_without_what_otp_has_not() -> None:
    spec = spec_of(of_children("id: a, agent: a", otp="true"))
    assert (spec.backoff, spec.strict_start) == (NO_BACKOFF, True)


def test_json_is_read_as_well() -> None:
    text = json.dumps(
        {"name": "t", "children": [{"id": "a", "agent": "a", "restart": "temporary"}]}
    )
    declaration, _ = declared(f"\n{text}")
    assert declaration.children[0].restart == "temporary"
    assert declared("{name: t, children: [{id: a, agent: a}]}")[0].name == "t"


WRONG = {
    "an unknown strategy": (
        of_children("id: a, agent: a", strategy="one_for_two"),
        InvalidDeclaration, "strategy", 2,
        "'one_for_two' is none of 'one_for_one', 'one_for_all' or 'rest_for_one'",
    ),
    "a negative intensity": (
        of_children("id: a, agent: a", intensity="{restarts: -1, period_s: 5}"),
        InvalidDeclaration, "intensity.restarts", 2,
        "Input should be greater than or equal to 0, not -1",
    ),
    "a period of nothing": (
        of_children("id: a, agent: a", intensity="{restarts: 1, period_s: 0}"),
        InvalidDeclaration, "intensity.period_s", 2, "Input should be greater than 0, not 0",
    ),
    "an intensity that is half there": (
        of_children("id: a, agent: a", intensity="{restarts: 1}"),
        InvalidDeclaration, "intensity.period_s", 2, "is missing",
    ),
    "two children of one id": (
        of_children("id: a, agent: a", "id: a, agent: b"),
        DuplicateChild, "children[1].id", 4, "'a' is the id of an earlier child",
    ),
    "significant and permanent": (
        of_children("id: a, agent: a, significant: true", auto_shutdown="any_significant"),
        NeverSignificant, "children[0].significant", 4,
        "a is significant and permanent, so it would never end for good",
    ),
    "significant under never": (
        of_children("id: a, agent: a, significant: true, restart: transient"),
        NeverSignificant, "children[0].significant", 3,
        "a is significant, but auto_shutdown of its team is never",
    ),
    "a permanent team that ends by itself": (
        of_children("id: a, agent: a", auto_shutdown="any_significant", restart="permanent"),
        NeverSignificant, "restart", 3,
        "is permanent, so a team with auto_shutdown any_significant would be started again each",
    ),
    "a permanent inner team that ends by itself": (
        of_children("id: a, team: {auto_shutdown: all_significant, children: [{id: b, agent: b}]}"),
        NeverSignificant, "children[0].restart", 3, "is permanent, so a team with auto_shutdown",
    ),
    "a permanent named team that ends by itself": (
        of_children("id: a, team: u")
        + "teams: {u: {auto_shutdown: any_significant, children: [{id: b, agent: b}]}}",
        NeverSignificant, "children[0].restart", 3, "is permanent, so a team with auto_shutdown",
    ),
    "a team that contains itself": (
        of_children("id: a, team: u") + "teams: {u: {children: [{id: b, team: u}]}}",
        TeamCycle, "teams.u.children[0].team", 4, "contains itself: u → u",
    ),
    "teams that contain each other": (
        of_children("id: a, agent: a")
        + "teams:\n  u: {children: [{id: b, team: v}]}\n"
        + "  v: {children: [{id: c, team: {children: [{id: d, team: u}]}}]}",
        TeamCycle, "teams.v.children[0].team.children[0].team", 6, "contains itself: u → v → u",
    ),
    "an unknown team": (
        of_children("id: a, team: nobody") + "teams: {u: {children: [{id: b, agent: b}]}}",
        UnknownTeam, "children[0].team", 3, "no team 'nobody' under `teams`: u",
    ),
    "an unknown key": (
        of_children("id: a, agent: a", stratgy="one_for_one"),
        InvalidDeclaration, "stratgy", 2, "this key is not known; did you mean strategy?",
    ),
    "an unknown key of a child": (
        of_children("id: a, agent: a, restrat: permanent"),
        InvalidDeclaration, "children[0].restrat", 3,
        "this key is not known; did you mean restart?",
    ),
    "an unknown key that is like none": (
        of_children("id: a, agent: a", intensity="{zebra: 1, restarts: 1, period_s: 1}"),
        InvalidDeclaration, "intensity.zebra", 2,
        "this key is not known; known here: restarts, period_s",
    ),
    "a top-level key in an inner team": (
        of_children("id: a, team: {restart: permanent, children: [{id: b, agent: b}]}"),
        InvalidDeclaration, "children[0].team.restart", 3, "this key is not known",
    ),
    "an empty team": ("name: t\nchildren: []", EmptyTeam, "children", 2, "at least one child"),
    "a team without children": ("name: t", EmptyTeam, "children", 1, "at least one child"),
    "a team with children left empty": (
        "name: t\nchildren:", EmptyTeam, "children", 2, "at least one child",
    ),
    "an empty inner team": (
        of_children("id: a, team: {children: []}"),
        EmptyTeam, "children[0].team.children", 3, "at least one child",
    ),
    "an empty named team": (
        of_children("id: a, agent: a") + "teams: {u: {children: []}}",
        EmptyTeam, "teams.u.children", 4, "at least one child",
    ),
    "a child of no kind": (
        of_children("id: a"),
        InvalidDeclaration, "children[0]", 3, "one of agent, service and team; this has none",
    ),
    "a child of two kinds": (
        of_children("id: a, agent: a, service: 'b:C'"),
        InvalidDeclaration, "children[0]", 3, "this has agent and service",
    ),
    "a goal for a service": (
        of_children("id: a, service: 'b:C', goal: g"),
        InvalidDeclaration, "children[0].goal", 3, "only a child that is an agent has it",
    ),
    "resources for an agent": (
        of_children("id: a, agent: a, resources: {CPU: 1}"),
        InvalidDeclaration, "children[0].resources", 3, "only a child that is a service has it",
    ),
    "a part of a large resource": (
        of_children("id: a, service: 'b:C', resources: {CPU: 1.5}"),
        InvalidDeclaration, "children[0].resources.CPU", 3, "1.5 of CPU is not possible",
    ),
    "a negative resource": (
        of_children("id: a, service: 'b:C', resources: {CPU: -1}"),
        InvalidDeclaration, "children[0].resources.CPU", 3, "greater than or equal to 0, not -1",
    ),
    "a service without a class": (
        of_children("id: a, service: my_package.clock"),
        InvalidDeclaration, "children[0].service", 3,
        "'my_package.clock' is not of the form package.module:Class",
    ),
    "a name that is none": (
        "name: Research Desk\nchildren: [{id: a, agent: a}]",
        InvalidDeclaration, "name", 1, "'Research Desk' is not a name",
    ),
    "an id that YAML takes for something else": (
        of_children("id: no, agent: a"),
        InvalidDeclaration, "children[0].id", 3, "False is not a text; in quotes everything is one",
    ),
    "a named team whose name is none": (
        of_children("id: a, agent: a") + "teams: {Night Shift: {children: [{id: b, agent: b}]}}",
        InvalidDeclaration, "teams.Night Shift", 4, "'Night Shift' is not a name",
    ),
    "a shutdown that is none": (
        of_children("id: a, agent: a, shutdown: soon"),
        InvalidDeclaration, "children[0].shutdown", 3,
        "'soon' is not a number of seconds, brutal_kill or infinity",
    ),
    "a team that is a number": (
        of_children("id: a, team: 3"),
        InvalidDeclaration, "children[0].team", 3, "3 is not the name of a team, or a team",
    ),
    "children that are no list": (
        "name: t\nchildren: alice", InvalidDeclaration, "children", 2, "'alice' is not a list",
    ),
    "a child that is no mapping": (
        "name: t\nchildren: [alice]",
        InvalidDeclaration, "children[0]", 2, "'alice' is not a mapping of keys to values",
    ),
    "an argument that JSON does not have": (
        of_children("id: a, service: 'b:C', args: {day: 2026-11-21}"),
        InvalidDeclaration, "children[0].args.day", 3, "is not a value of JSON",
    ),
    "an argument that is no number": (
        of_children("id: a, service: 'b:C', args: {x: .nan}"),
        InvalidDeclaration, "children[0]", 3, "cannot be written as JSON",
    ),
    "a goal with a NUL": (
        of_children('id: a, agent: a, goal: "\\0"'),
        InvalidDeclaration, "children[0]", 3, "must not contain NUL",
    ),
    "a backoff that is upside down": (
        of_children("id: a, agent: a", backoff="{first_s: 2, longest_s: 1}"),
        InvalidDeclaration, "backoff", 2, "first_s is longer than longest_s",
    ),
    "a quarantine of those that go together": (
        of_children(
            "id: a, agent: a", strategy="one_for_all", quarantine="{restarts: 1, period_s: 1}"
        ),
        InvalidDeclaration, "quarantine", 3, "needs one_for_one",
    ),
    "a backoff in OTP's mode": (
        of_children("id: a, agent: a", otp="true", backoff="{first_s: 1}"),
        InvalidDeclaration, "backoff", 3, "OTP has none",
    ),
    "an agent twice": (
        of_children("id: a, agent: x", "id: b, team: {children: [{id: c, agent: x}]}"),
        AgentTwice, "children[1].team.children[0].agent", 4,
        "agent 'x' is a member already, as a",
    ),
    "an agent in a named team that is used twice": (
        of_children("id: a, team: u", "id: b, team: u")
        + "teams: {u: {children: [{id: c, agent: x}]}}",
        AgentTwice, "teams.u.children[0].agent", 5, "agent 'x' is a member already, as a/c",
    ),
    "a key twice": (
        "name: t\nname: u\nchildren: [{id: a, agent: a}]",
        InvalidDeclaration, "name", 2, "is given twice",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG, ids=list(WRONG))
def test_each_mistake_is_named_with_its_place(case: str) -> None:
    text, error, place, line, message = WRONG[case]
    refused = refusal(text)
    assert type(refused) is error
    first = refused.context["errors"][0]
    assert (first["field"], f"(line {line})" in first["message"]) == (place, True), first
    assert message in first["message"]
    assert f"{place} (line {line}): " in refused.detail
    assert refused.next_action


UNREADABLE = {
    "not YAML": ("name: [t\n", UnreadableText, "line 2, column 1: expected"),
    "a tab": ("name: t\n\tchildren: []", UnreadableText, "line 2, column 1"),
    "a list": ("- name: t", UnreadableText, "this is list"),
    "nothing": ("# only a comment", UnreadableText, "this is nothing"),
    "a text": ("research desk", UnreadableText, "this is str"),
    "two documents": ("name: t\n---\nname: u", UnreadableText, "line 2"),
    "an object of Python": ("!!python/object:os.system {}", UnreadableText, "tag"),
    "a day that is none": ("name: 2026-13-45", UnreadableText, "a value cannot be read"),
    "an alias of nothing": ("name: *t", UnreadableText, "undefined alias"),
    "too long": ("#" * 70_000, TooLarge, "70000 characters"),
    "too deep": ("a: " + "[" * 60 + "]" * 60, TooLarge, "deeper than 40"),
    "far too deep": ("[" * 9_000, TooLarge, "too deeply"),
    "deep JSON": ('{"a":' * 60 + "1" + "}" * 60, TooLarge, "deeper than 40"),
    "far too deep JSON": ('{"a":' * 9_000, TooLarge, "too deeply"),
    "too many values": ("a: [" + "1," * 11_000 + "]", TooLarge, "more than 10000 values"),
    "a circle": ("a: &a [*a]", TooLarge, "deeper than 40"),
    "a bomb": (
        "b0: &b0 [1,1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 10)}]\n" for n in range(1, 9)),
        TooLarge, "more than 10000 values",
    ),
    "a key of JSON twice": ('{"name": "t", "name": "u"}', InvalidDeclaration, "given twice"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREADABLE, ids=list(UNREADABLE))
def test_what_cannot_be_read_is_said(case: str) -> None:
    text, error, message = UNREADABLE[case]
    refused = refusal(text)
    assert type(refused) is error
    assert message in refused.detail


def test_all_mistakes_are_told_in_the_order_of_their_lines() -> None:
    refused = refusal(
        "name: t\nchildren:\n"
        "  - {id: a, agent: x, significant: true}\n"
        "  - {id: b, team: {children: []}}\n"
        "  - {id: b, agent: x, goal: g, args: {x: 1}}\n"
    )
    told = [(error["field"], error["message"]) for error in refused.context["errors"]]
    lines = [int(match[1]) for _, m in told if (match := re.search(r"line (\d+)", m))]
    assert lines == sorted(lines)
    assert len(told) == len(lines) == 5
    many = refusal("name: t\n" + "".join(f"k{n}: 1\n" for n in range(9)) + "children: []\n")
    assert "; and 4 more" in many.detail
    assert len(many.context["errors"]) == 9, "the empty team is only looked for in a right shape"


def test_teams_are_bounded_in_number_and_depth() -> None:
    doubling = "".join(
        f"  t{n}: {{children: [{{id: a, team: t{n + 1}}}, {{id: b, team: t{n + 1}}}]}}\n"
        for n in range(30)
    )
    bomb = f"name: t\nchildren: [{{id: a, team: t0}}]\nteams:\n{doubling}"
    last = "  t30: {children: [{id: s, service: 'm:C'}]}\n"
    refused = refusal(bomb + last)
    assert type(refused) is TooLarge
    assert "more than 200 children" in refused.detail
    deep = "{children: [{id: a, service: 'm:C'}]}"
    for _ in range(8):
        deep = f"{{children: [{{id: a, team: {deep}}}]}}"
    refused = refusal(f"name: t\nchildren: [{{id: a, team: {deep}}}]")
    assert "nested more than 8 deep" in refused.detail


# properties

Data = dict[str, Any]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1) | st.text(max_size=3),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
SECONDS = st.integers(1, 100) | st.floats(0.1, 100)
INTENSITY = st.fixed_dictionaries({"restarts": st.integers(0, 9), "period_s": SECONDS})


@st.composite
def kinds(draw: st.DrawFn, depth: int, named: list[str]) -> Data:
    kind = draw(st.sampled_from(["agent", "service", *["team"] * (depth > 0)]))
    if kind == "agent":
        agent: Data = {"agent": f"a{draw(st.uuids()).hex}"}
        goal = draw(st.none() | st.text("abc ", min_size=1))
        return agent if goal is None else {**agent, "goal": goal}
    if kind == "service":
        args = draw(st.dictionaries(st.text(max_size=2), JSON, max_size=2))
        return {"service": "m.n:C", "args": args, "resources": {"CPU": draw(st.floats(0, 1))}}
    if named and draw(st.booleans()):
        return {"team": draw(st.sampled_from(named))}
    return {"team": draw(groups(depth - 1, named))}


@st.composite
def groups(draw: st.DrawFn, depth: int = 2, named: Sequence[str] = ()) -> Data:
    """A team without a mistake, its inner teams included."""
    auto = draw(st.sampled_from(["never", "any_significant", "all_significant"]))
    children: list[Data] = []
    for number in range(draw(st.integers(1, 3))):
        child = draw(kinds(depth, list(named)))
        permanent = draw(st.booleans()) and "team" not in child
        child |= {"id": f"c{number}", "restart": "permanent" if permanent else "transient"}
        if not permanent and auto != "never":
            child["significant"] = draw(st.booleans())
        if draw(st.booleans()):
            child["shutdown"] = draw(SECONDS | st.sampled_from(["brutal_kill", "infinity"]))
        children.append(child)
    strategy = draw(st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]))
    group: Data = {"strategy": strategy, "auto_shutdown": auto, "children": children}
    if draw(st.booleans()):
        group["intensity"] = draw(INTENSITY)
    if draw(st.booleans()):
        return {**group, "otp": True}
    if strategy == "one_for_one" and draw(st.booleans()):
        group["quarantine"] = draw(INTENSITY)
    return group


@st.composite
def declarations(draw: st.DrawFn) -> Data:
    """Services only in the named team, which may be used often: an agent is a member once."""
    named = {"u": {"children": [{"id": "s", "service": "m:C"}]}}
    return {"name": "t", "restart": "transient", "teams": named, **draw(groups(2, ["u"]))}


def places(data: object, path: Sequence[Any] = ()) -> Iterator[Sequence[Any]]:
    """Every place in nested data, the innermost included."""
    items = data.items() if isinstance(data, dict) else enumerate(data if data else ())
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


@given(declarations(), st.booleans())
def test_a_declaration_without_a_mistake_can_be_supervised(data: Data, as_yaml: bool) -> None:
    text = yaml.safe_dump(data, allow_unicode=True) if as_yaml else json.dumps(data)
    declaration, _ = declared(text)
    names = [m.child.agent for m in members(declaration) if m.child.agent]
    spec = supervisor_spec(declaration, TEAM_ID, {name: uuid4() for name in names})
    assert [child.id for child in spec.children] == [child["id"] for child in data["children"]]
    again = type(declaration).model_validate_json(declaration.model_dump_json(exclude_none=True))
    assert again == declaration, "what is stored is read back as it was"


@given(declarations(), st.data())
def test_a_mistake_anywhere_is_refused_with_its_place_or_harmless(
    data: Data, drawn: st.DataObject
) -> None:
    """Nothing that is accepted is refused later, and nothing ends in any other error."""
    *outer, last = drawn.draw(st.sampled_from([*places(data)]))
    holder = data
    for key in outer:
        holder = holder[key]
    if drawn.draw(st.booleans()):
        del holder[last]
    else:
        holder[last] = drawn.draw(
            st.sampled_from([None, -1, 0.5, True, "permanent", "never", "u", [], {}, [{}], "\x00"])
        )
    try:
        declaration, _ = declared(json.dumps(data))
    except InvalidDeclaration as error:
        told = [field["message"] for field in error.context["errors"]]
    else:
        names = [m.child.agent for m in members(declaration) if m.child.agent]
        spec = supervisor_spec(declaration, TEAM_ID, {name: uuid4() for name in names})
        told = [spec.id]
    assert all(told)
    assert told


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        declared(text)
    except AosError as error:
        assert isinstance(error, InvalidDeclaration)  # noqa: PT017 - either is fine, and no other
