"""Which skills exist: by name and version, from this package, from plug-ins, from named modules.

A version is a promise: registering `name@version` again is refused, and says whether the contract
was changed without a new version or merely registered twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType, ModuleType
from typing import Any, cast

from ..cluster.errors import Blame, InputError
from .builtin import BUILTIN
from .contracts import SkillDescriptor
from .skill import Skill

ENTRY_POINT_GROUP = "aos.skills"

AnySkill = Skill[Any, Any]


class SkillNotFound(InputError):
    """No skill has this name, or not in this version."""

    code = "AOS-1202"
    title = "There is no such skill."
    next_action = "See which skills exist with `aos doctor`, or install the one named."


class DuplicateSkill(InputError):
    """The same `name@version` was registered twice."""

    code = "AOS-1203"
    title = "This skill is already registered."
    next_action = "Remove one of the two registrations, or give one another name or version."
    blame = Blame.OPERATOR


class ContractChanged(InputError):
    """A registered version was registered again with another contract."""

    code = "AOS-1204"
    title = "A skill's contract changed without a new version."
    next_action = "Raise the version: a published contract never changes."
    blame = Blame.OPERATOR


class BrokenSkillSource(InputError):
    """An entry point or a module that should bring skills cannot be loaded."""

    code = "AOS-1205"
    title = "A source of skills cannot be loaded."
    next_action = "Repair or uninstall the package named in the message."
    blame = Blame.OPERATOR


def semver(version: str) -> tuple[int, ...]:
    """`1.10.0` as (1, 10, 0), so that it sorts after `1.9.0`."""
    return tuple(int(part) for part in version.split("."))


class Registry:
    """Skills of one process. Filled at start, then only read."""

    def __init__(self, skills: Iterable[AnySkill] = ()) -> None:
        self._versions: dict[str, dict[str, AnySkill]] = {}
        for each in skills:
            self.register(each)

    def register(self, skill: AnySkill) -> None:
        """Add a skill. Raises `DuplicateSkill`, or `ContractChanged` if the descriptors differ."""
        descriptor = skill.descriptor
        versions = self._versions.setdefault(descriptor.name, {})
        if (known := versions.get(descriptor.version)) is not None:
            if known.descriptor != descriptor:
                raise ContractChanged(f"{descriptor.ref} is registered with another contract")
            raise DuplicateSkill(f"{descriptor.ref} is registered already")
        versions[descriptor.version] = skill

    def get(self, name: str, version: str | None = None) -> AnySkill:
        """One skill; without a version the highest. Raises `SkillNotFound`."""
        versions = self._versions.get(name)
        if not versions:
            known = ", ".join(sorted(self._versions)) or "none"
            raise SkillNotFound(f"there is no skill {name!r}; known: {known}")
        if version is None:
            version = max(versions, key=semver)
        if (found := versions.get(version)) is None:
            known = ", ".join(sorted(versions, key=semver))
            raise SkillNotFound(f"{name} has no version {version!r}; known: {known}")
        return found

    def descriptors(self) -> tuple[SkillDescriptor, ...]:
        """Every version of every skill, by name, then by version."""
        return tuple(
            versions[version].descriptor
            for _, versions in sorted(self._versions.items())
            for version in sorted(versions, key=semver)
        )

    def catalog(self) -> Mapping[str, SkillDescriptor]:
        """The highest version of each skill, by name: what planners may use."""
        return MappingProxyType(
            {name: self.get(name).descriptor for name in sorted(self._versions)}
        )


@cache
def default_registry(modules: tuple[str, ...] = ()) -> Registry:
    """The skills that ship, those of installed plug-ins, and those of the modules named.

    Cached per process and tuple. Raises `BrokenSkillSource` naming what cannot be loaded, and
    what `register` raises when two sources claim the same skill.
    """
    found: dict[int, AnySkill] = {id(each): each for each in BUILTIN}
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        found |= {id(each): each for each in _from_entry_point(point)}
    for name in modules:
        found |= {id(each): each for each in _from_module_name(name)}
    return Registry(found.values())


def _from_entry_point(point: EntryPoint) -> tuple[AnySkill, ...]:
    source = f"entry point {point.name} = {point.value}"
    try:
        loaded: object = point.load()
    except Exception as error:
        raise BrokenSkillSource(f"{source}: {type(error).__name__}: {error}") from error
    return _skills_in(loaded, source)


def _from_module_name(name: str) -> tuple[AnySkill, ...]:
    try:
        module = import_module(name)
    except Exception as error:
        raise BrokenSkillSource(f"module {name}: {type(error).__name__}: {error}") from error
    return _skills_in(module, f"module {name}")


def _skills_in(loaded: object, source: str) -> tuple[AnySkill, ...]:
    """A skill, an iterable of skills, or a module that defines some."""
    items: list[object] = []
    if isinstance(loaded, ModuleType):
        # Skills a module merely imports belong to the module that defines them.
        own = (each for each in vars(loaded).values() if _module_of(each) == loaded.__name__)
        items = [each for each in own if _is_skill(each)]
    elif _is_skill(loaded):
        items = [loaded]
    elif isinstance(loaded, Iterable):
        items = list(cast("Iterable[object]", loaded))
    if not items or not all(_is_skill(each) for each in items):
        raise BrokenSkillSource(f"{source} brings no skills, or something that is not a skill")
    return tuple(cast("list[AnySkill]", items))


def _is_skill(value: object) -> bool:
    return isinstance(value, Skill)


def _module_of(value: object) -> str:
    return str(getattr(value, "__module__", ""))
