"""The outside world of the crash workloads: which step of which run began when. Pure but `read`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """A step began."""

    run: str
    step: str
    at: float


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a workload that was struck. Seconds are since the blow.

    `first_step`: until some step began again. `lost`: steps that never began. `repeated`: that
    began more than once; as many may be in flight at the blow as there is concurrency.
    `asked_again`: runs for which the caller had to ask once more; `errors`: what it was told.
    """

    system: str
    blow: str
    first_step: float
    done: float
    lost: int
    repeated: int
    allowed: int
    asked_again: int
    took: float
    errors: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Nothing lost, and nothing repeated that had not been in flight."""
        return self.lost == 0 and self.repeated <= self.allowed

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {"holds": self.holds}


@dataclass(frozen=True, slots=True)
class Ledger:
    """All lines, in the order in which they were written."""

    lines: tuple[Line, ...]

    @classmethod
    def read(cls, file: Path) -> Ledger:
        """From the file that steps append to."""
        return cls.parse(file.read_text() if file.exists() else "")

    @classmethod
    def parse(cls, text: str) -> Ledger:
        """A line is `run step attempt time`."""
        split = (line.split() for line in text.splitlines())
        return cls(tuple(Line(run, step, float(at)) for run, step, _, at in split))

    def ended(
        self, *, system: str, blow: str, runs: int, steps: int, concurrency: int,
        began: float, struck: float, ended: float, asked_again: int,
        errors: Sequence[str] = (),
    ) -> Ended:  # fmt: skip
        """The verdict. Raises `ValueError` if nothing began after the blow."""
        begun = Counter((line.run, line.step) for line in self.lines)
        after = [line.at for line in self.lines if line.at > struck]
        if not after:
            raise ValueError("no step began after the blow")
        return Ended(
            system=system, blow=blow, first_step=min(after) - struck, done=ended - struck,
            lost=runs * steps - len(begun), repeated=sum(begun.values()) - len(begun),
            allowed=concurrency, asked_again=asked_again, errors=tuple(errors),
            took=ended - began,
        )  # fmt: skip
