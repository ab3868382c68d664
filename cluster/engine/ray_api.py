"""Ray's module without its half-known types: strict checking ends here, and only here."""

from __future__ import annotations

from typing import Any

import ray

api: Any = ray
