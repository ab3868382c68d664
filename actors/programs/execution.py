"""`Execution`: one run's program, executed from its start against what is recorded of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import Context
from datetime import datetime
from typing import Self

from ...skills.contracts import JsonValue
from .compare import divergence, first_difference
from .context import ProgramContext
from .desk import Desk
from .endings import answer_of, error_of, is_the_machines, stuck
from .errors import NONDETERMINISTIC, STUCK, IllegalAdvance
from .guard import guarded
from .identity import ROOT
from .loading import Program
from .loop import MOST_CALLBACKS, ProgramLoop, ProgramPolls
from .protocol import Advanced, Delivery, Turn
from .scribe import Scribe
from .tasks import ProgramTask
from .values import fresh, legible


class Execution:
    """A program in the middle of its run. Re-executes `history` when it is made.

    `advance` may be called in any thread, never by two at once; it takes as long as the program
    computes. `seed` is the run's; `started_at` is what `ctx.started_at` says. `development` turns
    on the guard, see `guard`. `on_log` gets what the program logs in turns that are not replayed.

    Raises `ProgramDiverged` if the code does not do what is recorded. Whatever is raised by the
    constructor or by `advance`, except `IllegalAdvance`, closes the execution; so does its end.
    Whoever lets it go before that closes it: one that is forgotten is collected when Python does,
    which is late if an exception of a task refers to the frames of its turn, and may complain.
    """

    def __init__(  # noqa: PLR0913 - what a run is
        self,
        program: Program,
        goal: JsonValue,
        *,
        run_id: str,
        seed: int,
        started_at: datetime,
        history: Sequence[Turn] = (),
        development: bool = False,
        on_log: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._program = program
        self._goal = fresh(goal)
        self._development = development
        self._busy = threading.Lock()
        self._ended = False
        self._root: ProgramTask | None = None
        self._scribe = Scribe(on_log)
        self._loop = ProgramLoop(program.file, self._scribe)
        self._desk = Desk(self._loop)
        self._context = ProgramContext(
            self._desk,
            self._scribe,
            run_id=run_id,
            seed=seed,
            started_at=started_at,
            own=program.file,
        )
        for number, turn in enumerate(history, 1):
            self._replay(number, turn)

    @property
    def pending(self) -> tuple[str, ...]:
        """The ids that the program waits for."""
        return self._desk.pending

    @property
    def finished(self) -> bool:
        """Whether the program has had its last turn."""
        return self._ended

    def advance(self, deliveries: Sequence[Delivery], at: datetime) -> Advanced:
        """Run one turn: the first begins the program; deliveries are told one at a time, in order,
        and after each the program runs until nothing of it is ready.

        Raises `IllegalAdvance`, before anything has happened, for an id that was never asked for or
        was delivered before, and after the end.
        """
        with self._alone():
            self._check(deliveries)
            try:
                return self._turn(deliveries, at)
            except BaseException:
                self._close()
                raise

    def close(self) -> None:
        """Drop the program where it stands, quietly. Idempotent."""
        with self._alone():
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Closing would throw into the program's coroutines inside a finalizer: CPython 3.12.1 was
        # seen to crash over that when a collection came in between. So it is only silenced.
        if hasattr(self, "_context"):
            self._scribe.silent = True
            self._loop.forget()

    def _replay(self, number: int, turn: Turn) -> None:
        self._scribe.replayed = turn.advanced
        attempted = self.advance(turn.deliveries, turn.at)
        self._scribe.replayed = None
        if (difference := first_difference(turn.advanced, attempted)) is not None:
            self.close()
            raise divergence(number, difference)

    def _turn(self, deliveries: Sequence[Delivery], at: datetime) -> Advanced:
        self._scribe.begin_turn(at)
        polls = self._run(deliveries)
        ending = self._ending(polls)
        if ending is None:
            return self._report(Advanced())
        self._ended = True
        self._desk.abandon_all()
        self._close()
        return self._report(ending)

    def _run(self, deliveries: Sequence[Delivery]) -> bool:
        """Whether the program polled instead of waiting."""
        guard = guarded(self._program.file, self._loop.refuse, active=self._development)
        with self._loop.running(), guard:
            root = self._begin()
            try:
                left = self._loop.run_until_quiet(root.done, MOST_CALLBACKS)
                for delivery in deliveries:
                    self._desk.deliver(delivery)
                    left = self._loop.run_until_quiet(root.done, left)
            except ProgramPolls:
                return True
        return False

    def _begin(self) -> ProgramTask:
        if self._root is None:
            program = self._program.function(self._context, self._goal)
            # An empty context: what the caller has in its own is not part of the run.
            self._root = self._loop.begin(program, ROOT, name="program", context=Context())
        return self._root

    def _ending(self, polls: bool) -> Advanced | None:
        """How the program ended, if it did."""
        root, own = self._root, self._program.file
        assert root is not None  # noqa: S101 - a turn begins it
        if (refusal := self._loop.refusal) is not None:
            error = (NONDETERMINISTIC, legible(refusal.detail), refusal.context["line"])
            return Advanced(finished=True, error=error)
        if root.done():
            if root.cancelled() or (raised := root.exception()) is None:
                return answer_of(root, own)
            if is_the_machines(raised):
                raise raised
            return Advanced(finished=True, error=error_of(raised, own))
        if polls:
            text = f"it ran {MOST_CALLBACKS} callbacks without awaiting anything of ctx"
            return Advanced(finished=True, error=(STUCK, text, ""))
        if not self._desk.pending:
            return Advanced(finished=True, error=stuck(self._loop.waiting(), own))
        return None

    def _report(self, ending: Advanced) -> Advanced:
        turn = self._desk.take_turn()
        return ending.model_copy(
            update={
                "requests": tuple(turn.requests.values()),
                "abandoned": tuple(turn.abandoned),
                "patches": tuple(self._scribe.patches),
            }
        )

    def _check(self, deliveries: Sequence[Delivery]) -> None:
        if self._ended or self._loop.is_closed():
            raise IllegalAdvance("the program has had its last turn")
        ids = [delivery.id for delivery in deliveries]
        unknown = [each for each in ids if not self._desk.expects(each)]
        if unknown or len(set(ids)) != len(ids):
            raise IllegalAdvance(
                f"delivered {', '.join(ids)}; awaited {', '.join(self._desk.pending) or 'nothing'}"
            )

    @contextmanager
    def _alone(self) -> Generator[None]:
        if not self._busy.acquire(blocking=False):
            raise IllegalAdvance("the program is being advanced already")
        try:
            yield
        finally:
            self._busy.release()

    def _close(self) -> None:
        self._scribe.silent = True
        self._loop.close()
        self._root = None  # with its exception, which refers to the frames of the turn
