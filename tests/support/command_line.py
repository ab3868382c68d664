"""`aos` as a user runs it, against a front of a test."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass

from aos.cluster.identity import Role
from tests.support.api_front import Front


@dataclass
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Cli:
    """Runs `aos` as a user would."""

    environment: dict[str, str]

    async def start(self, *arguments: str) -> Process:
        """A command under way."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "aos.api.cli.main", *arguments,
            env=self.environment, stdout=PIPE, stderr=PIPE,
        )  # fmt: skip

    async def __call__(self, *arguments: str) -> Said:
        process = await self.start(*arguments)
        out, err = await process.communicate()
        assert process.returncode is not None
        return Said(process.returncode, out.decode(), err.decode())


def environment(front: Front, **ours: str) -> dict[str, str]:
    """What a user of this front has in theirs."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("AOS_")}
    return {**inherited, "AOS_HOME": str(front.home), "COLUMNS": "200", **ours}


async def cli_of(front: Front) -> Cli:
    """Finds the front as on the machine of `aos up`: by the files in its home."""
    (front.home / "node.json").write_text(json.dumps({"url": front.url}))
    (front.home / "credentials").write_text(json.dumps({"api_key": await front.key(Role.ADMIN)}))
    (front.home / "credentials").chmod(0o600)
    return Cli(environment(front))
