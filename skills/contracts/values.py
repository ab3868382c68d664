"""The base of all contracts: frozen, closed, JSON in and out."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, JsonValue

JsonObject = dict[str, JsonValue]
"""A JSON object whose shape another contract decides."""

__all__ = ["Contract", "JsonObject", "JsonValue"]


class Contract(BaseModel):
    """A value that crosses processes: immutable, and refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
