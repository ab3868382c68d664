"""Profiles that ship with AOS, and what a profile means under given settings."""

from __future__ import annotations

from ...cluster.settings import Settings
from ...skills.contracts import AgentProfile

RESEARCHER = AgentProfile(
    name="researcher",
    description="Fetches pages, extracts what was asked for and summarises it.",
    skills=("http_call", "html_extract", "json_transform", "llm_invoke"),
)


def planner_of(profile: AgentProfile, settings: Settings) -> str:
    """The planner of an agent's runs. Decided once and recorded with the run: a replay must not
    depend on today's configuration.
    """
    if profile.planner.name != "auto":
        return profile.planner.name
    return "rules" if settings.anthropic_api_key is None else "claude"
