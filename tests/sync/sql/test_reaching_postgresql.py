"""Real servers, as people have them: PgBouncer between, TLS with an authority of one's own, or none at all."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import asyncpg
import pytest

from amili_async.errors import StoreError
from amili_async.sync import SqlStore, WriteResult, sync
from amili_async.sync._sql import database as database_module
from amili_async.sync._sql.urls import database
from tests.outside.authority import Authority
from tests.support.postgresql import Pooler, Server, throwaway_pgbouncer, throwaway_postgresql
from tests.support.rows import batch, portion

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from amili_async import AmiliClient
    from amili_async.sandbox import Sandbox

pytestmark = pytest.mark.postgres


async def asked(url: str, statement: str) -> object:
    found = database(url, patience=5)
    try:
        return await found.run(lambda connection: connection.exec_driver_sql(statement).scalar_one())
    finally:
        await found.close()


# Options


async def test_the_servers_settings_can_be_made_in_the_url(postgresql_url: str) -> None:
    url = f"{postgresql_url}?application_name=billing&options=-c%20statement_timeout%3D5s&connect_timeout=10"

    assert await asked(url, "SHOW application_name") == "billing"
    assert await asked(url, "SHOW statement_timeout") == "5s"
    assert await asked(postgresql_url, "SHOW application_name") == "amili-async"


async def test_what_was_received_stays_text(postgresql_url: str) -> None:
    raw = b'{ "batchId" : "a",\n "unknown": [1.50, 1e2, "\\u00e6"] }'
    row = batch("a")
    async with SqlStore(postgresql_url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(type(row)(id="a", moment=None, final=True, value=row.value, raw=raw)))

        text = "SELECT CAST(raw AS TEXT) FROM batches"
        found = await store.database.run(lambda connection: connection.exec_driver_sql(text).scalar_one())
    assert str(found).encode() == raw


# PgBouncer


@pytest.fixture
def pooler(postgresql: Server) -> Iterator[Pooler]:
    if shutil.which("pgbouncer") is None:
        pytest.skip("no PgBouncer on this machine: apt-get install pgbouncer")
    with throwaway_pgbouncer(postgresql) as running:
        yield running


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


@pytest.mark.amili(organizations=12, batches=60, page_size=10)
async def test_a_sync_runs_behind_pgbouncer_with_one_option_in_the_url(
    pooler: Pooler, postgresql_url: str, sandbox: Sandbox, client: AmiliClient
) -> None:
    async with SqlStore(f"{pooler.url(name_of(postgresql_url))}?pgbouncer=true") as store:
        for new in (12 * 60, 0):
            report = await sync(client, sandbox.organization_ids, store, concurrency=8)
            assert report.ok
            assert report.total.new == new

        assert await store.count("batches") == 12 * 60


async def test_without_the_option_the_error_names_it(pooler: Pooler, postgresql_url: str) -> None:
    async def use(store: SqlStore, organization_id: str) -> None:
        await store.begin(organization_id, "batches")
        for number in range(5):
            await store.write(portion(batch(str(number)), organization_id=organization_id))

    with pytest.raises(StoreError, match=r"write pgbouncer=true into the store's URL \(SQLSTATE (42P05|26000)\)"):
        async with SqlStore(pooler.url(name_of(postgresql_url))) as store:
            await asyncio.gather(*(use(store, f"organization {number}") for number in range(8)))


async def test_a_pooler_that_restarts_is_waited_for(pooler: Pooler, postgresql_url: str) -> None:
    async with SqlStore(f"{pooler.url(name_of(postgresql_url))}?pgbouncer=true") as store:
        await store.begin("organization", "batches")
        pooler.stop()
        writing = asyncio.create_task(store.write(portion(batch("a"))))
        await asyncio.sleep(0)
        await asyncio.to_thread(pooler.start)

        assert await writing == WriteResult(1, 0)


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def encrypted(authority: Authority) -> Iterator[Server]:
    """A server that takes TLS, with a certificate for localhost."""
    with throwaway_postgresql() as server:
        server.stop()
        certificate = server.folder / "server.pem"
        shutil.copy(authority.server_certificate(), certificate)
        server.give(certificate)
        server.start("ssl=on", f"ssl_cert_file={certificate}", f"ssl_key_file={certificate}")
        yield server


ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


async def test_a_certificate_is_verified_against_an_authority_in_the_url(
    encrypted: Server, authority: Authority
) -> None:
    url = encrypted.url().replace("127.0.0.1", "localhost")

    assert await asked(f"{url}?sslmode=verify-full&sslrootcert={authority.path}", ENCRYPTED) is True
    assert await asked(f"{url}?sslmode=require", ENCRYPTED) is True
    assert await asked(f"{url}?sslmode=disable", ENCRYPTED) is False


async def test_a_certificate_of_somebody_elses_authority_is_told(encrypted: Server, tmp_path: Path) -> None:
    url = f"{encrypted.url()}?sslmode=verify-full&sslrootcert={Authority(tmp_path).path}"

    with pytest.raises(StoreError, match=r"certificate does not verify, or TLS failed \(SSLCertVerificationError\)"):
        await asked(url, "SELECT 1")


async def test_a_server_that_speaks_no_tls_gets_nothing_from_another_machine() -> None:
    """0.0.0.0 is no loopback address by its number, and leads to this machine all the same."""
    received: list[bytes] = []
    ended = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readexactly(8))
        writer.write(b"N")
        await writer.drain()
        received.append(await reader.read())
        writer.close()
        ended.set()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(StoreError, match="speaks no TLS: sslmode=disable in the store's URL would send"):
            async with SqlStore(f"postgresql://amili:secret@0.0.0.0:{port}/name"):
                pass
        await ended.wait()

    assert received == [b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b""]


# Locks


async def test_a_lock_that_is_waited_for_is_told(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with SqlStore(postgresql_url, patience=700) as store:
        await store.begin("organization", "batches")
        caplog.clear()
        other = await asyncpg.connect(postgresql_url)
        transaction = other.transaction()
        await transaction.start()
        await other.execute("LOCK TABLE lists")
        # For this one transaction: a busy machine may let any other take as long.
        with monkeypatch.context() as impatient:
            impatient.setattr(database_module, "TELL_AFTER", 0.05)
            writing = asyncio.create_task(store.write(portion(batch("a"))))
            while not caplog.messages:  # noqa: ASYNC110  # a log has no event; the run's own limit bounds it
                await asyncio.sleep(0.01)
        await transaction.rollback()
        await other.close()

        assert await writing == WriteResult(1, 0)
    [told] = caplog.messages
    assert told.endswith("it is busy, or another session holds a lock; waiting for up to 700 seconds")
