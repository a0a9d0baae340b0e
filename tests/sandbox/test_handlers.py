from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from amili_async._routes import ROUTES
from amili_async.sandbox import Sandbox
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    import aiohttp

    from amili_async._routes import Route
    from amili_async.sandbox._shapes import Generation

IDS = {"batch_id": "batches", "invoice_id": "invoices", "case_id": "cases", "settlement_id": "settlements"}


async def asked(route: Route, generation: Generation, session: aiohttp.ClientSession) -> int:
    """Ask for an operation as its row in the table says, with ids that exist; return the status."""
    async with Sandbox(organizations=1, batches=25, generation=generation) as sandbox:
        raw = RawClient(sandbox, session)
        values = {"organization_id": raw.organization}
        for name, noun in IDS.items():
            if f"{{{name}}}" in route.path:
                row = (await raw.ask(f"/orgs/{raw.organization}/{noun}")).rows[0]
                values[name] = row.get("id") or row[re.sub("_id", "Id", name)]
        root = sandbox.base_url if route.server == "api" else sandbox.autocollect_url
        sandbox.requests.clear()
        query = {"attachmentid": "1"} if route.operation == "autocollect.attachment" else {}
        response = await raw.ask("", url=root + route.path.format(**values), method=route.method, params=query)
        assert sandbox.requests.count(route.operation) == 1
        assert sandbox.requests.last().route == route.path
        return response.status


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES.keys())
async def test_every_operation_of_the_table_is_served_in_its_generations_and_in_no_other(
    route: Route, session: aiohttp.ClientSession
) -> None:
    generations: tuple[Generation, ...] = ("G1", "G2", "G3")
    for generation in generations:
        if generation in route.generations:
            status = await asked(route, generation, session)
            # A write without a body is understood and refused: it is there.
            assert status in ({200} if route.method == "GET" else {200, 202, 400}), (route.operation, generation)
        else:
            async with Sandbox(organizations=1, batches=3, generation=generation) as sandbox:
                raw = RawClient(sandbox, session)
                path = re.sub(r"\{\w+\}", "x", route.path)
                assert (await raw.ask(path, method=route.method)).status in {404, 405}
                assert sandbox.requests.count(route.operation) == 0


async def test_what_is_sent_to_banqsoft_is_read_as_json(session: aiohttp.ClientSession) -> None:
    async with Sandbox(organizations=1, batches=0, generation="G1") as sandbox:
        raw = RawClient(sandbox, session)
        response = await raw.ask("/banqsoft", method="POST", json={"customer": "Åse"})
        assert response.json["data"] == {"received": {"customer": "Åse"}}
        assert (await raw.ask("/banqsoft", method="POST", data=b"{")).status == 400
        assert (await raw.ask("/banqsoft", method="POST")).json["data"] == {"received": None}
        assert (await raw.ask("/orgs/nobody/reports")).status == 404
