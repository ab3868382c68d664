"""Structured logs and the counters that a scrape shows."""

from .logging import bound, configure, logger

__all__ = ["bound", "configure", "logger"]
