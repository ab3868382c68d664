"""Where this installation's database is. Processes ask: no connection string is handed round."""

from __future__ import annotations

from ..settings import Settings
from .embedded import EmbeddedPostgres


def dsn_of(settings: Settings) -> str:
    """The connection string: `DATABASE_URL`, else the embedded server's of this home."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return EmbeddedPostgres(settings.home, os_user=settings.postgres_os_user).dsn
