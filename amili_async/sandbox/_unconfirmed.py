"""The operations of which only the name is known (mark U): answered with something plausible, in the usual envelope."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from amili_async.sandbox import _shapes as shapes
from amili_async.sandbox._identifiers import Kind
from amili_async.sandbox._pages import Answer, Refusal, Request
from amili_async.sandbox._reads import organization_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from amili_async.sandbox._shapes import Generation
    from amili_async.sandbox._state import State


def guesses(world: State, generation: Generation) -> Mapping[str, Callable[[Request], Answer]]:
    """Return what answers each of them, by operation."""

    def enveloped(data: str) -> Answer:
        return Answer(200, shapes.envelope(shapes.summary(), data, generation))

    def reports(question: Request) -> Answer:
        organization = organization_of(world, question)
        identifier = world.population.identifiers.make(Kind.DOCUMENT, organization.ordinal, 1)
        return enveloped(f'[{{"reportId":"{identifier}","name":"Månedsrapport","createdAt":"2025-10-01T04:00:00Z"}}]')

    def ping(_: Request) -> Answer:
        return enveloped('{"message":"pong"}')

    def health(_: Request) -> Answer:
        return enveloped('{"status":"Healthy"}')

    def call(question: Request) -> Answer:
        try:
            sent = json.loads(question.request.body or b"null")
        except ValueError:
            raise Refusal(400, "the body is not JSON") from None
        return enveloped(json.dumps({"received": sent}, ensure_ascii=False))

    return {
        "organizations.reports": reports,
        "status.ping": ping,
        "status.ping_authorized": ping,
        "status.health": health,
        "banqsoft.call": call,
    }
