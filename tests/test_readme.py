"""The pages are true: their snippets run, their tables are those of the code, their links lead somewhere."""

from __future__ import annotations

import ast
import asyncio
import hmac
import inspect
import json
import logging
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import trustme

import amili_async.models
import amili_async.resources
import amili_async.webhooks
from amili_async import AmiliClient, NewInvoice
from amili_async._http import endpoints as servers
from amili_async._routes import ROUTES
from amili_async.events import Hook
from amili_async.sandbox import Sandbox
from tests.support.documents import PAGES, ROOT, Block, blocks, text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path
    from types import ModuleType

    from amili_async import Batch

CLIENT = text("amili_async")

SECRET = b"shared with Amili"

DOCUMENTATION = "https://docs.amili.dev/"

RUN_BY_THEIR_OWN_TESTS = {
    "# json_lines_store.py": "tests/sync/test_json_lines_store.py",
    "# test_chasing.py": "tests/integrations/test_readme_testing.py",
    "# service.py": "tests/integrations/test_fastapi_service.py",
    "# service.py, continued": "tests/integrations/test_fastapi_service.py",
    "# aiohttp_service.py": "tests/integrations/test_readme_embedding.py",
    "# telemetry.py": "tests/integrations/test_readme_embedding.py",
    "# client_logs.py": "tests/integrations/test_readme_embedding.py",
    "# structured_logs.py": "tests/integrations/test_readme_embedding.py",
}
"""Snippets that are whole files and need a server of their own: their first line, and where they are run."""


SNIPPETS = [block for block in blocks("python") if block.title not in RUN_BY_THEIR_OWN_TESTS]


def webhook(batch: Batch) -> bytes:
    """Return the body of the event that a batch is completed."""
    data = {"batchId": batch.batch_id, "organizationId": batch.organization_id, "status": "SUCCESS"}
    moment = datetime.now(UTC).isoformat()
    return json.dumps({"id": "e", "type": "BATCH_COMPLETED", "timeStamp": moment, "data": data}).encode()


@pytest.fixture
async def url() -> AsyncGenerator[str, None]:
    """A server that takes whatever is sent to it."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}/amili/webhooks"


@pytest.fixture
async def surroundings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> AsyncGenerator[dict[str, object], None]:
    """Yield the names that snippets use without saying where from, with a sandbox for Amili's servers."""
    async with Sandbox(organizations=3, batches=40, entries=2, page_size=20) as sandbox:
        there = servers.Environment(sandbox.base_url, sandbox.token_url)
        monkeypatch.setitem(servers.ENVIRONMENTS, "staging", there)
        client_id, client_secret = sandbox.credentials
        settings = {"BASE_URL": there.base_url, "TOKEN_URL": there.token_url}
        for name, value in {**settings, "CLIENT_ID": client_id, "CLIENT_SECRET": client_secret}.items():
            monkeypatch.setenv(f"AMILI_{name}", value)
        monkeypatch.chdir(tmp_path)
        north = f"organizations = {sandbox.organization_ids}\nclient_id = {client_id!r}"
        (tmp_path / "creditors.toml").write_text(
            f"[north]\n{north}\nclient_secret_env = 'AMILI_CLIENT_SECRET'\n", "utf-8"
        )
        authority = trustme.CA()
        mine = authority.issue_cert("me@example.org")
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        mine.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
        mine.private_key_pem.write_to_path(tmp_path / "key.pem")
        async with AmiliClient.from_env() as amili:
            batch = await amili.batches.list(sandbox.organization_ids[0]).first()
            assert batch is not None
            body = webhook(batch)
            yield {
                "__name__": "readme",
                "AmiliClient": AmiliClient,
                "amili": amili,
                "batch_id": batch.batch_id,
                "body": body,
                "ca_bundle": tmp_path / "ca.pem",
                "certificate": tmp_path / "certificate.pem",
                "client_id": client_id,
                "client_secret": client_secret,
                "headers": {"X-Webhook-Signature": hmac.digest(SECRET, body, "sha256").hex()},
                "invoices": [NewInvoice(invoice_number=f"F-{n}", original_invoice_amount=Decimal(n)) for n in (1, 2)],
                "key": tmp_path / "key.pem",
                "log": logging.getLogger("readme"),
                "organization_id": sandbox.organization_ids[0],
                "organization_ids": sandbox.organization_ids,
                "secret": SECRET,
                "url": url,
            }


@pytest.mark.parametrize("block", SNIPPETS, ids=str)
async def test_a_snippet_runs_as_it_stands(block: Block, surroundings: dict[str, object]) -> None:
    code = "\n" * block.line + block.code
    compiled = compile(code, str(block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    running: object = eval(compiled, surroundings)  # noqa: S307  # the pages are ours
    if inspect.isawaitable(running):
        await running


def test_the_store_that_is_shown_is_the_one_that_is_tested() -> None:
    (shown,) = (block.code for block in blocks("python") if block.title == "# json_lines_store.py")
    assert shown == (ROOT / "tests/support/json_lines_store.py").read_text("utf-8")


def test_snippets_that_need_a_server_of_their_own_are_run_by_their_own_tests() -> None:
    there = {block.title for block in blocks("python")}
    for title, path in RUN_BY_THEIR_OWN_TESTS.items():
        assert title in there
        assert title.removeprefix("# ").partition(".")[0] in (ROOT / path).read_text("utf-8")


def test_the_first_two_lines_are_the_main_job_and_the_tests_and_need_only_python() -> None:
    lines = [block.code.strip() for block in blocks("sh") if block.page == ROOT / "README.md"][:2]
    assert [line.count("\n") for line in lines] == [0, 0]
    assert all(line.startswith("python3 -m venv .venv && .venv/bin/pip install ") for line in lines)
    assert lines[0].endswith("&& .venv/bin/amili sync --sandbox")
    assert lines[1].endswith("&& .venv/bin/python -m pytest")


def routes_table() -> str:
    """Return the route table as the README shows it."""
    rows = ["| operation | request | mark | generations | source |", "| --- | --- | --- | --- | --- |"]
    for route in ROUTES.values():
        source = f"[{route.source}]({DOCUMENTATION}{route.source})" if route.source else ""
        request = f"`{route.method} {route.path}`"
        rows.append(f"| `{route.operation}` | {request} | {route.mark} | {' '.join(route.generations)} | {source} |")
    return "\n".join(rows)


def between(marker: str) -> str:
    """Return what stands between two markers."""
    found = re.search(rf"<!-- {marker} -->\n(.*?)\n<!-- /{marker} -->", CLIENT, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_route_table_is_that_of_the_code() -> None:
    assert between("routes") == routes_table()


def test_every_method_of_a_hook_is_listed_with_when_it_is_called() -> None:
    listed = re.findall(r"^\| `(on_\w+)` \|", CLIENT, re.MULTILINE)
    assert listed == [name for name in vars(Hook) if name.startswith("on_")]


def test_every_error_is_listed() -> None:
    import amili_async.errors  # noqa: PLC0415  # its names are what is tested

    section = CLIENT.partition("\n## Errors\n")[2].partition("\n## ")[0]
    errors = [name for name in vars(amili_async.errors) if name.endswith("Error")]
    assert len(errors) > 15
    assert [name for name in errors if f"`{name}`" not in section] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_marks_and_generations_are_explained_where_they_are_used_first(page: Path) -> None:
    content = page.read_text("utf-8")
    used = re.search(r"\([DIU]\)|\bG[123]\b", content)
    explained = re.search(r"inferred|called generations|#the-client", content)
    assert used is None or (explained is not None and explained.start() < used.end() + 60)


@pytest.mark.parametrize("package", [amili_async.models, amili_async.resources, amili_async.webhooks])
def test_a_package_explains_the_marks_of_its_docstrings(package: ModuleType) -> None:
    assert "(I) what is inferred" in (package.__doc__ or "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_a_page_and_a_heading_that_are_there(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!\w+://)([^)#]*)(?:#([^)]+))?\)", page.read_text("utf-8")):
        linked = (page.parent / target).resolve() if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text("utf-8")), anchor


def anchors(content: str) -> set[str]:
    """Return what links to the headings of a page are called."""
    prose = re.sub(r"^```.*?^```$", "", content, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
