from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest
from pydantic import BaseModel

from aos.skills import registry as registry_module
from aos.skills.builtin import BUILTIN, http_call
from aos.skills.contracts import Effects
from aos.skills.registry import (
    AnySkill,
    BrokenSkillSource,
    ContractChanged,
    DuplicateSkill,
    Registry,
    SkillNotFound,
    default_registry,
)
from aos.skills.skill import SkillContext, skill


class Nothing(BaseModel):
    pass


async def work(request: Nothing, context: SkillContext) -> Nothing:
    """Work."""
    return request


def made(version: str = "1.0.0", effects: Effects = Effects.PURE, name: str = "work") -> AnySkill:
    return skill(name=name, version=version, effects=effects)(work)


def plug(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    default_registry.cache_clear()
    monkeypatch.setattr(registry_module, "entry_points", lambda group: points)


@pytest.fixture(autouse=True)
def forget_cached_registries() -> object:
    yield
    default_registry.cache_clear()


def module_with(monkeypatch: pytest.MonkeyPatch, name: str, **contents: object) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def test_the_highest_version_is_by_number_not_by_letter() -> None:
    registry = Registry([made("1.9.0"), made("1.10.0"), made("1.2.0")])
    assert registry.get("work").descriptor.version == "1.10.0"
    assert registry.get("work", "1.9.0").descriptor.version == "1.9.0"
    assert [each.ref for each in registry.descriptors()] == [
        "work@1.2.0",
        "work@1.9.0",
        "work@1.10.0",
    ]
    assert registry.catalog()["work"].version == "1.10.0"


def test_the_same_contract_twice_is_a_duplicate() -> None:
    with pytest.raises(DuplicateSkill, match=r"work@1\.0\.0") as caught:
        Registry([made(), made()])
    assert caught.value.code == "AOS-1203"


def test_a_changed_contract_needs_a_new_version() -> None:
    with pytest.raises(ContractChanged, match=r"work@1\.0\.0") as caught:
        Registry([made(), made(effects=Effects.UNSAFE)])
    assert caught.value.code == "AOS-1204"


@pytest.mark.parametrize(("name", "version"), [("word", None), ("work", "2.0.0")])
def test_what_does_not_exist_is_named_with_what_does(name: str, version: str | None) -> None:
    with pytest.raises(SkillNotFound, match=r"known: (work|1\.0\.0)") as caught:
        Registry([made()]).get(name, version)
    assert caught.value.code == "AOS-1202"


def test_a_catalog_cannot_be_written() -> None:
    catalog = Registry([made()]).catalog()
    with pytest.raises(TypeError):
        catalog["x"] = catalog["work"]


def test_the_default_registry_holds_the_builtin_skills_once_per_process() -> None:
    registry = default_registry()
    assert set(registry.catalog()) == {each.descriptor.name for each in BUILTIN}
    assert default_registry() is registry


def test_plug_ins_bring_a_skill_a_list_or_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = made(name="one"), made(name="two"), made(name="three")
    three.__module__ = "plugged_skills"
    # A module may import skills of others: only its own are taken.
    module_with(monkeypatch, "plugged_skills", one=one, many=[two], three=three, other=http_call)
    plug(
        monkeypatch,
        EntryPoint("a", "plugged_skills:one", "aos.skills"),
        EntryPoint("b", "plugged_skills:many", "aos.skills"),
        EntryPoint("c", "plugged_skills", "aos.skills"),
    )
    assert {"one", "two", "three", "http_call"} <= set(default_registry().catalog())


def test_modules_named_bring_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch)
    own = made(name="own")
    own.__module__ = "named_skills"
    module_with(monkeypatch, "named_skills", own=own)
    assert "own" in default_registry(("named_skills",)).catalog()
    assert "own" not in default_registry().catalog()


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("aos_no_such_module:skill", "No module named"),
        ("plugged_skills:absent", "AttributeError"),
        ("plugged_skills:text", "not a skill"),
        ("plugged_skills", "brings no skills"),
    ],
)
def test_a_broken_entry_point_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str, complaint: str
) -> None:
    module_with(monkeypatch, "plugged_skills", text="abc")
    plug(monkeypatch, EntryPoint("weather", value, "aos.skills"))
    with pytest.raises(
        BrokenSkillSource, match=f"entry point weather = {value}.*{complaint}"
    ) as it:
        default_registry()
    assert it.value.code == "AOS-1205"


def test_a_module_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch)
    with pytest.raises(BrokenSkillSource, match="module aos_no_such_module"):
        default_registry(("aos_no_such_module",))


def test_two_sources_cannot_claim_the_same_skill(monkeypatch: pytest.MonkeyPatch) -> None:
    module_with(monkeypatch, "plugged_skills", mine=made(name="http_call"))
    plug(monkeypatch, EntryPoint("mine", "plugged_skills:mine", "aos.skills"))
    with pytest.raises(ContractChanged, match="http_call"):
        default_registry()
