"""Waiting: how a batch is polled until it is final, with growing pauses, under one deadline."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from amili_async._protocol.options import seconds
from amili_async._protocol.requests import identifier
from amili_async._protocol.retry import growing_pauses
from amili_async.errors import (
    AmiliError,
    APIError,
    DeadlineExceededError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    TokenError,
    TransportError,
)
from amili_async.models import Accepted, Batch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from amili_async._clock import Clock

B = TypeVar("B", bound=Batch)

NOT_THERE_YET = 30.0
"""Seconds after the first poll for which a 404 means that the batch is not there yet."""

LONGEST_PAUSE = 15.0
"""Seconds between two polls, at most."""

LAST_LOOK = 1.0
"""Seconds before the deadline, at most, at which a batch is looked at for the last time."""

_PASSING = (TransportError, ServerError, RateLimitedError, DeadlineExceededError)

_UNKNOWN_HERE = frozenset({404, 405, 410, 501})


async def watched(
    read: Callable[[float | None], Awaitable[B]], clock: Clock, deadline: float | None
) -> AsyncGenerator[B, None]:
    """Yield a batch each time that it has changed, the final one last.

    ``read`` is called with the seconds that are left. What passes, such as an outage, is waited out until the deadline.

    Raises:
        DeadlineExceededError: it is not final yet; ``batch`` is what was seen last.
        NotFoundError: it is still not there after half a minute.
        APIError: the server refused.
        TokenError: the credentials were refused.
    """
    begun = clock.monotonic()
    ends = None if deadline is None else begun + seconds(deadline, "deadline")
    last_look = None if deadline is None or ends is None else ends - min(LAST_LOOK, deadline / 4)
    waits = growing_pauses(LONGEST_PAUSE)
    seen: B | None = None
    while True:
        problem: AmiliError | None = None
        try:
            batch = await read(None if ends is None else ends - clock.monotonic())
        except NotFoundError as error:
            if seen is not None or clock.monotonic() - begun >= NOT_THERE_YET:
                raise
            problem = error
        except AmiliError as error:
            if not is_passing(error):
                raise
            problem = error
        else:
            if batch != seen:
                seen = batch
                yield batch
            if batch.state.terminal:
                return
        wait = next(waits)
        if last_look is not None:
            wait = min(wait, last_look - clock.monotonic())
            if wait <= 0:
                raise _not_final(seen, deadline, problem) from problem
        await clock.sleep(wait)


def _not_final(seen: Batch | None, deadline: float | None, problem: AmiliError | None) -> DeadlineExceededError:
    state = "not seen at all" if seen is None else f"still {seen.state}"
    return DeadlineExceededError(
        f"the batch was {state} after {deadline:g} s; wait again with its id, nothing is lost",
        batch=seen,
        operation=None if problem is None else problem.operation,
    )


async def all_of(waits: Mapping[str, Callable[[], Awaitable[B]]]) -> AsyncGenerator[B, None]:
    """Yield what each wait ends with, as it ends; where some fail, that is told after all others have ended.

    Raises:
        DeadlineExceededError: some are not final yet; ``pending`` has their ids.
        AmiliError: of the first wait that failed otherwise.
    """

    async def wait(make: Callable[[], Awaitable[B]]) -> B:
        return await make()

    tasks = {asyncio.create_task(wait(make), name="amili wait"): batch_id for batch_id, make in waits.items()}
    late: dict[str, DeadlineExceededError] = {}
    problem: AmiliError | None = None
    try:
        while tasks:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in tasks if task in done]:
                batch_id = tasks.pop(task)
                try:
                    batch = task.result()
                except DeadlineExceededError as error:
                    late[batch_id] = error
                except AmiliError as error:
                    problem = problem or error
                else:
                    yield batch
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if problem is not None:
        raise problem
    if late:
        raise DeadlineExceededError(
            f"{len(late)} of {len(waits)} batches were not final in time; wait again with the ids in pending, "
            "nothing is lost",
            pending=[*late],
        ) from next(iter(late.values()))


def is_passing(error: AmiliError) -> bool:
    """Return whether a read that failed so may succeed later: an outage, a rate limit, a token endpoint that failed."""
    if isinstance(error, TokenError):
        return error.retry_after is not None  # one that refused does not say when to ask it again
    return isinstance(error, _PASSING) and error.status != HTTPStatus.NOT_IMPLEMENTED


def batch_and_organization(batch: object, organization_id: object) -> tuple[str, str | None]:
    """Return the ids of the batch to wait for, and of its organization where it is known.

    Raises:
        InvalidArgumentError: it is neither an id, nor what a write or a read returned.
    """
    known = batch if isinstance(batch, Accepted | Batch) else None
    owner = known.organization_id if organization_id is None and known else organization_id
    return (
        identifier(known.batch_id if known else batch, "batch"),
        None if owner is None else identifier(owner, "organization_id"),
    )


def is_unknown_here(error: APIError) -> bool:
    """Return whether a server says that it has no such batch, or no such route: older ones know it by its id alone."""
    return error.status in _UNKNOWN_HERE
