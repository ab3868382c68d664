"""`aos down` asks services to stop before their processes end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.conftest import SERVICES
from tests.support.running import FRUGAL, eventually, running_aos

from aos.api.demo.site import DemoSite

pytestmark = pytest.mark.ray


def test_services_are_asked_to_stop(tmp_path: Path) -> None:
    log = tmp_path / "log"
    path = os.pathsep.join([*map(str, SERVICES), os.getenv("PYTHONPATH", "")])
    with DemoSite(slow_seconds=0.0) as site, running_aos(site, PYTHONPATH=path, **FRUGAL) as aos:
        clock = {"id": "clock", "service": "harbour:Clock", "args": {"log": str(log)}}
        aos.client.teams.create({"name": "harbour", "children": [clock]})
        eventually(log.exists)
    assert log.read_text().splitlines()[-1].endswith("stopped")
