"""A tree of supervisors without processes: it drives `decide`, and time passes at the test's word.

Children start, fail, hang and stop by script; nested supervisors decide as their parents do. What
happens at one instant happens in the order in which it was caused, and never inside a decision.
The log has every start, stop and end with its time, in seconds since the beginning.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import count
from math import inf

from aos.cluster.exits import Exit, ExitReason
from aos.supervisors import administration
from aos.supervisors.order import is_first_start
from aos.supervisors.restart import decide, next_due
from aos.supervisors.spec import ChildSpec, SupervisorSpec
from aos.supervisors.state import (
    Child,
    Due,
    Ended,
    Event,
    Finish,
    Ignored,
    Phase,
    Refused,
    Report,
    Request,
    Start,
    Started,
    State,
    Stop,
    StopAll,
)

from .scripted import IGNORE, Entry, Node, Process, Script
from .supervision import START

_MANY = 10_000


class Simulation:
    """The topmost supervisor and all below it, from its start on. Children are named by their id,
    which is unique in the whole tree.
    """

    def __init__(self, spec: SupervisorSpec, scripts: Mapping[str, Script] | None = None) -> None:
        self.now = START
        self.log: list[Entry] = []
        self.scripts = dict(scripts or {})
        self.alive: dict[str, Process] = {}
        self._agenda: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = count()
        self._pids = count(1)
        self.top = Node(State.of(spec))
        self.nodes: dict[str, Node] = {spec.id: self.top}
        self._feed(self.top, Due())
        self.later(0)

    # what a test does

    def later(self, seconds: float) -> Simulation:
        """Let time pass, and everything happen that is to happen until then."""
        until = self.now + timedelta(seconds=seconds)
        for _ in range(_MANY):
            if not self._agenda or self._agenda[0][0] > until:
                self.now = until
                return self
            self.now, _, happen = heapq.heappop(self._agenda)
            happen()
        raise AssertionError("too much happens: somebody loops")

    def until(self, holds: Callable[[], bool], at_most: float = 86_400.0) -> Simulation:
        """Let time pass, from one thing that happens to the next, until something is so."""
        limit = self.now + timedelta(seconds=at_most)
        while not holds():
            assert self._agenda, "nothing happens any more"
            assert self._agenda[0][0] <= limit, f"not within {at_most:g} s"
            self.later(max(0.0, (self._agenda[0][0] - self.now).total_seconds()))
        return self

    def end(
        self, who: str, reason: ExitReason = ExitReason.CRASH, *, progressed: bool = False
    ) -> Simulation:
        """A process ends by itself."""
        process = self.alive[who]
        self._end(process, Exit(reason, "by itself"), progressed=progressed)
        return self.later(0)

    def ask(self, request: Request, of: str = "") -> str:
        """Request something; OTP's word for why it is refused, or "ok"."""
        refused = self._feed(self._node(of), request)
        self.later(0)
        return refused.why if refused else "ok"

    def hear(self, event: Event, of: str = "") -> Simulation:
        """Have a supervisor hear something."""
        self._feed(self._node(of), event)
        return self.later(0)

    def stop(self) -> Simulation:
        """Tell the topmost supervisor to end."""
        return self.hear(StopAll(Exit(ExitReason.SHUTDOWN)))

    # what a test sees

    @property
    def over(self) -> Exit | None:
        """What the topmost supervisor has ended with."""
        return self.top.exit

    def pid(self, who: str) -> int | None:
        """The number of a child's process, if it has one that is up."""
        process = self.alive.get(who)
        return process.pid if process is not None and process.up else None

    def pids(self, *who: str) -> list[int | None]:
        """The same of several."""
        return [self.pid(each) for each in who]

    def which(self, of: str = "") -> dict[str, Phase]:
        """The children of a supervisor and where they stand, in start order."""
        return {name: each.phase for name, each in self._node(of).state.children.items()}

    def child(self, who: str, of: str = "") -> Child:
        """What a supervisor knows of a child."""
        return self._node(of).state.children[who]

    def counts(self, of: str = "") -> tuple[int, int, int, int]:
        """OTP's count_children: specs, active, supervisors, workers."""
        found = administration.count(self._node(of).state)
        return found.specs, found.active, found.supervisors, found.workers

    def did(self, *what: str) -> list[str]:
        """Who did these things, in order, since the log was last cleared."""
        return [entry.who for entry in self.log if entry.what in what]

    def at(self, what: str, who: str) -> float:
        """When something was last done."""
        return next(e.at for e in reversed(self.log) if (e.what, e.who) == (what, who))

    def reported(self, of: str = "") -> list[tuple[str, str]]:
        """What a supervisor has reported: child and kind."""
        return [(report.child, report.kind) for report in self._node(of).reports]

    # how it works

    def _node(self, of: str) -> Node:
        return self.nodes[of] if of else self.top

    def _note(self, what: str, who: str) -> None:
        self.log.append(Entry((self.now - START).total_seconds(), what, who))

    def _in(self, seconds: float, happen: Callable[[], None]) -> None:
        if seconds != inf:
            at = self.now + timedelta(seconds=seconds)
            heapq.heappush(self._agenda, (at, next(self._order), happen))

    def _feed(self, node: Node, event: Event) -> Refused | None:
        refused: Refused | None = None
        assert node.exit is None or isinstance(event, Request), "it is over, and asked all the same"
        node.state, commands = decide(node.state, event, self.now)
        for command in commands:
            match command:
                case Start(child_id, life):
                    self._begin(node, node.state.children[child_id].spec, life)
                case Stop(child_id, life, patience):
                    if (process := self.alive.get(child_id)) is not None:
                        assert process.life == life
                        self._stop(process, patience)
                    # Else it has ended, and that is on its way.
                case Report():
                    node.reports.append(command)
                case Refused():
                    refused = command
                case Finish(exit_):
                    self._finish(node, exit_)
        self._tell_parent_that_it_is_up(node)
        self._set_alarm(node)
        return refused

    def _set_alarm(self, node: Node) -> None:
        due = None if node.exit else next_due(node.state)
        if due is None or due == node.alarm:
            return
        node.alarm = due

        def ring() -> None:
            if node.alarm == due and node.exit is None:
                node.alarm = None
                self._feed(node, Due())

        self._in(max(0.0, (due - self.now).total_seconds()), ring)

    def _script(self, who: str) -> Script:
        return self.scripts.get(who) or Script()

    def _begin(self, parent: Node, spec: ChildSpec, life: int) -> None:
        assert spec.id not in self.alive, f"two processes of {spec.id}"
        self._note("start", spec.id)
        process = Process(spec, life, next(self._pids), parent)
        self.alive[spec.id] = process
        self._in(self._script(spec.id).start_seconds, lambda: self._come_up(process))

    def _come_up(self, process: Process) -> None:
        who = process.spec.id
        if self.alive.get(who) is not process or process.stopping:
            return
        results = self._script(who).starts
        result = results.pop(0) if results else None
        if result == IGNORE:
            self._note("ignore", who)
            del self.alive[who]
            self._feed(process.parent, Ignored(who, process.life))
        elif result is not None:
            self._end(process, Exit(ExitReason(result), "did not start"))
        elif (spec := process.spec.args.get("supervisor")) is not None:
            process.node = self.nodes[who] = Node(State.of(spec), process)
            self._feed(process.node, Due())
        else:
            self._is_up(process)

    def _tell_parent_that_it_is_up(self, node: Node) -> None:
        """A supervisor has started when all its children have, as OTP's start_link returns."""
        process = node.process
        if process is None or process.up or process.stopping or node.exit is not None:
            return
        if not any(map(is_first_start, node.state.children.values())) and not node.state.ending:
            self._is_up(process)

    def _is_up(self, process: Process) -> None:
        process.up = True
        self._note("up", process.spec.id)
        self._in(0, lambda: self._hear_of(process, Started(process.spec.id, process.life)))

    def _stop(self, process: Process, patience: timedelta | None) -> None:
        who, script = process.spec.id, self._script(process.spec.id)
        self._note("stop", who)
        process.stopping = True
        bound = inf if patience is None else patience.total_seconds()
        killed = Exit(ExitReason.KILLED, "it did not stop")
        if bound == 0:
            self._in(0, lambda: self._end(process, killed))
        elif process.node is not None:
            node = process.node
            self._in(0, lambda: self._hear(node, StopAll(Exit(ExitReason.SHUTDOWN))))
            self._in(bound, lambda: self._end(process, killed))
        elif not process.up:  # whoever starts it leaves nothing behind
            self._in(0, lambda: self._end(process, Exit(ExitReason.SHUTDOWN, "not started")))
        elif script.stop_seconds <= bound:
            obeyed = Exit(script.stop_reason, "as it was told")
            self._in(script.stop_seconds, lambda: self._end(process, obeyed))
        else:
            self._in(bound, lambda: self._end(process, killed))

    def _finish(self, node: Node, exit_: Exit) -> None:
        assert node.exit is None, "it ends twice"
        node.exit = exit_
        process = node.process
        if process is None:
            self._note("end", node.state.spec.id)
            return
        if not process.up and not process.stopping:
            exit_ = Exit(ExitReason.START_ERROR, exit_.detail)
        self._in(0, lambda: self._end(process, exit_))

    def _end(self, process: Process, exit_: Exit, *, progressed: bool = False) -> None:
        """A process is gone, and with a supervisor everybody below it."""
        if self.alive.get(process.spec.id) is not process:
            return
        del self.alive[process.spec.id]
        self._note("end", process.spec.id)
        if process.node is not None:
            process.node.exit = process.node.exit or exit_
            below = [each for each in self.alive.values() if each.parent is process.node]
            for each in below:
                self._end(each, Exit(ExitReason.KILLED, "its supervisor is gone"))
        ended = Ended(process.spec.id, process.life, exit_, progressed)
        self._in(0, lambda: self._hear(process.parent, ended))

    def _hear_of(self, process: Process, event: Event) -> None:
        if self.alive.get(process.spec.id) is process:
            self._hear(process.parent, event)

    def _hear(self, node: Node, event: Event) -> None:
        if node.exit is None:
            self._feed(node, event)
