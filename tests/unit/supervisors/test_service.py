"""A service's life in its process: made, run, stopped; whatever it does, it is answered for."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.running import eventually

from aos.supervisors.service import Life, ServiceFailed, check, find_class
from aos.supervisors.service_child import options_of
from aos.supervisors.spec import ChildSpec

SERVICES = Path(__file__).parents[2] / "support" / "services"


@pytest.fixture(autouse=True)
def _on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SERVICES))


async def ended(life: Life) -> dict[str, str]:
    return await asyncio.wait_for(asyncio.wrap_future(life.ended), 10)


async def made(service: str, **args: Any) -> Life:
    life = Life(f"harbour:{service}", args)
    await asyncio.wait_for(asyncio.wrap_future(life.made), 10)
    return life


async def test_returning_is_a_normal_end() -> None:
    assert await ended(await made("Ferry")) == {"reason": "normal", "detail": ""}


async def test_raising_is_a_crash_with_its_text() -> None:
    assert await ended(await made("Leaky")) == {
        "reason": "crash", "detail": "RuntimeError: water in the engine room",
    }  # fmt: skip


async def test_a_service_that_cannot_be_made_says_why() -> None:
    with pytest.raises(ServiceFailed, match="ValueError: it sank at its launch"):
        await made("Wreck")
    with pytest.raises(ServiceFailed, match="has no attribute 'Nobody'"):
        await made("Nobody")


async def test_a_stop_is_asked_for_and_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "log"
    life = await made("Clock", log=str(log), tick_s=0.01)
    eventually(log.exists)  # the service runs in a thread of its own
    life.ask_to_stop()
    assert (await ended(life))["reason"] == "normal"
    assert log.read_text().splitlines()[-1].endswith("stopped")


async def test_who_has_no_stop_is_cancelled() -> None:
    life = await made("Moored")
    life.ask_to_stop()
    assert await ended(life) == {"reason": "normal", "detail": "it was stopped"}
    life.ask_to_stop()  # again changes nothing


async def test_a_loop_that_stands_still_is_told_by_its_lag() -> None:
    life = await made("Moored")
    assert life.lag() == 0.0
    eventually(lambda: life.lag() == 0.0)
    hung = await made("Sleeper", seconds=0.5)
    hung.lag()
    time.sleep(0.2)  # noqa: ASYNC251 - its loop sleeps in another thread
    assert hung.lag() >= 0.2
    assert (await ended(hung))["reason"] == "normal"
    life.ask_to_stop()
    await ended(life)


@pytest.mark.parametrize(
    ("service", "args", "wrong"),
    [
        ("harbour:Ferry", {}, []),
        ("harbour:Clock", {"log": "x", "tick_s": 1}, []),
        ("harbour:Clock", {"tock_s": 1}, ["missing a required argument: 'log'"]),
        ("harbour:Buoy", {}, ["harbour:Buoy has no `async def run(self)`"]),
        ("harbour:SERVICES", {}, ["has no attribute 'SERVICES'"]),
        ("harbour:os", {}, ["harbour:os is not a class"]),
        ("nowhere:Clock", {}, ["No module named 'nowhere'"]),
        ("reef:Reef", {}, ["reef:Reef cannot be imported: SystemExit: 7"]),
    ],
)
def test_a_class_is_checked_without_making_it(
    service: str, args: dict[str, Any], wrong: list[str]
) -> None:
    told = list(check(json.dumps({"service": service, "args": args})))
    assert len(told) == len(wrong)
    assert all(expected in text for expected, text in zip(wrong, told, strict=True))


def test_a_class_is_found_by_its_path() -> None:
    assert find_class("harbour:Wreck").__name__ == "Wreck"


def test_resources_are_what_ray_calls_them() -> None:
    resources = {"CPU": 0.5, "GPU": 1, "memory": 2.0**30, "gold": 2}
    args = {"service": "m:C", "args": {}, "resources": resources, "place": "team:t/clock"}
    options = options_of(ChildSpec("clock", "service", args=args))
    assert (options.cpus, options.gpus, options.memory_bytes) == (0.5, 1, 2**30)
    assert options.resources == (("gold", 2),)
    assert (options.name, options.detached) == ("aos-service:team:t/clock", False)
