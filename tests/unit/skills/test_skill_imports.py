"""Agent processes import the registry and the descriptors; libraries load where a skill runs."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "httpx httpcore httpx2 httpcore2 selectolax anthropic genai_prices ray asyncpg fastapi anyio"
)


def test_importing_the_registry_loads_no_library_that_only_skills_need() -> None:
    program = (
        "import sys, aos.skills.registry, aos.skills.builtin, aos.skills.executor\n"
        "aos.skills.registry.default_registry()\n"
        f"print(sorted(set({HEAVY!r}.split()) & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
