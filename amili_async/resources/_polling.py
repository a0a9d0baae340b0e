"""Waiting: how a batch is polled until it is final, with growing pauses, under one deadline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import backoff

from amili_async._protocol.options import seconds
from amili_async._protocol.retry import RetryPolicy, backoff_delays
from amili_async.errors import (
    AmiliError,
    DeadlineExceededError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    TransportError,
)
from amili_async.models import Accepted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from amili_async._clock import Clock
    from amili_async.models import Batch

NOT_THERE_YET = 30.0
"""Seconds after the first poll for which a 404 means that the batch is not there yet."""

LONGEST_PAUSE = 15.0
"""Seconds between two polls, at most."""

LAST_LOOK = 1.0
"""Seconds before the deadline, at most, at which a batch is looked at for the last time."""

_PASSING = (TransportError, ServerError, RateLimitedError, DeadlineExceededError)


async def watched(
    read: Callable[[float | None], Awaitable[Batch]], clock: Clock, deadline: float | None
) -> AsyncGenerator[Batch, None]:
    """Yield a batch each time that it has changed, the final one last.

    ``read`` is called with the seconds that are left. What passes, such as an outage, is waited out until the deadline.

    Raises:
        DeadlineExceededError: it is not final yet; ``batch`` is what was seen last.
        NotFoundError: it is still not there after half a minute.
    """
    begun = clock.monotonic()
    ends = None if deadline is None else begun + seconds(deadline, "deadline")
    last_look = None if deadline is None or ends is None else ends - min(LAST_LOOK, deadline / 4)
    waits = _growing()
    seen: Batch | None = None
    while True:
        problem: AmiliError | None = None
        try:
            batch = await read(None if ends is None else ends - clock.monotonic())
        except NotFoundError as error:
            if seen is not None or clock.monotonic() - begun >= NOT_THERE_YET:
                raise
            problem = error
        except _PASSING as error:
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


def _growing() -> Iterator[float]:
    """Yield pauses that grow up to `LONGEST_PAUSE`; half of each is kept, or chance could poll at once."""
    return backoff_delays(
        RetryPolicy(max_wait=LONGEST_PAUSE), jitter=lambda bound: bound / 2 + backoff.full_jitter(bound / 2)
    )


def _not_final(seen: Batch | None, deadline: float | None, problem: AmiliError | None) -> DeadlineExceededError:
    state = "not seen at all" if seen is None else f"still {seen.state}"
    return DeadlineExceededError(
        f"the batch was {state} after {deadline:g} s; wait again with its id, nothing is lost",
        batch=seen,
        operation=None if problem is None else problem.operation,
    )


def batch_and_organization(batch: object, organization_id: object) -> tuple[object, object]:
    """Return the ids of the batch to wait for, and of its organization where it is known."""
    if isinstance(batch, Accepted):
        return batch.batch_id, organization_id or batch.organization_id
    return batch, organization_id
