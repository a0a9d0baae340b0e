"""What must never happen: a followed redirect, a token on its way to another origin, an id that climbs out of its
segment, a header that begins another line, an answer that fills the memory."""

from __future__ import annotations

import gzip
import tracemalloc
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async import AmiliClient
from amili_async._protocol.requests import fill
from amili_async.errors import APIError, ConfigurationError, DecodeError, OutcomeUnknownError, TransportError
from amili_async.sandbox import Fault, Sandbox
from tests.support.calls import ACCEPTED, READ, WRITE

if TYPE_CHECKING:
    from amili_async.events import CallStarted
    from tests.support.calls import Calls
    from tests.support.factories import ClientFactory, SandboxFactory

MIB = 2**20


@pytest.fixture
async def elsewhere(make_sandbox: SandboxFactory) -> Sandbox:
    """A server that is not the client's own."""
    return await make_sandbox(organizations=1, batches=1, entries=1, seed=2)


# -- redirects and origins


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("operation", [READ, WRITE])
async def test_a_redirect_is_an_error_with_the_host_and_is_not_followed(
    status: int, operation: str, client: AmiliClient, sandbox: Sandbox, calls: Calls, *, elsewhere: Sandbox
) -> None:
    location = f"{elsewhere.base_url}/orgs?debtor=Kari"
    sandbox.faults.add(Fault(operation, status=status, location=location))
    with pytest.raises(APIError) as caught:
        await (calls.read(client) if operation == READ else calls.write(client))
    assert caught.value.location == "127.0.0.1"
    assert caught.value.attempts == 1
    assert "Kari" not in f"{caught.value} {caught.value.to_dict()}"
    assert len(elsewhere.requests) == 0


async def test_the_token_goes_to_no_other_origin_that_request_is_told(
    client: AmiliClient, sandbox: Sandbox, elsewhere: Sandbox
) -> None:
    elsewhere.faults.add("*:status=200,body={}")
    sandbox.faults.add("unknown:status=200,body={}")
    await client.request("GET", f"{elsewhere.origin}/anything")
    assert elsewhere.requests.last().authorization is None
    assert sandbox.requests.count("token") == 0
    await client.request("GET", f"{sandbox.origin}/of-the-same-origin")
    assert sandbox.requests.last().authorization == "Bearer"


@pytest.mark.parametrize(
    "url",
    [
        "http://amili.example/batches",
        "//amili.example/batches",
        "ftp://127.0.0.1/x",
        "http://me:secret@127.0.0.1/x",
        "http://[::1",
        "javascript:alert(1)",
        "orgs/1",
        "",
        "/orgs/../token",
        "/./x",
        "https://",
    ],
)
async def test_a_url_that_would_send_in_the_clear_or_climb_is_refused(url: str, client: AmiliClient) -> None:
    with pytest.raises(ConfigurationError):
        await client.request("GET", url)


async def test_a_batch_url_is_handed_on_and_never_called(
    client: AmiliClient, sandbox: Sandbox, calls: Calls, elsewhere: Sandbox
) -> None:
    answer = f'{{"data":{{"batchId":"b-1","batchUrl":"{elsewhere.base_url}/batches/b-1"}}}}'
    sandbox.faults.add(Fault(WRITE, status=202, body=answer))
    assert await calls.write(client) == "b-1"
    assert len(elsewhere.requests) == 0


@pytest.mark.parametrize(
    "url", ["http://amili.example/collection/v1", "http://10.0.0.1", "ftp://amili.example", "amili"]
)
def test_a_root_that_is_not_https_is_refused_unless_it_is_loopback(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^base_url"):
        AmiliClient("token", base_url=url)


# -- ids


@pytest.mark.parametrize(
    "given_id",
    [
        "../x",
        "a/b",
        "%2e%2e",
        "%2F",
        "a?b=c",
        "a#b",
        "æøå",
        "a b",
        "a;b",
        "a\\b",
        "a+b&c=d",
        "...",
        "\u202e",
        "a\r\nX-Evil: 1",
        "a\x00b",
        ".%2e",
    ],
)
async def test_an_id_stays_one_segment_whatever_is_in_it(given_id: str, client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("*.*:status=404")
    with pytest.raises(APIError):
        await client.batches.get(given_id, given_id)
    request = sandbox.requests.last()
    assert request.operation == READ
    assert request.segments == ["collection", "v1", "orgs", given_id, "batches", given_id]
    assert "x-evil" not in request.headers


@pytest.mark.parametrize("given_id", ["", " ", ".", "..", None, 7, b"x", "\ud800"])
async def test_an_id_that_is_no_segment_is_refused_by_name(
    given_id: Any, client: AmiliClient, sandbox: Sandbox
) -> None:
    with pytest.raises(ConfigurationError, match=r"^organization_id "):
        await client.batches.get(given_id, "b")
    with pytest.raises(ConfigurationError, match=r"^batch_id "):
        await client.batches.get("o", given_id)
    with pytest.raises(ConfigurationError, match=r"^organization_id "):
        client.batches.list(given_id)
    assert len(sandbox.requests) == 0


async def test_a_uuid_is_sent_as_its_text(client: AmiliClient, sandbox: Sandbox, calls: Calls) -> None:
    await client.batches.get(UUID(calls.organization), UUID(calls.batch))
    assert sandbox.requests.last().segments[3:] == [calls.organization, "batches", calls.batch]


async def test_query_values_reach_the_server_as_they_were_given(client: AmiliClient, sandbox: Sandbox) -> None:
    odd = {"a": "x&y=z", "b": "æ %2F+", "c": "\r\nX: 1", "d e": "#?"}
    sandbox.faults.add("unknown:status=200,body={}")
    await client.request("GET", "/things", query=odd)
    assert sandbox.requests.last().query == odd


async def test_text_that_cannot_be_encoded_is_refused(client: AmiliClient, sandbox: Sandbox) -> None:
    with pytest.raises(ConfigurationError, match=r"^query: a"):
        await client.request("GET", "/things", query={"a": "\ud800"})
    with pytest.raises(ConfigurationError):
        await client.request("GET", "/\ud800")
    assert len(sandbox.requests) == 0


# -- headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "1\r\nX-Evil: 1"),
        ("X-A", "1\nX-Evil: 1"),
        ("X-A", "1\rX-Evil: 1"),
        ("X-A", "a\x00b"),
        ("X-A: 1\r\nX-Evil", "1"),
        ("", "1"),
        ("X A", "1"),
        ("Xæ", "1"),
        ("X-A", "\ud800"),
        ("Authorization", "Bearer mine"),
        ("authorization", "Bearer mine"),
        ("Host", "evil.example"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
    ],
)
async def test_a_header_that_would_inject_or_override_is_refused(
    name: str, value: str, client: AmiliClient, sandbox: Sandbox
) -> None:
    with pytest.raises(ConfigurationError, match=r"^headers"):
        await client.request("GET", "/things", headers={name: value})
    with pytest.raises(ConfigurationError, match=r"^headers"):
        client.with_options(headers={name: value})
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize("key", ["", " ", "a\r\nX-Evil: 1", "a\nb", "\x00", "nøkkel"])
async def test_a_key_that_no_header_can_carry_is_refused(
    key: str, client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    with pytest.raises(ConfigurationError, match=r"^idempotency_key"):
        await calls.write(client, key=key)
    assert len(sandbox.requests) == 0


async def test_headers_reach_the_server_and_the_clients_own_come_last(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    class Adding:
        def on_call_start(self, record: CallStarted) -> dict[str, str]:
            return {"X-Operation": record.operation, "X-Both": "hook"}

    client = make_client(hooks=[Adding()], user_agent="erp/1.0").with_options(headers={"X-Both": "option", "X-O": "1"})
    await calls.read(client)
    headers = sandbox.requests.last().headers
    assert headers["x-operation"] == READ
    assert headers["x-both"] == "hook"
    assert headers["x-o"] == "1"
    assert headers["accept"] == "application/json"
    assert headers["user-agent"].startswith("erp/1.0 amili-async")


async def test_how_answers_may_be_packed_is_the_callers_to_choose(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client()
    await calls.read(client)
    assert "gzip" in sandbox.requests.last().headers["accept-encoding"]
    await calls.read(client.with_options(headers={"accept-encoding": "identity"}))
    assert sandbox.requests.last().headers["accept-encoding"] == "identity"


# -- size


@pytest.mark.parametrize("kind", ["oversize", "bomb"])
async def test_an_answer_larger_than_the_limit_is_refused_before_it_fills_the_memory(
    kind: str, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(max_response_bytes=2 * MIB)
    sandbox.faults.add(f"{READ}:{kind},size=200MiB")
    await client.authenticate()
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match=r"larger than max_response_bytes \(2097152 bytes, unpacked\)") as caught:
            await calls.read(client)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sandbox.requests.count(READ) == caught.value.attempts == 1
    assert peak < 40 * MIB


def packed(encoding: str) -> bytes:
    """Return 64 MiB of blanks, packed."""
    blanks = b" " * (64 * MIB)
    if encoding == "gzip":
        return gzip.compress(blanks, 1)
    # Their modules have no types, and zstd is in the standard library from 3.14 on.
    own = "compression" if find_spec("compression") else "backports"
    module: Any = import_module("brotli" if encoding == "br" else f"{own}.zstd")
    return bytes(module.compress(blanks))


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
async def test_no_way_of_packing_gets_around_the_limit(
    encoding: str, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(sandbox.issue_token(), max_response_bytes=2 * MIB)
    bomb = packed(encoding)
    assert len(bomb) < MIB
    sandbox.faults.add(Fault(READ, status=200, body=bomb, headers={"Content-Encoding": encoding}))
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match=r"larger than max_response_bytes \(2097152 bytes, unpacked\)"):
            await calls.read(client)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * MIB


async def test_an_answer_too_large_for_a_write_leaves_its_outcome_unknown(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(Fault(WRITE, "oversize", status=202, body=ACCEPTED.body, size=3 * MIB))
    with pytest.raises(OutcomeUnknownError) as caught:
        await calls.write(make_client(max_response_bytes=MIB))
    assert isinstance(caught.value.__cause__, DecodeError)
    assert sandbox.requests.count(WRITE) == 1


async def test_an_answer_as_large_as_the_limit_is_read(make_client: ClientFactory, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("*", status=200, body=b"x" * MIB))
    token = sandbox.issue_token()
    assert len(await make_client(token, max_response_bytes=MIB).request("GET", "/x")) == MIB
    with pytest.raises(DecodeError):
        await make_client(token, max_response_bytes=MIB - 1).request("GET", "/x")


@pytest.mark.parametrize("body", [b'{"data":' + b"[" * 100_000, b"[" * 100_000, b'{"data":' * 20_000])
async def test_an_answer_nested_without_end_is_unreadable_and_nothing_worse(
    body: bytes, client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(Fault("*.*", status=200, body=body))
    with pytest.raises(DecodeError):
        await calls.read(client)
    with pytest.raises(DecodeError):
        await client.batches.list(calls.organization).collect()


async def test_a_huge_head_is_a_transport_error_and_not_the_end_of_the_client(
    client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(Fault(READ, headers={"X-Long": "x" * 100_000}, count=3))
    with pytest.raises(TransportError):
        await calls.read(client)
    await calls.read(client)


@given(st.text(st.characters(), max_size=40))
def test_any_id_is_one_segment_or_refused(given_id: str) -> None:
    try:
        path = fill("/orgs/{organization_id}/batches", {"organization_id": given_id})
    except ConfigurationError:
        return
    assert urlsplit(f"https://host{path}").path == path
    assert path.count("/") == 3
