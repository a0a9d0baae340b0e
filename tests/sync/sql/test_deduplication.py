"""Which webhook deliveries were handled, among any number of processes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from amili_async.errors import ConfigurationError
from amili_async.integrations.webhooks import DeadLetterStore
from amili_async.sync import SqlDeduplicationStore, SqlStore
from tests.support.rows import held

if TYPE_CHECKING:
    from amili_async.integrations.webhooks import DeduplicationStore

OWNER = "owner"

EXPIRE = sa.text("UPDATE webhook_deliveries SET expires_at = 1")


async def test_a_delivery_is_claimed_once_until_it_is_released(url: str) -> None:
    async with SqlDeduplicationStore(url) as seen:
        store: DeduplicationStore = seen
        assert await store.claim("a", OWNER) == "claimed"
        assert await store.claim("a", OWNER) == "busy"
        assert await store.claim("b", OWNER) == "claimed"

        await store.release("a", OWNER)
        assert await store.claim("a", OWNER) == "claimed"


async def test_a_confirmed_delivery_stays_seen_also_for_another_process(url: str) -> None:
    async with SqlDeduplicationStore(url) as one, SqlDeduplicationStore(url) as other:
        await one.claim("a", OWNER)
        assert await other.claim("a", OWNER) == "busy"
        await one.confirm("a", OWNER)

        assert await other.claim("a", OWNER) == "seen"
        await other.release("a", OWNER)
        assert await one.claim("a", OWNER) == "seen"


async def test_a_claim_whose_process_died_is_taken_over_when_it_expires(url: str) -> None:
    async with SqlDeduplicationStore(url, lease=-1) as dead, SqlDeduplicationStore(url) as other:
        await dead.claim("a", OWNER)
        await dead.claim("b", OWNER)
        await dead.confirm("b", OWNER)

        assert await other.claim("a", OWNER) == "claimed"
        assert await other.claim("a", OWNER) == "busy"
        assert await other.claim("b", OWNER) == "seen"


async def test_a_claim_that_was_taken_over_is_not_released_by_its_former_owner(url: str) -> None:
    async with SqlDeduplicationStore(url, lease=-1) as slow, SqlDeduplicationStore(url) as later:
        await slow.claim("a", "slow")
        assert await later.claim("a", "later") == "claimed"
        await slow.release("a", "slow")
        assert await slow.claim("a", "third") == "busy"


async def test_what_a_former_owner_has_handled_stays_handled(url: str) -> None:
    async with SqlDeduplicationStore(url, lease=-1) as slow, SqlDeduplicationStore(url) as later:
        await slow.claim("a", "slow")
        await later.claim("a", "later")
        await slow.confirm("a", "slow")
        await later.release("a", "later")
        assert await slow.claim("a", "third") == "seen"


async def test_many_that_claim_at_once_leave_it_to_one(url: str) -> None:
    async with SqlDeduplicationStore(url) as one, SqlDeduplicationStore(url) as other:
        claims = await asyncio.gather(*(store.claim("a", OWNER) for store in (one, other) * 5))

        assert sorted(claims) == ["busy"] * 9 + ["claimed"]


async def test_what_was_handled_long_ago_is_forgotten(url: str) -> None:
    async with SqlStore(url) as store:
        seen = SqlDeduplicationStore(store, keep=1000)
        for key in ("old", "older"):
            await seen.claim(key, OWNER)
            await seen.confirm(key, OWNER)
        await store.database.run(lambda connection: connection.execute(EXPIRE))
        refetch = SqlDeduplicationStore(store, keep=1000)
        await refetch.claim("new", OWNER)
        await refetch.confirm("new", OWNER)

        assert await held(store, "webhook_deliveries", "key") == [("new",)]


async def test_confirming_and_releasing_what_nobody_claimed_is_no_error(url: str) -> None:
    async with SqlDeduplicationStore(url) as seen:
        await seen.confirm("a", OWNER)
        await seen.release("b", OWNER)

        assert await seen.claim("a", OWNER) == "seen"
        assert await seen.claim("b", OWNER) == "claimed"


async def test_an_event_that_nobody_could_read_is_kept_whole_and_counts_as_handled(url: str) -> None:
    async with SqlStore(url) as store:
        seen = SqlDeduplicationStore(store)
        assert isinstance(seen, DeadLetterStore)
        await seen.claim("a", OWNER)
        for _ in range(2):
            await seen.put_aside("a", OWNER, event="CASE \0", reason="data is no object", body=b"\0\xff")

        assert await seen.claim("a", "another") == "seen"
        columns = ("key", "event", "reason", "body", "received_at IS NOT NULL")
        assert await held(store, "webhook_dead_letters", *columns) == [
            ("a", "CASE \N{REPLACEMENT CHARACTER}", "data is no object", b"\0\xff", 1)
        ]


async def test_it_shares_the_database_of_an_open_store_and_leaves_it_open(url: str) -> None:
    async with SqlStore(url) as store:
        async with SqlDeduplicationStore(store) as seen:
            assert await seen.claim("a", OWNER) == "claimed"

        assert await store.count("batches") == 0


def test_a_url_that_names_no_database_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the store's URL"):
        SqlDeduplicationStore("seen.db")
