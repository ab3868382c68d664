"""`llm_invoke`: one question to a language model."""

from __future__ import annotations

import asyncio
from typing import Self

from pydantic import Field, model_validator

from ..contracts import Contract, Effects, ResourceContract, RetryPolicy, Usage
from ..llm.pricing import price_of
from ..llm.provider import (
    Message,
    ModelFailure,
    ModelReply,
    ModelRequest,
    Provider,
    estimated_input_tokens,
    estimated_tokens,
)
from ..llm.router import choose
from ..skill import SkillContext, skill


class LlmInvokeInput(Contract):
    """A `prompt`, or the `messages` of a conversation; exactly one of the two.

    `model` defaults to the agent's, then to the installation's; `provider:model` is explicit.
    """

    prompt: str | None = Field(default=None, min_length=1)
    messages: tuple[Message, ...] | None = Field(default=None, min_length=1)
    system: str = ""
    max_tokens: int = Field(default=1_024, ge=1, le=100_000)
    model: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either prompt or messages")
        return self


class LlmInvokeOutput(Contract):
    """The reply. `provider` = `scripted` means that no language model was asked.

    `cost_microusd` is millionths of a US dollar; with `priced` false it is a careful estimate.
    """

    text: str
    model: str
    provider: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    finish_reason: str
    cost_microusd: int
    priced: bool


@skill(
    version="1.0.0",
    effects=Effects.READ,
    permissions=("model:invoke",),
    resources=ResourceContract(cpus=0.5, timeout_s=120.0, cost_estimate_microusd=20_000),
    retry=RetryPolicy(max_attempts=3, initial_delay_ms=1_000, max_delay_ms=30_000),
    failure_modes=(
        "ERR_LLM_RATE_LIMITED", "ERR_LLM_OVERLOADED", "ERR_LLM_API_ERROR", "ERR_LLM_STREAM_BROKEN",
        "ERR_LLM_AUTH", "ERR_LLM_NOT_CONFIGURED", "ERR_LLM_MODEL_NOT_FOUND",
        "ERR_LLM_CONTEXT_LENGTH", "ERR_LLM_INVALID_REQUEST", "ERR_LLM_CONTENT_FILTER",
        "ERR_TIMEOUT", "ERR_CONNECTION_REFUSED", "ERR_CONNECTION_LOST", "ERR_DNS_FAILURE",
        "ERR_SSL", "ERR_VALIDATION_FAILED",
    ),
)  # fmt: skip
async def llm_invoke(request: LlmInvokeInput, context: SkillContext) -> LlmInvokeOutput:
    """Ask a language model a question and return its text.

    Progress is the text as it is written. What was consumed is charged even if the call fails or
    is stopped.
    """
    provider, model = choose(context.settings, request.model or context.model)
    reply = await charged_generate(
        provider,
        ModelRequest(
            model=model,
            messages=request.messages or (Message(role="user", content=request.prompt or ""),),
            system=request.system,
            max_tokens=request.max_tokens,
        ),
        context,
    )
    price = price_of(reply.usage, cache_write_tokens=reply.cache_write_tokens)
    return LlmInvokeOutput(
        text=reply.text,
        model=reply.model,
        provider=provider.name,
        input_tokens=reply.usage.input_tokens,
        output_tokens=reply.usage.output_tokens,
        cached_tokens=reply.usage.cached_tokens,
        finish_reason=reply.stop_reason,
        cost_microusd=price.microusd,
        priced=price.priced,
    )


async def charged_generate(
    provider: Provider, request: ModelRequest, context: SkillContext
) -> ModelReply:
    """Ask a provider on behalf of a skill: text becomes progress, consumption is charged whether
    the call succeeds, fails or is cancelled. Raises what `Provider.generate` raises.
    """
    written: list[str] = []

    def on_text(text: str) -> None:
        written.append(text)
        context.progress(text)

    try:
        reply = await provider.generate(request, on_text)
    except ModelFailure as failure:
        if failure.usage is not None:
            _charge(context, failure.usage, failure.cache_write_tokens)
        raise
    except asyncio.CancelledError:
        # The provider bills what it did until now and no longer tells how much: estimated.
        _charge(context, _estimate(provider, request, "".join(written)), 0)
        raise
    _charge(context, reply.usage, reply.cache_write_tokens)
    return reply


def _charge(context: SkillContext, usage: Usage, cache_write_tokens: int) -> None:
    context.charge(usage, price_of(usage, cache_write_tokens=cache_write_tokens).microusd)


def _estimate(provider: Provider, request: ModelRequest, written: str) -> Usage:
    return Usage(
        provider=provider.name,
        model=request.model,
        input_tokens=estimated_input_tokens(request),
        output_tokens=estimated_tokens(written),
    )
