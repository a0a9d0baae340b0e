"""The bases of the resources: those that read, those that write, and those whose answers nobody has documented."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from amili_async._protocol.options import check_on_invalid, seconds
from amili_async._protocol.requests import identifier
from amili_async.errors import DecodeError, InvalidArgumentError
from amili_async.models import Accepted, RawValue, encode
from amili_async.models._envelope import AcceptedBody
from amili_async.resources._arguments import check_key, whole
from amili_async.resources._bulk import BulkWrite
from amili_async.resources._operation_client import encode_body
from amili_async.resources._outcome_search import OutcomeSearch
from amili_async.resources._streaming import merged

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from amili_async._protocol.options import OnInvalid
    from amili_async._protocol.requests import Body, Identifier
    from amili_async.models._request import Request
    from amili_async.resources._operation_client import OperationClient, Query
    from amili_async.resources._outcome_search import WriteOutcome
    from amili_async.resources._streaming import Stream

RECOVERY_HINT = (
    "await {0}.find_outcome(organization_id, {0}, idempotency_key=...) looks for it; "
    "do not send it again before, nor because it was not seen"
)
"""How to find out whether a write took effect."""

T = TypeVar("T")
R = TypeVar("R", bound="Request")


class Resource:
    """One resource of the API."""

    def __init__(self, caller: OperationClient) -> None:
        self._caller = caller

    def _stream(
        self,
        operation: str,
        organization_ids: Iterable[Identifier] | AsyncIterable[Identifier],
        *,
        row_type: type[T],
        query: Query,
        token_name: str = "PageToken",  # noqa: S107  # a query name, no secret
        concurrency: int,
        on_invalid: OnInvalid | None,
    ) -> Stream[tuple[str, T]]:
        """Return a stream over the lists of many organizations."""
        checked = None if on_invalid is None else check_on_invalid(on_invalid)
        return merged(
            organization_ids,
            lambda organization_id: self._caller.pager(
                operation,
                organization_id,
                row_type=row_type,
                query=query,
                token_name=token_name,
                # Each worker is ahead of the caller itself.
                prefetch=False,
                on_invalid=checked,
            ),
            name=operation.replace("list", "stream"),
            concurrency=concurrency,
        )


class WritingResource(Resource):
    """A resource with operations that change something."""

    def _act(
        self,
        operation: str,
        organization_id: Identifier,
        subject_id: Identifier,
        *,
        json: object = None,
        recovery_hint: str,
    ) -> Coroutine[Any, Any, Accepted | None]:
        """Do something to one invoice or case; return its batch, ``None`` where the answer names none."""
        accepted = self._accepted(operation, organization_id)

        def read(body: Body) -> Accepted | None:
            try:
                return accepted(body) if body.strip() else None
            except DecodeError as error:
                # JSON of another shape has a path: the action was taken, and no batch is due.
                if error.path is None:
                    raise
                return None

        sent = None if json is None else encode_body(json)
        return self._caller.send(
            operation, organization_id, subject_id, read=read, body=sent, recovery_hint=recovery_hint
        )

    def _accepted(self, operation: str, organization_id: Identifier) -> Callable[[Body], Accepted]:
        reader, drift = self._caller.readers.of(AcceptedBody), self._caller.drift(operation)
        owner = identifier(organization_id, "organization_id")

        def read(body: Body) -> Accepted:
            try:
                accepted, around = reader.enveloped(body, drift)
            except DecodeError as error:
                # An answer without the envelope is thinkable (I).
                if error.path is None:
                    raise
                try:
                    accepted, around = reader.bare(body, drift), {}
                except DecodeError:
                    raise error from None
            return Accepted(
                batch_id=accepted.batch_id,
                batch_url=accepted.batch_url,
                organization_id=owner,
                envelope_extra=around,
                extra=accepted.extra,
            )

        return read


class CreatingResource(WritingResource, Generic[R]):
    """A resource whose objects are sent: several in one write, or any number in writes of so many."""

    _kind: type[R]
    _name: str
    """What they are called together: in operations, in bodies, in messages."""

    def _create(
        self, organization_id: Identifier, items: Sequence[R], idempotency_key: str | None
    ) -> Coroutine[Any, Any, Accepted]:
        """Return the batch that a write becomes; without a readable batch id it is an `OutcomeUnknownError`."""
        operation = f"{self._name}.create"
        return self._caller.send(
            operation,
            organization_id,
            read=self._accepted(operation, organization_id),
            body=b'{"' + self._name.encode() + b'":' + encode(several(items, self._kind, self._name)) + b"}",
            idempotency_key=idempotency_key,
            recovery_hint=RECOVERY_HINT.format(self._name),
        )

    def _create_all(
        self,
        organization_id: Identifier,
        items: Iterable[R] | AsyncIterable[R],
        *,
        chunk_size: int,
        concurrency: int,
        idempotency_prefix: str | None,
    ) -> BulkWrite[R]:
        """Return the outcomes of writes in chunks; what is wrong with an argument is told at once."""
        identifier(organization_id, "organization_id")
        if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable | AsyncIterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
            raise InvalidArgumentError(
                f"{self._name} must be several {self._kind.__name__}: an iterable or an async iterable of them"
            )
        return BulkWrite(
            f"{self._name}.create_all",
            items,
            lambda chunk, key: self._create(organization_id, chunk, key),
            chunk_size=whole(chunk_size, "chunk_size", least=1),
            concurrency=whole(concurrency, "concurrency", least=1),
            idempotency_prefix=check_key(idempotency_prefix, "idempotency_prefix"),
        )

    def _find_outcome(
        self, organization_id: Identifier, items: Sequence[R], *, idempotency_key: str | None, deadline: float
    ) -> Coroutine[Any, Any, WriteOutcome[R]]:
        """Return what a search for a write's outcome finds."""
        checked = several(items, self._kind, self._name)
        search = OutcomeSearch(self._caller, organization_id, checked, idempotency_key=idempotency_key)
        return search.run(seconds(deadline, "deadline"))


class OpenResource(Resource):
    """A resource whose answers have no documented shape."""

    def _open(
        self, operation: str, *ids: Identifier, body: bytes | None = None, recovery_hint: str | None = None
    ) -> Coroutine[Any, Any, RawValue]:
        return self._caller.send(
            operation, *ids, read=lambda answer: RawValue(raw=bytes(answer)), body=body, recovery_hint=recovery_hint
        )


def several(models: Any, kind: type[R], name: str) -> list[R]:
    """Return several models as they can be sent.

    Raises:
        InvalidArgumentError: it is a single one, none at all, or something else; or one holds what cannot be sent.
    """
    if isinstance(models, kind):
        raise InvalidArgumentError(f"{name} must be several, such as [{kind.__name__}(...)], not one {kind.__name__}")
    if isinstance(models, str | bytes | Mapping) or not isinstance(models, Iterable):
        raise InvalidArgumentError(f"{name} must be a list of {kind.__name__}, not {_kind(models)}")  # pyright: ignore[reportUnknownArgumentType]  # of any kind
    given: list[object] = [*models]
    if not given:
        raise InvalidArgumentError(f"{name} must hold at least one {kind.__name__}, and there is none")
    problems: list[str] = []
    checked: list[R] = []
    for index, model in enumerate(given):
        if isinstance(model, kind):
            checked.append(model)
            problems += (f"{name}[{index}]: {problem}" for problem in model.problems())
        else:
            problems.append(f"{name}[{index}] must be a {kind.__name__}(...), not {_kind(model)}")
    if problems:
        raise InvalidArgumentError("; ".join(problems), problems=problems)
    return checked


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
