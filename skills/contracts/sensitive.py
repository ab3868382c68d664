"""`Sensitive`: marks a field whose value is nobody's business but the skill's.

    class Login(BaseModel):
        user: str
        session: Annotated[str, Sensitive]

The mark changes nothing for the skill itself. In what leaves the skill's process the value is
`[redacted]`, and the schema says `writeOnly`, as it does for pydantic's `SecretStr`.
"""

from __future__ import annotations

from typing import Any, Final, cast

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, SerializationInfo
from pydantic_core import CoreSchema, core_schema

from ...cluster.credentials import MASK

REDACTED: Final = "aos.redacted"
"""Key of the serialization context that asks for masks. Without it a model dumps as ever."""


class Marker:
    """The class of `Sensitive`."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """The field's own schema, with a serializer around that of its type."""
        inner = handler(source)
        masking = core_schema.wrap_serializer_function_ser_schema(
            _serialize, info_arg=True, schema=inner
        )
        return cast("CoreSchema", {**inner, "serialization": masking})

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The field's own, and `writeOnly`."""
        return {**handler(schema), "writeOnly": True}

    def __repr__(self) -> str:
        return "Sensitive"


Sensitive: Final = Marker()


def _serialize(
    value: Any, handler: core_schema.SerializerFunctionWrapHandler, info: SerializationInfo
) -> Any:
    context: Any = info.context
    asked = isinstance(context, dict) and REDACTED in context
    return MASK if asked and value is not None else handler(value)
