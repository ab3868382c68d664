"""From what the SDK raises to the taxonomy, by exception type, status and the body's error type."""

from __future__ import annotations

from datetime import UTC, datetime

import anthropic
import httpx2

from ..connection import connection_code
from ..contracts import JsonObject
from ..retry_after import retry_after_ms
from .anthropic_stream import Heard
from .provider import ModelFailure

_BY_STATUS = {
    400: "ERR_LLM_INVALID_REQUEST",
    401: "ERR_LLM_AUTH",
    402: "ERR_LLM_AUTH",
    403: "ERR_LLM_AUTH",
    404: "ERR_LLM_MODEL_NOT_FOUND",
    408: "ERR_TIMEOUT",
    413: "ERR_LLM_CONTEXT_LENGTH",
    429: "ERR_LLM_RATE_LIMITED",
    529: "ERR_LLM_OVERLOADED",
}
_BY_TYPE = {
    "authentication_error": "ERR_LLM_AUTH",
    "billing_error": "ERR_LLM_AUTH",
    "permission_error": "ERR_LLM_AUTH",
    "not_found_error": "ERR_LLM_MODEL_NOT_FOUND",
    "invalid_request_error": "ERR_LLM_INVALID_REQUEST",
    "rate_limit_error": "ERR_LLM_RATE_LIMITED",
    "overloaded_error": "ERR_LLM_OVERLOADED",
}
"""For errors inside a stream, whose HTTP status was 200."""

_TOO_LONG = "prompt is too long"
"""The API has no error code of its own for this. Telling it apart only words the advice better:
both codes have the same retryability and blame, so nothing is decided by this text.
"""
_MAX_REASON = 500


def failure_of(error: Exception, heard: Heard) -> ModelFailure:
    """The failure that an exception during a model call means."""
    if isinstance(error, anthropic.APIStatusError):
        return _answered(error, heard)
    if isinstance(error, anthropic.APITimeoutError | httpx2.TimeoutException):
        return heard.failure("ERR_TIMEOUT", "the provider did not answer in time")
    if isinstance(error, anthropic.CredentialsError):
        return heard.failure("ERR_LLM_AUTH", str(error))
    if heard.started or isinstance(error, (ValueError, IndexError)):
        return heard.failure("ERR_LLM_STREAM_BROKEN", f"the stream broke: {type(error).__name__}")
    if isinstance(error, anthropic.APIConnectionError | httpx2.HTTPError):
        return heard.failure(connection_code(error), f"the provider was not reached: {error}")
    return heard.failure("ERR_LLM_API_ERROR", str(error))


def _answered(error: anthropic.APIStatusError, heard: Heard) -> ModelFailure:
    reason = (error.api_message or "")[:_MAX_REASON]
    code = _code(error)
    if code == "ERR_LLM_INVALID_REQUEST" and _TOO_LONG in reason.lower():
        code = "ERR_LLM_CONTEXT_LENGTH"
    details: JsonObject = {
        "model": heard.model,
        "status_code": error.status_code,
        "type": error.type,
        "error_code": error.error_code,
        "request_id": error.request_id,
        "reason": reason,
    }
    return ModelFailure(
        code,
        reason,
        details=details,
        retry_after_ms=retry_after_ms(error.response.headers.get("retry-after"), datetime.now(UTC)),
        usage=heard.usage(),
        cache_write_tokens=heard.cache_write_tokens,
    )


def _code(error: anthropic.APIStatusError) -> str:
    if error.status_code < 400:
        return _BY_TYPE.get(str(error.type), "ERR_LLM_API_ERROR")
    if error.status_code >= 500:
        return _BY_STATUS.get(error.status_code, "ERR_LLM_API_ERROR")
    return _BY_STATUS.get(error.status_code, "ERR_LLM_INVALID_REQUEST")
