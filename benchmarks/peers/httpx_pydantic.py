"""httpx and pydantic: what most users would write, with pydantic's fast way in (JSON bytes, tagged union)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import datetime  # noqa: TC003  # pydantic reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from benchmarks.peers.peer import in_tasks
from benchmarks.peers.rows import BatchState, BatchType  # noqa: TC001  # the same
from benchmarks.server import TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from benchmarks.peers.peer import Walk


class _Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class InvoiceSuccess(_Wire):
    """An invoice that was taken."""

    type: Literal["invoiceSuccess"] = Field(alias="$type")
    invoice_id: str
    invoice_number: str
    case_id: str


class PaymentSuccess(_Wire):
    """A payment that was taken."""

    type: Literal["paymentSuccess"] = Field(alias="$type")
    invoice_id: str
    invoice_number: str
    payment_id: str


class Failed(_Wire):
    """What was refused."""

    message: str | None = None
    reference: str | None = None


class Batch(_Wire):
    """A batch with its outcome."""

    batch_id: str
    type: BatchType
    status: BatchState
    created_at: datetime
    finished_at: datetime | None = None
    organization_id: str
    created_by: str
    succeeded: list[Annotated[InvoiceSuccess | PaymentSuccess, Field(discriminator="type")]]
    failed: list[Failed | str | None]


class Summary(_Wire):
    """The part of the envelope that pages."""

    status: str | None = None
    next_page_token: str | None = None


class Page(_Wire):
    """A page as it comes."""

    summary: Summary
    data: list[Batch]


@asynccontextmanager
async def opened(base_url: str) -> AsyncGenerator[Walk, None]:
    """Open a client; the walk asks for page after page."""
    # By default only 20 connections are kept alive: too few for 32 walks at once.
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, limits=limits) as client:

        async def walk(organization_id: str) -> int:
            path = f"/orgs/{organization_id}/batches"
            params: dict[str, str] = {}
            entries = 0
            while True:
                response = await client.get(path, params=params)
                response.raise_for_status()
                page = Page.model_validate_json(response.content)
                for batch in page.data:
                    entries += len(batch.succeeded)
                if not page.summary.next_page_token:
                    return entries
                params["PageToken"] = page.summary.next_page_token

        yield in_tasks(walk)
