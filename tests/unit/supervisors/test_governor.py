"""Who is asked to go, and who is killed, when memory runs low."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.supervisors.governor import (
    KILL_ABOVE,
    PASSIVATE_ABOVE,
    PASSIVATE_TO,
    Action,
    Kill,
    Kind,
    Passivate,
    Process,
    decide,
)

MIB = 1024 * 1024
GIB = 1024 * MIB


def agent(pid: int, mib: int, *, idle: float | None = None, contract: int = 800) -> Process:
    return Process(pid, Kind.AGENT, f"agent {pid}", mib * MIB, contract * MIB, idle)


def skill(
    pid: int, mib: int, *, contract: int = 1024, idle: float | None = None, name: str = "skill"
) -> Process:
    return Process(pid, Kind.SKILL, name, mib * MIB, contract * MIB, idle)


def pids(actions: tuple[Action, ...], kind: type[Action]) -> list[int]:
    return [action.pid for action in actions if isinstance(action, kind)]


def test_at_eighty_per_cent_nobody_has_to_go() -> None:
    everybody = [agent(1, 500, idle=900.0), skill(2, 5000)]
    assert decide(everybody, 80, 100) == ()


def test_the_longest_idle_agents_go_until_enough_would_be_free() -> None:
    everybody = [
        agent(1, 100, idle=10.0),
        agent(2, 300, idle=60.0),
        agent(3, 300, idle=50.0),
        agent(4, 300, idle=40.0),
        agent(5, 900),
    ]
    actions = decide(everybody, 8_100 * MIB, 10_000 * MIB)
    assert pids(actions, Passivate) == [2, 3]
    assert [action.why for action in actions] == [
        "8,100 MiB of 10,000 MiB are used (81%); agent 2 idle for 60 s",
        "8,100 MiB of 10,000 MiB are used (81%); agent 3 idle for 50 s",
    ]


def test_the_worst_skill_is_killed_and_says_why() -> None:
    everybody = [
        agent(1, 5_000),
        skill(2, 3_000, contract=4_096),
        skill(3, 1_500, name="skill:leaky@1.0.0"),
        skill(4, 1_100),
    ]
    (action,) = decide(everybody, 9 * GIB, 10 * GIB)
    assert action == Kill(
        3,
        "9,216 MiB of 10,240 MiB are used (90%); skill:leaky@1.0.0 holds 1,500 MiB, "
        "476 MiB over its contract",
    )


def test_where_nobody_is_over_the_contract_the_largest_goes() -> None:
    (action,) = decide([skill(1, 400), skill(2, 900), agent(3, 700)], 95, 100)
    assert (action.pid, action.why) == (2, "0 MiB of 0 MiB are used (95%); skill holds 900 MiB")


def test_an_agent_is_killed_only_when_no_skill_is_left() -> None:
    spare = skill(2, 60, contract=256, idle=0.0)
    assert pids(decide([agent(1, 700), spare], 95, 100), Kill) == [1]
    assert pids(decide([agent(1, 7_000), skill(3, 60)], 95, 100), Kill) == [3]


def test_an_idle_worker_that_keeps_too_much_is_the_first_to_go() -> None:
    hoarder = skill(2, 900, contract=256, idle=0.0)
    assert pids(decide([skill(1, 1_000), hoarder], 95, 100), Kill) == [2]


def test_nobody_is_asked_to_go_and_killed_as_well() -> None:
    actions = decide([agent(1, 10, idle=5.0)], 95, 100)
    assert (pids(actions, Passivate), pids(actions, Kill)) == ([1], [])


def test_when_nobody_can_go_nothing_is_done() -> None:
    assert decide([], 100, 100) == ()


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_that_cannot_be_kept_is_refused(budget: int) -> None:
    with pytest.raises(ValueError, match="cannot be kept"):
        decide([], 0, budget)


sizes = st.integers(0, 4 * GIB)
processes = st.lists(
    st.builds(
        Process,
        pid=st.integers(1, 99_999),
        kind=st.sampled_from(Kind),
        name=st.just("someone"),
        resident=sizes,
        contract=sizes,
        idle=st.none() | st.floats(0, 1e6),
    ),
    max_size=12,
    unique_by=lambda each: each.pid,
)
machines = st.integers(1, 64 * GIB).flatmap(
    lambda budget: st.tuples(st.integers(0, 2 * budget), st.just(budget))
)


@given(processes, machines)
def test_it_only_acts_on_those_there_are_and_once_on_each(
    everybody: list[Process], machine: tuple[int, int]
) -> None:
    actions = decide(everybody, *machine)
    touched = [action.pid for action in actions]
    assert set(touched) <= {each.pid for each in everybody}
    assert len(touched) == len(set(touched))


@given(processes, machines)
def test_below_each_line_nothing_of_the_kind(
    everybody: list[Process], machine: tuple[int, int]
) -> None:
    used, budget = machine
    actions = decide(everybody, used, budget)
    if used <= PASSIVATE_ABOVE * budget:
        assert not actions
    if used <= KILL_ABOVE * budget:
        assert not pids(actions, Kill)
    assert len(pids(actions, Kill)) <= 1


@given(processes, machines)
def test_who_is_made_passive_is_idle_longest_and_no_more_than_needed(
    everybody: list[Process], machine: tuple[int, int]
) -> None:
    used, budget = machine
    gone = pids(decide(everybody, used, budget), Passivate)
    if not gone:
        return
    by_pid = {each.pid: each for each in everybody}
    idle = [each for each in everybody if each.kind is Kind.AGENT and each.idle is not None]
    ages = [by_pid[pid].idle or 0.0 for pid in gone]
    assert ages == sorted(ages, reverse=True)
    kept = [each for each in idle if each.pid not in gone]
    assert all((each.idle or 0.0) <= ages[-1] for each in kept)
    target = PASSIVATE_TO * budget
    assert used - sum(by_pid[pid].resident for pid in gone[:-1]) > target
    if kept:
        assert used - sum(by_pid[pid].resident for pid in gone) <= target


@given(processes, machines)
def test_no_skill_is_better_off_than_the_one_killed_and_no_agent_goes_before_one(
    everybody: list[Process], machine: tuple[int, int]
) -> None:
    used, budget = machine
    actions = decide(everybody, used, budget)
    passivated = pids(actions, Passivate)
    candidates = [
        each for each in everybody if each.pid not in passivated and each.worth_killing
    ]  # fmt: skip
    if used <= KILL_ABOVE * budget or not candidates:
        assert not pids(actions, Kill)
        return
    (victim,) = (each for each in everybody if each.pid == pids(actions, Kill)[0])
    rivals = [each for each in candidates if each.kind is victim.kind]
    assert max(each.excess for each in rivals) == victim.excess
    if victim.kind is Kind.AGENT:
        assert not [each for each in candidates if each.kind is Kind.SKILL]


@given(st.data(), processes, machines)
def test_the_order_of_the_list_does_not_matter(
    data: st.DataObject, everybody: list[Process], machine: tuple[int, int]
) -> None:
    shuffled = data.draw(st.permutations(everybody))
    assert decide(shuffled, *machine) == decide(everybody, *machine)


@given(processes, machines)
def test_doing_what_it_says_comes_to_an_end(
    everybody: list[Process], machine: tuple[int, int]
) -> None:
    """Each round frees what it says; after at most one round a process it has nothing to say."""
    used, budget = machine
    left = list(everybody)
    for _ in everybody:
        gone = {action.pid for action in decide(left, used, budget)}
        used = max(0, used - sum(each.resident for each in left if each.pid in gone))
        left = [each for each in left if each.pid not in gone]
    assert decide(left, used, budget) == ()


@given(processes, machines)
def test_asking_again_before_anybody_went_asks_for_the_same(
    everybody: list[Process], machine: tuple[int, int]
) -> None:
    """Passivation takes longer than a round; all have been idle a second longer by then."""
    later = [
        each if each.idle is None else replace(each, idle=each.idle + 1) for each in everybody
    ]  # fmt: skip
    first, second = (pids(decide(each, *machine), Passivate) for each in (everybody, later))
    assert sorted(first) == sorted(second) or _tied(everybody)


def _tied(everybody: list[Process]) -> bool:
    """Ages that adding a second makes equal are below a float's grain; then any choice is fair."""
    ages = [each.idle for each in everybody if each.idle is not None]
    return len({age + 1 for age in ages}) < len(ages)
