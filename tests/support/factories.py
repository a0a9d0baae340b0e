"""What the root fixtures ``make_sandbox`` and ``make_client`` are, for the annotations of those who use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Unpack

if TYPE_CHECKING:
    from amili_async import AmiliClient, TokenProvider
    from amili_async._client import ClientSettings
    from amili_async.sandbox import Sandbox


class SandboxFactory(Protocol):
    """Starts sandboxes in the running loop, on the test's clock; they are stopped when the test ends."""

    async def __call__(self, **settings: Any) -> Sandbox: ...


class ClientFactory(Protocol):
    """Makes clients of the sandbox; they are closed when the test ends. ``auth`` is the fixture's, unless given."""

    def __call__(
        self, auth: TokenProvider | str | None = None, /, **settings: Unpack[ClientSettings]
    ) -> AmiliClient: ...
