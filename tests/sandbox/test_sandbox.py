from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amili_async.sandbox import Sandbox
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    import aiohttp


CERTIFICATE = Path(__file__).parent.parent / "call" / "loopback.pem"


def fetch(sandbox: Sandbox, path: str) -> Any:
    """Ask from a thread that has no event loop."""
    request = urllib.request.Request(  # noqa: S310  # our own server
        sandbox.base_url + path, headers={"Authorization": f"Bearer {sandbox.issue_token()}"}
    )
    with urllib.request.urlopen(request) as response:  # noqa: S310  # the same
        return json.load(response)


def test_a_sandbox_in_a_thread_serves_those_without_an_event_loop() -> None:
    with Sandbox(organizations=2, batches=25) as sandbox:
        rows = fetch(sandbox, f"/orgs/{sandbox.organization_ids[0]}/batches")["data"]
        assert [row["batchId"] for row in rows] == sandbox.batch_ids()[::-1]
        batch_id = sandbox.add_batch(state="QUEUED", entries=3, failures=3)
        sandbox.finish(batch_id)
        assert fetch(sandbox, f"/batches/{batch_id}")["data"]["status"] == "PARTIAL"
        assert sandbox.requests.count("batches.*") == 2
        assert repr(sandbox).startswith(f"<Sandbox http://127.0.0.1:{sandbox.port}/collection/v1 <RequestLog")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", sandbox.port))


def test_a_thread_may_refuse_connections_and_take_them_again() -> None:
    with Sandbox(organizations=1, batches=1) as sandbox:
        sandbox.faults.add("*:refuse")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", sandbox.port))
        sandbox.faults.clear()
        assert fetch(sandbox, f"/batches/{sandbox.batch_ids()[0]}")


def test_a_sandbox_may_begin_and_end_refusing() -> None:
    sandbox = Sandbox(organizations=1, batches=1)
    sandbox.faults.add("*:refuse,seconds=1000")
    sandbox.faults.clear()
    sandbox.faults.add("token:reset", "*:refuse")
    with sandbox:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", sandbox.port))
        sandbox.faults.add("*:refuse")


def test_several_sandboxes_run_at_once_and_end_without_a_trace() -> None:
    before = {*threading.enumerate()}
    with Sandbox(seed=1) as one, Sandbox(seed=2) as other:
        assert one.port != other.port
        assert not set(one.organization_ids) & set(other.organization_ids)
        assert len({*threading.enumerate()} - before) == 2
    assert {*threading.enumerate()} <= before  # one of another test's may have ended meanwhile


def test_a_port_that_is_taken_is_an_error_where_the_sandbox_is_entered() -> None:
    with Sandbox(organizations=1, batches=1) as sandbox:
        with pytest.raises(OSError, match="in use"), Sandbox(port=sandbox.port):
            pass
        second = Sandbox(port=sandbox.port)
        second.__exit__(None, None, None)


def test_a_sandbox_is_entered_once_at_a_time_and_again_afterwards() -> None:
    sandbox = Sandbox(organizations=1, batches=1)
    for _ in range(2):
        with sandbox:
            with pytest.raises(RuntimeError, match="runs already"), sandbox:
                pass
            assert fetch(sandbox, f"/batches/{sandbox.batch_ids()[0]}")


async def test_ending_a_sandbox_ends_its_connections() -> None:
    async with Sandbox(organizations=1, batches=1) as sandbox:
        reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.readline()
    assert (await reader.read()).endswith(b"}")
    writer.close()


async def test_a_connection_that_comes_while_the_sandbox_ends_is_ended_too() -> None:
    for turns in range(6):
        sandbox = Sandbox(organizations=1, batches=1)
        await sandbox.start()
        with socket.create_connection(("127.0.0.1", sandbox.port)) as peer:
            for _ in range(turns):
                await asyncio.sleep(0)
            await sandbox.stop()
            peer.settimeout(60)
            with suppress(ConnectionResetError):
                assert peer.recv(1) == b""


def test_the_same_seed_is_the_same_world_and_another_seed_another() -> None:
    def state(**options: Any) -> bytes:
        with Sandbox(organizations=2, batches=40, **options) as sandbox:
            rows = fetch(sandbox, f"/orgs/{sandbox.organization_ids[1]}/batches?PageSize=30")
        return json.dumps(rows).encode()

    assert state(seed=5) == state(seed=5)
    assert state(seed=5) != state(seed=6)
    assert state(seed=5) != state(seed=5, generation="G2")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"generation": "G4"}, "generation must be one of G1, G2, G3, not 'G4'"),
        ({"organizations": 0}, "organizations must be 1 to"),
        ({"batches": -1}, "batches must be 0 to"),
        ({"entries": 5000}, "entries must be 0 to"),
        ({"routes": {"cases.explode": "/x"}}, "routes names operations that do not exist: cases.explode"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Sandbox(**options)


def test_what_is_not_there_cannot_be_acted_on() -> None:
    sandbox = Sandbox(organizations=1, batches=1)
    for act in (sandbox.batch_ids, sandbox.add_batch):
        with pytest.raises(LookupError, match="no organization made-up in this sandbox"):
            act("made-up")
    with pytest.raises(LookupError, match="no batch made-up in this sandbox"):
        sandbox.finish("made-up")


async def test_ten_thousand_organizations_and_a_million_batches_cost_what_is_looked_at(
    session: aiohttp.ClientSession,
) -> None:
    async with Sandbox(organizations=10_000, batches=1) as many:
        raw = RawClient(many, session)
        for organization in many.organization_ids[::2_500]:
            assert len((await raw.ask(f"/orgs/{organization}/batches")).rows) == 1
    async with Sandbox(organizations=1, batches=1_000_000) as long:
        raw = RawClient(long, session)
        first = await raw.batches()
        assert first.token
        assert len((await raw.batches(PageToken=first.token)).rows) == 100
        oldest = (await raw.batches(SortDirection="ASC")).rows[0]
        assert (await raw.ask(f"/batches/{oldest['batchId']}")).json["data"] == oldest


async def test_pages_are_rendered_once_until_something_changes(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    from amili_async.sandbox import _shapes as shapes  # noqa: PLC0415  # what is counted

    rendered: list[str] = []
    envelope = shapes.envelope

    def counted(head: str, data: str, dialect: shapes.Dialect) -> bytes:
        rendered.append(head)
        return envelope(head, data, dialect)

    monkeypatch.setattr(shapes, "envelope", counted)
    async with Sandbox(organizations=1, batches=25) as sandbox:
        raw = RawClient(sandbox, session)
        before = [(await raw.batches()).body for _ in range(3)]
        assert len(rendered) == 1
        with sandbox.faults.during("batches.list:html,count=1", "batches.list:wrong-content-type,count=1"):
            await raw.batches()
            assert (await raw.batches()).body == before[0]
        assert len(rendered) == 1
        sandbox.add_batch()
        assert (await raw.batches()).body != before[0]
        assert (await raw.ask("/orgs/x/batches", headers={"Authorization": "Bearer x"})).status == 401
        raw.headers = {}
        assert (await raw.batches()).status == 401


async def test_pages_kept_ready_take_no_more_memory_than_allowed(session: aiohttp.ClientSession) -> None:
    async with Sandbox(organizations=1, batches=60, page_size=10, keep_bytes=60_000) as sandbox:
        raw = RawClient(sandbox, session)
        for _ in range(2):
            assert len(await raw.walk(f"/orgs/{raw.organization}/batches")) == 60


async def test_a_path_takes_its_own_methods(raw: RawClient) -> None:
    response = await raw.ask(f"/orgs/{raw.organization}/payments")
    assert response.status == 405
    assert response.json["detail"] == "this path takes POST"


async def test_other_paths_can_be_given_to_operations(session: aiohttp.ClientSession) -> None:
    routes = {"cases.pause": "/v9/{organization_id}/hold/{case_id}"}
    async with Sandbox(organizations=1, batches=25, routes=routes) as sandbox:
        raw = RawClient(sandbox, session)
        case = (await raw.ask(f"/orgs/{raw.organization}/cases", params={"Status": "OPEN"})).rows[0]
        for path, status in (
            (f"/orgs/{raw.organization}/cases/{case['caseId']}/pause", 404),
            (f"/v9/{raw.organization}/hold/{case['caseId']}", 202),
        ):
            assert (await raw.ask(path, method="POST")).status == status
        assert sandbox.requests.count("cases.pause") == 1


def test_it_serves_on_ipv6_and_with_tls() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)
    trust = ssl.create_default_context(cafile=str(CERTIFICATE))
    with Sandbox(organizations=1, batches=1, host="::1") as sandbox:
        assert fetch(sandbox, f"/batches/{sandbox.batch_ids()[0]}")
        assert sandbox.origin == f"http://[::1]:{sandbox.port}"
    with Sandbox(organizations=1, batches=1, tls=tls) as sandbox:
        request = urllib.request.Request(  # noqa: S310  # our own server
            f"{sandbox.base_url}/batches/{sandbox.batch_ids()[0]}",
            headers={"Authorization": f"Bearer {sandbox.issue_token()}"},
        )
        with urllib.request.urlopen(request, context=trust) as response:  # noqa: S310  # the same
            assert json.load(response)["data"]


def test_it_imports_neither_the_client_nor_its_dependencies() -> None:
    program = """
import sys
from amili_async.sandbox import Sandbox
with Sandbox(organizations=1, batches=1):
    ours = {name for name in sys.modules if name.startswith("amili_async.") and ".sandbox" not in name}
    assert ours == {"amili_async._routes"}, ours
    assert not {"aiohttp", "msgspec", "backoff"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)  # noqa: S603  # our own program


def test_time_is_told_by_the_clock_that_is_given() -> None:
    assert time.time() > 1_700_000_000
    with Sandbox(organizations=1, batches=0, clock=lambda: 1_700_000_000.0) as sandbox:
        batch_id = sandbox.add_batch()
        assert fetch(sandbox, f"/batches/{batch_id}")["data"]["createdAt"] == "2023-11-14T22:13:20.000Z"
        earlier = sandbox.add_batch(created_at=0)
        assert fetch(sandbox, f"/batches/{earlier}")["data"]["createdAt"] == "1970-01-01T00:00:00.000Z"
