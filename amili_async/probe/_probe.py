"""probe(): asks a server some twenty questions, by reading alone, and says which assumptions hold on it."""

from __future__ import annotations

import re
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from amili_async._profile import Finding, Profile, SortFound
from amili_async._protocol.requests import identifier
from amili_async._routes import ROUTES
from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.errors import AmiliError, APIError, ConfigurationError, DecodeError, UnconfirmedRouteWarning
from amili_async.models import Batch, Case, Invoice, Settlement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from amili_async import AmiliClient
    from amili_async._routes import Generation
    from amili_async.events import AttemptEnded, Drift, GateClosed, TokenRequested
    from amili_async.probe._recording import Recorder

SIZES = (100, 500, 1000)
"""Page sizes that are tried, the small one first."""

ASKABLE = ("organizations.reports", "status.ping", "status.ping_authorized", "status.health", "autocollect.ping")
"""Operations of mark U or I that a GET can try without an id of its own."""

ROW_TYPES: dict[str, type[Batch | Invoice | Case | Settlement]] = {
    "batches.list": Batch,
    "invoices.list": Invoice,
    "cases.list": Case,
    "settlements.list": Settlement,
}
"""What the rows of a list are read as, so that the client's own readers tell of drift."""

TOKEN_MEMBERS = ("access_token", "expires_in", "expires_on", "not_before", "resource", "token_type")
"""What the answer of the token endpoint is documented to hold."""

_WORD = re.compile(r"[A-Za-z$][A-Za-z_.$\[\]]{0,63}")
_FRACTION = re.compile(r"T[0-9:]+\.[0-9]")

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_scalar = msgspec.json.Decoder(str | None)


class Answer(NamedTuple):
    """What came of one question: a status with a body, or the error that stood in their way."""

    status: int
    body: bytes
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return self.status in range(200, 300)

    def members(self) -> dict[str, msgspec.Raw]:
        """Return the members of the body; none where it is no object."""
        return members_of(self.body)

    def summary(self) -> dict[str, msgspec.Raw]:
        """Return the members of the envelope's summary."""
        return members_of(self.members().get("summary", msgspec.Raw()))

    def rows(self) -> list[dict[str, msgspec.Raw]]:
        """Return the rows of a page, each by its members; none where ``data`` is no list."""
        try:
            rows = _rows.decode(self.members().get("data", msgspec.Raw()))
        except READING_ERRORS:
            return []
        return [members_of(row) for row in rows]

    def token(self) -> str | None:
        """Return the token of the next page; ``None`` where there is none."""
        return text_of(self.summary().get("nextPageToken")) or None


def members_of(body: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """Return the members of a JSON object; none of what is no object."""
    try:
        return _object.decode(body)
    except READING_ERRORS:
        return {}


def text_of(value: msgspec.Raw | None) -> str | None:
    """Return a JSON text; ``None`` for what is none."""
    try:
        return None if value is None else _scalar.decode(value)
    except READING_ERRORS:
        return None


class Watch:
    """A hook that keeps what is seen beside the answers: drift, dates, waits. It keeps names, never a value."""

    def __init__(self) -> None:
        self.members: dict[str, set[str]] = {}
        self.values: dict[str, set[str]] = {}
        self.dated = 0
        self.attempts = 0
        self.longest_wait = 0.0
        self.lifetime: float | None = None
        self.token_members: set[str] = set()

    def on_drift(self, record: Drift) -> None:
        kept = self.members if record.kind == "member" else self.values if record.kind in {"value", "type"} else None
        name = re.sub(r"^\$\.(?:data(?:\[\.\.\.\])?\.?)?", "", record.path) if record.kind == "member" else record.found
        if kept is not None and _WORD.fullmatch(name):
            kept.setdefault(record.operation, set()).add(name)

    def on_attempt(self, record: AttemptEnded) -> None:
        self.attempts += 1
        self.dated += record.date is not None

    def on_gate(self, record: GateClosed) -> None:
        self.longest_wait = max(self.longest_wait, record.seconds)

    def on_token(self, record: TokenRequested) -> None:
        self.lifetime = record.lifetime or self.lifetime
        self.token_members |= {*record.members}


class Questions:
    """Asks one server about one organization, and keeps what was found."""

    def __init__(self, client: AmiliClient, organization_id: str, recorder: Recorder | None) -> None:
        self._client = client
        self._organization_id = organization_id
        self._recorder = recorder
        self.findings: list[Finding] = []
        self.routes: dict[str, str] = {}

    async def ask(
        self, operation: str, *ids: str, query: Mapping[str, str] | None = None, read: bool = False
    ) -> Answer:
        """Return the answer to one operation. ``read`` has it read as a model too, so that drift is noticed."""
        caller = self._client.caller
        given = dict(query or {})
        kept: list[bytes] = []

        def keep(body: bytes | bytearray) -> bytes:
            kept.append(bytes(body))
            return kept[-1]

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UnconfirmedRouteWarning)
                body = await caller.send(operation, *ids, read=keep, query=tuple(given.items()))
            answer = Answer(200, body)
        except APIError as error:
            answer = Answer(error.status or 0, error.body or b"", type(error).__name__)
        except AmiliError as error:
            answer = Answer(error.status or 0, b"", type(error).__name__)
        if self._recorder is not None and answer.status:
            self._recorder.keep(operation, ids, given, status=answer.status, body=answer.body)
        if read and answer.ok:
            await self._read_again(operation, answer.body)
        return answer

    async def _read_again(self, operation: str, body: bytes) -> None:
        """Read an answer as its model, for what the client's hooks are told of it."""
        caller = self._client.caller
        with suppress(DecodeError):
            caller.readers.of(ROW_TYPES[operation]).page(body, caller.drift(operation))

    def found(
        self,
        name: str,
        assumed: str,
        mark: Literal["D", "I", "U"],
        found: str,
        holds: bool | None = None,  # noqa: FBT001  # the last word of a row
    ) -> None:
        """Note a finding."""
        self.findings.append(Finding(name=name, assumed=assumed, mark=mark, found=found, holds=holds))

    # The questions

    async def token(self) -> None:
        """Ask the token endpoint, where a token is not at hand."""
        watch = Watch()
        with self._client.caller.transport.hooks.with_one_more(watch):
            await self._client.authenticate()
        found = "a token was at hand" if watch.lifetime is None else f"good for {watch.lifetime:.0f} s"
        holds = None if watch.lifetime is None else watch.lifetime >= 60  # noqa: PLR2004  # renewed early, so no less
        self.found("token", "a token is good for an hour or so, and names its lifetime", "D", found, holds)
        met = ", ".join(sorted(watch.token_members)) or "not asked, as a token was at hand"
        needed = None if watch.lifetime is None else {"access_token", "expires_in"} <= watch.token_members
        self.found("token-members", ", ".join(TOKEN_MEMBERS), "D", met, needed)

    async def batches(self) -> list[dict[str, msgspec.Raw]]:
        """Ask for the first pages of batches; return the rows of the first."""
        first = await self.ask("batches.list", self._organization_id, read=True)
        if not first.ok:
            self.found("batches", "the organization's batches can be listed", "D", outcome(first), holds=False)
            return []
        rows = first.rows()
        kept = {*first.members()} == {"summary", "data"}
        self.found("envelope", "summary beside data, and nothing else", "D", names_of(first), kept)
        self.found("default-page", "the server has a default page size", "U", f"{len(rows)} rows without PageSize")
        self.generation_by_status = status_shape(rows)
        created = [text_of(row.get("createdAt")) for row in rows]
        order = order_of(created)
        self.found("order", "newest first without SortDirection", "I", order, none_if_unknown(order, "newest first"))
        fractions = sum(_FRACTION.search(moment) is not None for moment in created if moment)
        self.found("moments", "UTC, with or without milliseconds", "D", f"{fractions} of {len(rows)} with a fraction")
        token = first.token()
        if token is None:
            self.found("last-page", LAST_PAGE, "I", marker(first), holds=True)
            return rows
        await self._second_page(token, rows)
        return rows

    async def _second_page(self, token: str, first: Sequence[dict[str, msgspec.Raw]]) -> None:
        query = {"PageToken": token}
        second = await self.ask("batches.list", self._organization_id, query=query)
        again = await self.ask("batches.list", self._organization_id, query=query)
        ids = [text_of(row.get("batchId")) for row in second.rows()]
        same = ids == [text_of(row.get("batchId")) for row in again.rows()]
        self.found(
            "token-again",
            "a page token can be used more than once",
            "I",
            outcome(second) if not second.ok else "the same rows" if same else f"other rows, or {outcome(again)}",
            same if second.ok else None,
        )
        shared = {text_of(row.get("batchId")) for row in first} & {*ids}
        found = f"{len(shared)} rows on both" if second.ok else outcome(second)
        self.found("pages", "two pages share no row", "I", found, not shared if second.ok else None)
        last = second
        for _ in range(2):
            if (token_of_last := last.token()) is None:
                break
            query = {"PageToken": token_of_last, "PageSize": str(SIZES[-1])}
            last = await self.ask("batches.list", self._organization_id, query=query)
        reached = last.ok and last.token() is None
        found = marker(last) if reached else "not reached within four pages"
        self.found("last-page", LAST_PAGE, "I", found, True if reached else None)
        nonsense = await self.ask("batches.list", self._organization_id, query={"PageToken": "no-such-token"})
        refused = nonsense.status in {400, 404, 410, 422}
        self.found("token-refused", "a page token that is none is refused with a 4xx", "I", outcome(nonsense), refused)

    async def sorting(self) -> SortFound | None:
        """Find out whether SortDirection is honoured."""
        orders: list[str] = []
        for direction in ("ASC", "DESC"):
            answer = await self.ask("batches.list", self._organization_id, query={"SortDirection": direction})
            if not answer.ok:
                self.found("sort", "SortDirection takes ASC and DESC", "I", outcome(answer), holds=False)
                return "refused"
            orders.append(order_of([text_of(row.get("createdAt")) for row in answer.rows()]))
        if "too few rows to tell" in orders:
            self.found("sort", "SortDirection takes ASC and DESC", "I", orders[0])
            return None
        honoured = orders == ["oldest first", "newest first"]
        self.found("sort", "SortDirection takes ASC and DESC", "I", f"ASC: {orders[0]}, DESC: {orders[1]}", honoured)
        return "honoured" if honoured else "ignored"

    async def sizes(self, rows: int) -> int | None:
        """Find the largest page size that the server keeps to."""
        one = await self.ask("batches.list", self._organization_id, query={"PageSize": "1"})
        if not one.ok or (rows > 1 and len(one.rows()) != 1):
            found = outcome(one) if not one.ok else "it makes no difference"
            self.found("page-size", "PageSize says how many rows a page has", "D", found, holds=False)
            return None
        largest: int | None = None
        told: list[str] = []
        for size in SIZES:
            answer = await self.ask("batches.list", self._organization_id, query={"PageSize": str(size)})
            told.append(f"{size}: {f'{len(answer.rows())} rows' if answer.ok else outcome(answer)}")
            if not answer.ok:
                break
            if len(answer.rows()) == size:
                largest = size
            if answer.token() is None or len(answer.rows()) < size:
                break
        self.found("page-size", "PageSize says how many rows a page has", "D", "; ".join(told), holds=True)
        return largest

    async def single_batch(self, rows: Sequence[dict[str, msgspec.Raw]]) -> None:
        """Ask for one batch by each of its routes, and for one that is not there."""
        batch_id = next((found for row in rows if (found := text_of(row.get("batchId")))), None)
        if batch_id is not None:
            by_organization = await self.ask("batches.get", self._organization_id, batch_id)
            legacy = await self.ask("batches.get_by_id", batch_id)
            self.by_organization, self.legacy = by_organization.ok, legacy.ok
            self.found(
                "batch-by-id", "an organization's batch by id (G3)", "D", outcome(by_organization), by_organization.ok
            )
            self.found("batch-legacy", "a batch by its id alone (legacy)", "D", outcome(legacy), legacy.ok)
        missing = await self.ask("batches.get", self._organization_id, "00000000-0000-4000-8000-000000000000")
        self.found("not-found", "what is not there is a 404", "D", outcome(missing), missing.status == 404)  # noqa: PLR2004  # a status reads best as its number
        self.found("error-body", "problem details, or the like", "I", names_of(missing))

    async def filters(self) -> None:
        """Find out whether a filter that nothing matches gives nothing."""
        query = {"IdempotencyKey": "amili-async-probe-no-such-key"}
        answer = await self.ask("batches.list", self._organization_id, query=query)
        found = f"{len(answer.rows())} rows for a key that was never sent" if answer.ok else outcome(answer)
        self.found(
            "key-filter", "batches can be looked up by IdempotencyKey (G3)", "D", found, answer.ok and not answer.rows()
        )

    async def other_lists(self) -> None:
        """Read a page of every other list, and one object of those that can be read by id."""
        for operation, single, key in (
            ("invoices.list", "invoices.get", "id"),
            ("cases.list", None, "caseId"),
            ("settlements.list", "settlements.get", "settlementId"),
        ):
            answer = await self.ask(operation, self._organization_id, read=True)
            rows = answer.rows()
            self.found(operation, "it answers with a page", "D", f"{outcome(answer)}, {len(rows)} rows", answer.ok)
            identity = next((found for row in rows if (found := text_of(row.get(key)))), None)
            if single is not None and identity is not None:
                one = await self.ask(single, self._organization_id, identity)
                self.found(single, "an object of the list by its id", "D", outcome(one), one.ok)

    async def try_routes(self, operations: Iterable[str]) -> None:
        """Find out which operations that are not documented answer, by GET alone."""
        for operation in operations:
            route = ROUTES[operation]
            ids = (self._organization_id,) if "{organization_id}" in route.path else ()
            answer = await self.ask(operation, *ids)
            if answer.ok:
                self.routes[operation] = route.path
            self.found(operation, f"GET {route.path}", route.mark, outcome(answer), answer.ok)

    generation_by_status: Generation | None = None
    by_organization = False
    legacy = False

    def generation(self) -> Generation | None:
        """Return which shape of the API this is, as far as it shows."""
        if self.generation_by_status == "G1":
            return "G1"
        if self.by_organization:
            return "G3"
        return "G2" if self.legacy and self.generation_by_status is not None else None


LAST_PAGE = "an absent, null or empty nextPageToken ends a list"


async def probe(
    client: AmiliClient,
    organization_id: str,
    *,
    routes: Iterable[str] = (),
    recorder: Recorder | None = None,
) -> Profile:
    """Return what a server is like: some twenty reads about one organization, nothing written.

    Every fact that the public documentation leaves open and a read can show: the generation, the order of lists, page
    sizes, the last page's marker, what a page token stands, envelopes, errors, members and values that no model names.
    A question that fails is a finding, not an error.

    Args:
        client: of the server to be asked. Its retries and its deadline hold; its ``profile`` is not used.
        organization_id: an organization with some batches; the more, the more can be seen.
        routes: operations of mark U or I to try, such as ``"status.ping"``: a GET to each.
        recorder: keeps each answer with every value replaced.

    Raises:
        ConfigurationError: an operation that cannot be tried.
        TokenError: the credentials were refused.
    """
    identifier(organization_id, "organization_id")
    tried = (routes,) if isinstance(routes, str) else tuple(routes)
    wrong = [operation for operation in tried if operation not in ASKABLE]
    if wrong:
        raise ConfigurationError(f"routes: {', '.join(wrong)} cannot be tried; there are {', '.join(ASKABLE)}")
    watch = Watch()
    questions = Questions(client, organization_id, recorder)
    with client.caller.transport.hooks.with_one_more(watch):
        await questions.token()
        rows = await questions.batches()
        sort = await questions.sorting() if rows else None
        page_size = await questions.sizes(len(rows)) if rows else None
        await questions.single_batch(rows)
        await questions.filters()
        await questions.other_lists()
        await questions.try_routes(tried)
    dated = f"{watch.dated} of {watch.attempts} answers"
    questions.found("date", "answers carry the server's Date", "I", dated, watch.dated == watch.attempts)
    waited = f"told to wait up to {watch.longest_wait:g} s" if watch.longest_wait else "no 429 was met"
    questions.found("rate-limit", "a 429 says how long to wait", "U", waited)
    return Profile(
        day=f"{datetime.now(UTC):%Y-%m-%d}",
        client=version("amili-async"),
        generation=questions.generation(),
        page_size=page_size,
        sort=sort,
        routes=questions.routes,
        findings=tuple(questions.findings),
        unknown_members={name: tuple(sorted(found)) for name, found in sorted(watch.members.items())},
        unknown_values={name: tuple(sorted(found)) for name, found in sorted(watch.values.items())},
        requests=watch.attempts,
    )


def outcome(answer: Answer) -> str:
    """Return what came of a question in a word or two."""
    return str(answer.status) if answer.status else f"no answer ({answer.error})"


def names_of(answer: Answer) -> str:
    """Return the names of a body's members; one that is no mere word might be a value, and is counted only."""
    names = answer.members()
    words = sorted(name for name in names if _WORD.fullmatch(name))
    odd = len(names) - len(words)
    return f"members {', '.join(words) or 'none'}{f' and {odd} with odd names' if odd else ''}"


def none_if_unknown(found: str, assumed: str) -> bool | None:
    """Return whether what was found is what was assumed; ``None`` where it could not be told."""
    return None if found == "too few rows to tell" else found == assumed


def status_shape(rows: Sequence[Mapping[str, msgspec.Raw]]) -> Generation | None:
    """Return ``G1`` where the status of batches is an object, ``G3`` where it is text."""
    shapes = {bytes(row["status"])[:1] for row in rows if "status" in row}
    return "G1" if b"{" in shapes else "G3" if b'"' in shapes else None


def order_of(moments: Sequence[str | None]) -> str:
    """Return in which order moments stand, in words."""
    read = [datetime.fromisoformat(moment) for moment in moments if moment and _is_moment(moment)]
    if len({*read}) < 2:  # noqa: PLR2004  # two make an order
        return "too few rows to tell"
    if all(earlier <= later for earlier, later in pairwise(read)):
        return "oldest first"
    return "newest first" if all(earlier >= later for earlier, later in pairwise(read)) else "in no order of createdAt"


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def marker(answer: Answer) -> str:
    """Return how a page says that it is the last."""
    token = answer.summary().get("nextPageToken")
    if token is None:
        return "nextPageToken is absent"
    return "nextPageToken is null" if bytes(token) == b"null" else "nextPageToken is empty"
