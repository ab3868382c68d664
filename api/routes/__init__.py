"""Thin: parse, call, present. Errors are raised and become problems elsewhere."""
