"""Profiles that ship with AOS."""

from __future__ import annotations

from ...skills.contracts import AgentProfile

RESEARCHER = AgentProfile(
    name="researcher",
    description="Fetches pages, extracts what was asked for and summarises it.",
    skills=("http_call", "html_extract", "json_transform", "llm_invoke"),
)
