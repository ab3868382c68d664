"""`aos demo`: start everything, run the main job, kill an agent in the middle of a longer one, and
leave nothing behind. It exits with 0 only if all that it promises held.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
from rich.console import Console
from rich.rule import Rule

from ...cluster.environment import ray_directory
from ...cluster.settings import Settings, load
from ...skills.contracts import AgentProfile
from ..cli.lifecycle import running, start_node, stop_node
from ..cli.render import event_line, render_run
from ..client import AosClient
from ..client.models import RunView
from .crash import Crash, CrashReport
from .site import DemoSite

_PROFILE = AgentProfile(
    name="researcher",
    description="Fetches pages, extracts what was asked for and summarises it.",
    skills=("http_call", "html_extract", "json_transform", "llm_invoke"),
)
_RUN_SECONDS = 120.0


class DemoFailed(Exception):
    """Something that the demo promises did not hold."""


def demo() -> int:
    """Show the main job on real parts, and what happens when an agent dies in its middle.

    Uses a home of its own under /tmp and free ports: an AOS that runs on this machine is not
    touched. Returns 0 only if both runs completed and no finished step was executed again.
    """
    console = Console(highlight=False)
    began = time.monotonic()
    try:
        with DemoSite() as site, _own_home(site) as settings:
            _say_mode(console, settings)
            _start(console, settings)
            with AosClient(url=None) as client:
                client.agents.create(_PROFILE)
                _main_job(console, client, site)
                _crash_job(console, client, site)
            _stop(console, settings)
    except DemoFailed as failure:
        console.print(f"[bold red]The demo did not hold what it promises:[/] {failure}")
        return 1
    seconds = time.monotonic() - began
    console.print(Rule())
    console.print(f"[bold green]Everything held, in {seconds:.0f} s.[/] No process is left behind.")
    console.print("Next: [bold]aos up[/], and docs/tutorial.md for an agent of your own.")
    return 0


@contextmanager
def _own_home(site: DemoSite) -> Generator[Settings]:
    """A home for this demo alone, told to all its processes by the environment."""
    home = Path(tempfile.mkdtemp(prefix="aos-demo-", dir="/tmp"))
    home.chmod(0o711)
    ours = {
        "AOS_HOME": str(home),
        "AOS_HTTP_PORT": "0",
        "AOS_RAY_DASHBOARD_PORT": "0",
        "AOS_PRIVATE_HOSTS_ALLOWED": f'["{site.address}"]',
    }
    before = {name: os.environ.get(name) for name in (*ours, "AOS_URL", "AOS_API_KEY")}
    os.environ.update(ours)
    for name in ("AOS_URL", "AOS_API_KEY"):
        os.environ.pop(name, None)
    settings = load()
    try:
        yield settings
    finally:
        stop_node(settings)
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(ray_directory(settings), ignore_errors=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _say_mode(console: Console, settings: Settings) -> None:
    if settings.anthropic_api_key is not None:
        console.print(f"Planning and summaries: Claude ({settings.anthropic_model}).")
    else:
        console.print(
            "No ANTHROPIC_API_KEY: plans come from fixed rules and the summary from the scripted "
            "model, which quotes sentences and understands nothing. All else is real."
        )


def _start(console: Console, settings: Settings) -> None:
    began = time.monotonic()
    console.print(Rule("Starting", align="left"))
    for fact in start_node(settings):
        if "step" in fact:
            console.print(f"  {time.monotonic() - began:5.1f} s  {fact['step']}: {fact['detail']}")
    console.print(f"  {time.monotonic() - began:5.1f} s  ready")


def _main_job(console: Console, client: AosClient, site: DemoSite) -> None:
    goal = f"Fetch {site.url('/')}, extract the headings and summarise them"
    console.print(Rule("A goal becomes a run", align="left"))
    console.print(f"  goal: {goal}\n")
    run = _follow(console, client, client.runs.create(_PROFILE.name, goal).id)
    console.print(render_run(run))
    if run.status != "completed":
        raise DemoFailed(f"the run ended {run.status}: {run.code} {run.message}")


def _crash_job(console: Console, client: AosClient, site: DemoSite) -> None:
    console.print(Rule("A longer run, and its agent killed in the middle", align="left"))
    crash = Crash(client, site)
    run_id = crash.submit(_PROFILE.name)
    pid = crash.wait_for_the_middle(timeout=_RUN_SECONDS)
    console.print(
        f"  {len(crash.finished)} pages are fetched; SIGKILL to the agent's process {pid}"
    )
    crash.kill(pid)
    run = _follow(console, client, run_id, after=crash.seen)
    report = crash.report(run)
    console.print(render_run(run))
    _print_crash(console, report)
    if problems := report.problems():
        raise DemoFailed("; ".join(problems))


def _follow(console: Console, client: AosClient, run_id: object, after: int = 0) -> RunView:
    for event in client.runs.events(str(run_id), after=after, timeout=_RUN_SECONDS):
        console.print("  ", event_line(event))
    return client.runs.get(str(run_id))


def _print_crash(console: Console, report: CrashReport) -> None:
    console.print(
        f"  death noticed after      {report.noticed_ms:6.0f} ms\n"
        f"  the run went on after    {report.resumed_ms:6.0f} ms   (epoch {report.epochs[0]} → "
        f"{report.epochs[1]})\n"
        f"  next outcome after       {report.next_outcome_ms:6.0f} ms\n"
    )
    for path, answered in sorted(report.answered.items()):
        when = "finished before the crash" if path in report.finished else "afterwards"
        console.print(f"  the site answered {path:<8} {answered}×   {when}")
    console.print(
        f"  {len(report.finished)} steps were finished when the agent died; the site answered none "
        "of them again."
        if not report.problems()
        else ""
    )


def _stop(console: Console, settings: Settings) -> None:
    console.print(Rule("Stopping", align="left"))
    info = running(settings)
    node = psutil.Process(info["pid"]) if info else None
    family = [node, *node.children(recursive=True)] if node else []
    began = time.monotonic()
    stop_node(settings)
    left = [process for process in family if process.is_running()]
    console.print(f"  {time.monotonic() - began:5.1f} s  {len(family)} processes ended")
    postgres = [p for p in psutil.process_iter(["cmdline"]) if str(settings.home) in _line(p)]
    if left or postgres:
        pids = ", ".join(str(process.pid) for process in [*left, *postgres])
        raise DemoFailed(f"processes were left behind: {pids}")


def _line(process: psutil.Process) -> str:
    return " ".join(process.info["cmdline"] or [])
