"""What can go wrong with retention.

StorageError
├── ArchiveDamaged      AOS-5101   a file is not what was written
├── ArchiveUnwritable   AOS-5102   there is no place for the files
└── NoRetention         AOS-5103   nothing may be removed: there is no policy
"""

from __future__ import annotations

from ...cluster.errors import Blame, StorageError


class ArchiveDamaged(StorageError):
    """An archive is cut short, was changed, or does not hold what it says."""

    code = "AOS-5101"
    title = "The archive is damaged."
    next_action = "Restore the file from a copy; its checksum is in `aos retention ls --json`."


class ArchiveUnwritable(StorageError):
    """The directory for archives cannot be written. Nothing is removed then."""

    code = "AOS-5102"
    title = "The archive cannot be written."
    next_action = (
        "Make AOS_RETENTION_ARCHIVE writable for AOS, or give it space; nothing was removed."
    )


class NoRetention(StorageError):
    """Removing was asked for, and no setting says what may go."""

    code = "AOS-5103"
    title = "Runs are kept for ever: there is no retention policy."
    next_action = "Set AOS_RETENTION_DAYS, then `aos down` and `aos up`."
    blame = Blame.CALLER
