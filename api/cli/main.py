"""The commands, by name and by where they are; nothing else is imported to show help."""

from __future__ import annotations

import os
import sys
from importlib import metadata

from cyclopts import App

from ...cluster.errors import AosError
from ..client.errors import ApiError
from .exits import explain

_HERE = __package__ or ""


def _version() -> str:
    return metadata.version("aos")


app = App(
    name="aos",
    help="AOS: durable, supervised AI agents on Ray.",
    version=_version,
    help_epilogue="Exit codes: 0 done, 1 failed, 2 usage, 3 no AOS answers, 4 refused.",
)
agent = App(name="agent", help="Agents: who there is.")
team = App(name="team", help="Teams: supervisors that you declare.")
runs = App(name="runs", help="Runs: what was submitted, and what came of it.")
retention = App(name="retention", help="Retention: what is kept, what goes, and where it has gone.")


def _register(parent: App, name: str, place: str, summary: str) -> None:
    parent.command(place, name=name, help=summary)


_register(app, "up", f"{_HERE}.lifecycle:up", "Start AOS on this machine.")
_register(app, "down", f"{_HERE}.lifecycle:down", "Stop AOS on this machine.")
_register(app, "status", f"{_HERE}.system:status", "Show what runs: tree, agents, runs, resources.")
_register(app, "tree", f"{_HERE}.tree:app", "Show the supervision tree, and why it is as it is.")
_register(app, "doctor", f"{_HERE}.doctor:doctor", "Check this machine, and say what to do.")
_register(app, "demo", "aos.api.demo.command:demo", "See a run, and a run that survives a kill.")
_register(app, "run", f"{_HERE}.runs:run", "Give an agent a goal.")
_register(app, "version", f"{_HERE}.version:version", "Show the version.")
app.command(agent)
_register(agent, "create", f"{_HERE}.agents:create", "Register an agent.")
_register(agent, "ls", f"{_HERE}.agents:ls", "List agents.")
_register(agent, "show", f"{_HERE}.agents:show", "Show one agent.")
_register(agent, "release", f"{_HERE}.agents:release", "End an agent's quarantine.")
app.command(team)
_register(team, "create", f"{_HERE}.teams:create", "Make a team of a declaration.")
_register(team, "ls", f"{_HERE}.teams:ls", "List teams.")
_register(team, "show", f"{_HERE}.teams:show", "Show one team, with how its children stand.")
_register(team, "start", f"{_HERE}.teams:start", "Have a team run again.")
_register(team, "stop", f"{_HERE}.teams:stop", "Stop a team; its agents stay.")
_register(team, "rm", f"{_HERE}.teams:rm", "Stop and forget a team; its agents stay.")
_register(team, "restart", f"{_HERE}.teams:restart", "Start a child that is stopped.")
_register(team, "terminate", f"{_HERE}.teams:terminate", "Stop a child, and keep it stopped.")
_register(team, "release", f"{_HERE}.teams:release", "End a child's quarantine.")
app.command(runs)
_register(runs, "ls", f"{_HERE}.runs:ls", "List runs, newest first.")
_register(runs, "show", f"{_HERE}.runs:show", "Show one run: answer, steps, cost.")
_register(runs, "history", f"{_HERE}.history:history", "Show where a run's result comes from.")
_register(runs, "export", f"{_HERE}.history:export", "Write a run's history as CSV or JSON lines.")
_register(runs, "watch", f"{_HERE}.runs:watch", "Follow a run until it is finished.")
app.command(retention)
_register(retention, "show", f"{_HERE}.retention:show", "Show the policy, and what it lets go.")
_register(retention, "run", f"{_HERE}.retention:run", "Have old runs removed now.")
_register(retention, "ls", f"{_HERE}.retention:ls", "List archives, newest first.")
_register(retention, "read", f"{_HERE}.retention:read", "Check an archive, and read runs in it.")


def main() -> None:
    """The console script. Ends the process with an exit code that means something."""
    try:
        app()
    except (AosError, ApiError) as error:
        sys.exit(explain(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read us has gone (`aos runs ls | head`); Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


if __name__ == "__main__":
    main()
