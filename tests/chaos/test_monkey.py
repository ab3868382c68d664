"""Two minutes of `make chaos` in a process and a home of its own; AOS_CHAOS_SECONDS: how long."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("AOS_CHAOS_SECONDS", "120"))


@pytest.mark.timeout(SECONDS + 400)
def test_whatever_dies_every_run_ends_rightly_and_nothing_unsafe_happens_twice() -> None:
    # Fewer a second than by itself: another AOS, that of the session, is on the same two cores.
    runs = str(round(SECONDS * 2))
    command = [sys.executable, "-m", "tests.chaos.monkey", "--seconds", str(SECONDS)]
    command += ["--runs", runs]
    monkey = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert monkey.returncode == 0, f"{monkey.stdout}\n{monkey.stderr[-4000:]}"
