"""The tree and its events as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from rich.console import Console, RenderableType

from aos.api.cli.tree_view import Look, render_events, render_look, render_tree
from aos.api.client.models import EventPage, SupervisionEvent, TreeNode
from aos.api.tree import Owner, scoped

NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
THREE_MINUTES_AGO = NOW - timedelta(minutes=3)
EVIL = "[bold]not markup[/] \x1b[2J\x1b]0;title\x07 end"


def printed(renderable: RenderableType, *, colours: bool = False) -> str:
    console = Console(
        width=160, force_terminal=colours, highlight=False, color_system="256" if colours else None
    )
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def node(node_id: str, *children: TreeNode, state: str = "running", **fields: Any) -> TreeNode:
    return TreeNode(id=node_id, state=state, children=list(children), **fields)


def event(number: int, **fields: Any) -> SupervisionEvent:
    given = {
        "id": number, "at": NOW, "supervisor": "agents", "child": "c", "name": "researcher",
        "epoch": 3, "kind": "restarting", "reason": "crash", "detail": "exit code 1",
        "delay_ms": 1_500, **fields,
    }  # fmt: skip
    return SupervisionEvent.model_validate(given)


def test_a_line_tells_all_that_is_known() -> None:
    tree = node(
        "root",
        node("a", pid=7, epoch=3, restarts=2, since=THREE_MINUTES_AGO, warm=2, ready=False),
        node("b", state="quarantined", until=NOW + timedelta(seconds=42), restarts=1),
        node("c", state="waiting", waits_for="needs GPU 1, the cluster has 0"),
        node("d", unreachable="did not answer within 1 s"),
        node(str(UUID(int=1)), name="researcher"),
    )
    lines = [line.strip("├└─│ ").rstrip() for line in printed(render_tree(tree, NOW)).splitlines()]
    assert lines == [
        "root  running",
        "a  running  process 7  epoch 3  2 restarts  for 3 min  warm 2, not ready",
        "b  quarantined until 12:00:42 UTC (in 42 s)  1 restart",
        "c  waiting  needs GPU 1, the cluster has 0",
        "d  running  did not answer within 1 s",
        "researcher  running",
    ]


def test_states_have_colours() -> None:
    shown = {
        state: printed(render_tree(node("x", state=state), NOW), colours=True).replace(state, "")
        for state in ("running", "waiting", "starting", "stopped", "quarantined", "unheard-of")
    }
    assert len(set(shown.values())) == len(shown)


def test_many_agents_are_folded_and_the_odd_ones_shown() -> None:
    agents = [node(f"agent-{number}") for number in range(60)]
    agents[55] = node("agent-55", state="quarantined")
    agents[57] = node("agent-57", state="waiting")
    tree = node("root", node("agents", *agents))
    folded = printed(render_tree(tree, NOW, 10))
    assert "agent-55  quarantined" in folded
    assert "agent-57  waiting" in folded
    assert "agent-8 " not in folded
    assert "… 50 more: 50 running (all of them: --all)" in folded
    assert "agent-59" in printed(render_tree(tree, NOW, None))
    assert "more" not in printed(render_tree(tree, NOW, 60))


def test_events_are_a_table_under_the_answer() -> None:
    page = EventPage(items=[event(1)], next_cursor="abc", why="researcher was restarted.")
    lines = printed(render_events(page)).splitlines()
    assert lines[0] == "researcher was restarted."
    assert lines[2].split() == ["at", "child", "event", "reason", "for", "epoch", "detail"]
    assert lines[3].split()[2:] == [
        "researcher", "restarting", "crash", "1.5", "s", "3", "exit", "code", "1",
    ]  # fmt: skip
    assert lines[4] == "more: --cursor abc"
    assert printed(render_events(EventPage(items=[], next_cursor=None))).strip() == "no events"


def test_a_look_has_the_newest_event_last_and_says_what_is_wrong() -> None:
    look = Look(node("root"), [event(2, kind="started"), event(1)], "nothing listens")
    lines = [line for line in printed(render_look(look, NOW)).splitlines() if line]
    assert [line.split()[2] for line in lines[1:3]] == ["restarting", "started"]
    assert lines[3] == "nothing listens; looking again"


def test_nothing_foreign_drives_the_terminal() -> None:
    look = Look(node(EVIL, waits_for=EVIL, unreachable=EVIL, note=EVIL), [event(1, detail=EVIL)])
    page = EventPage(items=[event(1, detail=EVIL)], next_cursor=None, why=EVIL)
    for shown in (render_look(look, NOW), render_events(page)):
        text = printed(shown)
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "[bold]not markup[/]" in text


OURS, THEIRS = str(UUID(int=1)), str(UUID(int=2))
SCRIBE = str(UUID(int=4))
OWNERS = {
    OURS: Owner("ours", "reader"),
    THEIRS: Owner("theirs", "writer"),
    SCRIBE: Owner("ours", "ada"),
}
RAW: dict[str, Any] = {
    "id": "root", "state": "running", "pid": 1, "children": [
        {"id": "hosts", "state": "running", "pid": 2},
        {"id": "agents", "state": "running", "pid": 3, "restarts": 4, "children": [
            {"id": "group", "state": "running", "pid": 9, "children": [{"id": OURS, "pid": 5}]},
            {"id": "team:1", "state": "running", "name": "desk", "tenant": "ours", "children": [
                {"id": "scribe", "agent_id": SCRIBE, "pid": 6}, {"id": "editor", "restarts": 1},
            ]},
            {"id": THEIRS, "state": "running", "pid": 4},
            {"id": str(UUID(int=3)), "state": "running"},
        ]},
    ],
}  # fmt: skip


def test_a_tenant_sees_its_agents_and_the_shape_of_what_is_above_them() -> None:
    root = scoped(RAW, OWNERS, "ours")
    seen = {node.title: node for node in root.walk()}
    assert list(seen) == [
        "root", "agents", "group", "reader", "desk", "scribe (ada)", "editor",
    ]  # fmt: skip
    for above in ("root", "agents", "group"):
        hidden = (seen[above].pid, seen[above].restarts, seen[above].tenant)
        assert (hidden, seen[above].state) == ((None, 0, None), "running")
    assert (seen["reader"].pid, seen["reader"].tenant) == (5, "ours")
    assert (seen["editor"].restarts, seen["editor"].tenant) == (1, "ours"), "all that is its team's"


def test_who_sees_all_sees_also_what_nobody_can_name() -> None:
    seen = {node.title: node.tenant for node in scoped(RAW, OWNERS, None).walk()}
    assert seen == {
        "root": None, "hosts": None, "agents": None, "group": None, "reader": "ours",
        "desk": "ours", "scribe (ada)": "ours", "editor": "ours", "writer": "theirs",
        str(UUID(int=3)): None,
    }  # fmt: skip
