"""Cursors name a place and nothing else."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.api import pages
from aos.api.errors import InvalidCursor


@given(st.uuids())
def test_a_cursor_leads_back_to_its_id(item: UUID) -> None:
    assert pages.parse(pages.cursor_of(item)) == item


@given(st.text(max_size=40))
def test_anything_else_is_refused_and_never_crashes(text: str) -> None:
    try:
        parsed = pages.parse(text)
    except InvalidCursor:
        return
    assert isinstance(parsed, UUID)


@pytest.mark.parametrize(("items", "more"), [(0, False), (3, False), (4, True)])
def test_there_is_a_next_page_only_if_there_is_something_on_it(items: int, more: bool) -> None:
    page, last = pages.cut(list(range(items)), 3)
    assert list(page) == list(range(min(items, 3)))
    assert last == (2 if more else None)
