"""Supervisors that run for a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.nursery import Begin, Nursery


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    """Runs a nursery's supervisor; it is ended after the test, and must not have failed."""
    begun: list[Nursery] = []

    async def run(nursery: Nursery) -> Nursery:
        begun.append(nursery)
        return await nursery.begin()

    yield run
    for nursery in begun:
        nursery.task.cancel()
        await asyncio.wait([nursery.task])
        assert nursery.task.cancelled() or nursery.task.exception() is None
