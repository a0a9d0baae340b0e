"""Whether a token that the API refused is worth replacing: that depends on what became of the last new one.

A revoked token is replaced at once, and the next one is taken. Where the next one is refused too, another would hardly
help: the fault lies with the credentials, or with what one organization lets them do. Asking for a token with each such
call mends nothing, so it is done after growing pauses, for that organization alone while others are answered.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import NamedTuple

from amili_async._protocol.retry import growing_pauses

LONGEST_PAUSE = 60.0
"""Seconds, at most, for which refused tokens are not replaced."""

MOST_ORGANIZATIONS = 10_000
"""Organizations remembered at most; the one that was refused longest ago goes first."""

_ALL = None
"""The place of all organizations together: nobody has been answered since a new token was refused."""


class _Refused(NamedTuple):
    """A new token that was refused, and until when the next one that is refused is not replaced."""

    token: str
    until: float
    pauses: Iterator[float]

    def __repr__(self) -> str:
        return f"<a refused token, until {self.until:.1f}>"


class Refusals:
    """The organizations for which a new token was refused as the one before."""

    def __init__(self) -> None:
        self._refused: dict[Hashable, _Refused] = {}

    def __len__(self) -> int:
        return len(self._refused)

    def replaceable(self, organization: str, token: str, now: float) -> bool:
        """Return whether a refused token is to be replaced, and the call repeated with the next one.

        A token that is not the one that was refused last may have a successor at hand, which costs nothing.
        """
        known = (self._refused.get(place) for place in (organization, _ALL))
        return not any(refused and refused.token == token and now < refused.until for refused in known)

    def refused_again(self, organization: str, token: str, now: float) -> None:
        """Learn that the token that came in place of a refused one was refused too."""
        for place in (organization, _ALL):
            known = self._refused.pop(place, None)
            if known is None or known.token != token:  # many calls are refused with one token
                pauses = growing_pauses(LONGEST_PAUSE) if known is None else known.pauses
                known = _Refused(token, now + next(pauses), pauses)
            self._refused[place] = known
        if len(self._refused) > MOST_ORGANIZATIONS:
            del self._refused[next(iter(self._refused))]

    def accepted(self, organization: str) -> None:
        """Learn that the token in use was good enough for this organization."""
        self._refused.pop(organization, None)
        self._refused.pop(_ALL, None)

    def forget(self) -> None:
        """Replace whatever is refused next."""
        self._refused.clear()
