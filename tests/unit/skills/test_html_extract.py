from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.skill_calls import run

from aos.cluster.canonical import canonical
from aos.skills.builtin import html_extract
from aos.skills.builtin.html_model import HtmlExtractInput
from aos.skills.builtin.html_page import extract

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title> A  page </title>
<meta name="Description" content="About &amp; more"><meta property="og:title" content="OG">
<meta name="description" content="second"><link rel="canonical" href="/canon">
<style>p{}</style></head><body>
<h1>One <b>two</b></h1><h3></h3><p>Hello <i>wor</i>ld!<br>Next&nbsp;line</p>
<script>evil()</script><ul><li>a<li>b</ul>
<table><caption>Prices</caption><tr><th>what<th>price<tr><td>tea<td>3
<table><tr><td>inner</table></table>
<div id=links><a href="/q?a=1&amp;b=2">go <b>on</b></a><a href="">empty</a><a>no</a>
<a href="http://[broken">odd</a></div><h2 class=x>End</h2></body></html>"""


async def output_of(**params: object) -> dict[str, object]:
    outcome = await run(html_extract, {"html": PAGE, **params})
    assert outcome.ok, outcome
    assert isinstance(outcome.output, dict)
    return dict(outcome.output)


async def test_everything_by_default() -> None:
    found = await output_of(base_url="https://e.example/dir/")
    assert found["title"] == "A page"
    assert found["metadata"] == {
        "lang": "en",
        "charset": "utf-8",
        "description": "About & more",
        "og:title": "OG",
        "canonical": "https://e.example/canon",
    }
    assert found["headings"] == [{"level": 1, "text": "One two"}, {"level": 2, "text": "End"}]
    assert found["links"] == [
        {"href": "https://e.example/q?a=1&b=2", "text": "go on"},
        {"href": "http://[broken", "text": "odd"},
    ]
    assert found["tables"] == [
        {"caption": "Prices", "headers": ["what", "price"], "rows": [["tea", "3 inner"]]},
        {"caption": "", "headers": [], "rows": [["inner"]]},
    ]
    assert found["text"] == (
        "One two\nHello world!\nNext line\na\nb\nPrices\nwhat price\ntea 3\ninner\n"
        "go onemptyno odd\nEnd"
    )


async def test_only_what_is_asked_for() -> None:
    found = await output_of(what=["title"])
    assert (found["title"], found["text"], found["links"], found["metadata"]) == (
        "A page",
        "",
        [],
        {},
    )


async def test_a_selector_narrows_it_to_the_outermost_matches() -> None:
    found = await output_of(selector="div, div a, h2")
    assert found["matched"] == 2
    assert found["headings"] == [{"level": 2, "text": "End"}]
    assert [link["text"] for link in found["links"]] == ["go on", "odd"]


async def test_a_selector_that_matches_nothing_finds_nothing() -> None:
    found = await output_of(selector="article", what=["text", "links"])
    assert (found["matched"], found["text"], found["links"]) == (0, "", [])


@pytest.mark.parametrize("selector", ["a[", "::nope", "div >", "###"])
async def test_a_selector_that_is_not_css(selector: str) -> None:
    outcome = await run(html_extract, {"html": PAGE, "selector": selector})
    assert outcome.code == "ERR_TRANSFORM_FAILED"
    assert outcome.details == {"reason": "selector_invalid", "selector": selector}


async def test_the_documents_own_base_counts() -> None:
    html = '<base href="/deep/"><a href="x">x</a>'
    outcome = await run(html_extract, {"html": html, "base_url": "https://e.example/"})
    assert outcome.output["links"][0]["href"] == "https://e.example/deep/x"


@pytest.mark.parametrize("html", ["", "<", "<<<>>>", "</p></div>", "<table><td>", "\0", "a" * 99])
async def test_malformed_html_is_read_as_browsers_read_it(html: str) -> None:
    assert (await run(html_extract, {"html": html})).ok


async def test_deep_nesting_is_no_problem() -> None:
    outcome = await run(html_extract, {"html": "<div>" * 20_000 + "deep", "what": ["text"]})
    assert outcome.output["text"] == "deep"


@given(st.text(alphabet="<>/ab=\"' &#;!-\x1e\n", max_size=80))
def test_any_text_is_html(html: str) -> None:
    found = extract(HtmlExtractInput(html=html, base_url="https://e.example"))
    canonical(found.model_dump(mode="json"))
    assert "\x1e" not in found.text
