from __future__ import annotations

from pathlib import Path

import pytest

from aos.cluster.postgres import InvalidQueryFile, Queries, UnknownQuery

TWO = """\
-- The store of runs: who owns what.

-- claim_run
-- One supervisor takes a run that nobody leases;
-- others
-- skip it.
UPDATE runs
SET owner = $1 -- ours
  -- locked
WHERE id = $2
-- a comment of several words
RETURNING id;

-- count_runs
-- For the console.
SELECT count(*) FROM runs
"""


def load(folder: Path, text: str) -> Queries:
    path = folder / "runs.sql"
    path.write_text(text)
    return Queries.load(path)


def test_names_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    queries = load(tmp_path, TWO)
    assert queries.names == ("claim_run", "count_runs")
    assert queries.path == tmp_path / "runs.sql"


def test_a_statement_is_found_by_item_and_by_attribute(tmp_path: Path) -> None:
    queries = load(tmp_path, TWO)
    assert queries["count_runs"] == "-- count_runs\nSELECT count(*) FROM runs"
    assert queries.count_runs == queries["count_runs"]


def test_a_statement_keeps_its_comments_and_loses_its_semicolon(tmp_path: Path) -> None:
    statement = load(tmp_path, TWO).claim_run
    assert statement.startswith("-- claim_run\nUPDATE runs\n")
    assert "-- ours\n  -- locked\n" in statement
    assert statement.endswith("-- a comment of several words\nRETURNING id")


def test_the_lines_below_the_name_say_why(tmp_path: Path) -> None:
    queries = load(tmp_path, TWO)
    assert queries.doc("count_runs") == "For the console."
    assert queries.doc("claim_run") == (
        "One supervisor takes a run that nobody leases; others skip it."
    )


def test_a_one_word_line_inside_a_comment_block_is_no_name(tmp_path: Path) -> None:
    queries = load(tmp_path, "-- a\n-- why.\nSELECT 1\n-- wrapped over\n-- lines\n+ 1")
    assert queries.names == ("a",)


def test_a_name_may_follow_a_statement_without_an_empty_line(tmp_path: Path) -> None:
    queries = load(tmp_path, "-- a\n-- why.\nSELECT 1;\n-- b\n-- why.\nSELECT 2;")
    assert (queries.a, queries.b) == ("-- a\nSELECT 1", "-- b\nSELECT 2")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT 1", r"runs\.sql:1: a statement needs a name"),
        ("-- a\nSELECT 1", r"runs\.sql:1: query a needs a comment line that says why"),
        ("-- a\n-- why.\nSELECT 1\n-- b\nSELECT 2", r"runs\.sql:4: query b needs a comment"),
        ("-- a\n-- why.\n", r"runs\.sql:1: query a has no statement"),
        ("-- a\n-- why.\n;", r"runs\.sql:1: query a has no statement"),
        ("-- a\n-- why.\nSELECT 1\n\n-- a\n-- why.\nSELECT 2", "query a is defined twice"),
        ("-- names\n-- why.\nSELECT 1", "a query cannot be called names"),
    ],
)
def test_a_file_that_breaks_the_rule_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(InvalidQueryFile, match=complaint):
        load(tmp_path, text)


def test_an_unknown_name_is_answered_with_near_ones(tmp_path: Path) -> None:
    queries = load(tmp_path, TWO)
    complaint = r"^no query 'claim_runs' in .*runs\.sql; there is: claim_run"
    with pytest.raises(UnknownQuery, match=complaint):
        queries["claim_runs"]
    with pytest.raises(AttributeError, match=complaint):
        _ = queries.claim_runs
    with pytest.raises(UnknownQuery, match=complaint):
        queries.doc("claim_runs")


def test_a_file_without_queries_is_empty(tmp_path: Path) -> None:
    assert load(tmp_path, "-- Nothing here yet.\n").names == ()
    assert not hasattr(load(tmp_path, ""), "__wrapped__")
