"""The whole API on one page: every operation with its method, path, query names, statuses and how sure it is.

A mark says how sure a route is:

- ``D``, documented: printed on the page of docs.amili.dev that ``source`` names.
- ``I``, inferred: by analogy with a documented sibling; not confirmed.
- ``U``, unknown: only its name is known, the path is a guess. Give the confirmed one with ``AmiliClient(routes=...)``.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Mark = Literal["D", "I", "U"]
"""How sure a fact is: documented, inferred, unknown."""
Generation = Literal["G1", "G2", "G3"]
"""The API's generations: that of 2025, of late 2025, and of 2026."""
Server = Literal["api", "autocollect"]


class Route(NamedTuple):
    """One operation of the API."""

    operation: str
    """Resource and method name, as in ``client.batches.list``."""
    method: str
    path: str
    """Path template, relative to the server's root."""
    query: tuple[str, ...] = ()
    """Query names, spelled as on the wire, of all generations."""
    statuses: tuple[int, ...] = (200,)
    """The fullest list printed anywhere; for marks I and U what is to be expected."""
    mark: Mark = "D"
    source: str = ""
    """The page on docs.amili.dev; empty where there is none."""
    generations: tuple[Generation, ...] = ("G1", "G2", "G3")
    server: Server = "api"
    query_since: tuple[tuple[str, Generation], ...] = ()
    """The query names that not all of its generations print, with the first that does."""

    def query_in(self, generation: Generation) -> tuple[str, ...]:
        """Return the query names that a generation prints."""
        since = dict(self.query_since)
        return tuple(name for name in self.query if since.get(name, "G1") <= generation)

    @property
    def repeatable(self) -> bool:
        """Whether the request may be sent again without asking: true for every GET, for nothing else."""
        return self.method == "GET"


_READ = (200, 400, 401, 403, 404, 409, 422, 500, 503)
_ACTION = (202, 400, 401, 403, 404)
_G1: tuple[Generation, ...] = ("G1",)
_G2_ON: tuple[Generation, ...] = ("G2", "G3")
_BATCH_PAGE = ("State", "Type", "PageToken", "PageSize", "SortDirection")
_SETTLEMENT_PAGE = ("fromDate", "toDate", "pageSize", "pageToken")
_AUTOCOLLECT_BATCH = (
    "senderid",
    "creditorid",
    "customerref",
    "ledgerref",
    "includeclosed",
    "lastsettlementid",
    "remittancedate",
    "languagecode",
)


def _case_action(name: str) -> Route:
    path = f"/orgs/{{organization_id}}/cases/{{case_id}}/{name.replace('_', '-')}"
    return Route(f"cases.{name}", "POST", path, statuses=_ACTION, mark="U", generations=_G2_ON)


ROUTES: dict[str, Route] = {
    route.operation: route
    for route in (
        Route(
            "batches.list_all",
            "GET",
            "/batches",
            _BATCH_PAGE,
            (200, 401, 403, 500, 503),
            source="get-all-batches-3939027e0",
            generations=_G1,
        ),
        Route(
            "batches.list",
            "GET",
            "/orgs/{organization_id}/batches",
            ("State", "Type", "SubjectId", "IdempotencyKey", "PageToken", "PageSize", "SortDirection"),
            _READ,
            source="getbatchesbyorganization-4148061e0",
            query_since=(("SubjectId", "G3"), ("IdempotencyKey", "G3")),
        ),
        Route(
            "batches.get",
            "GET",
            "/orgs/{organization_id}/batches/{batch_id}",
            statuses=_READ,
            source="getbatchbyid-4148060e0",
            generations=("G3",),
        ),
        Route(
            "batches.get_by_id",
            "GET",
            "/batches/{batch_id}",
            statuses=(200, 401, 403, 404, 500, 503),
            source="get-batch-by-id-3939029e0",
        ),
        Route(
            "invoices.create",
            "POST",
            "/orgs/{organization_id}/invoices",
            statuses=(202, 400, 401, 403, 404, 409, 422, 500),
            source="createinvoices-4148067e0",
        ),
        Route(
            "invoices.list",
            "GET",
            "/orgs/{organization_id}/invoices",
            (
                "Status",
                "Type",
                "InvoiceNumber",
                "UniqueSourceInvoiceId",
                "CustomerNumber",
                "From",
                "To",
                "PageToken",
            ),
            (200, 401, 403, 404, 500),
            source="getinvoicesbyorganization-4148068e0",
        ),
        Route(
            "invoices.get",
            "GET",
            "/orgs/{organization_id}/invoices/{invoice_id}",
            statuses=_READ,
            source="getinvoicebyid-4148069e0",
        ),
        Route(
            "invoices.payments",
            "GET",
            "/orgs/{organization_id}/invoices/{invoice_id}/payments",
            statuses=(200, 401, 403, 404),
            source="get-invoice-payments-by-invoice-id-3939022e0",
            generations=_G1,
        ),
        Route(
            "invoices.documents",
            "GET",
            "/orgs/{organization_id}/invoices/{invoice_id}/documents",
            statuses=(200, 401, 403, 404),
            mark="I",
            generations=_G1,
        ),
        Route(
            "invoices.history",
            "GET",
            "/orgs/{organization_id}/invoices/{invoice_id}/history",
            statuses=(200, 401, 403, 404),
            mark="I",
            generations=_G1,
        ),
        Route(
            "invoices.resume",
            "POST",
            "/orgs/{organization_id}/invoices/{invoice_id}/resume",
            statuses=(202, 400),
            source="resume-invoice-3939025e0",
            generations=_G1,
        ),
        Route(
            "invoices.pause",
            "POST",
            "/orgs/{organization_id}/invoices/{invoice_id}/pause",
            statuses=(202, 400),
            mark="I",
            generations=_G1,
        ),
        Route(
            "invoices.withdraw",
            "POST",
            "/orgs/{organization_id}/invoices/{invoice_id}/withdraw",
            statuses=(202, 400),
            mark="I",
            generations=_G1,
        ),
        Route(
            "payments.create",
            "POST",
            "/orgs/{organization_id}/payments",
            statuses=(202, 400, 401, 403, 404, 409, 422, 429, 500, 503),
            source="createpayments-4148070e0",
        ),
        Route(
            "corrections.create",
            "POST",
            "/orgs/{organization_id}/corrections",
            statuses=(202,),
            source="createcorrections-4148074e0",
            generations=_G2_ON,
        ),
        Route(
            "settlements.list",
            "GET",
            "/orgs/{organization_id}/settlements",
            _SETTLEMENT_PAGE,
            (200, 400, 401, 403, 404, 409, 422, 423, 429, 500, 501, 502, 503),
            source="getsettlements-4148071e0",
            query_since=tuple((name, "G2") for name in _SETTLEMENT_PAGE),
        ),
        Route(
            "settlements.get",
            "GET",
            "/orgs/{organization_id}/settlements/{settlement_id}",
            statuses=_READ,
            source="getsettlement-on-id-4148072e0",
        ),
        Route(
            "cases.list",
            "GET",
            "/orgs/{organization_id}/cases",
            (
                "Status",
                "Type",
                "CaseNumber",
                "CustomerNumber",
                "UniqueSourceInvoiceId",
                "SearchTerm",
                "FromCreatedAt",
                "ToCreatedAt",
                "PageToken",
                "PageSize",
            ),
            source="getcasesbyorganization-4326442e0",
        ),
        _case_action("accept_debt_collection_list"),
        _case_action("reject_debt_collection_list"),
        _case_action("pause"),
        _case_action("withdraw"),
        _case_action("resume"),
        _case_action("accept_eviction_request"),
        _case_action("reject_eviction_request"),
        _case_action("accept_eviction_confirmation"),
        _case_action("reject_eviction_confirmation"),
        Route("organizations.reports", "GET", "/orgs/{organization_id}/reports", mark="U", generations=_G1),
        Route("status.ping", "GET", "/ping", mark="U", generations=_G1),
        Route("status.ping_authorized", "GET", "/ping/authorized", mark="U", generations=_G1),
        Route("status.health", "GET", "/health", mark="U", generations=_G1),
        Route("banqsoft.call", "POST", "/banqsoft", mark="U", generations=_G1),
        Route(
            "autocollect.get_batch",
            "GET",
            "/webapi/api/Batch",
            _AUTOCOLLECT_BATCH,
            source="webapiapibatch-4131300e0",
            server="autocollect",
        ),
        Route(
            "autocollect.send_batch",
            "POST",
            "/webapi/api/Batch",
            ("senderid",),
            source="webapiapibatch-4131301e0",
            server="autocollect",
        ),
        Route(
            "autocollect.attachment",
            "GET",
            "/webapi/api/Attachment",
            ("attachmentid",),
            mark="U",
            server="autocollect",
        ),
        Route("autocollect.ping", "GET", "/webapi/api/Ping", mark="I", server="autocollect"),
    )
}
"""Every operation by its name, in the order of the documentation."""
