"""Whatever happens in a tree of supervisors: nobody is there twice, nobody is left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.scripted import IGNORE, Node, Script
from tests.support.simulation import Simulation
from tests.support.supervision import child, nested, within

from aos.cluster.exits import ExitReason
from aos.supervisors.spec import NO_BACKOFF, Backoff, ChildSpec, Restart, Strategy, SupervisorSpec
from aos.supervisors.state import Phase, RestartChild, TerminateChild

Choose = Callable[[Sequence[Any]], Any]
SURE = [None, None, None, ExitReason.START_ERROR, ExitReason.NO_CAPACITY, IGNORE]


def tree_of(choose: Choose) -> Simulation:
    """Two or three supervisors below one, with a few workers each."""
    scripts: dict[str, Script] = {}

    def worker(name: str) -> ChildSpec:
        scripts[name] = Script(
            start_seconds=choose([0, 0, 1, 30]),
            starts=[choose(SURE) for _ in range(choose(range(3)))],
            stop_seconds=choose([0, 0, 1, 30]),
        )
        return child(name, choose(list(Restart)))

    def supervisor(name: str, children: list[ChildSpec]) -> SupervisorSpec:
        return SupervisorSpec(
            name, tuple(children), choose(list(Strategy)), choose([within(1, 10), within(3, 60)]),
            backoff=choose([Backoff(), NO_BACKOFF]), strict_start=choose([True, False]),
        )  # fmt: skip

    below = [
        nested(
            supervisor(name, [worker(f"{name}{n}") for n in range(choose(range(1, 4)))]),
            choose(list(Restart)),
        )
        for name in "xyz"[: choose([2, 3])]
    ]
    return Simulation(supervisor("top", [worker("a"), *below, worker("b")]), scripts)


def something_happens(tree: Simulation, choose: Choose) -> None:
    """A process ends, somebody asks, time passes."""
    tree.later(choose([0.0, 0.0, 0.5, 7.0, 100.0]))
    names = sorted(tree.alive)
    living = sorted(name for name, node in tree.nodes.items() if node.exit is None)
    if names and choose([True, False]):
        tree.end(choose(names), choose([each for each in ExitReason if not_a_start(each)]))
    elif living:
        of = choose(living)
        request = choose([TerminateChild, RestartChild])
        tree.ask(request(choose(["a", "b", "x", "y", "z", "x0", "y1", "z2"])), of=of)


def not_a_start(reason: ExitReason) -> bool:
    """Whether a process that ran may end with it."""
    return reason not in (ExitReason.NO_CAPACITY, ExitReason.START_ERROR)


def check(tree: Simulation) -> None:
    """After an hour without trouble everybody is where its supervisor says, and nobody else is."""
    there: set[str] = set()
    todo: list[Node] = [] if tree.over else [tree.top]
    while todo:
        node = todo.pop()
        for name, known in node.state.children.items():
            assert known.phase in (Phase.RUNNING, Phase.STOPPED), f"{name} is {known.phase}"
            if known.phase is Phase.RUNNING:
                there.add(name)
                process = tree.alive[name]
                assert (process.up, process.life, process.parent) == (True, known.life, node)
                if process.node is not None:
                    todo.append(process.node)
    assert tree.alive.keys() == there


def lived(choose: Choose, length: int) -> Simulation:
    tree = tree_of(choose)
    for _ in range(length):
        something_happens(tree, choose)
    tree.later(3_600)
    check(tree)
    if tree.over is None:
        tree.stop().later(3_600)
        assert tree.over is not None
        check(tree)
    starts, ends = Counter(tree.did("start")), Counter(tree.did("end", "ignore"))
    assert starts + Counter(["top"]) == ends, "every life ends once"
    return tree


@given(st.data(), st.integers(0, 15))
def test_any_tree(data: st.DataObject, length: int) -> None:
    lived(lambda options: data.draw(st.sampled_from(options)), length)


def test_many_trees_that_live_long() -> None:
    ends = Counter[str]()
    for seed in range(150):
        tree = lived(Random(seed).choice, 30)  # noqa: S311 - a die, not a secret
        ends.update(kind for node in tree.nodes.values() for kind in {r.kind for r in node.reports})
        assert tree.over is not None
        ends[tree.over.detail.partition(" ")[0]] += 1
    assert ends.keys() >= {"gave_up", "restarting", "pending", "ignored", "failed_to_start_child"}
    assert ends.keys() >= {"", "reached_max_restart_intensity:"}
