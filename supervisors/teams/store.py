"""Teams as rows: what the door writes, and what the keeper reads and says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from ...actors.roster import planner_of
from ...actors.runs.submission import Submission, submit_within
from ...cluster.canonical import bytes_hash, canonical, content_hash
from ...cluster.exits import Exit
from ...cluster.ids import new_id
from ...cluster.postgres import Database, Queries, Row, Transaction
from ...cluster.settings import Settings
from ...cluster.telemetry import logger
from ...skills.contracts import AgentProfile
from .declaration import Declaration, placed
from .errors import AgentTaken, Problem, TeamExists, TeamNotFound, UnknownAgent, refusal
from .rules import Member, members
from .text import Text, place_name

QUERIES = Queries.load(Path(__file__).with_name("teams.sql"))

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredTeam:
    """A team as its row has it. `state`: running, stopped or ended; `reason` and `detail` say how
    it ended.
    """

    team_id: UUID
    tenant: str
    name: str
    declaration: Declaration
    state: str
    generation: int
    reason: str
    detail: str
    created_at: datetime
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Made:
    """A team that was made, or, `replayed`, was there already with the same declaration. `agents`
    have runs now, which somebody should be told of.
    """

    team: StoredTeam
    agents: tuple[UUID, ...] = ()
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What the keeper must know of a team that should run. `agents` are its members by path."""

    team_id: UUID
    tenant: str
    name: str
    generation: int
    declaration: Declaration
    agents: Mapping[str, UUID]
    names: Mapping[str, UUID]


class TeamStore:
    """What the door does with teams. Every query names the tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, tenant: str, declaration: Declaration, text: Text, settings: Settings
    ) -> Made:
        """Make a team, its members, and a run for each goal: all of it or nothing. The same
        declaration again changes nothing. Raises `UnknownAgent`, `AgentTaken`, `TeamExists`.
        """
        body = canonical(declaration.model_dump(mode="json", exclude_none=True))
        team_id, digest = new_id(), bytes_hash(body)
        with_agents = [member for member in members(declaration) if member.child.agent]
        async with self._database.transaction() as transaction:
            inserted = await transaction.fetch_value(
                QUERIES.insert_team, team_id, tenant, declaration.name, body.decode(), digest
            )
            if inserted is None:
                return await _there_already(transaction, tenant, declaration.name, digest)
            profiles = await _profiles(transaction, tenant, with_agents, text)
            await _join(transaction, tenant, team_id, with_agents, profiles)
            for member in with_agents:
                await _give_goal(transaction, tenant, team_id, member, profiles, settings)
            made = await _read(transaction, tenant, team_id)
        goals = [profiles[str(m.child.agent)][0] for m in with_agents if m.child.goal is not None]
        return Made(made, tuple(goals))

    async def find(self, tenant: str, id_or_name: UUID | str) -> StoredTeam:
        """A team by id or name. Raises `TeamNotFound`."""
        return await _read(self._database, tenant, id_or_name)

    async def page(
        self, tenant: str, *, after: UUID | None = None, limit: int = 50
    ) -> list[StoredTeam]:
        """Teams in order of creation, after the one named by the cursor."""
        rows = await self._database.fetch(QUERIES.list_teams, tenant, after, limit)
        return [_team(row) for row in rows]

    async def members(self, tenant: str, team_id: UUID) -> dict[str, Row]:
        """`agent_id`, `name` and `run_id` of each agent, by its place in the team."""
        rows = await self._database.fetch(QUERIES.members_of, tenant, team_id)
        return {row["child"]: row for row in rows}

    async def start(self, tenant: str, team_id: UUID) -> None:
        """Have the team run; one that runs is merely released from a quarantine."""
        await self._database.execute(QUERIES.start_team, tenant, team_id)

    async def stop(self, tenant: str, team_id: UUID) -> None:
        """Have the team not run."""
        await self._database.execute(QUERIES.stop_team, tenant, team_id)

    async def delete(self, tenant: str, team_id: UUID) -> None:
        """Forget the team. Its agents belong to nobody then; their runs stay."""
        await self._database.execute(QUERIES.delete_team, tenant, team_id)


class KeeperStore:
    """What a supervisor process does with teams, fenced by its epoch where it decides."""

    def __init__(self, database: Database, supervisor: str, epoch: int) -> None:
        self._database, self._supervisor, self._epoch = database, supervisor, epoch

    async def running(self) -> dict[UUID, int]:
        """The teams that should run, with their generation."""
        rows = await self._database.fetch(QUERIES.running_teams)
        return {row["team_id"]: row["generation"] for row in rows}

    async def plans(self, team_ids: Iterable[UUID]) -> list[Plan]:
        """What there is to know of these teams, as far as they should still run."""
        wanted = list(team_ids)
        agents: dict[UUID, list[Row]] = {team_id: [] for team_id in wanted}
        for row in await self._database.fetch(QUERIES.agents_of, wanted):
            agents[row["team_id"]].append(row)
        rows = await self._database.fetch(QUERIES.plans_of, wanted)
        plans = [_plan(row, agents[row["team_id"]]) for row in rows]
        return [plan for plan in plans if plan is not None]

    async def end(self, team_id: UUID, generation: int, exit_: Exit) -> bool:
        """Say that a team ended by itself. False: it is not to run any more, or was started again,
        or another supervisor process decides now.
        """
        ended = await self._database.fetch_value(
            QUERIES.end_team,
            team_id, generation, exit_.reason.value, exit_.detail, self._supervisor, self._epoch,
        )  # fmt: skip
        return ended is not None

    async def is_done(self, agent_id: UUID) -> bool:
        """Whether a member has reached its goal and has nothing else to do."""
        return bool(await self._database.fetch_value(QUERIES.is_done, agent_id))


Profiles = Mapping[str, tuple[UUID, AgentProfile]]


async def _there_already(transaction: Transaction, tenant: str, name: str, digest: str) -> Made:
    row = await transaction.fetch_one(QUERIES.read_team, tenant, None, name)
    if row is None or row["declaration_hash"] != digest:
        raise TeamExists(f"a team named {name!r} exists already, with another declaration")
    return Made(_team(row), replayed=True)


async def _profiles(
    transaction: Transaction, tenant: str, wanted: Sequence[Member], text: Text
) -> Profiles:
    """Who is meant. Raises `UnknownAgent`, naming each place."""
    names = [str(member.child.agent) for member in wanted]
    rows = await transaction.fetch(QUERIES.agents_named, tenant, names)
    found = {
        row["name"]: (row["agent_id"], AgentProfile.model_validate_json(row["profile"]))
        for row in rows
    }
    unknown = [
        Problem(
            place_name((*member.place, "agent")),
            f"no agent {member.child.agent!r} is registered",
            UnknownAgent,
        )
        for member in wanted
        if member.child.agent not in found
    ]
    if unknown:
        raise refusal(placed(unknown, text))
    return found


async def _join(
    transaction: Transaction,
    tenant: str,
    team_id: UUID,
    wanted: Sequence[Member],
    profiles: Profiles,
) -> None:
    """Make them members. Raises `AgentTaken`."""
    ids = [profiles[str(member.child.agent)][0] for member in wanted]
    paths = [member.name for member in wanted]
    rows = await transaction.fetch(QUERIES.insert_members, tenant, team_id, ids, paths)
    if len(rows) < len(ids):
        taken = await transaction.fetch(QUERIES.teams_of_agents, tenant, ids, team_id)
        told = ", ".join(f"{row['agent']!r} belongs to team {row['team']!r}" for row in taken)
        raise AgentTaken(told)


async def _give_goal(
    transaction: Transaction,
    tenant: str,
    team_id: UUID,
    member: Member,
    profiles: Profiles,
    settings: Settings,
) -> None:
    """Submit the member's goal, if it has one, under a key that is this place's alone."""
    if member.child.goal is None:
        return
    agent_id, profile = profiles[str(member.child.agent)]
    agreed: Any = {"agent": str(agent_id), "goal": member.child.goal, "priority": 0}
    submission = Submission(
        tenant=tenant,
        agent_id=agent_id,
        profile=profile,
        goal=member.child.goal,
        planner=planner_of(profile, settings),
        request_hash=content_hash(agreed),
        key=f"team:{team_id}:{agent_id}",
    )
    accepted = await submit_within(transaction, submission)
    await transaction.execute(QUERIES.note_goal, tenant, agent_id, accepted.run_id)


async def _read(
    database: Database | Transaction, tenant: str, id_or_name: UUID | str
) -> StoredTeam:
    team_id = _as_id(id_or_name)
    name = None if team_id else str(id_or_name)
    row = await database.fetch_one(QUERIES.read_team, tenant, team_id, name)
    if row is None:
        raise TeamNotFound(f"no team {str(id_or_name)!r}")
    return _team(row)


def _as_id(id_or_name: UUID | str) -> UUID | None:
    try:
        return UUID(str(id_or_name))
    except ValueError:
        return None


def _team(row: Row) -> StoredTeam:
    kept = ("team_id", "name", "state", "generation", "reason", "detail")
    times = ("created_at", "started_at", "ended_at")
    return StoredTeam(
        tenant=row["tenant_id"],
        declaration=Declaration.model_validate_json(row["declaration"]),
        **{name: row[name] for name in (*kept, *times)},
    )


def _plan(row: Row, agents: Sequence[Row]) -> Plan | None:
    try:
        declaration = Declaration.model_validate_json(row["declaration"])
    except ValidationError as error:  # another version's row holds up no other team
        log.error("a team cannot be read", team=str(row["team_id"]), error=str(error))
        return None
    return Plan(
        team_id=row["team_id"],
        tenant=row["tenant_id"],
        name=row["name"],
        generation=row["generation"],
        declaration=declaration,
        agents={agent["child"]: agent["agent_id"] for agent in agents},
        names={agent["name"]: agent["agent_id"] for agent in agents},
    )
