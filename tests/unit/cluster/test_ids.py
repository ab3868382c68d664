from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import RFC_4122, UUID

from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.strategies import instants

from aos.cluster.ids import id_floor, id_instant, new_id, new_trace_id

MILLISECOND = timedelta(milliseconds=1)


def to_the_millisecond(instant: datetime) -> datetime:
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = new_id()
    assert type(made) is UUID
    assert (made.version, made.variant) == (7, RFC_4122)


def test_ids_sort_by_creation_and_never_repeat() -> None:
    made = [new_id() for _ in range(2_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_an_id_tells_when_it_was_made() -> None:
    before = to_the_millisecond(datetime.now(UTC))
    made = id_instant(new_id())
    assert before <= made <= datetime.now(UTC) + MILLISECOND
    assert made.tzinfo is UTC


def test_a_trace_id_is_32_lower_case_hex_digits() -> None:
    trace = new_trace_id()
    assert len(trace) == 32
    assert UUID(hex=trace).hex == trace


@given(instants)
@example(datetime(2026, 1, 1, 0, 0, 0, 1_000, tzinfo=UTC))
def test_a_floor_is_the_floor_of_its_own_millisecond(instant: datetime) -> None:
    assert id_instant(id_floor(instant)) == to_the_millisecond(instant)


@given(instants, st.integers(0, 2**74 - 1))
def test_every_id_of_an_instant_lies_between_its_floor_and_the_next(
    instant: datetime, random: int
) -> None:
    floor = id_floor(instant)
    assert (floor.version, floor.variant) == (7, RFC_4122)
    # RFC 9562, 5.7: 48 bits of time, the version, 12 random bits, the variant, 62 random bits
    high, low = divmod(random, 2**62)
    made = UUID(int=(floor.int >> 80 << 80) | (7 << 76) | (high << 64) | (0b10 << 62) | low)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert floor <= made < id_floor(instant + MILLISECOND)


def test_a_floor_is_the_same_instant_in_every_zone() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert id_floor(noon.astimezone(timezone(timedelta(hours=-9)))) == id_floor(noon)
