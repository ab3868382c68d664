"""A module whose import ends the process that tries."""

from __future__ import annotations

import sys

sys.exit(7)
