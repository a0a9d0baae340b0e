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

from amili_async import AmiliClient, RawValue
from amili_async._protocol.requests import fill
from amili_async.errors import (
    APIError,
    BadRequestError,
    ConfigurationError,
    DecodeError,
    OutcomeUnknownError,
    TokenError,
    TransportError,
)
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
    client = make_client(max_response_bytes=MIB // 2)
    sandbox.faults.add(f"{READ}:{kind},size=200MiB")
    await client.authenticate()
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match=r"larger than max_response_bytes \(524288 bytes, unpacked\)") as caught:
            await calls.read(client)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sandbox.requests.count(READ) == caught.value.attempts == 1
    assert peak < 40 * MIB


BLANKS = b" " * (64 * MIB)


def packed(encoding: str, content: bytes) -> bytes:
    """Return content as it is sent, packed."""
    if encoding == "gzip":
        return gzip.compress(content, 6)
    # Their modules have no types, and zstd is in the standard library from 3.14 on.
    own = "compression" if find_spec("compression") else "backports"
    module: Any = import_module("brotli" if encoding == "br" else f"{own}.zstd")
    return bytes(module.compress(content, quality=4) if encoding == "br" else module.compress(content))


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
async def test_no_way_of_packing_gets_around_the_limit(
    encoding: str, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(sandbox.issue_token(), max_response_bytes=MIB // 2)
    bomb = packed(encoding, BLANKS)
    assert len(bomb) < MIB
    sandbox.faults.add(Fault(READ, status=200, body=bomb, headers={"Content-Encoding": encoding}))
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match=r"larger than max_response_bytes \(524288 bytes, unpacked\)"):
            await calls.read(client)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * MIB


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
async def test_an_answer_that_unpacks_to_hundreds_of_times_its_size_is_refused_after_its_first_megabyte(
    encoding: str, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(sandbox.issue_token())
    page = b'{"data":[' + b"0," * (16 * MIB) + b"0]}"
    sandbox.faults.add(Fault("*.*", status=200, body=packed(encoding, page), headers={"Content-Encoding": encoding}))
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="unpacks to more than 200 times what was sent") as caught:
            await client.batches.list(calls.organization).collect()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.attempts == 1
    assert peak < 24 * MIB < len(page)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
async def test_an_answer_of_rows_is_read_however_well_it_packs(
    encoding: str, make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    row = '{"batchId":"%032x","type":"INVOICE","status":"SUCCESS","succeeded":[],"failed":[],"createdAt":null}'
    page = f'{{"data":[{",".join(row % number for number in range(25_000))}]}}'.encode()
    body = packed(encoding, page)
    assert len(page) > 2 * MIB
    assert len(page) > 12 * len(body), "rows that pack as well as any"
    sandbox.faults.add(Fault("*.*", status=200, body=body, headers={"Content-Encoding": encoding}))
    async with make_client(sandbox.issue_token()).batches.list(calls.organization) as batches:
        assert sum([1 async for _ in batches]) == 25_000


async def test_a_small_answer_may_pack_as_it_will(make_client: ClientFactory, sandbox: Sandbox) -> None:
    body = b'"' + b"x" * (MIB - 2) + b'"'
    sandbox.faults.add(Fault("*", status=200, body=packed("br", body), headers={"Content-Encoding": "br"}))
    assert await make_client(sandbox.issue_token()).request("GET", "/x") == body


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


NEST = b'{"a":' * 60 + b"[" * 60 + b"1.5" + b"]" * 60 + b"}" * 60


@pytest.mark.parametrize("members", [b'"new":' + NEST, b'"succeeded":[' + NEST + b"]"])
async def test_a_row_that_is_nested_too_deeply_is_refused_and_costs_none_of_the_others(
    members: bytes, client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    # Twice, as the first page teaches the client what comes, and then once more in one pass.
    good, deep = b'{"batchId":"b","new":1}', b'{"batchId":"d",' + members + b"}"
    sandbox.faults.add(Fault("*.*", status=200, body=b'{"data":[' + b",".join([good, deep, good]) + b"]}"))
    for _ in range(3):
        with pytest.raises(DecodeError, match="row 1 of a page does not fit: Expected JSON that is nested at most 100"):
            await client.batches.list(calls.organization).collect()
        async with client.batches.list(calls.organization, on_invalid="skip") as batches:
            assert [batch.batch_id async for batch in batches] == ["b", "b"]


@pytest.mark.parametrize("around", [b'"new":' + NEST, b'"summary":{"new":' + NEST + b"}"])
async def test_a_page_that_is_nested_too_deeply_around_its_rows_is_refused(
    around: bytes, client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    for body in (b'{"data":[],"new":1,"summary":{"new":1}}', b'{"data":[],' + around + b"}"):
        sandbox.faults.clear()
        sandbox.faults.add(Fault("*.*", status=200, body=body))
        if body.startswith(b'{"data":[],"new":1'):
            assert [page.items async for page in client.batches.list(calls.organization).pages()] == [()]
            continue
        for _ in range(2):
            with pytest.raises(DecodeError, match="Expected JSON that is nested at most 100 deep"):
                await client.batches.list(calls.organization).collect()


async def test_what_is_kept_whole_is_opened_no_deeper(client: AmiliClient, sandbox: Sandbox, calls: Calls) -> None:
    sandbox.faults.add(Fault("*.*", status=200, body=b'{"data":[{"batchId":"b","failed":[' + NEST + b"]}]}"))
    (batch,) = await client.batches.list(calls.organization).collect()
    (entry,) = batch.failed
    assert (entry.raw, entry.message, entry.reference, dict(entry.extra)) == (NEST, None, None, {})
    assert batch.failures()[0].startswith('{"a":{"a":')


async def test_an_answer_of_no_known_shape_is_bounded_too(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls
) -> None:
    client = make_client(sandbox.issue_token())
    sandbox.faults.add(Fault("*", status=200, body=b'{"data":[' + NEST + b"]}"))
    for kind in (dict, list, object):
        with pytest.raises(DecodeError, match="nested at most 100 deep"):
            await client.request("GET", f"/orgs/{calls.organization}/batches", type=kind)
    with pytest.raises(DecodeError, match="row 0 of a page does not fit"):
        await client.invoices.payments(calls.organization, "i").collect()
    with pytest.raises(ValueError, match="nested at most 100 deep"):
        _ = RawValue(raw=NEST).json


UNREADABLE = [b'{"code":"\xff"}', b'{"error":"\xff"}', b'{"code":' + b"[" * 100_000, b"\xff\xfe"]


@pytest.mark.parametrize("body", UNREADABLE)
async def test_the_body_of_a_refusal_may_be_anything(
    body: bytes, client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(Fault(READ, status=400, body=body))
    with pytest.raises(BadRequestError) as caught:
        await calls.read(client)
    assert caught.value.body == body[: 64 * 1024]
    assert (caught.value.code, caught.value.attempts) == (None, 1)


@pytest.mark.parametrize("body", UNREADABLE)
async def test_the_body_of_a_refused_token_may_be_anything(
    body: bytes, client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(Fault("token", status=400, body=body))
    with pytest.raises(TokenError, match="no token endpoint answered, but something else: 400 Bad Request"):
        await calls.read(client)


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
