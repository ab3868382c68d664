"""The house is built as drawn: folders, links, who may import whom, the cluster file."""

from __future__ import annotations

import ast
import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDERS = ("api", "supervisors", "actors", "skills", "cluster")

needs_checkout = pytest.mark.skipif(
    not (ROOT / ".src").exists(), reason="the checkout is not here: the wheel is under test"
)


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> set[tuple[int, str]]:
    """(level, name) of every import of a file, those inside functions included."""
    found: set[tuple[int, str]] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {(0, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.level, node.module or ""))
    return found


@needs_checkout
def test_the_links_are_the_folders() -> None:
    links = {path.name: path for path in (ROOT / ".src/aos").iterdir() if path.is_symlink()}
    assert set(links) == set(FOLDERS)
    for name, link in links.items():
        assert str(link.readlink()) == f"../../{name}"
        assert link.resolve() == ROOT / name


@needs_checkout
@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_inside_the_folders_are_relative(folder: str) -> None:
    absolute = {
        f"{path}: {name}"
        for path in modules(folder)
        for level, name in imports(path)
        if level == 0 and name.split(".")[0] == "aos"
    }
    assert not absolute


@needs_checkout
@pytest.mark.parametrize(
    ("package", "allowed"),
    [("ray", "cluster/engine/"), ("asyncpg", "cluster/postgres/"), ("fastapi", "api/")],
)
def test_one_place_imports(package: str, allowed: str) -> None:
    importers = {
        str(path.relative_to(ROOT))
        for folder in FOLDERS
        for path in modules(folder)
        if any(level == 0 and name.split(".")[0] == package for level, name in imports(path))
    }
    assert importers, "somebody does import it, or this test checks nothing"
    assert {path for path in importers if not path.startswith(allowed)} == set()


@needs_checkout
def test_the_cluster_file_is_valid_for_ray() -> None:
    schema = json.loads((resources.files("ray") / "autoscaler/ray-schema.json").read_text())
    config = yaml.safe_load((ROOT / "ray-cluster.yaml").read_text())
    jsonschema.validate(config, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config | {"no_such_key": 1}, schema)


@needs_checkout
def test_files_and_functions_stay_small() -> None:
    """Over 300 lines a file, over 60 a function: then an idea is missing."""
    too_long = [
        str(path) for folder in FOLDERS for path in modules(folder)
        if len(path.read_text().splitlines()) > 300
    ]  # fmt: skip
    for folder in FOLDERS:
        for path in modules(folder):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    length = (node.end_lineno or 0) - node.lineno + 1
                    if length > 60:
                        too_long.append(f"{path}:{node.name} has {length} lines")
    assert not too_long


@needs_checkout
def test_the_demo_says_what_ships() -> None:
    pages = {path.name for path in (ROOT / "api/demo/pages").glob("*.html")}
    assert {"index.html", "tides.html", "notices.html", "flaky.html", "slow.html"} <= pages
