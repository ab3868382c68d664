from __future__ import annotations

import pytest

from aos.cluster.identity import Principal, Role

VIEWER, OPERATOR, ADMIN = Role.VIEWER, Role.OPERATOR, Role.ADMIN


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (VIEWER, {VIEWER}),
        (OPERATOR, {VIEWER, OPERATOR}),
        (ADMIN, {VIEWER, OPERATOR, ADMIN}),
    ],
)
def test_a_role_includes_the_narrower_ones_and_no_wider(role: Role, may: set[Role]) -> None:
    principal = Principal("default", "key-1", role)
    assert {needed for needed in Role if principal.may(needed)} == may
