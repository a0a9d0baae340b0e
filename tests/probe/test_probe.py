"""What a probe finds on servers of each kind, and that nothing of the data is in what it keeps."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from amili_async import AmiliClient, ClientCredentials, ConfigurationError, Profile, RetryPolicy
from amili_async.probe import Anonymizer, Recorder, probe
from amili_async.probe._probe import TOKEN_MEMBERS, Questions, order_of
from amili_async.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from amili_async.probe import Finding


async def probed(
    sandbox: Sandbox, *, attempts: int = 3, recorder: Recorder | None = None, routes: tuple[str, ...] = ()
) -> Profile:
    policy = RetryPolicy(attempts=attempts)
    async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, retry=policy) as client:
        return await probe(client, sandbox.organization_ids[0], recorder=recorder, routes=routes)


def finding(profile: Profile, name: str) -> Finding:
    (found,) = (found for found in profile.findings if found.name == name)
    return found


@pytest.mark.parametrize("generation", ["G1", "G2", "G3"])
async def test_each_generation_is_told(generation: str) -> None:
    async with Sandbox(organizations=1, batches=300, entries=1, generation=generation) as sandbox:  # type: ignore[arg-type]  # drawn from the three
        profile = await probed(sandbox)
        assert profile.generation == generation
        assert profile.requests <= 26
        assert {request.method for request in sandbox.requests} == {"GET"}
        assert profile.sort == "honoured"
        assert finding(profile, "order").holds
        assert finding(profile, "last-page").holds
        assert finding(profile, "date").holds


async def test_what_is_not_as_assumed_is_told_and_ends_nothing() -> None:
    async with Sandbox(organizations=1, batches=150, entries=1) as sandbox:
        sandbox.faults.add(
            Fault("settlements.list", status=423),
            Fault("cases.list", "html"),
            Fault("invoices.list", "unknown-member"),
            Fault("batches.list", "last-empty"),
            Fault("batches.get", status=405),
        )
        profile = await probed(sandbox)
    assert finding(profile, "settlements.list").found == "423, 0 rows"
    assert not finding(profile, "settlements.list").holds
    assert finding(profile, "last-page").found == "nextPageToken is empty"
    assert not finding(profile, "batch-by-id").holds
    assert profile.generation == "G2"
    assert profile.unknown_members["invoices.list"]
    page = profile.page()
    assert "NOT AS ASSUMED  settlements.list: 423" in page
    assert {found.name for found in profile.surprises} >= {"settlements.list", "batch-by-id"}


async def test_all_that_is_found_of_a_server_as_it_is_documented() -> None:
    async with Sandbox(organizations=1, batches=1200, entries=1, seed=1, page_size=500) as sandbox:
        profile = await probed(sandbox, routes=("status.ping",))
    assert {found.name: (found.found, found.holds) for found in profile.findings} == {
        "token": ("a token was at hand", None),
        "token-members": ("not asked, as a token was at hand", None),
        "envelope": ("members data, summary", True),
        "default-page": ("500 rows without PageSize", None),
        "order": ("newest first", True),
        "moments": ("500 of 500 with a fraction", None),
        "token-again": ("the same rows", True),
        "pages": ("0 rows on both", True),
        "last-page": ("nextPageToken is absent", True),
        "token-refused": ("400", True),
        "sort": ("ASC: oldest first, DESC: newest first", True),
        "page-size": ("100: 100 rows; 500: 500 rows; 1000: 1000 rows", True),
        "batch-by-id": ("200", True),
        "batch-legacy": ("200", True),
        "not-found": ("404", True),
        "error-body": ("members detail, status, title, type", None),
        "key-filter": ("0 rows for a key that was never sent", True),
        "invoices.list": ("200, 500 rows", True),
        "invoices.get": ("200", True),
        "cases.list": ("200, 500 rows", True),
        "settlements.list": ("200, 500 rows", True),
        "settlements.get": ("200", True),
        "status.ping": ("404", False),
        "date": ("21 of 21 answers", True),
        "rate-limit": ("no 429 was met", None),
    }
    assert (profile.page_size, profile.sort, profile.requests) == (1000, "honoured", 21)
    assert not any((profile.routes, profile.unknown_members, profile.unknown_values))


async def test_all_that_is_found_of_a_server_that_is_otherwise(canaries: str) -> None:
    """One that knows every id and no filter, sorts by nothing, and refuses every page token."""
    credentials = ClientCredentials("canary-id", "canary-secret")
    async with AmiliClient(credentials, base_url=f"{canaries}/api", token_url=f"{canaries}/token") as client:
        profile = await probe(client, "canary-4711", routes=("status.ping",))
    assert {found.name: (found.found, found.holds) for found in profile.findings} == {
        "token": ("good for 3600 s", True),
        "token-members": ("access_token, expires_in, expires_on, refresh_token, token_type", True),
        "envelope": ("members data, summary and 1 with odd names", False),
        "default-page": ("20 rows without PageSize", None),
        "order": ("oldest first", False),
        "moments": ("20 of 20 with a fraction", None),
        "token-again": ("400", None),
        "pages": ("400", None),
        "last-page": ("not reached within four pages", None),
        "token-refused": ("400", True),
        "sort": ("ASC: oldest first, DESC: oldest first", False),
        "page-size": ("100: 100 rows; 500: 500 rows; 1000: 1000 rows", True),
        "batch-by-id": ("200", True),
        "batch-legacy": ("200", True),
        "not-found": ("200", False),
        "error-body": ("members data, summary", None),
        "key-filter": ("20 rows for a key that was never sent", False),
        "invoices.list": ("200, 20 rows", True),
        "invoices.get": ("200", True),
        "cases.list": ("200, 20 rows", True),
        "settlements.list": ("200, 20 rows", True),
        "settlements.get": ("200", True),
        "status.ping": ("200", True),
        "date": ("20 of 20 answers", True),
        "rate-limit": ("no 429 was met", None),
    }
    assert (profile.page_size, profile.sort, profile.requests) == (1000, "ignored", 20)
    assert profile.routes == {"status.ping": "/ping"}
    invoices = ("amount", "caseNumber", "debtor", "invoiceId", "settlementId")
    assert profile.unknown_members["invoices.list"] == invoices


async def test_two_pages_that_share_rows_and_a_token_that_gives_others_are_told() -> None:
    async with Sandbox(organizations=1, batches=60, page_size=20) as sandbox:
        async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url) as client:
            (first, second) = [
                await client.request("GET", f"/orgs/{sandbox.organization_ids[0]}/batches", query={"PageSize": size})
                for size in ("20", "5")
            ]
        sandbox.faults.add(
            Fault("batches.list", body=first.decode(), status=200, skip=1, count=1),
            Fault("batches.list", body=second.decode(), status=200, skip=1, count=1),
        )
        profile = await probed(sandbox)
    assert (finding(profile, "pages").found, finding(profile, "pages").holds) == ("20 rows on both", False)
    assert finding(profile, "token-again").found == "other rows, or 200"
    assert finding(profile, "token-again").holds is False


async def test_what_the_token_endpoint_names_otherwise_is_told() -> None:
    async with Sandbox(organizations=1, batches=2) as sandbox:
        async with AmiliClient(
            ClientCredentials(*sandbox.credentials), base_url=sandbox.base_url, token_url=sandbox.token_url
        ) as client:
            profile = await probe(client, sandbox.organization_ids[0])
        assert finding(profile, "token-members").found == ", ".join(TOKEN_MEMBERS)
        assert finding(profile, "token-members").holds
        given = await probed(sandbox)
    assert finding(given, "token-members").found == "not asked, as a token was at hand"
    assert finding(given, "token-members").holds is None


async def test_an_organization_that_cannot_be_listed_is_a_finding() -> None:
    async with Sandbox(organizations=1, batches=10) as sandbox:
        sandbox.faults.add(Fault("batches.list", status=403))
        profile = await probed(sandbox)
        assert (finding(profile, "batches").found, finding(profile, "batches").holds) == ("403", False)
        sandbox.faults.add(Fault("*", "refuse"))
        profile = await probed(sandbox, attempts=1)
        assert "no answer (ConnectError)" in {found.found for found in profile.findings}


async def test_sort_and_sizes_that_are_refused_are_told() -> None:
    async with Sandbox(organizations=1, batches=150, entries=1, page_size=20) as sandbox:
        async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url) as client:
            questions = Questions(client, sandbox.organization_ids[0], None)
            with sandbox.faults.during("batches.list:status=422"):
                assert await questions.sorting() == "refused"
                assert await questions.sizes(20) is None
            sandbox.faults.add(Fault("batches.list", status=400, skip=1, count=1))
            assert await questions.sizes(20) is None
            sandbox.faults.clear()
            sandbox.faults.add(Fault("batches.list", body='{"data": [{}, {}]}', status=200))
            assert await questions.sizes(2) is None
        assert [found.found for found in questions.findings] == ["422", "422", "100: 400", "it makes no difference"]


async def test_a_limit_that_was_met_is_told() -> None:
    async with Sandbox(organizations=1, batches=5) as sandbox:
        sandbox.faults.add(Fault("batches.list", status=429, retry_after=0.01, count=1))
        profile = await probed(sandbox, routes=("status.ping",))
    assert finding(profile, "rate-limit").found.startswith("told to wait up to")
    assert profile.routes == {}


async def test_a_long_list_is_not_walked_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amili_async.probe._probe.SIZES", (10, 20, 30))
    async with Sandbox(organizations=1, batches=200, entries=0, page_size=20) as sandbox:
        profile = await probed(sandbox)
    assert finding(profile, "last-page").found == "not reached within four pages"
    assert profile.requests < 26


@pytest.mark.parametrize("data", ["{}", "7", "[7]", '[{"batchId": 7, "status": 7}]'])
async def test_answers_of_another_shape_are_findings_too(data: str) -> None:
    async with Sandbox(organizations=1, batches=5) as sandbox:
        body = f'{{"summary": [], "data": {data}}}'
        sandbox.faults.add(Fault("batches.list", body=body, status=200))
        profile = await probed(sandbox)
    assert profile.generation in {None, "G3"}
    assert profile.page_size is None


async def test_an_organization_with_one_batch_leaves_much_open() -> None:
    async with Sandbox(organizations=1, batches=1) as sandbox:
        profile = await probed(sandbox)
    assert finding(profile, "order").holds is None
    assert profile.sort is None
    assert finding(profile, "last-page").found == "nextPageToken is absent"


async def test_routes_that_are_guesses_are_tried_only_when_asked_for_and_by_get_alone() -> None:
    async with Sandbox(organizations=1, batches=10, generation="G1") as sandbox:
        profile = await probed(sandbox, routes=("status.ping", "organizations.reports"))
        assert profile.routes.keys() == {"status.ping", "organizations.reports"}
        with pytest.raises(ConfigurationError, match=r"banqsoft\.call cannot be tried"):
            await probed(sandbox, routes=("banqsoft.call",))
        async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, profile=profile) as client:
            await client.status.ping()  # warns of nothing


async def test_a_client_goes_by_its_profile() -> None:
    async with Sandbox(organizations=1, batches=700, entries=1) as sandbox:
        profile = await probed(sandbox)
        assert profile.page_size == 500
        async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, profile=profile) as client:
            assert client.with_options(deadline=5).profile is profile
            sandbox.requests.clear()
            await client.batches.list(sandbox.organization_ids[0]).first()
            await client.batches.list(sandbox.organization_ids[0], page_size=7).first()
            await client.invoices.list(sandbox.organization_ids[0]).first()
        sizes = [
            request.query.get("PageSize")
            for request in sandbox.requests.of("*.list")
            if "PageToken" not in request.query
        ]
        assert sizes == ["500", "7", None]


CANARY = re.compile(r"(?i)canary|47110815|4711\.0815|2f3c1a00")


def row(number: int) -> dict[str, object]:
    """Return an object whose every value can be told from any other."""
    id_ = f"2f3c1a00-0000-4000-8000-0000000{number:05}"
    return {
        "batchId": id_, "id": id_, "caseId": id_, "settlementId": id_, "invoiceId": id_, "type": "CANARY COMPANY AS",
        "status": "Canary Person", "createdAt": f"2026-04-{number % 28 + 1:02}T08:15:08.150Z", "amount": 4711.0815,
        "debtor": {"fullName": "Canary Person", "2f3c1a00": 1, "canary@example.com": 4711}, "caseNumber": "47110815",
    }  # fmt: skip


@pytest.fixture
async def canaries() -> AsyncIterator[str]:
    """Serve a server whose every value is a canary; yield its address."""

    async def serve(request: web.Request) -> web.Response:
        size = int(request.query.get("PageSize", "20"))
        if request.path.count("/") > 4:
            return web.json_response({"summary": {"status": "Canary"}, "data": row(1)})
        if "PageToken" in request.query or "missing" in request.path:
            return web.json_response({"error": "canary 4711", "canary4711": "x"}, status=400)
        rows = [row(number) for number in range(size)]
        summary = {"status": "Canary", "nextPageToken": "canary-4711"}
        return web.json_response({"summary": summary, "data": rows, "canary4711": True})

    async def grant(_request: web.Request) -> web.Response:
        answer = {"access_token": "canary-4711-token", "expires_in": 3600, "refresh_token": "canary", "canary4711": 1}
        return web.json_response(answer | {"token_type": "Canary", "expires_on": "canary"})

    app = web.Application()
    app.router.add_post("/token", grant)
    app.router.add_get("/{tail:.*}", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_no_id_no_name_and_no_amount_is_in_a_profile_or_a_recording(canaries: str, tmp_path: Path) -> None:
    credentials = ClientCredentials("canary-id", "canary-secret")
    async with AmiliClient(credentials, base_url=f"{canaries}/api", token_url=f"{canaries}/token") as client:
        profile = await probe(client, "canary-4711", recorder=Recorder(tmp_path / "recorded", Anonymizer(b"key" * 11)))
    members = finding(profile, "token-members")
    assert (members.found, members.holds) == ("access_token, expires_in, expires_on, refresh_token, token_type", True)
    profile.save(tmp_path / "profile.json")
    assert Profile.load(tmp_path / "profile.json") == profile
    assert not CANARY.search(profile.page())
    assert not CANARY.search((tmp_path / "profile.json").read_text("utf-8"))
    files = [*(tmp_path / "recorded").iterdir()]
    assert len(files) > 10
    assert not any("token" in file.name for file in files)
    for file in files:
        text = file.read_text("utf-8")
        assert not CANARY.search(text)


def test_a_recording_goes_into_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("", "utf-8")
    with pytest.raises(ConfigurationError, match="is not empty"):
        Recorder(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is no file that"),
        ('{"day": "d", "client": "c", "routes": {"no.such": "/x"}}', r"routes of no operation: no\.such"),
    ],
)
def test_a_file_that_is_no_profile_is_refused(text: str | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    if text is not None:
        file.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=said):
        Profile.load(file)


@pytest.mark.parametrize(
    ("moments", "order"),
    [
        ([], "too few rows to tell"),
        ([None, "soon", "2026-01-01T00:00:00"], "too few rows to tell"),
        (["2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"], "newest first"),
        (["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"], "oldest first"),
        (["2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-02T00:00:00Z"], "in no order of createdAt"),
    ],
)
def test_an_order_is_told_from_moments(moments: list[str | None], order: str) -> None:
    assert order_of(moments) == order


async def test_a_body_that_is_no_json_is_recorded_as_text(tmp_path: Path) -> None:
    folder = tmp_path / "probes" / "recorded"
    recorder = Recorder(folder)
    recorder.keep("batches.list", ("org",), {"PageSize": "5"}, status=502, body=b"<html>Ola</html>")
    (file,) = folder.iterdir()
    kept = json.loads(file.read_text("utf-8"))
    assert (kept["status"], kept["query"]) == (502, {"PageSize": "5"})
    assert kept.keys() == {"operation", "ids", "query", "status", "text"}
    assert "Ola" not in kept["text"]
