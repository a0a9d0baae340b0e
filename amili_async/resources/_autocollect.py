"""AutoCollect: the older API, with its own address, lower-case members, and Basic or bearer authentication."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import aiohttp

from amili_async._whole_file import save, target_of
from amili_async.errors import ConfigurationError, InvalidArgumentError
from amili_async.models import AutoCollectBatch, LegacyStatus, RawValue, encode
from amili_async.models._request import problems_in
from amili_async.resources._arguments import day, flag, text
from amili_async.resources._base import Resource
from amili_async.resources._operation_client import encode_body

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from amili_async.models import DateLike
    from amili_async.resources._operation_client import OperationClient


class AutoCollect(Resource):
    """``client.autocollect``. Needs ``AmiliClient(autocollect_url=...)``: its address is not documented.

    It sends the client's bearer token, as documented since G2; `with_basic` gives one that sends Basic credentials, as
    documented for G1.
    """

    def __init__(self, caller: OperationClient, *, basic: str | None = None) -> None:
        super().__init__(caller)
        self._basic = basic

    def __repr__(self) -> str:
        return f"AutoCollect({'bearer' if self._basic is None else 'basic'})"

    def with_basic(self, username: str, password: str) -> AutoCollect:
        """Return one that authenticates with a name and a password, and asks for no token.

        Raises:
            ConfigurationError: an empty name or password, or a name with a colon, which Basic cannot say.
        """
        if not username or not password or ":" in username:
            raise ConfigurationError("username and password must not be empty, and the username must hold no colon")
        return AutoCollect(self._caller, basic=aiohttp.encode_basic_auth(username, password, "utf-8"))

    async def get_batch(
        self,
        *,
        sender_id: str | None = None,
        creditor_id: str | None = None,
        customer_ref: str | None = None,
        ledger_ref: str | None = None,
        include_closed: bool | None = None,
        last_settlement_id: str | None = None,
        remittance_date: DateLike | None = None,
        language_code: str | None = None,
    ) -> AutoCollectBatch:
        """Return creditors, cases and settlements in one object.

        Safe to repeat, so it is retried on timeouts and 5xx. Route and query names are documented (D), their values are
        not.

        Raises:
            ConfigurationError: no ``autocollect_url``, or an argument that cannot be right.
            DecodeError: the answer is no such object; its bytes are on the error.
            AmiliError: refused, not answered or too late, as any read may be.
        """
        reader = self._caller.readers.of(AutoCollectBatch)
        query = (
            ("senderid", text(sender_id, "sender_id")),
            ("creditorid", text(creditor_id, "creditor_id")),
            ("customerref", text(customer_ref, "customer_ref")),
            ("ledgerref", text(ledger_ref, "ledger_ref")),
            ("includeclosed", flag(include_closed, "include_closed")),
            ("lastsettlementid", text(last_settlement_id, "last_settlement_id")),
            ("remittancedate", day(remittance_date, "remittance_date")),
            ("languagecode", text(language_code, "language_code")),
        )
        drift = self._caller.drift("autocollect.get_batch")
        return await self._caller.send(
            "autocollect.get_batch", read=lambda body: reader.bare(body, drift), query=query, basic=self._basic
        )

    async def send_batch(
        self, batch: AutoCollectBatch | Mapping[str, object], *, sender_id: str | None = None
    ) -> LegacyStatus:
        """Send a batch; return what became of its objects.

        A mapping is sent as it is, for members that `AutoCollectBatch` does not name. A write: repeated only where it
        surely was not executed. Route and content type are documented (D), the answer is inferred (I).

        Raises:
            InvalidArgumentError: it holds what cannot be sent, such as a ``float``; each spot is in ``problems``.
            OutcomeUnknownError: sent, and it is not known whether it took effect.
        """
        if not isinstance(batch, AutoCollectBatch | Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
            raise InvalidArgumentError(f"batch must be an AutoCollectBatch or a dict, not {type(batch).__name__}")
        problems = [*problems_in(batch, "batch")]
        if problems:
            raise InvalidArgumentError.listing("autocollect.send_batch", problems)
        reader = self._caller.readers.of(LegacyStatus)
        return await self._caller.send(
            "autocollect.send_batch",
            read=lambda body: reader.bare(body, None),
            query=(("senderid", text(sender_id, "sender_id")),),
            body=encode(batch) if isinstance(batch, AutoCollectBatch) else encode_body(batch),
            content_type="application/json-patch+json",
            basic=self._basic,
            recovery_hint="autocollect.get_batch(ledger_ref=...) shows the case of an object",
        )

    async def attachment(self, attachment_id: str) -> bytes:
        """Return a file that an event of a case's history names.

        Only the path is public (U): method and query name are guesses, and calling it warns once. Retried like every
        read; held in memory, up to the client's ``max_response_bytes``.

        Raises:
            NotFoundError: the guessed path leads nowhere.
            AmiliError: refused, not answered or too late, as any read may be.
        """
        return await self._caller.send(
            "autocollect.attachment",
            read=bytes,
            query=(("attachmentid", text(attachment_id, "attachment_id")),),
            headers={"Accept": "*/*"},
            basic=self._basic,
        )

    async def download(self, attachment_id: str, path: str | PathLike[str]) -> Path:
        """Write an attachment into a file that is whole or absent, as ``invoices.download`` does; return its path.

        Raises:
            ConfigurationError: there is no such folder, or the path is one; nothing was sent.
            OSError: the file cannot be written.
            AmiliError: refused, not answered or too late, as any read may be.
        """
        target = target_of(path)
        return await save(await self.attachment(attachment_id), target)

    async def ping(self) -> RawValue:
        """Return what AutoCollect answers a ping (I). Retried like every read.

        Raises:
            ConfigurationError: no ``autocollect_url``.
            AmiliError: refused, not answered or too late, as any read may be.
        """
        return await self._caller.send(
            "autocollect.ping", read=lambda body: RawValue(raw=bytes(body)), basic=self._basic
        )
