"""What is remembered of webhook deliveries."""

from __future__ import annotations

import pytest

from amili_async.errors import ConfigurationError
from amili_async.integrations._deduplication import DeduplicationStore, MemoryDeduplicationStore


async def test_a_delivery_is_claimed_once_until_it_is_released() -> None:
    store: DeduplicationStore = MemoryDeduplicationStore()

    assert await store.claim("a") == "claimed"
    assert await store.claim("a") == "busy"
    await store.release("a")
    assert await store.claim("a") == "claimed"


async def test_a_confirmed_delivery_stays_seen() -> None:
    store = MemoryDeduplicationStore()
    await store.claim("a")
    await store.confirm("a")

    assert await store.claim("a") == "seen"
    await store.release("a")
    assert await store.claim("a") == "seen"


async def test_the_longest_unheard_of_delivery_is_forgotten_first() -> None:
    store = MemoryDeduplicationStore(capacity=2)
    for key in ("a", "b"):
        await store.claim(key)
        await store.confirm(key)
    await store.claim("a")
    await store.claim("c")
    await store.confirm("c")

    assert [await store.claim(key) for key in ("a", "b", "c")] == ["seen", "claimed", "seen"]


async def test_a_claim_is_never_forgotten_for_lack_of_room() -> None:
    store = MemoryDeduplicationStore(capacity=1)
    await store.claim("slow")
    for key in ("a", "b", "c"):
        await store.claim(key)
        await store.confirm(key)

    assert await store.claim("slow") == "busy"


def test_a_store_without_room_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="capacity must be at least 1, not 0"):
        MemoryDeduplicationStore(0)
