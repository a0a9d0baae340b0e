"""The README is true: its snippets run, its tables are those of the code, its links lead somewhere."""

from __future__ import annotations

import ast
import hmac
import inspect
import json
import logging
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from amili_async import AmiliClient, NewInvoice
from amili_async._http import endpoints as servers
from amili_async._routes import ROUTES
from amili_async.events import Hook
from amili_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from amili_async import Batch

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text("utf-8")

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


def blocks(language: str) -> list[tuple[int, str]]:
    """Return the README's code blocks in a language, each with the line that it begins at."""
    found = re.finditer(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return [(TEXT.count("\n", 0, match.start(1)), match[1]) for match in found]


SNIPPETS = [(line, code) for line, code in blocks("python") if code.partition("\n")[0] not in RUN_BY_THEIR_OWN_TESTS]


def webhook(batch: Batch) -> bytes:
    """Return the body of the event that a batch is completed."""
    data = {"batchId": batch.batch_id, "organizationId": batch.organization_id, "status": "SUCCESS"}
    moment = datetime.now(UTC).isoformat()
    return json.dumps({"id": "e", "type": "BATCH_COMPLETED", "timeStamp": moment, "data": data}).encode()


@pytest.fixture
async def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncGenerator[dict[str, object], None]:
    """Yield the names that snippets use without saying where from, with a sandbox for Amili's servers."""
    async with Sandbox(organizations=3, batches=40, entries=2, page_size=20) as sandbox:
        there = servers.Environment(sandbox.base_url, sandbox.token_url)
        monkeypatch.setitem(servers.ENVIRONMENTS, "staging", there)
        client_id, client_secret = sandbox.credentials
        settings = {"BASE_URL": there.base_url, "TOKEN_URL": there.token_url}
        for name, value in {**settings, "CLIENT_ID": client_id, "CLIENT_SECRET": client_secret}.items():
            monkeypatch.setenv(f"AMILI_{name}", value)
        monkeypatch.chdir(tmp_path)
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
                "client_id": client_id,
                "client_secret": client_secret,
                "headers": {"X-Webhook-Signature": hmac.digest(SECRET, body, "sha256").hex()},
                "invoices": [NewInvoice(invoice_number=f"F-{n}", original_invoice_amount=Decimal(n)) for n in (1, 2)],
                "log": logging.getLogger("readme"),
                "organization_id": sandbox.organization_ids[0],
                "organization_ids": sandbox.organization_ids,
                "secret": SECRET,
            }


@pytest.mark.parametrize("line", [line for line, _ in SNIPPETS])
async def test_a_snippet_runs_as_it_stands(line: int, surroundings: dict[str, object]) -> None:
    code = "\n" * line + dict(SNIPPETS)[line]
    compiled = compile(code, str(README), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running: object = eval(compiled, surroundings)  # noqa: S307  # the README is ours
    if inspect.isawaitable(running):
        await running


def test_the_store_that_is_shown_is_the_one_that_is_tested() -> None:
    (code,) = (code for _, code in blocks("python") if code.startswith("# json_lines_store.py\n"))
    assert code == (README.parent / "tests/sync/json_lines_store.py").read_text("utf-8")


def test_snippets_that_need_a_server_of_their_own_are_run_by_their_own_tests() -> None:
    there = {code.partition("\n")[0] for _, code in blocks("python")}
    for title, path in RUN_BY_THEIR_OWN_TESTS.items():
        assert title in there
        assert title.removeprefix("# ").partition(".")[0] in (README.parent / path).read_text("utf-8")


def test_the_first_two_lines_are_the_main_job_and_the_tests_and_need_only_python() -> None:
    lines = [code.strip() for _, code in blocks("sh")][:2]
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
    found = re.search(rf"<!-- {marker} -->\n(.*?)\n<!-- /{marker} -->", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_route_table_is_that_of_the_code() -> None:
    assert between("routes") == routes_table()


def test_every_method_of_a_hook_is_listed_with_when_it_is_called() -> None:
    listed = re.findall(r"^\| `(on_\w+)` \|", TEXT, re.MULTILINE)
    assert listed == [name for name in vars(Hook) if name.startswith("on_")]


def test_every_error_is_listed() -> None:
    import amili_async.errors  # noqa: PLC0415  # its names are what is tested

    section = TEXT.partition("\n## Errors\n")[2].partition("\n## ")[0]
    errors = [name for name in vars(amili_async.errors) if name.endswith("Error")]
    assert len(errors) > 15
    assert [name for name in errors if f"`{name}`" not in section] == []


def test_links_inside_the_readme_lead_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors
