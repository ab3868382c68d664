"""The service that gives each machine of the cluster a manager."""

from __future__ import annotations

import asyncio
from typing import Any

from ...cluster.engine import nodes
from ..state import Dismissed, Wanted
from ..supervisor import Supervisor
from ..tree import NODES, host_manager

_ROUND_SECONDS = 2.0


async def watch_nodes(supervisor: Supervisor[Any]) -> None:
    """Round after round: machines that came are given a manager, managers whose machine went are
    forgotten, since nothing can be started there again.
    """
    while True:
        living = await asyncio.to_thread(nodes, max_age=_ROUND_SECONDS / 2)
        wanted = {spec.id: spec for spec in (host_manager(node.id) for node in living)}
        for spec in wanted.values():
            if spec.id not in supervisor.state.children:
                supervisor.tell(Wanted(spec))
        for child_id in supervisor.state.children:
            if child_id not in wanted and child_id != NODES and wanted:
                supervisor.tell(Dismissed(child_id))
        await asyncio.sleep(_ROUND_SECONDS)
