"""The whole tree on one screen. Start order is list order; stop order is the reverse.

root                        a detached actor, brought back by Ray, decides by one_for_one
├── hosts                   in the root's process, dynamic
│   ├── nodes               a service: looks which machines there are
│   └── <machine> …         an actor per machine: owns the processes of its agents
├── agents                  an actor: activates agents, rescues runs, passivates the idle
│   ├── <agent> …           one process each, dynamic
│   └── team:<team> …       a supervisor in the same process, by its own declaration
├── janitor                 a service in the root's process: clears away what nobody owns
├── retention               a service in the root's process: removes runs that are old enough
└── front                   an actor: HTTP
"""

from __future__ import annotations

from datetime import timedelta

from .spec import Budgets, ChildSpec, ChildType, Intensity, Restart, Strategy, SupervisorSpec

ROOT, HOSTS, AGENTS, FRONT, JANITOR = "root", "hosts", "agents", "front", "janitor"
NODES, RETENTION = "nodes", "retention"

MANAGER = "aos.supervisors.hosts.manager:HostManager"


def actor_name(child: str) -> str:
    """The Ray name of an actor of the tree."""
    return f"aos-{child}"


def root(front: str) -> SupervisorSpec:
    """The root's children; `front` is the dotted path of the HTTP front, which stands above us."""
    return SupervisorSpec(
        ROOT,
        children=(
            ChildSpec(HOSTS, "supervisor", type=ChildType.SUPERVISOR),
            ChildSpec(AGENTS, "aos.supervisors.agents:AgentSupervisor"),
            ChildSpec(JANITOR, "service"),
            ChildSpec(RETENTION, "service"),
            ChildSpec(FRONT, front, shutdown=timedelta(seconds=3)),
        ),
        intensity=Intensity(10, timedelta(seconds=60)),
    )


def hosts() -> SupervisorSpec:
    """The machines: those that come are given a manager, those that go take theirs along. There is
    no bound over all of them: a machine that fails must not be the end of the others.
    """
    return SupervisorSpec(
        HOSTS,
        children=(ChildSpec(NODES, "service"),),
        strategy=Strategy.DYNAMIC,
        intensity=None,
        budgets=Budgets(),
    )


def host_manager(node: str) -> ChildSpec:
    """The manager of one machine."""
    short = node[:12]
    return ChildSpec(f"{HOSTS}:{short}", MANAGER, Restart.PERMANENT, args={"node": node})


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
