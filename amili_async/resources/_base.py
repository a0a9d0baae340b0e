"""The bases of the resources: those that read, those that write, and those whose answers nobody has documented."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from amili_async._protocol.requests import identifier
from amili_async.errors import DecodeError, InvalidArgumentError
from amili_async.models import Accepted, RawValue, encode
from amili_async.models._envelope import AcceptedBody
from amili_async.resources._operation_client import encode_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from amili_async._protocol.requests import Body, Identifier
    from amili_async.models._request import Request
    from amili_async.resources._operation_client import OperationClient

BY_KEY = "batches.list(organization_id, idempotency_key=...) lists the batch of a write by its key (G3 servers)"
"""How to find out whether a write took effect, for an error's ``recovery_hint``."""

R = TypeVar("R", bound="Request")


class Resource:
    """One resource of the API."""

    def __init__(self, caller: OperationClient) -> None:
        self._caller = caller


class WritingResource(Resource):
    """A resource with operations that change something."""

    async def _create(
        self,
        operation: str,
        organization_id: Identifier,
        *,
        body: bytes,
        idempotency_key: str | None,
        recovery_hint: str,
    ) -> Accepted:
        """Return the batch that a write becomes; without a readable batch id it is an `OutcomeUnknownError`."""
        return await self._caller.send(
            operation,
            organization_id,
            read=self._accepted(operation, organization_id),
            body=body,
            idempotency_key=idempotency_key,
            recovery_hint=recovery_hint,
        )

    async def _act(
        self,
        operation: str,
        organization_id: Identifier,
        subject_id: Identifier,
        *,
        json: object = None,
        recovery_hint: str,
    ) -> Accepted | None:
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
        return await self._caller.send(
            operation, organization_id, subject_id, read=read, body=sent, recovery_hint=recovery_hint
        )

    def _accepted(self, operation: str, organization_id: Identifier) -> Callable[[Body], Accepted]:
        reader, drift = self._caller.readers.of(AcceptedBody), self._caller.drift(operation)
        owner = identifier(organization_id, "organization_id")

        def read(body: Body) -> Accepted:
            accepted = reader.one(body, drift)
            return Accepted(batch_id=accepted.batch_id, batch_url=accepted.batch_url, organization_id=owner)

        return read


class OpenResource(Resource):
    """A resource whose answers have no documented shape."""

    async def _open(
        self, operation: str, *ids: Identifier, body: bytes | None = None, recovery_hint: str | None = None
    ) -> RawValue:
        return await self._caller.send(
            operation, *ids, read=lambda answer: RawValue(raw=bytes(answer)), body=body, recovery_hint=recovery_hint
        )


def body_of(models: Any, kind: type[R], name: str) -> bytes:
    """Return the body that sends several models under one name.

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
    return b'{"' + name.encode() + b'":' + encode(checked) + b"}"


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
