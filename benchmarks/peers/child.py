"""The process that a system runs in: told what to do by JSON lines, answers with JSON lines.

    python -m benchmarks.peers.child <adapter> <options as JSON>

`{"do": "start", …}`, then any number of `{"do": "drive", …}`, then the end of the input.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from dataclasses import asdict
from typing import Any

from .system import System
from .workload import Workload


def main() -> None:
    # What libraries print must not get among the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    adapter, options = sys.argv[1], json.loads(sys.argv[2])
    system: System = importlib.import_module(f".systems.{adapter}", __package__).make(**options)
    started = False
    try:
        for line in sys.stdin:
            order = json.loads(line)
            answer = _obey(system, order)
            started = True
            answers.write(json.dumps(answer) + "\n")
    finally:
        if started:
            system.stop()


def _obey(system: System, order: dict[str, Any]) -> dict[str, Any]:
    workload = Workload(**order["workload"])
    if order["do"] == "start":
        system.start(order["dsn"], workload, order["part"])
        return {"ready": os.getpid()}
    if order["do"] == "victim":
        return {"pid": system.victim()}
    if order["do"] not in ("drive", "park", "wake"):
        raise ValueError(f"no such order: {order['do']}")
    return asdict(getattr(system, order["do"])(workload))


if __name__ == "__main__":
    main()
