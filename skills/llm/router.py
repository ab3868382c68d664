"""Which provider answers for a model name. There is no silent fallback: a model that cannot be
reached is a failure that says so, never another model's answer.
"""

from __future__ import annotations

from ...cluster.settings import Settings
from . import scripted
from .provider import ModelFailure, Provider

ANTHROPIC = "anthropic"
PROVIDERS = (ANTHROPIC, scripted.NAME)


def choose(settings: Settings, model: str | None = None) -> tuple[Provider, str]:
    """The provider and its own name of the model.

    `provider:model` is explicit; `claude-…` means Anthropic, `scripted…` the scripted model; any
    other name goes to Anthropic. Without a name: Anthropic's configured model if there is a key,
    else the scripted model. Raises `ModelFailure` ERR_LLM_NOT_CONFIGURED or
    ERR_LLM_MODEL_NOT_FOUND.
    """
    provider, name = _split(model or _default(settings))
    if provider == scripted.NAME:
        return scripted.ScriptedProvider(), name or scripted.MODEL
    if provider == ANTHROPIC:
        return _anthropic(settings), name or settings.anthropic_model
    raise ModelFailure(
        "ERR_LLM_MODEL_NOT_FOUND",
        f"there is no provider {provider!r}; known: {', '.join(PROVIDERS)}",
        details={"model": model},
    )


def _default(settings: Settings) -> str:
    return f"{ANTHROPIC if _key(settings) else scripted.NAME}:"


def _key(settings: Settings) -> str:
    """The configured key; an empty one, as an empty environment variable gives, is none."""
    return settings.anthropic_api_key.get_secret_value() if settings.anthropic_api_key else ""


def _split(model: str) -> tuple[str, str]:
    provider, colon, name = model.partition(":")
    if colon:
        return provider, name
    if model == scripted.NAME:
        return scripted.NAME, ""
    return (scripted.NAME if model == scripted.MODEL else ANTHROPIC), model


def _anthropic(settings: Settings) -> Provider:
    key = _key(settings)
    if not key:
        raise ModelFailure("ERR_LLM_NOT_CONFIGURED")
    from .anthropic import AnthropicProvider  # noqa: PLC0415 - only where it is used

    return AnthropicProvider(key, settings.anthropic_base_url)
