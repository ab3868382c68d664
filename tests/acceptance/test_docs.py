"""What the documentation says is so: commands, options, settings, codes, links, examples."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest
from cyclopts import CycloptsError, MissingArgumentError, UnknownOptionError
from starlette.routing import Route
from tests.support.running import RunningAos, eventually, kill

from aos.actors.runs.events import KINDS
from aos.actors.runs.tallies import FAMILIES
from aos.api.cli.main import app
from aos.api.client import ApiError, TeamView
from aos.api.metrics import RESTARTS
from aos.api.routes import (
    agents,
    control,
    derived,
    programs,
    provenance,
    replay,
    retention,
    runs,
    standing,
    supervision,
    system,
    teams,
)
from aos.cluster.settings import Settings
from aos.skills.contracts import (
    TAXONOMY,
    AgentProfile,
    Contract,
    PlannerChoice,
    Reconciliation,
    ResourceContract,
    RetryPolicy,
    RunLimits,
    SkillDescriptor,
    StructuredOutcome,
)
from aos.supervisors.teams.declaration import Child, Declaration, Group, IntensityShape

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXAMPLE = ROOT / "examples" / "first_agent.py"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(DOCS.rglob("*.md")),
]
NOT_SETTINGS = {"AOS_URL", "AOS_API_KEY", "AOS_FAULTS_DIR"}
OPERATORS = {"|", "&&", "||", ";", "&", ">", ">>", "2>&1"}

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def blocks(language: str) -> Iterator[tuple[str, str, str]]:
    """Fenced blocks of a language: a name for the test, what follows the language, the text."""
    for page in PAGES:
        for match in _FENCE.finditer(page.read_text()):
            kind, _, more = match.group(1).partition(" ")
            if kind == language:
                line = page.read_text()[: match.start()].count("\n") + 1
                yield f"{page.relative_to(ROOT)}:{line}", more.strip(), match.group(2)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every call of `aos` in shell blocks."""
    for language in ("bash", "console"):
        for place, _, text in blocks(language):
            for line in text.splitlines():
                yield from ((place, words) for words in calls_in(line))


def mentions() -> Iterator[tuple[str, list[str]]]:
    """Every command that the prose names; its arguments may be left out."""
    for page in PAGES:
        prose = _FENCE.sub("", page.read_text())
        for quoted in re.findall(r"`(aos [^`…]+)`", prose):
            yield from ((str(page.relative_to(ROOT)), words) for words in calls_in(quoted))


def calls_in(line: str) -> Iterator[list[str]]:
    """The arguments of each `aos` that stands where a command stands."""
    outer, inner = substituted(line.removeprefix("$ "))
    for text in inner:
        yield from calls_in(text)
    command: list[str] = []
    for word in [*shlex.split(outer, comments=True), ";"]:
        if word not in OPERATORS:
            command.append(word)
            continue
        while command and re.fullmatch(r"[A-Z_]+=.*", command[0]):
            command.pop(0)
        if command[:2] == ["ray", "job"] and "--" in command:
            command = command[command.index("--") + 1 :]
        if command[:1] == ["aos"]:
            yield command[1:]
        command = []


def substituted(line: str) -> tuple[str, list[str]]:
    """A line with each `$(…)` replaced by a word, and what was in them."""
    inner: list[str] = []
    while (start := line.find("$(")) >= 0:
        depth, end = 1, start + 2
        while depth:
            depth += {"(": 1, ")": -1}.get(line[end], 0)
            end += 1
        inner.append(line[start + 2 : end - 1])
        line = f"{line[:start]}X{line[end:]}"
    return line, inner


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(page: Path) -> set[str]:
    """What headings of a page can be linked to, as the usual renderers name them."""
    prose = _FENCE.sub("", page.read_text())
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


PYTHON = list(blocks("python"))
ON_AOS = [
    (place, language, text)
    for language, marker in (("python", "aos"), ("bash", "run"))
    for place, more, text in blocks(language)
    if more == marker
]
COMMANDS = list(commands())
MENTIONS = list(mentions())


@pytest.mark.parametrize(("more", "text"), [b[1:] for b in PYTHON], ids=[b[0] for b in PYTHON])
def test_python_compiles_and_what_is_marked_runs(more: str, text: str) -> None:
    assert more in ("", "run", "aos"), f"unknown marker {more!r}"
    # Not with this file's own `from __future__ import annotations`: readers do not have it.
    code = compile(text, "<documentation>", "exec", dont_inherit=True)
    if more == "run":
        exec(code, {"__name__": "documentation"})  # noqa: S102 - our own pages


def test_something_is_run() -> None:
    assert [place for place, more, _ in PYTHON if more == "run"]


@pytest.mark.parametrize("words", [c[1] for c in COMMANDS], ids=[c[0] for c in COMMANDS])
def test_commands_and_options_exist(words: list[str]) -> None:
    try:
        app.parse_args(words, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        pytest.fail(f"aos {shlex.join(words)}: {error}")


@pytest.mark.parametrize("words", [m[1] for m in MENTIONS], ids=[m[0] for m in MENTIONS])
def test_commands_that_are_mentioned_exist(words: list[str]) -> None:
    try:
        app.parse_args(words, print_error=False, exit_on_error=False)
    except MissingArgumentError:
        pass
    except CycloptsError as error:
        pytest.fail(f"aos {shlex.join(words)}: {error}")


def test_the_check_of_commands_sees_what_is_wrong() -> None:
    assert len(COMMANDS) > 20
    assert len(MENTIONS) > 40
    line = "A=1 aos up && kill $(aos agent show x --json | python) # aos no"
    assert list(calls_in(line)) == [["agent", "show", "x", "--json"], ["up"]]
    assert list(calls_in("ray job submit --a b -- aos run x")) == [["run", "x"]]
    with pytest.raises(UnknownOptionError):
        app.parse_args(["run", "--wacth"], print_error=False, exit_on_error=False)
    for wrong in (["run", "x", "--agent", "y", "--wacth"], ["runs", "list"], ["agent", "show"]):
        with pytest.raises(CycloptsError):
            app.parse_args(wrong, print_error=False, exit_on_error=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    prose = _FENCE.sub("", page.read_text())
    for target in _LINK.findall(prose):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{target} leads nowhere"
        assert linked.is_relative_to(ROOT), f"{target} leads out of the repository"
        assert not anchor or anchor in anchors(linked), f"{target} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_exist(page: Path) -> None:
    """Settings, error codes, outcome codes, make targets and files that a page names."""
    text = page.read_text()
    settings = {f"AOS_{name}".upper() for name in Settings.model_fields}
    assert set(re.findall(r"\bAOS_[A-Z_]+\b", text)) <= settings | NOT_SETTINGS
    assert set(re.findall(r"\bERR_[A-Z0-9_]+[A-Z0-9]\b", text)) - {"ERR_HTTP"} <= TAXONOMY.keys()
    registered = set(re.findall(r"`(AOS-\d{4})`", (DOCS / "reference/errors.md").read_text()))
    assert set(re.findall(r"\bAOS-\d{4}\b", text)) <= registered
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z]+)\b", text, re.MULTILINE)) <= targets
    folders = "api|supervisors|actors|skills|cluster|docs|examples|tests"
    for path in re.findall(rf"`((?:{folders})/[\w./]+)`", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", ["errors.md", "configuration.md", "exits.md"])
def test_generated_pages_are_what_would_be_generated(name: str) -> None:
    page = (DOCS / "reference" / name).read_text()
    assert page == generator().PAGES[name](), "run `python docs/generate.py`"


def test_all_outcome_codes_and_settings_are_there() -> None:
    errors = (DOCS / "reference/errors.md").read_text()
    assert set(re.findall(r"^\| `((?:OK|ERR_)\w*)`", errors, re.MULTILINE)) == TAXONOMY.keys()
    configuration = (DOCS / "reference/configuration.md").read_text()
    listed = re.findall(r"^\| `([a-z_]+)` \|", configuration, re.MULTILINE)
    assert listed == list(Settings.model_fields)


def test_the_reference_names_all_commands_and_options() -> None:
    page = (DOCS / "reference/cli.md").read_text()
    paths = [[name] for name in app if not name.startswith("-")]
    paths += [["agent", verb] for verb in app["agent"] if not verb.startswith("-")]
    paths += [["replay", verb] for verb in app["replay"] if not verb.startswith("-")]
    paths += [["trace", verb] for verb in app["trace"] if not verb.startswith("-")]
    paths += [["runs", verb] for verb in app["runs"] if not verb.startswith("-")]
    paths += [["tree", verb] for verb in app["tree"] if not verb.startswith("-")]
    paths += [[noun, verb] for noun in ("dead", "stop") for verb in app[noun] if verb[0] != "-"]
    paths += [["team", verb] for verb in app["team"] if not verb.startswith("-")]
    paths += [["retention", verb] for verb in app["retention"] if not verb.startswith("-")]
    for path in paths:
        assert f"aos {' '.join(path)}" in page, path
        command = app
        for name in path:
            command = command[name]
        if command.default_command is not None:
            options = command.assemble_argument_collection()
            names = {name for each in options for name in each.names if name.startswith("--")}
            for name in names - {"--no-json"}:
                assert f"`{name}`" in page, (path, name)


def test_the_reference_names_all_routes() -> None:
    page = (DOCS / "reference/http.md").read_text()
    modules = (
        agents, control, derived, programs, provenance, replay, retention, runs, standing,
        supervision, system, teams,
    )  # fmt: skip
    for module in modules:
        for route in module.router.routes:
            assert isinstance(route, Route) or hasattr(route, "methods")
            for method in route.methods - {"HEAD"}:
                assert f"`{method} {route.path}`" in page, route.path


def test_the_reference_names_all_metrics_with_their_labels() -> None:
    page = (DOCS / "reference/metrics.md").read_text()
    for family in (*FAMILIES, RESTARTS):
        row = next(line for line in page.splitlines() if line.startswith(f"| `{family.name}` "))
        labels = row.split("|")[3]
        assert re.findall(r"`(\w+)`", labels) == list(family.labels)
        assert ("histogram" in row) == bool(family.buckets)


def test_the_reference_names_all_journal_events_with_their_fields() -> None:
    page = (DOCS / "reference/journal.md").read_text()
    for kind in KINDS:
        name = str(kind.model_fields["kind"].default)
        _, found, section = page.partition(f"**`{name}`**")
        assert found, name
        section = section.partition("**`")[0].partition("\n## ")[0]
        rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
        listed = {field for row in rows for field in re.findall(r"`(\w+)`", row)}
        assert listed == set(kind.model_fields) - {"kind"}, name


@pytest.mark.parametrize(
    "contract",
    [StructuredOutcome, SkillDescriptor, Reconciliation, ResourceContract, AgentProfile],
)
def test_the_reference_lists_the_fields_of_each_contract(contract: type[Contract]) -> None:
    page = (DOCS / "reference/contracts.md").read_text()
    section = page.partition(f"## {contract.__name__}\n")[2].partition("\n## ")[0]
    section = section.partition("| older name")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = {field for row in rows for field in re.findall(r"`([\w.]+)`", row)}
    expected: set[str] = set()
    for name in contract.model_fields:
        inner = {"planner": PlannerChoice, "limits": RunLimits}.get(name)
        expected |= {f"{name}.{each}" for each in inner.model_fields} if inner else {name}
    assert listed == expected


def test_the_reference_gives_the_retry_policy_with_its_defaults() -> None:
    page = (DOCS / "reference/contracts.md").read_text()
    sentence = page.partition("**RetryPolicy**:")[2].partition(". The pause")[0]
    given = dict(re.findall(r"`(\w+)` ([\d.]+)", sentence))
    assert given == {name: str(field.default) for name, field in RetryPolicy.model_fields.items()}


TEAMS = [
    block
    for block in blocks("yaml")
    if re.match(r"docs/(how-to/run-a-team|reference/teams)", block[0])
]


@pytest.mark.parametrize("text", [b[2] for b in TEAMS], ids=[b[0] for b in TEAMS])
def test_teams_that_are_declared_run(aos: RunningAos, tmp_path: Path, text: str) -> None:
    text = text.replace("https://example.com", aos.site.url("/"))
    text = text.replace("/tmp/tides.log", str(tmp_path / "tides.log"))  # noqa: S108 - the page's
    for name in re.findall(r"agent: ([a-z-]+)", text):
        with suppress(ApiError):  # two pages may name the same one
            aos.client.agents.create(
                AgentProfile.model_validate({"name": name, "planner": OFFLINE})
            )
    team = aos.client.teams.create(text)
    try:
        if "goal:" in text:
            eventually(lambda: aos.client.teams.get(team.id).state == "ended")
            return
        eventually(lambda: runs_whole(aos.client.teams.get(team.id)))
        if "tide_clock" in text:
            eventually((tmp_path / "tides.log").exists)
    finally:
        aos.client.teams.delete(team.id)


def runs_whole(team: TeamView) -> bool:
    """Whether everybody in it runs."""
    todo, states = list(team.children), set[str]()
    while todo:
        child = todo.pop()
        states.add(child.state)
        todo += child.children
    return states == {"running"}


def test_the_teams_service_is_the_example() -> None:
    code = (ROOT / "examples" / "tide_clock.py").read_text()
    assert f"```python\n{code}```" in (DOCS / "how-to/run-a-team.md").read_text()


def test_the_reference_lists_the_keys_of_a_declaration_with_their_defaults() -> None:
    page = (DOCS / "reference/teams.md").read_text()
    tables = page.partition("## Everything together")[0]
    rows = {
        match[1]: match[2].strip()
        for match in re.finditer(r"^\| `(\w+)` \| ([^|]*)\|", tables, re.MULTILINE)
    }
    shapes = (Declaration, Group, Child)
    assert rows.keys() == {name for shape in shapes for name in shape.model_fields}
    assert rows["intensity"] == "5 in 30 s"
    assert Group.model_fields["intensity"].default == IntensityShape(restarts=5, period_s=30)
    for shape, name in ((Declaration, "restart"), (Group, "strategy"), (Group, "auto_shutdown")):
        assert f"`{shape.model_fields[name].default}`" in tables
    assert rows["restart"] == f"`{Child.model_fields['restart'].default}`"


def test_the_example_is_short_and_is_the_tutorials() -> None:
    source = EXAMPLE.read_text()
    tree = ast.parse(source)
    code = source[source.index("import json") :]
    assert ast.get_docstring(tree)
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    assert f"```python\n{code}```" in (DOCS / "tutorial.md").read_text()


def test_the_first_agent_gets_its_answer(aos: RunningAos) -> None:
    goal = f"Fetch {aos.site.url('/')}, extract the headings and summarise them"
    aos.client.agents.create(AgentProfile.model_validate({"name": "first", "planner": OFFLINE}))
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), str(aos.settings.home), goal],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "event: run_finished" in done.stdout
    assert "Harbour Observatory" in done.stdout


@pytest.fixture
def researcher(aos: RunningAos) -> None:
    """The agent that the pages speak of: it was active, and was killed."""
    with suppress(ApiError):  # of an earlier test
        profile = {"name": "researcher", "planner": OFFLINE}
        aos.client.agents.create(AgentProfile.model_validate(profile))
    goal = f"Fetch {aos.site.url('/slow/docs')}, extract the headings and summarise them"
    run = aos.client.runs.create("researcher", goal)
    eventually(lambda: aos.client.agents.get("researcher").pid is not None)
    pid = aos.client.agents.get("researcher").pid
    assert pid is not None
    kill(pid)
    aos.client.runs.wait(run.id, timeout=60)


@pytest.mark.usefixtures("researcher")
@pytest.mark.parametrize(("language", "text"), [b[1:] for b in ON_AOS], ids=[b[0] for b in ON_AOS])
def test_what_is_marked_runs_on_aos(aos: RunningAos, language: str, text: str) -> None:
    cli = ["-m", "aos.api.cli.main"]
    calls = [["-c", text]] if language == "python" else [[*cli, *words] for words in lines_of(text)]
    for arguments in calls:
        done = subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "AOS_HOME": str(aos.settings.home)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_something_is_run_on_aos() -> None:
    assert {language for _, language, _ in ON_AOS} == {"bash", "python"}


def lines_of(text: str) -> list[list[str]]:
    """The arguments of `aos` in each line of a block that holds nothing else."""
    lines = [shlex.split(line) for line in text.splitlines() if line]
    assert all(words[0] == "aos" for words in lines), "only calls of aos can be run"
    return [words[1:] for words in lines]


OFFLINE = {"name": "rules", "model": "scripted"}
"""The session's AOS has a model server's key, whose replies belong to other tests."""
