"""Status, reports and Banqsoft: operations of which only the names are public."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amili_async.resources._base import OpenResource
from amili_async.resources._operation_client import encode_body

if TYPE_CHECKING:
    from amili_async._protocol.requests import Identifier
    from amili_async.models import RawValue


class Status(OpenResource):
    """``client.status``: whether the API answers. All three are guesses (U), and calling one warns once. G1 only."""

    async def ping(self) -> RawValue:
        """Return what Amili answers a ping (U). Retried like every read.

        Raises:
            NotFoundError: the guessed path leads nowhere.
            AmiliError: refused, not answered or too late, as any read may be.
        """
        return await self._open("status.ping")

    async def ping_authorized(self) -> RawValue:
        """Return what Amili answers a ping with a token (U). Retried like every read.

        Raises:
            NotFoundError: the guessed path leads nowhere.
            AmiliError: refused, not answered or too late, as any read may be.
        """
        return await self._open("status.ping_authorized")

    async def health(self) -> RawValue:
        """Return what Amili says of its health (U). Retried like every read.

        Raises:
            NotFoundError: the guessed path leads nowhere.
            AmiliError: refused, not answered or too late, as any read may be.
        """
        return await self._open("status.health")


class Organizations(OpenResource):
    """``client.organizations``: reports about an organization."""

    async def reports(self, organization_id: Identifier) -> RawValue:
        """Return an organization's reports, as Amili sends them. G1 only.

        Only the name is public (U): the path is a guess until ``AmiliClient(routes=...)`` gives the confirmed one, and
        calling it warns once. Retried like every read.

        Raises:
            NotFoundError: the guessed path leads nowhere.
            AmiliError: refused, not answered or too late, as any read may be.
        """
        return await self._open("organizations.reports", organization_id)


class Banqsoft(OpenResource):
    """``client.banqsoft``: a call of which only the name is public."""

    async def call(self, json: object = None) -> RawValue:
        """Return what Amili answers to "CallBanqSoft", sent with a JSON body as Amili says. G1 only.

        Only the name is public (U): the path is a guess until ``AmiliClient(routes=...)`` gives the confirmed one, and
        calling it warns once. A write: repeated only where it surely was not executed.

        Raises:
            InvalidArgumentError: the body holds what JSON cannot say; each spot is in ``problems``.
            NotFoundError: the guessed path leads nowhere.
            OutcomeUnknownError: sent, and it is not known whether it took effect.
        """
        return await self._open(
            "banqsoft.call",
            body=None if json is None else encode_body(json),
            recovery_hint="ask Amili what became of it",
        )
