"""`http_call`: one HTTP request, text in and text out."""

from __future__ import annotations

from ..contracts import EffectRule, Effects, ResourceContract
from ..skill import SkillContext, skill
from .http_model import HttpCallInput, HttpCallOutput


@skill(
    version="1.0.0",
    effects=Effects.UNSAFE,
    effect_rules=(
        EffectRule(field="method", values=("GET", "HEAD", "OPTIONS"), effects=Effects.READ),
        EffectRule(field="method", values=("PUT", "DELETE"), effects=Effects.IDEMPOTENT),
        EffectRule(field="idempotent", values=(True,), effects=Effects.IDEMPOTENT),
    ),
    permissions=("network:outbound",),
    # The input's timeout_s ends a call long before this, unless it asks for all of its 300 s.
    resources=ResourceContract(cpus=0.5, timeout_s=305.0),
    failure_modes=(
        "ERR_TIMEOUT", "ERR_CONNECTION_REFUSED", "ERR_CONNECTION_LOST", "ERR_DNS_FAILURE",
        "ERR_SSL", "ERR_BLOCKED_ADDRESS", "ERR_RESPONSE_TOO_LARGE", "ERR_CONTENT_TYPE",
        "ERR_VALIDATION_FAILED", "ERR_HTTP_400", "ERR_HTTP_401", "ERR_HTTP_403", "ERR_HTTP_404",
        "ERR_HTTP_408", "ERR_HTTP_429", "ERR_HTTP_4XX", "ERR_HTTP_500", "ERR_HTTP_502",
        "ERR_HTTP_503", "ERR_HTTP_504", "ERR_HTTP_5XX",
    ),
)  # fmt: skip
async def http_call(request: HttpCallInput, context: SkillContext) -> HttpCallOutput:
    """Fetch a URL, or send data to one, and return the text it answers with.

    Only public http and https addresses; status codes from 400 on are failures with
    `details.status_code`, `details.url` and the beginning of the answer in `details.excerpt`.
    """
    from .http_exchange import exchange  # noqa: PLC0415 - httpx stays out of agent processes

    return await exchange(request, context)
