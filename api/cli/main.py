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
dead = App(name="dead", help="Dead letters: runs that AOS gave up.")
replay = App(name="replay", help="Replay: drive recorded runs again; nothing is called.")
trace = App(name="trace", help="Traces: journals as files that anybody can check.")
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
_register(app, "stop", f"{_HERE}.stop:app", "Stop all new effects at once.")
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
_register(runs, "why", f"{_HERE}.control:why", "Say why a run gets a process, or does not.")
_register(runs, "pending", f"{_HERE}.control:pending", "List unfinished runs, and why they wait.")
_register(runs, "children", f"{_HERE}.derive:children", "List the runs that a run has made.")
_register(runs, "signal", f"{_HERE}.control:signal", "Send a run a named signal.")
_register(runs, "decide", f"{_HERE}.control:decide", "Answer a step's question.")
_register(runs, "cancel", f"{_HERE}.control:cancel", "End a run.")
_register(runs, "pause", f"{_HERE}.control:pause", "Have a run begin nothing more.")
_register(runs, "continue", f"{_HERE}.control:resume", "Let a paused run go on.")
_register(runs, "priority", f"{_HERE}.control:priority", "Change a run's place in the queue.")
_register(runs, "resolve", f"{_HERE}.control:resolve", "Say whether an effect has happened.")
_register(runs, "repair", f"{_HERE}.derive:repair", "Skip a step, set its result, redrive it.")
_register(runs, "fork", f"{_HERE}.derive:fork", "Make a run that goes on from a step.")
_register(runs, "rerun", f"{_HERE}.derive:rerun", "Make a run of the same goal.")
app.command(dead)
_register(dead, "ls", f"{_HERE}.derive:dead_ls", "List runs that AOS gave up.")
_register(dead, "show", f"{_HERE}.derive:dead_show", "Show one: why it was given up.")
_register(dead, "requeue", f"{_HERE}.derive:dead_requeue", "Give one another chance.")
_register(dead, "discard", f"{_HERE}.derive:dead_discard", "Have one off the list.")
_register(runs, "verify", f"{_HERE}.replay:verify", "Check runs: chain, legality, decisions.")
_register(runs, "trace", f"{_HERE}.traces:take", "Write a run's journal as a file to check.")
app.command(replay)
_register(replay, "mock", f"{_HERE}.replay:mock", "Drive a recorded run again.")
_register(replay, "dry-run", f"{_HERE}.replay:dry_run", "What a run's plans would call now.")
_register(replay, "what-if", f"{_HERE}.replay:what_if", "Drive a run with something changed.")
_register(replay, "certify", f"{_HERE}.replay:certify", "Verify and replay many runs; a report.")
app.command(trace)
_register(trace, "verify", f"{_HERE}.traces:verify_files", "Check traces, without a database.")
_register(trace, "sign", f"{_HERE}.traces:sign_files", "Sign traces with this AOS's key.")
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
