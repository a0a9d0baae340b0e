"""What is remembered of webhook deliveries."""

from __future__ import annotations

import pytest

from amili_async.errors import ConfigurationError
from amili_async.integrations.webhooks import DeduplicationStore, MemoryDeduplicationStore
from amili_async.sandbox import VirtualClock

OWNER = "owner"


async def test_a_delivery_is_claimed_once_until_it_is_released() -> None:
    store: DeduplicationStore = MemoryDeduplicationStore()

    assert await store.claim("a", OWNER) == "claimed"
    assert await store.claim("a", OWNER) == "busy"
    await store.release("a", OWNER)
    assert await store.claim("a", OWNER) == "claimed"


async def test_a_confirmed_delivery_stays_seen() -> None:
    store = MemoryDeduplicationStore()
    await store.claim("a", OWNER)
    await store.confirm("a", OWNER)

    assert await store.claim("a", OWNER) == "seen"
    await store.release("a", OWNER)
    assert await store.claim("a", OWNER) == "seen"


async def test_the_oldest_delivery_is_forgotten_first_where_there_is_no_more_room() -> None:
    store = MemoryDeduplicationStore(capacity=2)
    for key in ("a", "b", "c"):
        await store.claim(key, OWNER)
        await store.confirm(key, OWNER)

    assert [await store.claim(key, OWNER) for key in ("a", "b", "c")] == ["claimed", "seen", "seen"]


async def test_a_delivery_is_remembered_for_as_long_as_was_said() -> None:
    clock = VirtualClock()
    store = MemoryDeduplicationStore(keep=60.0, clock=clock.monotonic)
    await store.claim("a", OWNER)
    await store.confirm("a", OWNER)

    clock.advance(59.0)
    assert await store.claim("a", OWNER) == "seen"
    clock.advance(1.0)
    assert await store.claim("a", OWNER) == "claimed"


async def test_a_claim_is_never_forgotten_for_lack_of_room() -> None:
    store = MemoryDeduplicationStore(capacity=1)
    await store.claim("slow", OWNER)
    for key in ("a", "b", "c"):
        await store.claim(key, OWNER)
        await store.confirm(key, OWNER)

    assert await store.claim("slow", OWNER) == "busy"


async def test_a_claim_that_was_taken_over_is_not_released_by_its_former_owner() -> None:
    clock = VirtualClock()
    store = MemoryDeduplicationStore(lease=60.0, clock=clock.monotonic)
    await store.claim("a", "slow")
    clock.advance(60.0)
    assert await store.claim("a", "later") == "claimed"

    await store.release("a", "slow")
    assert await store.claim("a", "third") == "busy"
    await store.release("a", "later")
    assert await store.claim("a", "third") == "claimed"


async def test_what_a_former_owner_has_handled_stays_handled() -> None:
    clock = VirtualClock()
    store = MemoryDeduplicationStore(lease=60.0, clock=clock.monotonic)
    await store.claim("a", "slow")
    clock.advance(60.0)
    await store.claim("a", "later")
    await store.confirm("a", "slow")
    await store.release("a", "later")

    assert await store.claim("a", "third") == "seen"


def test_a_store_without_room_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="capacity must be at least 1, not 0"):
        MemoryDeduplicationStore(0)
