"""The one seam to Ray. Nothing outside this package imports it.

What the rest of AOS may do with Ray is what this package offers: start a cluster or join one
(`cluster`), make, find, call, watch and kill actors (`actors`), stream a task (`tasks`), and read
why a process ended (`exits`). Three rules hold here and are relied upon everywhere:

* Ray never retries or restarts work of ours. Tasks have `max_retries=0` and agents
  `max_restarts=0`, because only the journal knows what was done and only a supervisor knows the
  epoch. The root supervisor alone is restarted by Ray: it has nobody above it.
* Every wait on Ray is bounded. Ray can miss an answer; a caller without a timeout would miss it
  for ever. The exception is `ActorRef.watch`, whose whole point is to wait for a death, and which
  its owner renews.
* Only plain data crosses: dotted paths, pydantic values, strings. Classes and functions are
  imported on the other side, so a restarted actor runs the code that is installed, not a pickle.
"""

from .actors import ActorOptions, ActorRef, call_self, find, names, spawn
from .cluster import ClusterInfo, connect, own_address, own_node, resources, shutdown, start
from .errors import (
    ActorGone,
    ActorSilent,
    ActorUnavailable,
    ClusterStartFailed,
    ClusterUnreachable,
    RemoteFailure,
    UnsuitableResources,
)
from .exits import Exit, ExitReason
from .nodes import Node, describe, nodes
from .tasks import SPENT, TaskFailure, TaskOptions, TaskStream, stream

__all__ = [
    "SPENT",
    "ActorGone",
    "ActorOptions",
    "ActorRef",
    "ActorSilent",
    "ActorUnavailable",
    "ClusterInfo",
    "ClusterStartFailed",
    "ClusterUnreachable",
    "Exit",
    "ExitReason",
    "Node",
    "RemoteFailure",
    "TaskFailure",
    "TaskOptions",
    "TaskStream",
    "UnsuitableResources",
    "call_self",
    "connect",
    "describe",
    "find",
    "names",
    "nodes",
    "own_address",
    "own_node",
    "resources",
    "shutdown",
    "spawn",
    "start",
    "stream",
]
