"""The base client of openai-python, which many generated clients share: its own code, with the models of this API."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import datetime  # noqa: TC003  # pydantic reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Generic, Literal, TypeVar

from openai import AsyncOpenAI, BaseModel
from openai._base_client import BaseAsyncPage, BasePage, PageInfo, make_request_options
from openai._utils import PropertyInfo
from pydantic import Field

from benchmarks.peers.peer import in_tasks
from benchmarks.peers.rows import BatchState, BatchType  # noqa: TC001  # the same
from benchmarks.server import TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from benchmarks.peers.peer import Walk

T = TypeVar("T")


class InvoiceSuccess(BaseModel):
    """An invoice that was taken."""

    type: Literal["invoiceSuccess"] = Field(alias="$type")
    invoice_id: str = Field(alias="invoiceId")
    invoice_number: str = Field(alias="invoiceNumber")
    case_id: str = Field(alias="caseId")


class PaymentSuccess(BaseModel):
    """A payment that was taken."""

    type: Literal["paymentSuccess"] = Field(alias="$type")
    invoice_id: str = Field(alias="invoiceId")
    invoice_number: str = Field(alias="invoiceNumber")
    payment_id: str = Field(alias="paymentId")


class Failed(BaseModel):
    """What was refused."""

    message: str | None = None
    reference: str | None = None


class Batch(BaseModel):
    """A batch with its outcome."""

    batch_id: str = Field(alias="batchId")
    type: BatchType
    status: BatchState
    created_at: datetime = Field(alias="createdAt")
    finished_at: datetime | None = Field(alias="finishedAt", default=None)
    organization_id: str = Field(alias="organizationId")
    created_by: str = Field(alias="createdBy")
    succeeded: list[Annotated[InvoiceSuccess | PaymentSuccess, PropertyInfo(discriminator="type")]]
    failed: list[Failed | str | None]


class Summary(BaseModel):
    """The part of the envelope that pages."""

    status: str | None = None
    next_page_token: str | None = Field(alias="nextPageToken", default=None)


class BatchPage(BaseAsyncPage[T], BasePage[T], Generic[T]):
    """A page that finds the next one, as the pages of openai.pagination do."""

    summary: Summary
    data: list[T]

    def _get_page_items(self) -> list[T]:
        return self.data

    def next_page_info(self) -> PageInfo | None:
        token = self.summary.next_page_token
        return PageInfo(params={"PageToken": token}) if token else None


@asynccontextmanager
async def opened(base_url: str) -> AsyncGenerator[Walk, None]:
    """Open a client; its pages iterate themselves."""
    async with AsyncOpenAI(api_key=TOKEN, base_url=base_url) as client:

        async def walk(organization_id: str) -> int:
            path = f"/orgs/{organization_id}/batches"
            options = make_request_options(query={})
            entries = 0
            async for batch in client.get_api_list(path, model=Batch, page=BatchPage[Batch], options=options):
                entries += len(batch.succeeded)
            return entries

        yield in_tasks(walk)
