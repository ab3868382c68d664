"""Durable agent programs."""
