"""The JSON that the sandbox writes, spelled by hand from the public documentation, one function for each object.

Nothing here is shared with the client's models: a member misspelt in both would be found by nobody.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from amili_async.sandbox._json_text import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amili_async.sandbox._seed_data import Batch, Failure, Success

Generation = Literal["G1", "G2", "G3"]
GENERATIONS: tuple[Generation, ...] = ("G1", "G2", "G3")
LastPage = Literal["absent", "null", "empty"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATUS_CODES = {"QUEUED": 0, "SUCCESS": 1, "PARTIAL": 2, "FAILED": 3}


def moment(milliseconds: int, generation: Generation) -> str:
    """Return a moment as the generation prints it: to the second in G1, to the millisecond later."""
    at = (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")
    return f"{at[:19]}Z" if generation == "G1" else f"{at[:23]}Z"


def date(milliseconds: int) -> str:
    """Return the day of a moment."""
    return (_EPOCH + timedelta(milliseconds=milliseconds)).date().isoformat()


def summary(*, token: str | None = None, last_page: LastPage | None = None) -> str:
    """Return the member ``summary``; ``last_page`` says how a list's end is marked, ``None`` that it is no list."""
    if token is not None:
        following = f',"nextPageToken":{json.dumps(token)}'
    elif last_page == "null":
        following = ',"nextPageToken":null'
    elif last_page == "empty":
        following = ',"nextPageToken":""'
    else:
        following = ""
    return f'"summary":{{"status":"SUCCESS"{following}}}'


def envelope(head: str, data: str, generation: Generation) -> bytes:
    """Return a whole answer. The order of the two members is not promised, so G2 turns it round."""
    first, second = (f'"data":{data}', head) if generation == "G2" else (head, f'"data":{data}')
    return f"{{{first},{second}}}".encode()


def batch(batch: Batch, succeeded: Sequence[Success], failed: Sequence[Failure | None], generation: Generation) -> str:
    """Return a batch with its entries (sections 5.1 and 5.2 of the API's description)."""
    status = _status_object(batch, succeeded, failed) if generation == "G1" else quoted(batch.state)
    finished = ""
    if batch.finished_at is not None:
        finished = f',"finishedAt":"{moment(batch.finished_at, generation)}"'
    elif generation != "G1":
        finished = ',"finishedAt":null'
    through = ",".join([success(entry, generation) for entry in succeeded])
    lost = ",".join([failure(entry, generation) for entry in failed])
    return (
        f'{{"batchId":"{batch.id}","type":{quoted(batch.type)},"status":{status},'
        f'"createdAt":"{moment(batch.created_at, generation)}"{finished},'
        f'"organizationId":"{batch.organization.id}","createdBy":"{batch.created_by}",'
        f'"succeeded":[{through}],"failed":[{lost}]}}'
    )


def success(entry: Success, generation: Generation) -> str:
    """Return an entry that came through: ``$type`` first in G1, last in G2, and left out for invoices in G3."""
    number = quoted(entry.invoice_number)
    if entry.own_id is not None:
        member = "paymentId" if entry.tag == "paymentSuccess" else "correctionId"
        members = f'"{member}":"{entry.own_id}","invoiceId":"{entry.invoice_id}","invoiceNumber":{number}'
    elif generation == "G1":
        members = f'"invoiceNumber":{number},"caseId":"{entry.case_id}","invoiceId":"{entry.invoice_id}"'
    else:
        members = f'"invoiceId":"{entry.invoice_id}","invoiceNumber":{number},"caseId":"{entry.case_id}"'
    if generation == "G1":
        return f'{{"$type":{quoted(entry.tag)},{members}}}'
    if generation == "G2" or entry.tag != "invoiceSuccess":
        return f'{{{members},"$type":{quoted(entry.tag)}}}'
    return f"{{{members}}}"


def failure(entry: Failure | None, generation: Generation) -> str:
    """Return an entry that failed. Its shape was never shown: ``null`` and ``{}`` occur, members are to be expected."""
    if entry is None:
        return "null" if generation == "G1" else "{}"
    return f'{{"invoiceNumber":{quoted(entry.reference)},"message":{quoted(entry.message)}}}'


def _status_object(batch: Batch, succeeded: Sequence[Success], failed: Sequence[Failure | None]) -> str:
    """Return the member ``status`` of G1."""
    errors = ",".join(
        [
            f'{{"objectname":"invoice","objectindex":{entry.entry},"message":{quoted(entry.message)}}}'
            for entry in failed
            if entry is not None
        ]
    )
    responses = ",".join(
        [
            f'{{"objectname":"invoice","objectindex":{index},"ledgerref":{quoted(entry.invoice_number)},'
            '"status_statuscode":"0"}'
            for index, entry in enumerate(succeeded)
        ]
    )
    return f'{{"statuscode":{_STATUS_CODES.get(batch.state, 9)},"errors":[{errors}],"responses":[{responses}]}}'


def problem(status: int, title: str, detail: str) -> bytes:
    """Return an error as problem details (RFC 9457): likely, since no error body is documented."""
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}).encode()
