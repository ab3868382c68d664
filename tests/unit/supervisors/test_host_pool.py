"""Processes are used again for the same tenant, never for another one, and not for ever."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aos.supervisors.hosts.pool import (
    Limits,
    Member,
    Pool,
    added,
    blank,
    choose,
    gave_back,
    gone,
    promised,
    shortfall,
    surplus,
    took,
    worn_out,
)

LIMITS = Limits(warm=2, most_warm=4, serves=3, rss_bytes=100)


def pool_of(*names: str) -> Pool:
    pool = Pool()
    for name in names:
        pool = added(pool, name)
    return pool


def test_a_tenant_gets_back_the_process_it_had_and_another_one_does_not() -> None:
    pool = gave_back(took(pool_of("a"), "a", "mine"), "a")
    assert choose(pool, "mine") == "a"
    assert choose(pool, "yours") is None


def test_what_is_promised_is_given_to_nobody_else_and_counts_as_kept_warm() -> None:
    pool = promised(pool_of("a"), "a")
    assert choose(pool, "mine") is None
    assert (pool.blank, pool.taken, surplus(pool, Limits(warm=0, most_warm=0))) == (1, 0, ())
    assert choose(gave_back(took(pool, "a", "mine"), "a"), "mine") == "a"


def test_a_used_process_is_preferred_to_a_blank_one() -> None:
    pool = gave_back(took(pool_of("a", "b"), "a", "mine"), "a")
    assert choose(pool, "mine") == "a"
    assert choose(pool, "yours") == "b"


def test_a_process_that_is_an_agent_is_not_chosen() -> None:
    assert choose(took(pool_of("a"), "a", "mine"), "mine") is None


def test_a_process_wears_out_by_use_and_by_growth() -> None:
    assert worn_out(Member("a", served=2), 100, LIMITS) is None
    assert worn_out(Member("a", served=3), 0, LIMITS) == "it has been an agent 3 times"
    assert worn_out(Member("a", served=1), 101, LIMITS) is not None


def test_blank_ones_are_made_for_a_tenth_of_the_agents_between_two_bounds() -> None:
    assert shortfall(Pool(), LIMITS) == 2
    busy = pool_of(*(f"h{number}" for number in range(35)))
    for name in list(busy.members):
        busy = took(busy, name, "t")
    assert shortfall(busy, LIMITS) == 4
    assert shortfall(added(busy, "spare"), LIMITS) == 3


def test_used_ones_beyond_the_bound_are_ended_longest_free_first() -> None:
    pool = pool_of("a", "b", "c", "d", "e", "f")
    for name in pool.members:
        pool = took(pool, name, "t")
    for name in ("c", "a", "b", "d", "e", "f"):
        pool = gave_back(pool, name)
    assert surplus(pool, LIMITS) == ("c", "a")


class PoolHistory(RuleBasedStateMachine):
    """Any history of a machine's pool."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool()
        self.made = 0
        self.served: dict[str, set[str]] = {}

    @rule()
    def made_one(self) -> None:
        self.made += 1
        self.pool = added(self.pool, f"h{self.made}")

    @rule(tenant=st.sampled_from(["a", "b", "c"]))
    def taken(self, tenant: str) -> None:
        if (name := choose(self.pool, tenant)) is not None:
            assert self.pool.members[name].free
            self.pool = took(self.pool, name, tenant)
            self.served.setdefault(name, set()).add(tenant)

    @rule()
    def promised_one(self) -> None:
        if (name := blank(self.pool)) is not None:
            self.pool = promised(self.pool, name)

    @precondition(lambda self: self.pool.members)
    @rule(data=st.data(), tenant=st.sampled_from(["a", "b", "c"]))
    def assigned(self, data: st.DataObject, tenant: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.pool.members)))
        if self.pool.members[name].promised:
            self.pool = took(self.pool, name, tenant)
            self.served.setdefault(name, set()).add(tenant)

    @precondition(lambda self: self.pool.members)
    @rule(data=st.data())
    def given_back(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.pool.members)))
        if self.pool.members[name].taken:
            self.pool = gave_back(self.pool, name)
            for spare in surplus(self.pool, LIMITS):
                assert self.pool.members[spare].free
                self.pool = gone(self.pool, spare)

    @precondition(lambda self: self.pool.members)
    @rule(data=st.data())
    def died(self, data: st.DataObject) -> None:
        self.pool = gone(self.pool, data.draw(st.sampled_from(sorted(self.pool.members))))

    @invariant()
    def nobody_serves_two_tenants(self) -> None:
        assert all(len(tenants) == 1 for tenants in self.served.values())

    @invariant()
    def what_is_promised_is_nobodys_yet(self) -> None:
        promises = [member for member in self.pool.members.values() if member.promised]
        assert all(not member.taken and member.tenant is None for member in promises)

    @invariant()
    def the_numbers_agree(self) -> None:
        free_used = len(self.pool.members) - self.pool.taken - self.pool.blank
        assert free_used >= 0
        assert 0 <= shortfall(self.pool, LIMITS) <= 4
        assert shortfall(self.pool, LIMITS) == 0 or not surplus(
            Pool({n: m for n, m in self.pool.members.items() if m.tenant is None}), LIMITS
        )


TestPoolHistory = PoolHistory.TestCase
TestPoolHistory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
