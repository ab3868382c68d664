"""`aos demo` holds what it promises, and says so to a stranger."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.running import own_home

pytestmark = pytest.mark.ray


def test_the_demo_holds() -> None:
    with own_home():
        done = subprocess.run(
            [Path(sys.executable).parent / "aos", "demo"],
            capture_output=True, text=True, timeout=110, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for promised in (
        "No ANTHROPIC_API_KEY",
        "http_call@1.0.0",
        "Harbour Observatory",
        "death noticed after",
        "the site answered none of them again",
        "No process is left behind",
    ):
        assert promised in " ".join(done.stdout.split()), promised
