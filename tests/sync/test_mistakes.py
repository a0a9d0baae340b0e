"""What somebody types with one thing wrong in it comes back as one line that names the mistake and the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from amili_async import AmiliClient, ConfigurationError, RetryPolicy, encode
from amili_async.errors import StoreError
from amili_async.probe import probe
from amili_async.report import read_figures
from amili_async.sandbox import Sandbox
from amili_async.sync import ClientPool, SqlStore, changes, export, purge, sync

if TYPE_CHECKING:
    from pathlib import Path


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hooks": 5}, "hooks must be several, such as a list, not 5"),
        ({"entry_types": int}, "entry_types must be several, such as a list, not <class 'int'>"),
        ({"profile": "profile.json"}, "profile must be a Profile, not str; Profile.load reads a file"),
        ({"retry": 3}, "retry must be a RetryPolicy, not int"),
    ],
)
def test_a_setting_of_the_client(settings: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        AmiliClient("token", environment="staging", **settings)
    assert one_line(raised.value) == said


async def test_headers_a_policy_and_what_is_no_model() -> None:
    wrong: Any = 5
    async with AmiliClient("token", environment="staging") as client:
        with pytest.raises(ConfigurationError, match="headers must be a dict of names and values, not int"):
            client.with_options(headers=wrong)
        with pytest.raises(
            ConfigurationError, match="organization_id must be an id such as a UUID's text; it is empty"
        ):
            await probe(client, "")
        with pytest.raises(ConfigurationError, match=r"routes: status\.pong cannot be tried"):
            await probe(client, "o", routes="status.pong")
    with pytest.raises(ConfigurationError, match="attempts must be a number, not '3'"):
        RetryPolicy(attempts="3")  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ConfigurationError, match="max_wait must be a number, not True"):
        RetryPolicy(max_wait=True)
    with pytest.raises(ConfigurationError, match="encode takes a model of this package, or a list of them, not int"):
        encode(wrong)
    with pytest.raises(ConfigurationError, match="encode takes a model of this package, or a list of them, not list"):
        encode([wrong])
    with pytest.raises(ConfigurationError, match="credentials must be a dict of organization ids, not int"):
        ClientPool(wrong)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"client": 5}, "client must be an AmiliClient, not int"),
        ({"organization_ids": None}, "organization_ids must be several ids, such as a list, not NoneType"),
        ({"organization_ids": "one"}, "organization_ids must be several ids, such as a list, not one text"),
        ({"store": "amili.db"}, "store must be an open SqlStore, or a Store of your own, not str"),
        ({"clients": 5}, "clients must be a mapping or a function, not int"),
        ({"on_progress": 5}, "on_progress must be a function, not int"),
        ({"since": "2025"}, "since must be a day, or a moment with its time zone, not str"),
    ],
)
async def test_an_argument_of_a_sync(arguments: dict[str, Any], said: str, sqlite_url: str) -> None:
    async with AmiliClient("token", environment="staging") as client, SqlStore(sqlite_url) as store:
        given: dict[str, Any] = {"client": client, "organization_ids": ["o"], "store": store, **arguments}
        first = (given.pop("client"), given.pop("organization_ids"), given.pop("store"))
        with pytest.raises(ConfigurationError) as raised:
            await sync(*first, **given)
    assert one_line(raised.value) == said


@pytest.mark.parametrize("empty", ["", "  ", 5])
async def test_an_empty_variable_erases_nothing_and_is_not_everybody(
    empty: Any, sqlite_url: str, tmp_path: Path
) -> None:
    async with SqlStore(sqlite_url) as store:
        await store.begin_run(("batches",))
        for call in (
            purge(store, organization_id=empty),
            purge(store, debtor=empty),
            export(store, "batches", tmp_path / "b.csv", organization_id=empty),
            read_figures(store, organization_id=empty),
        ):
            with pytest.raises(ConfigurationError, match="must be text that is not empty; leave it out for all"):
                await call
        with pytest.raises(ConfigurationError, match="organization_id must be text that is not empty"):
            [change async for change in changes(store, organization_id=empty)]
        assert len((await read_figures(store)).runs) == 1


async def test_a_moment_that_is_none(sqlite_url: str, tmp_path: Path) -> None:
    wrong: Any = "2025-01-01"
    async with SqlStore(sqlite_url) as store:
        with pytest.raises(
            ConfigurationError, match="older_than must be a day, or a moment with its time zone, not str"
        ):
            await purge(store, older_than=wrong)
        with pytest.raises(ConfigurationError, match="since must be a day, or a moment with its time zone, not str"):
            await export(store, "batches", tmp_path / "b.csv", since=wrong)
        with pytest.raises(ConfigurationError, match="since must be a day, or a moment with its time zone, not int"):
            [change async for change in changes(store, 5)]  # type: ignore[arg-type]  # the mistake
        with pytest.raises(ConfigurationError, match="path must be a file's name, not NoneType"):
            await export(store, "batches", None)  # type: ignore[arg-type]  # the mistake


async def test_a_store_that_is_none_or_is_closed(sqlite_url: str, tmp_path: Path) -> None:
    wrong: Any = None
    async with SqlStore(sqlite_url) as store:
        pass
    for call in (export(store, "batches", tmp_path / "b.csv"), purge(store, debtor="d"), read_figures(store)):
        with pytest.raises(StoreError, match="the store is not open; use `async with SqlStore"):
            await call
    with pytest.raises(StoreError, match="the store is not open"):
        [part async for part in store.arrow("batches")]
    with pytest.raises(StoreError, match="the store is not open"):
        [change async for change in changes(store)]
    for call in (export(wrong, "batches", tmp_path / "b.csv"), purge(wrong, debtor="d"), read_figures(wrong)):
        with pytest.raises(ConfigurationError, match="store must be an open SqlStore, not NoneType"):
            await call


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"organizations": "3"}, "organizations must be 1 to 1048575, not '3'"),
        ({"seed": "x"}, "seed must be a whole number, not 'x'"),
        ({"page_size": 0}, "page_size must be a whole number of at least 1, not 0"),
        ({"port": "8080"}, "port must be a whole number of at least 0, not '8080'"),
        ({"latency": "20ms"}, "latency must be a number of seconds, such as 0.02, not '20ms'"),
        ({"last_page": "gone"}, "last_page must be one of absent, null, empty, not 'gone'"),
        ({"order": "up"}, "order must be one of newest, oldest, shuffled, not 'up'"),
    ],
)
def test_a_setting_of_the_sandbox(settings: Any, said: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as raised:
        Sandbox(**settings)
    assert one_line(raised.value) == said


def test_one_organization_in_place_of_several() -> None:
    with pytest.raises(ValueError, match="limited_credentials takes several ids, such as a list, not one text"):
        Sandbox(organizations=1, batches=1).limited_credentials("organization")
