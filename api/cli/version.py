"""`aos version`."""

from __future__ import annotations

import json as json_format
import platform
from importlib import metadata


def version(*, json: bool = False) -> int:
    """Show the version.

    Parameters
    ----------
    json
        Print JSON.
    """
    about = {"name": "aos", "version": metadata.version("aos"), "python": platform.python_version()}
    print(
        json_format.dumps(about) if json else f"aos {about['version']} (Python {about['python']})"
    )
    return 0
