"""The fence as a model: Postgres as a serialised store, and processes that do not know they are
deposed. What the store's statements mean is what `supervision.sql` and `runs.sql` say; that they
mean it on a real Postgres too is shown by replaying a model's trace there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Write(NamedTuple):
    """One committed row of an agent's journal."""

    seq: int
    epoch: int
    writer: int
    highest: int
    """The agent's epoch at that moment."""


class Said(NamedTuple):
    """One statement with its answer."""

    statement: str
    args: tuple[Any, ...]
    answer: Any


@dataclass
class Row:
    """An agent's activation."""

    epoch: int
    state: str
    host: str | None


class SerialStore:
    """One statement after the other, each by its meaning."""

    def __init__(self) -> None:
        self.supervisor = 0
        self.activations: dict[str, Row] = {}
        self.journal: dict[str, list[Write]] = {}
        self.busy: set[str] = set()
        self.trace: list[Said] = []

    def _said(self, statement: str, *args: Any, answer: Any) -> Any:
        self.trace.append(Said(statement, args, answer))
        return answer

    def epoch(self, agent: str) -> int:
        """The agent's epoch; 0 before its first activation."""
        row = self.activations.get(agent)
        return row.epoch if row else 0

    def claim(self) -> int:
        """`claim_supervisor`: the epoch of a new supervisor process."""
        self.supervisor += 1
        return self._said("claim", answer=self.supervisor)

    def seen(self, agent: str) -> int:
        """`seen_epoch`."""
        return self._said("seen", agent, answer=self.epoch(agent))

    def activate(self, supervisor: int, agent: str, seen: int, host: str) -> int | None:
        """`activate`: the new epoch, or None."""
        epoch = None
        row = self.activations.get(agent)
        if supervisor == self.supervisor and (row is None or row.epoch == seen):
            epoch = self.epoch(agent) + 1
            self.activations[agent] = Row(epoch, "active", host)
        return self._said("activate", supervisor, agent, seen, host, answer=epoch)

    def append(self, agent: str, epoch: int, seq: int, writer: int) -> str:
        """`append_journal`: "ok", "fenced", or "conflict" with a row that is there."""
        rows = self.journal.setdefault(agent, [])
        answer = "fenced"
        if agent in self.activations and self.epoch(agent) == epoch:
            answer = "conflict" if any(row.seq == seq for row in rows) else "ok"
        if answer == "ok":
            rows.append(Write(seq, epoch, writer, self.epoch(agent)))
        return self._said("append", agent, epoch, seq, answer=answer)

    def read(self, agent: str) -> int:
        """`journals_of`: how far the journal reaches."""
        rows = self.journal.get(agent, [])
        return self._said("read", agent, answer=max((row.seq for row in rows), default=0))

    def landed(self, agent: str, epoch: int) -> int:
        """`landed_sequences`: how far an epoch's rows reach."""
        mine = [row.seq for row in self.journal.get(agent, []) if row.epoch == epoch]
        return self._said("landed", agent, epoch, answer=max(mine, default=0))

    def passivate(self, agent: str, epoch: int) -> bool:
        """`passivate`: refused while there is something to do."""
        row = self.activations.get(agent)
        done = row is not None and (row.epoch, row.state) == (epoch, "active")
        done = done and agent not in self.busy
        if done:
            self.activations[agent] = Row(epoch + 1, "passive", None)
        return self._said("passivate", agent, epoch, answer=done)

    def quarantine(self, supervisor: int, agent: str) -> None:
        """`quarantine`: without effect by a supervisor that has been deposed."""
        if supervisor == self.supervisor:
            self.activations[agent] = Row(self.epoch(agent), "quarantined", None)
        self._said("quarantine", supervisor, agent, answer=None)

    def submit(self, agent: str) -> None:
        """A run that is not finished."""
        self.busy.add(agent)
        self._said("submit", agent, answer=None)


@dataclass
class Decider:
    """A supervisor process: what it claimed, and which epochs it believes in."""

    epoch: int
    seen: dict[str, int] = field(default_factory=dict[str, int])
    paused: bool = False


@dataclass
class Host:
    """An agent's process: its identity, how far it knows its journal, and whether it waits for an
    answer. It has one statement under way at most; what it sent and will not hear of is an orphan.
    """

    number: int
    agent: str = ""
    epoch: int = 0
    known: int = 0
    waits: bool = False
    paused: bool = False
    dead: bool = False


@dataclass
class Statement:
    """An append on its way; Postgres executes it whatever becomes of its sender."""

    host: Host
    agent: str
    epoch: int
    seq: int
    orphan: bool = False


class World:
    """Processes, what is on its way between them, and the store."""

    def __init__(self) -> None:
        self.store = SerialStore()
        self.deciders: list[Decider] = []
        self.hosts: list[Host] = []
        self.mail: list[tuple[Host, str, int]] = []
        self.under_way: list[Statement] = []
        self.acknowledged: list[tuple[str, int, int]] = []
        self.granted_by: list[int] = []

    def new_decider(self) -> None:
        """A supervisor process begins. Whoever was there before is not told."""
        self.deciders.append(Decider(self.store.claim()))

    def look(self, decider: Decider, agent: str) -> None:
        """A supervisor process reads an agent's epoch, to activate it later."""
        decider.seen[agent] = self.store.seen(agent)

    def activate(self, decider: Decider, agent: str) -> None:
        """It activates the agent in a new host, if it may; the host hears of it some time."""
        host = Host(len(self.hosts))
        epoch = self.store.activate(
            decider.epoch, agent, decider.seen.get(agent, 0), f"host-{host.number}"
        )
        if epoch is None:
            decider.seen.pop(agent, None)
            return
        self.granted_by.append(decider.epoch)
        decider.seen[agent] = epoch
        self.hosts.append(host)
        self.mail.append((host, agent, epoch))

    def deliver(self, letter: tuple[Host, str, int]) -> None:
        """A host takes its identity, and reads its journal."""
        self.mail.remove(letter)
        host, agent, epoch = letter
        if not host.dead:
            host.agent, host.epoch, host.known = agent, epoch, self.store.read(agent)

    def send(self, host: Host) -> None:
        """A host sends an append."""
        host.waits = True
        self.under_way.append(Statement(host, host.agent, host.epoch, host.known + 1))

    def execute(self, statement: Statement) -> None:
        """Postgres executes it, and its sender, if it still listens, hears the answer."""
        self.under_way.remove(statement)
        host = statement.host
        answer = self.store.append(statement.agent, statement.epoch, statement.seq, host.number)
        if answer == "conflict":
            rows = self.store.journal[statement.agent]
            there = next(row for row in rows if row.seq == statement.seq)
            assert (there.writer, there.epoch) == (host.number, statement.epoch), "two writers"
        if statement.orphan or host.dead:
            return
        host.waits = False
        if answer == "ok":
            host.known = statement.seq
            self.acknowledged.append((statement.agent, statement.epoch, statement.seq))
        else:
            host.dead = True  # LeaseLost, or an error: it ends itself

    def break_connection(self, statement: Statement) -> None:
        """The sender hears nothing. Its statement may be lost, or be executed later; it asks how
        far its own rows reach, and goes on from there.
        """
        statement.orphan = True
        host = statement.host
        host.waits = False
        host.known = max(host.known, self.store.landed(host.agent, host.epoch))

    def may_write(self) -> dict[str, list[Host]]:
        """By agent, the living hosts whose next append would be written."""
        found: dict[str, list[Host]] = {}
        for host in self.hosts:
            if not host.dead and host.agent and self.store.epoch(host.agent) == host.epoch:
                found.setdefault(host.agent, []).append(host)
        return found

    def check(self) -> None:
        """What the fence promises."""
        for agent, hosts in self.may_write().items():
            assert len(hosts) == 1, f"{agent} has two writers"
        for agent, rows in self.store.journal.items():
            assert all(row.epoch == row.highest for row in rows), "written by the past"
            assert [row.seq for row in rows] == list(range(1, len(rows) + 1)), "decided on less"
            epochs = [row.epoch for row in rows]
            assert epochs == sorted(epochs)
            writers = {(row.epoch, row.writer) for row in rows}
            assert len(writers) == len({epoch for epoch, _ in writers}), f"{agent}: a shared epoch"
        written = {
            (a, row.epoch, row.seq) for a, rows in self.store.journal.items() for row in rows
        }
        assert written.issuperset(self.acknowledged), "an acknowledged write is lost"
        assert self.granted_by == sorted(self.granted_by), "a deposed supervisor decided"
