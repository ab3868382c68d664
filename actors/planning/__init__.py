"""Planners: skills that turn a goal, and what was observed so far, into the next round of a plan.

A planner is asked in rounds. Each round it gets the goal, the skills it may use and everything that
came of earlier rounds, and returns either steps (a graph) or the answer, or steps together with a
template of the answer when it needs no further look. What it returns is a proposal: `admission`
checks it against the catalogue and the agent's profile and pins versions, effects and retries
before it becomes part of the run.

`rules` is deterministic: the same request gives the same plan byte for byte, without a network.
`claude` is structural at best: its plans are journaled and never computed again for the same round.
"""

from .claude import claude
from .rules import rules

PLANNERS = (rules, claude)
"""Every planner there is, as skills named `planner.<name>`."""

__all__ = ["PLANNERS", "claude", "rules"]
