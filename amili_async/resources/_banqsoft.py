"""Banqsoft: one call, of which only the name is public."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.resources._raw_request import encode_body
from amili_async.resources._writing import OpenResource

if TYPE_CHECKING:
    from amili_async.models._raw_value import RawValue


class Banqsoft(OpenResource):
    """``client.banqsoft``."""

    async def call(self, json: object = None) -> RawValue:
        """Return what Amili answers to "CallBanqSoft", sent with a JSON body as Amili says. G1 only.

        Only the name is public (U): the path is a guess until ``AmiliClient(routes=...)`` gives the confirmed one, and
        calling it warns once. A write: repeated only where it surely was not executed.

        Raises:
            OutcomeUnknownError: sent, and it is not known whether it took effect.
        """
        return await self._open(
            "banqsoft.call",
            body=None if json is None else encode_body(json),
            recovery_hint="ask Amili what became of it",
        )
