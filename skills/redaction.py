"""Keeps secrets out of what leaves a skill's process.

Three nets, each for what the one before cannot know: the values that are known to be secret, which
are the settings' and those of a call's `SecretStr` and `Sensitive` fields; the shapes that issuers
give their keys; the names of fields that hold secrets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from enum import Enum
from functools import cache
from types import NoneType
from typing import Any, Literal, Self, cast, get_args, get_origin
from urllib.parse import quote, unquote, urlsplit
from uuid import UUID

from pydantic import BaseModel, JsonValue, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

from ..cluster.credentials import MASK, is_reference, mask_credentials, names_credential
from ..cluster.settings import Settings
from .contracts.sensitive import Marker

_SHORTEST = 6
"""Shorter values are not secrets, and masking them would mangle ordinary text."""


@dataclass(frozen=True, slots=True)
class Redactor:
    """Masks secrets in texts and in JSON values.

    `known` are the spellings of the values known to be secret, longest first, so that a whole URL
    is masked before the password in it. `kept` is the call's idempotency key: it is how people find
    an effect, and stays legible whatever it looks like.
    """

    known: tuple[str, ...] = ()
    kept: str = ""

    def knowing(self, secrets: Iterable[str]) -> Self:
        """The same, with more values that are known to be secret."""
        more = {form for secret in secrets for form in _spellings(secret)}
        more = {form for form in more if len(form) >= _SHORTEST and form not in MASK}
        if not more.difference(self.known):
            return self
        known = sorted(more.union(self.known), key=lambda form: (-len(form), form))
        return replace(self, known=tuple(known))

    def known_in(self, text: str) -> str:
        """The text without the values that are known to be secret."""
        return self._masked(text, str)

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        return self._masked(text, mask_credentials)

    def _masked(self, text: str, rest: Callable[[str], str]) -> str:
        for form in self.known:
            if form not in self.kept:
                text = text.replace(form, MASK)
        if not self.kept or self.kept not in text:
            return self._apart(text, rest)
        return self.kept.join(self._apart(part, rest) for part in text.split(self.kept))

    def _apart(self, text: str, rest: Callable[[str], str]) -> str:
        """What may be masked only where it is no part of the idempotency key."""
        for form in self.known:
            if form in self.kept:
                text = text.replace(form, MASK)
        return rest(text)

    def json(self, value: JsonValue) -> JsonValue:
        """The same JSON value with every string in it redacted, keys included; those under the
        name of a credential altogether.
        """
        if isinstance(value, str):
            return self(value)
        if isinstance(value, list):
            return [self.json(item) for item in value]
        if isinstance(value, dict):
            return {self(key): self._field(key, item) for key, item in value.items()}
        return value

    def known_in_json(self, value: JsonValue) -> JsonValue:
        """The same JSON value without the values that are known to be secret."""
        if isinstance(value, str):
            return self.known_in(value)
        if isinstance(value, list):
            return [self.known_in_json(item) for item in value]
        if isinstance(value, dict):
            return {self.known_in(key): self.known_in_json(item) for key, item in value.items()}
        return value

    def _field(self, name: str, value: JsonValue) -> JsonValue:
        if not names_credential(name):
            return self.json(value)
        if isinstance(value, list):
            return [self._field(name, item) for item in value]
        if not isinstance(value, str) or not value or is_reference(value):
            return self.json(value)
        return value if value == self.kept else MASK


def redactor(settings: Settings, kept: str = "") -> Redactor:
    """Knows every `SecretStr` value of the settings, and the password inside a secret URL; each as
    it looks plain, inside JSON, inside a Python literal and percent-encoded. Values under six
    characters are left alone.
    """
    values = (getattr(settings, name) for name in type(settings).model_fields)
    secrets = [each.get_secret_value() for each in values if isinstance(each, SecretStr)]
    return Redactor(kept=kept).knowing(part for each in secrets for part in _spoken(each))


def secrets_in(value: object) -> Iterator[str]:
    """The strings in the `SecretStr` and `Sensitive` fields of a model, or of one in a dataclass
    or collection, however deep they lie.
    """
    if isinstance(value, SecretStr | SecretBytes):
        yield from _strings_in(value)
    elif isinstance(value, BaseModel):
        if may_hold_secrets(type(value)):
            for name, field in type(value).model_fields.items():
                each = value.__dict__.get(name)
                yield from _strings_in(each) if _is_marked(field) else secrets_in(each)
    else:
        for each in _parts_of(value):
            yield from secrets_in(each)


def masked(value: JsonValue) -> bool:
    """Whether something in a JSON value was redacted."""
    if isinstance(value, str):
        return MASK in value
    if isinstance(value, list):
        return any(map(masked, value))
    return isinstance(value, dict) and any(map(masked, value.values()))


def storable(text: str) -> str:
    """The text without what canonical JSON (lone surrogates) or Postgres (NUL) cannot take."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _strings_in(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr | SecretBytes):
        value = value.get_secret_value()
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        yield value
    else:
        for each in _parts_of(value):
            yield from _strings_in(each)


def _parts_of(value: object) -> Iterable[object]:
    """What a model, a dataclass or a collection consists of; nothing for anything else."""
    if isinstance(value, BaseModel):
        return value.__dict__.values()
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, part.name, None) for part in fields(value)]
    if isinstance(value, Mapping):
        return cast("Mapping[Any, Any]", value).values()
    if isinstance(value, list | tuple | set | frozenset):
        return cast("Iterable[Any]", value)
    return ()


@cache
def may_hold_secrets(model: type[BaseModel]) -> bool:
    """Whether a field may hold a secret. Unless all are of types that cannot, instances are
    searched; those of large ordinary values are spared it.
    """
    met: set[type] = {model}

    def harmless(kind: object) -> bool:
        if any(kind is each for each in _HARMLESS) or get_origin(kind) is Literal:
            return True
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not BaseModel:
            if kind in met:
                return True  # judged where it was met first
            met.add(kind)
            return all(map(harmless_field, kind.model_fields.values()))
        if isinstance(kind, type) and issubclass(kind, Enum):
            return True
        arguments = get_args(kind)
        return bool(arguments) and all(map(harmless, arguments))

    def harmless_field(field: FieldInfo) -> bool:
        return not _is_marked(field) and harmless(field.annotation)

    return not all(map(harmless_field, model.model_fields.values()))


_HARMLESS = (str, int, float, bool, NoneType, Ellipsis, datetime, UUID, JsonValue)


def _is_marked(field: FieldInfo) -> bool:
    def marked(kind: object, metadata: Sequence[object]) -> bool:
        return any(isinstance(each, Marker) for each in metadata) or any(
            marked(each, getattr(each, "__metadata__", ())) for each in get_args(kind)
        )

    return marked(field.annotation, field.metadata)


def _spoken(secret: str) -> tuple[str, ...]:
    """The value itself, and where it is a URL the password in it, as written and decoded."""
    try:
        password = urlsplit(secret).password or ""
    except ValueError:
        password = ""
    return (secret, password, unquote(password))


def _spellings(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
