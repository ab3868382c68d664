"""Writes the reference pages that are made from the code: `python docs/generate.py`.

`tests/acceptance/test_docs.py` compares what is committed with what this would write.
"""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import aos
from aos.actors.activation import EXIT_FENCED, EXIT_TAINTED
from aos.cluster.engine.exits import TABLE, Row
from aos.cluster.errors import REGISTRY
from aos.cluster.exits import ExitReason
from aos.cluster.settings import Settings
from aos.skills.contracts import TAXONOMY

REFERENCE = Path(__file__).parent / "reference"

_FAMILIES = {
    "AOS-1": "Input: what was sent cannot be accepted",
    "AOS-2": "Access: who is asking, and what they may do",
    "AOS-3": "Runs and agents",
    "AOS-4": "Supervision: activations, leases, restarts",
    "AOS-5": "Storage: Postgres, migrations, the data directory",
    "AOS-6": "Engine: Ray, processes, ports",
}

SETTINGS: dict[str, str] = {
    "home": "Where everything of this installation lies. Keep it short: a Unix socket's path is "
    "in it. As root it is `/var/lib/aos`, else the user's data directory.",
    "database_url": "A Postgres of your own. Without it AOS runs an embedded one.",
    "postgres_os_user": "Who the embedded Postgres runs as when AOS is started by root. Without "
    "it: `postgres`, else `nobody`.",
    "http_host": "Where the HTTP front listens. It speaks plain HTTP.",
    "http_port": "Its port; 0 takes any free one.",
    "http_body_limit": "The largest request body, in bytes.",
    "payload_limit": "The largest value, in bytes of JSON, that may be said to a run: a signal's "
    "payload, a decision's value, a repair's result.",
    "ray_address": "A running Ray cluster to join. Without it `aos up` starts a local one.",
    "ray_namespace": "The Ray namespace of AOS's actors.",
    "ray_cpus": "CPUs that the local Ray counts. Without it: those of the machine.",
    "ray_dashboard": "Whether the local Ray has its dashboard. Ray jobs need it.",
    "ray_dashboard_port": "Its port; another free one is taken if it is in use.",
    "ray_object_store_bytes": "Ray's object store, in bytes. Payloads lie in Postgres: small is "
    "enough.",
    "agent_warm_hosts": "Blank agent processes kept ready, so that an activation does not wait for "
    "one.",
    "agent_max_hosts": "How many agents may be active at once.",
    "agent_idle_seconds": "An agent without a run for so long is made passive: its process is free "
    "for other agents of its tenant.",
    "agent_host_serves": "How often a process is used for an agent before a new one replaces it.",
    "agent_host_rss_mb": "A process that has grown beyond this is replaced when its agent is made "
    "passive.",
    "skill_spare_workers": "Idle skill processes kept ready.",
    "agent_parallel_steps": "Steps of one agent that run at once, over all of its runs.",
    "heartbeat_interval": "Seconds between two heartbeats asked of each process.",
    "heartbeat_misses": "So many unanswered in a row, and a process is taken to hang and ended.",
    "hang_seconds": "How long a process's event loop may stand still before a heartbeat counts as "
    "unanswered. A long model call does not make it stand still.",
    "lease_seconds": "How long a machine's word for its processes holds. Then its agents are taken "
    "over.",
    "orphan_seconds": "An agent's process that hears nothing from its manager for so long ends "
    "itself.",
    "janitor_interval": "Seconds between two rounds of clearing away processes and leases that "
    "nobody owns. Only what was found in two rounds goes.",
    "skill_memory_mb": "MiB that an attempt of a skill may allocate, unless the skill declares "
    "`memory_mb`: the kernel refuses more. 0: no limit.",
    "agent_memory_mb": "MiB that an agent may allocate beyond what its process had when it became "
    "that agent: then it ends itself and is restarted. 0: no limit.",
    "memory_budget_mb": "MiB that the processes of this Ray may hold together, before idle agents "
    "are made passive (80 %) and the worst process is ended (88 %). Without it: the memory of the "
    "machine or container, of which everybody uses.",
    "rescue_interval": "Seconds between two looks for unfinished runs that nobody executes.",
    "supervision_events_days": "How many days the record of what supervisors did is kept.",
    "retention_days": "How many days runs are kept [after their end](../how-to/keep-and-drop.md). "
    "Without it: for ever.",
    "retention_archive": "A directory into which removed runs go. Without it they are gone.",
    "retention_interval": "Seconds between two looks for runs to remove.",
    "blob_threshold": "Values over so many bytes are stored by content hash, beside the journal.",
    "program_development": "Refuse [programs](../how-to/write-a-program.md) that read the clock "
    "or chance directly, where they do it. Costs some speed.",
    "program_tenants": "Tenants whose admins may upload durable programs. They are executed in the "
    "processes of the tenant's agents; in the environment a JSON list.",
    "private_hosts_allowed": "`host:port` pairs that are not public and may be fetched all the "
    'same; in the environment a JSON list, such as `["127.0.0.1:8900"]`.',
    "anthropic_api_key": "With it, agents whose planner is `auto` plan with Claude.",
    "anthropic_base_url": "Another endpoint that speaks Anthropic's protocol.",
    "anthropic_model": "The model used where neither step nor agent names one.",
    "log_level": "`debug`, `info`, `warning` or `error`.",
}
"""What each setting is for. A setting without a sentence here cannot be documented: KeyError."""


def errors_page() -> str:
    """`reference/errors.md`: the registry of errors and the taxonomy of outcomes."""
    for module in walk_packages(aos.__path__, "aos."):
        import_module(module.name)
    lines = [
        "# Errors and outcome codes",
        "",
        "_Made by `docs/generate.py` from the code. Do not edit._",
        "",
        "A code never changes its meaning. There are two kinds: **errors** (`AOS-…`) are what AOS",
        "refuses or cannot do, as HTTP problems and on the command line; **outcome codes** (`OK`,",
        "`ERR_…`) are how an attempt of a step, or a whole run, ended: data in the journal.",
        "",
        "*Again* says whether doing the same once more can help. *Blame* says whose move it is.",
        "",
        "## Errors",
    ]
    for prefix, title in _FAMILIES.items():
        lines += ["", f"### {title}", "", *_table("code", "title", "what to do", "again", "blame")]
        lines += [
            _row(code, cls.title, cls.next_action, _yes(cls.retryable), cls.blame.value)
            for code, cls in sorted(REGISTRY.items())
            if code.startswith(prefix) and cls.__module__.startswith("aos.")
        ]
    lines += ["", "## Outcome codes"]
    for category in dict.fromkeys(row.category for row in TAXONOMY.values()):
        heading = category.value.replace("_", " ")
        lines += ["", f"### {heading}", ""]
        lines += _table("code", "what to do", "again", "severity", "blame")
        lines += [
            _row(row.code, row.next_action, _yes(row.retryable), row.severity, row.blame.value)
            for row in TAXONOMY.values()
            if row.category is category
        ]
    return "\n".join(lines) + "\n"


def configuration_page() -> str:
    """`reference/configuration.md`: every setting."""
    lines = [
        "# Configuration",
        "",
        "_Made by `docs/generate.py` from the code. Do not edit._",
        "",
        "Settings come from the environment and from `$AOS_HOME/aos.toml`; the environment wins.",
        "In the file a setting has its plain name (`http_port = 8790`), and a name that does not",
        "exist is refused (AOS-1001). A misspelt name in the environment is not noticed.",
        "",
        "`aos up` hands its environment to all processes that it starts, so a change needs",
        "`aos down` and `aos up`. Times are seconds.",
        "",
        *_table("setting", "environment", "default", "meaning"),
    ]
    lines += [
        f"| `{name}` | {_variables(name, field)} | {_default(field)} | {SETTINGS[name]} |"
        for name, field in Settings.model_fields.items()
    ]
    lines += [
        "",
        "Three variables are no settings:",
        "",
        *_table("environment", "meaning"),
        "| `AOS_URL` | Which AOS the command line and the SDK talk to. "
        "Without it: the one of `$AOS_HOME`. |",
        "| `AOS_API_KEY` | The key for it. Without it, for an AOS of this machine: "
        "`$AOS_HOME/credentials`. |",
        "| `AOS_FAULTS_DIR` | For tests of AOS only: where fault points are armed. |",
    ]
    return "\n".join(lines) + "\n"


_EXITS_OPENING = """\
Why a process of AOS ended. Supervisors decide with these words, and every `ended` event of
[`GET /api/v1/tree/events`](http.md#supervision-events) has one as its `reason`, with a `detail`
for people. They are those of Erlang/OTP where it has one.

An *intended* end is not repaired if the child is `transient`; all others are failures.
"""

_EXITS_OF_RAY = """\
## How Ray says it

Read from the top: the first line that fits counts. The texts are parts of what Ray writes; the
tests provoke these deaths on a real Ray, and look for the texts in it where that is not possible.
"""

_EXITS_BY_THEMSELVES = """\
## What a process says itself

To Ray an agent's process that leaves by itself looks like a crash. So it tells those who watch it
why, and is gone a tenth of a second later at most; they wait for that. On a machine that is too
busy for it, they see a crash whose `detail` is an ended connection.
"""

_EXITS_THAT_ARE_NONE = """\
## What is no end

A process that is stopped (SIGSTOP) or hangs has not ended, and Ray tells nobody. So it is with an
actor that waits for resources which no machine has. And an actor that is watched does not end by
`sys.exit`, `exit_actor` or SIGTERM: it answers no calls any more, and waits for the watch, as the
watch waits for it. To end an actor's process by hand, send SIGKILL.
"""


def exits_page() -> str:
    """`reference/exits.md`: why processes end, and how Ray says it."""
    meanings = _members(ExitReason)
    tainted = "Something unexpected was raised, the `detail`: its memory may be corrupt."
    lines = [
        "# Exits",
        "",
        "_Made by `docs/generate.py` from the code. Do not edit._",
        "",
        *_EXITS_OPENING.splitlines(),
        "",
        *_table("reason", "intended", "what happened"),
        *(_row(each.value, _yes(each.intended), meanings[each.name]) for each in ExitReason),
        "",
        *_EXITS_OF_RAY.splitlines(),
        "",
        *_table("reason", "what happened", "Ray's error"),
        *(_row(row.reason.value, row.meaning, _said(row)) for row in TABLE),
        "",
        *_EXITS_BY_THEMSELVES.splitlines(),
        "",
        *_table("reason", "exit code", "when"),
        _row(ExitReason.FENCED.value, str(EXIT_FENCED), "A later activation has its place."),
        _row(ExitReason.CRASH.value, str(EXIT_TAINTED), tainted),
        "",
        *_EXITS_THAT_ARE_NONE.splitlines(),
    ]
    return "\n".join(lines) + "\n"


PAGES = {"errors.md": errors_page, "configuration.md": configuration_page, "exits.md": exits_page}
"""Every generated page by its file name."""


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page())


def _table(*columns: str) -> list[str]:
    return [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]


def _row(code: str, *cells: str) -> str:
    return f"| `{code}` | {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _said(row: Row) -> str:
    parts = [f"`{row.error.__name__}`", *([f"`{row.fact}`"] if row.fact else [])]
    return ", ".join([*parts, *(f"“{telltale}”" for telltale in row.telltales)])


def _members(enum: type) -> dict[str, str]:
    """Each member's docstring, which Python itself does not keep, as one line."""
    source = ast.parse(inspect.getsource(enum))
    body = next(node.body for node in ast.walk(source) if isinstance(node, ast.ClassDef))
    found: dict[str, str] = {}
    for member, text in pairwise(body):
        if isinstance(member, ast.Assign) and isinstance(text, ast.Expr):
            name = ast.unparse(member.targets[0])
            found[name] = " ".join(str(ast.literal_eval(text.value)).split())
    return found


def _yes(so: bool) -> str:
    return "yes" if so else "no"


def _variables(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    names = [f"AOS_{name}".upper()]
    if isinstance(alias, AliasChoices):
        names = [str(choice) for choice in alias.choices if str(choice).isupper()]
    return ", ".join(f"`{variable}`" for variable in names)


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if value is PydanticUndefined:
        return "see right"
    if value is None or value == () or isinstance(value, SecretStr):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    main()
