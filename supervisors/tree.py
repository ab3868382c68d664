"""The whole tree on one screen. Start order is list order; stop order is the reverse.

root                    detached, brought back by Ray, decides by one_for_one
├── agents              activates agents, rescues runs, passivates the idle
│   └── <agent id> …    one process each, dynamic
└── front               HTTP
"""

from __future__ import annotations

from datetime import timedelta

from .spec import Budgets, ChildSpec, Intensity, Strategy, SupervisorSpec

ROOT, HOSTS, AGENTS, FRONT = "root", "hosts", "agents", "front"


def actor_name(child: str) -> str:
    """The Ray name of a static child of the tree."""
    return f"aos-{child}"


def root(front: str) -> SupervisorSpec:
    """The root's children; `front` is the dotted path of the HTTP front, which stands above us."""
    return SupervisorSpec(
        ROOT,
        children=(
            ChildSpec(HOSTS, "aos.supervisors.hosts:HostManager"),
            ChildSpec(AGENTS, "aos.supervisors.agents:AgentSupervisor"),
            ChildSpec(FRONT, front, shutdown=timedelta(seconds=3)),
        ),
        intensity=Intensity(10, timedelta(seconds=60)),
    )


def agent_supervisor(max_hosts: int) -> SupervisorSpec:
    """The agents' supervisor: no bound over all of them, lest one exhaust it for the others."""
    return SupervisorSpec(
        AGENTS,
        strategy=Strategy.DYNAMIC,
        intensity=None,
        budgets=Budgets(),
        max_children=max_hosts,
        quarantine=timedelta(seconds=60),
    )
