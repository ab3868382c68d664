"""Who there is: registered agents are rows, and the profiles that ship with AOS."""

from .profiles import RESEARCHER, planner_of
from .store import AgentExists, AgentNotFound, AgentStore, RegisteredAgent

__all__ = [
    "RESEARCHER",
    "AgentExists",
    "AgentNotFound",
    "AgentStore",
    "RegisteredAgent",
    "planner_of",
]
