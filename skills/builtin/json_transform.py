"""`json_transform`: reshapes JSON. Pure, bounded, and nothing in it is ever evaluated as code."""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import Field

from ...cluster.canonical import bytes_hash
from ..contracts import Contract, Effects, JsonValue, ResourceContract
from ..skill import SkillContext, SkillFailure, skill
from . import transform
from .conditions import Operator, holds
from .transform import MISSING, CannotTransform

Operation = Literal["extract", "map", "filter", "pick", "omit", "merge", "flatten", "sort"]

_PATH = "`$.a.b[0]`, `a.b`, `a['odd key']`, `items[*].name`"


class Condition(Contract):
    """Which items `filter` keeps. `exists` with value false keeps those that lack the field."""

    field: str = Field(max_length=1_000, description=f"A path inside each item: {_PATH}.")
    operator: Operator
    value: JsonValue = None


class JsonTransformInput(Contract):
    """What to do with `data`.

    extract  the value at `path`
    map      each item becomes the value at `path`, or an object of `mapping` name → path
    filter   the items for which `condition` holds
    pick     objects with only `keys`; omit: without them; on an array, for each item
    merge    `merge_with` over `data`: objects recursively, or two arrays one after the other
    flatten  arrays in arrays into one array; an object into dotted keys
    sort     by the value at `sort_key`, or by the items themselves; nothing sorts last
    """

    data: JsonValue
    operation: Operation
    path: str | None = Field(default=None, max_length=1_000, description=_PATH)
    mapping: dict[str, str] | None = Field(default=None, max_length=100)
    keys: tuple[str, ...] = ()
    condition: Condition | None = None
    merge_with: JsonValue = None
    sort_key: str | None = Field(default=None, max_length=1_000)
    sort_order: Literal["asc", "desc"] = "asc"
    default: JsonValue = Field(default=None, description="For paths that lead nowhere.")
    use_default: bool = Field(default=False, description="Without it such paths are failures.")


class JsonTransformOutput(Contract):
    """The new value, and its content hash (`sha256:` over canonical JSON)."""

    result: JsonValue
    result_hash: str
    operation: Operation


@skill(
    version="1.0.0",
    effects=Effects.PURE,
    resources=ResourceContract(cpus=1.0, timeout_s=20.0),
    failure_modes=("ERR_TIMEOUT", "ERR_VALIDATION_FAILED", "ERR_TRANSFORM_FAILED"),
)
async def json_transform(request: JsonTransformInput, context: SkillContext) -> JsonTransformOutput:
    """Extract, map, filter, pick, omit, merge, flatten or sort JSON data.

    What cannot be done fails with ERR_TRANSFORM_FAILED; `details.reason` is one of path_invalid,
    path_not_found, argument_missing, type_mismatch, not_comparable, too_deep, too_large, not_json.
    """
    try:
        transform.encoded(request.data, "data")
        transform.encoded(request.merge_with, "merge_with")
        result = _apply(request)
        digest = bytes_hash(transform.encoded(result, "the result"))
    except CannotTransform as error:
        raise SkillFailure(
            "ERR_TRANSFORM_FAILED",
            f"{request.operation}: {error}",
            details={"reason": error.reason, "operation": request.operation},
        ) from error
    return JsonTransformOutput(result=result, result_hash=digest, operation=request.operation)


def _apply(request: JsonTransformInput) -> JsonValue:
    data = request.data
    match request.operation:
        case "extract":
            return transform.extract(data, _given(request.path, "path"), _default(request))
        case "map":
            return [_mapped(request, item) for item in transform.items_of(data, "map")]
        case "filter":
            return _filtered(request)
        case "pick" | "omit":
            keys = _given(request.keys, "keys")
            return transform.with_keys(data, keys, keep=request.operation == "pick")
        case "merge":
            return transform.merged(data, _given(request.merge_with, "merge_with"))
        case "flatten":
            return transform.flattened(data)
        case "sort":
            items = transform.items_of(data, "sort")
            descending = request.sort_order == "desc"
            return transform.ordered(items, request.sort_key, descending=descending)


def _mapped(request: JsonTransformInput, item: JsonValue) -> JsonValue:
    if request.mapping is not None:
        return transform.shaped(item, request.mapping, _default(request))
    return transform.extract(item, _given(request.path, "path or mapping"), _default(request))


def _filtered(request: JsonTransformInput) -> JsonValue:
    condition = _given(request.condition, "condition")
    steps = transform.compiled(condition.field)
    items = transform.items_of(request.data, "filter")
    return [item for item in items if holds(item, steps, condition.operator, condition.value)]


def _default(request: JsonTransformInput) -> JsonValue | transform.Missing:
    return request.default if request.use_default else MISSING


GivenT = TypeVar("GivenT")


def _given(value: GivenT | None, name: str) -> GivenT:
    if value is None or value == ():
        raise CannotTransform("argument_missing", f"{name} is needed")
    return value
