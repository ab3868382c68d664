from __future__ import annotations

from aos.cluster.credentials import MASK
from aos.cluster.telemetry.logging import without_credentials


def test_a_log_line_holds_no_credential() -> None:
    key = "AKIA" + "IOSFODNN7EXAMPLE"
    line = {
        "event": f"refused {key}",
        "exception": f"OSError: postgresql://aos:hunter2@db/aos, {key}",
        "password": "hunter2",
        "idempotency_key": "run/pay/1",
        "bytes": 3,
    }
    assert without_credentials(None, "info", line) == {
        "event": f"refused {MASK}",
        "exception": f"OSError: postgresql://aos:{MASK}@db/aos, {MASK}",
        "password": MASK,
        "idempotency_key": "run/pay/1",
        "bytes": 3,
    }
