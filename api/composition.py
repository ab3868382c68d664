"""Where the layers meet: what the supervision tree runs that stands above it, by dotted path."""

FRONT = "aos.api.server:HttpFront"
"""The HTTP front: it finds settings and database by itself."""
