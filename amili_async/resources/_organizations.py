"""Organizations: their reports, of which only the name is public."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.resources._writing import OpenResource

if TYPE_CHECKING:
    from amili_async._protocol.requests import Identifier
    from amili_async.models._raw_value import RawValue


class Organizations(OpenResource):
    """``client.organizations``."""

    async def reports(self, organization_id: Identifier) -> RawValue:
        """Return an organization's reports, as Amili sends them. G1 only.

        Only the name is public (U): the path is a guess until ``AmiliClient(routes=...)`` gives the confirmed one, and
        calling it warns once. Retried like every read.
        """
        return await self._open("organizations.reports", organization_id)
