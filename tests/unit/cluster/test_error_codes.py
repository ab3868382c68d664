from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages

import pytest

import aos
from aos.cluster.errors import REGISTRY, AosError, Blame, InputError, StorageError

FAMILIES = {
    "AOS-1": "InputError",
    "AOS-2": "AccessError",
    "AOS-3": "RunError",
    "AOS-4": "SupervisionError",
    "AOS-5": "StorageError",
    "AOS-6": "EngineError",
}


def every_class() -> Iterator[type[AosError]]:
    """All concrete errors of the product, from every module it has."""
    for module in walk_packages(aos.__path__, "aos."):
        import_module(module.name)
    waiting = list(AosError.__subclasses__())
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        if cls.code and cls.__module__.startswith("aos."):
            yield cls


@pytest.fixture(scope="module")
def classes() -> list[type[AosError]]:
    return list(every_class())


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes made by a test leave the registry as it was."""
    known = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(known)


def make(name: str, module: str = __name__, **attributes: object) -> type[AosError]:
    defaults = {"code": "AOS-1999", "title": "A title.", "next_action": "An action."}
    body = defaults | attributes | {"__module__": module, "__qualname__": name}
    return type(name, (InputError,), body)


def test_codes_are_unique_and_well_formed(classes: list[type[AosError]]) -> None:
    codes = [cls.code for cls in classes]
    assert len(codes) > 20
    assert sorted(set(codes)) == sorted(codes)
    assert [code for code in codes if not re.fullmatch(r"AOS-[1-6]\d{3}", code)] == []


def test_every_error_is_in_the_registry_under_its_code(classes: list[type[AosError]]) -> None:
    assert {cls.code: cls for cls in classes} == {
        code: cls for code, cls in REGISTRY.items() if cls.__module__.startswith("aos.")
    }


def test_every_error_says_what_happened_and_what_to_do(classes: list[type[AosError]]) -> None:
    for cls in classes:
        assert cls.title.endswith((".", "…")), cls
        assert cls.next_action.endswith("."), cls
        assert isinstance(cls.blame, Blame), cls


def test_every_error_survives_the_border_between_processes(classes: list[type[AosError]]) -> None:
    for cls in classes:
        error = cls("it is gone", run_id="r1", reason="start_error")
        back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert type(back) is cls
        assert (back.detail, back.context) == (error.detail, error.context)
        assert (str(back), back.args) == (str(error), error.args)


@pytest.mark.usefixtures("registry")
def test_a_code_that_is_taken_is_refused() -> None:
    make("First")
    with pytest.raises(TypeError, match="Second reuses code AOS-1999 of First"):
        make("Second")


@pytest.mark.usefixtures("registry")
def test_a_class_of_the_same_name_elsewhere_is_another_class() -> None:
    make("NotFound", "aos.here")
    with pytest.raises(TypeError, match="reuses code"):
        make("NotFound", "aos.there")


@pytest.mark.usefixtures("registry")
def test_a_module_that_is_loaded_again_keeps_its_codes() -> None:
    make("Reloaded")
    again = make("Reloaded")
    assert REGISTRY["AOS-1999"] is again


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("missing", ["title", "next_action"])
def test_an_error_without_a_title_or_a_next_action_is_refused(missing: str) -> None:
    with pytest.raises(TypeError, match="needs a title and a next_action"):
        make("Mute", **{missing: ""})


def test_the_message_begins_with_the_code_and_falls_back_to_the_title() -> None:
    cls = REGISTRY["AOS-1001"]
    assert str(cls("http_port: too large")) == "AOS-1001: http_port: too large"
    assert str(cls()) == f"AOS-1001: {cls.title}"
    assert cls().detail == cls.title


def test_a_family_needs_no_code_and_gives_its_blame() -> None:
    assert StorageError("disk full").detail == "disk full"
    assert str(StorageError("disk full")) == "disk full"
    assert (StorageError.blame, InputError.blame) == (Blame.OPERATOR, Blame.CALLER)
