"""AmiliClient: owns the session, the tokens and the limits, and hands out the resources."""

from __future__ import annotations

from functools import cache, cached_property
from ssl import SSLContext, create_default_context
from typing import TYPE_CHECKING, Literal, TypedDict, TypeVar, Unpack, overload

from msgspec import UNSET, UnsetType

from amili_async import _clock as clock
from amili_async._call.auth import ClientCredentials, as_provider, provider_from_environment
from amili_async._call.hooks import Hooks
from amili_async._call.limits import Limits
from amili_async._call.transport import Transport
from amili_async._environment import variable
from amili_async._http import endpoints
from amili_async._http.client import HTTPClient
from amili_async._http.endpoints import Endpoints
from amili_async._http.session import Connection
from amili_async._http.tls import show_certificate, tls_context
from amili_async._protocol.options import Options, Timeout, merge_options, seconds
from amili_async._protocol.rate import pace_for
from amili_async._protocol.requests import check_headers
from amili_async._protocol.retry import Budget, RetryPolicy
from amili_async._redaction import redacted
from amili_async.errors import ConfigurationError
from amili_async.resources import (
    AutoCollect,
    Banqsoft,
    Batches,
    Cases,
    Corrections,
    Invoices,
    Organizations,
    Payments,
    Settlements,
    Status,
)
from amili_async.resources._arguments import check_key, check_several, whole
from amili_async.resources._operation_client import OperationClient, Readers, encode_body, raw_request, read_optional
from amili_async.resources._route_registry import RouteRegistry

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    import aiohttp

    from amili_async._call.auth import TokenProvider
    from amili_async._profile import Profile
    from amili_async._protocol.options import OnInvalid
    from amili_async._protocol.requests import Identifier
    from amili_async.models import SucceededEntry

T = TypeVar("T")


class ClientSettings(TypedDict, total=False):
    """The keywords of `AmiliClient`."""

    environment: str
    base_url: str | None
    token_url: str | None
    autocollect_url: str | None
    session: aiohttp.ClientSession | None
    deadline: float | None
    timeout: Timeout | float
    retry: RetryPolicy
    concurrency: int
    max_response_bytes: int
    max_rows: int
    routes: Mapping[str, str] | None
    entry_types: Sequence[type[SucceededEntry]]
    hooks: Sequence[object]
    on_invalid: OnInvalid
    user_agent: str | None
    trust_env: bool
    write_keepalive: float
    profile: Profile | None
    ssl: SSLContext | str | os.PathLike[str] | None
    rate: float | Literal["learn"] | None


class AmiliClient:
    """A client of the Amili Collection API, for one event loop.

    Use it with ``async with``, or ``await client.aclose()`` at the end. One client serves any number of tasks: they
    share its connections, its token, its concurrency limit, and what it has learnt of the server's rate limit.

    Args:
        auth: `ClientCredentials` or the pair of its id and secret (such as ``sandbox.credentials``), another
            `TokenProvider`, a token as text, or an async callable that returns one.
        environment: ``"production"`` or ``"staging"``.
        base_url: the API root, in place of the environment's; https unless it is loopback.
        token_url: the token endpoint, in place of the environment's.
        autocollect_url: the root of AutoCollect, which is not documented; only ``client.autocollect`` needs it.
        session: an aiohttp session of your own, with your connector and TLS. It is neither closed nor changed, so it
            keeps its cookies, its proxies and ``trust_env``, its idle connections, and aiohttp's habit of sending a
            dropped GET a second time by itself.
        deadline: seconds that one call may take in all, with queueing, retries and waits; ``None`` for no limit.
        timeout: `Timeout` of one attempt, or its total in seconds.
        retry: how often and how long, see `RetryPolicy`.
        concurrency: requests in flight at most, of all tasks together.
        max_response_bytes: size of an unpacked answer from which it is refused with `DecodeError`.
        max_rows: rows of a page from which it is refused with `DecodeError`, before they are built.
        routes: confirmed paths for operations of which only the name is public (U), such as
            ``{"cases.pause": "/orgs/{organization_id}/…"}``.
        entry_types: subclasses of `SucceededEntry` to read entries of further ``$type`` with.
        hooks: objects with methods of `amili_async.events.Hook`.
        on_invalid: what becomes of rows that cannot be read: ``"raise"``, ``"skip"``, or a function.
        user_agent: put before this package's own.
        write_keepalive: seconds for which a kept-alive connection may have been idle and still carry a write. A server
            that closes it meanwhile leaves nobody knowing whether the write arrived; where it announces for how long it
            keeps connections (``Keep-Alive: timeout=``), that counts. 0 opens one for each write.
        profile: what `amili_async.probe.probe` found on this server: pages of the size that it keeps to, and routes
            that answered. ``routes`` goes before it.
        trust_env: read ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY``, once. ``.netrc`` is never read.
        ssl: the path of a PEM file of CAs to trust in place of the system's, or an ``ssl.SSLContext``, which may show a
            client certificate too.
        rate: requests a second, of all tasks together: ``"learn"`` what the server takes, from what it refuses; a
            number that is known; ``None`` to wait only for as long as each 429 says. Nothing is held back before the
            first 429, unless an answer says in ``RateLimit-*`` headers how many requests are left.

    Raises:
        ConfigurationError: an argument that cannot be right, by its name; nothing is sent.
    """

    __module__ = "amili_async"  # where it is imported from

    @redacted
    def __init__(
        self,
        auth: TokenProvider | str | tuple[str, str] | Callable[[], Awaitable[str]],
        *,
        environment: str = endpoints.PRODUCTION,
        base_url: str | None = None,
        token_url: str | None = None,
        autocollect_url: str | None = None,
        session: aiohttp.ClientSession | None = None,
        deadline: float | None = 60.0,
        timeout: Timeout | float = Timeout(total=30.0, connect=5.0),  # noqa: B008  # frozen
        retry: RetryPolicy = RetryPolicy(attempts=3),  # noqa: B008  # frozen
        concurrency: int = 16,
        max_response_bytes: int = 64 * 2**20,
        max_rows: int = 100_000,
        routes: Mapping[str, str] | None = None,
        entry_types: Sequence[type[SucceededEntry]] = (),
        hooks: Sequence[object] = (),
        on_invalid: OnInvalid = "raise",
        user_agent: str | None = None,
        trust_env: bool = True,
        write_keepalive: float = 0.5,
        profile: Profile | None = None,
        ssl: SSLContext | str | os.PathLike[str] | None = None,
        rate: float | Literal["learn"] | None = "learn",
    ) -> None:
        provider = as_provider(auth)
        options = merge_options(Options(), deadline=deadline, timeout=timeout, retry=retry, on_invalid=on_invalid)
        place = endpoints.environment(environment)
        if base_url is not None and token_url is None and isinstance(provider, ClientCredentials):
            raise ConfigurationError(
                "base_url is given without token_url: pass the token endpoint that belongs to it, "
                f"so that the secret does not go to {environment}'s"
            )
        if session is not None and ssl is not None:
            raise ConfigurationError("give ssl or session, not both: a session has its connector's TLS")
        check_several(hooks, "hooks")
        check_several(entry_types, "entry_types")
        if profile is not None and not hasattr(profile, "routes"):
            raise ConfigurationError(
                f"profile must be a Profile, not {type(profile).__name__}; Profile.load reads a file"
            )
        if not isinstance(trust_env, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  # "false" out of an environment is true
            raise ConfigurationError(f"trust_env must be True or False, not {trust_env!r}")
        limit = whole(concurrency, "concurrency", least=1)
        time = clock.current()
        connection = Connection(
            session,
            limit=limit,
            label=type(self).__name__,
            write_keepalive=_idle(write_keepalive, "write_keepalive"),
            ssl=tls_context(ssl),
        )
        roots = Endpoints(
            base_url=place.base_url if base_url is None else base_url,
            token_url=place.token_url if token_url is None else token_url,
            autocollect_url=autocollect_url,
            trust_env=trust_env and session is None,
        )
        http = HTTPClient(
            connection,
            roots,
            user_agent=_agent(user_agent),
            max_response_bytes=whole(max_response_bytes, "max_response_bytes", least=1),
        )
        transport = Transport(
            connection=connection,
            endpoints=roots,
            http=http,
            provider=provider,
            limits=Limits(time, concurrency=limit, pace=pace_for(rate)),
            budget=Budget(),
            hooks=Hooks(hooks),
            clock=time,
            token_timeout=options.timeout,
        )
        self._owns = True
        registry = RouteRegistry(routes, seen=() if profile is None else profile.routes)
        readers = Readers(entry_types, whole(max_rows, "max_rows", least=1))
        self._caller = OperationClient(transport, options, registry, readers, profile)

    @cached_property
    def batches(self) -> Batches:
        """What every write becomes: listed, read, waited for, streamed over many organizations."""
        return Batches(self._caller)

    @cached_property
    def invoices(self) -> Invoices:
        """Invoices: sent once or in bulk, listed, read, acted on, downloaded; what became of a write."""
        return Invoices(self._caller)

    @cached_property
    def payments(self) -> Payments:
        """Payments that a creditor received directly, told to Amili."""
        return Payments(self._caller)

    @cached_property
    def corrections(self) -> Corrections:
        """Corrections of what is owed, such as credit notes, told to Amili."""
        return Corrections(self._caller)

    @cached_property
    def cases(self) -> Cases:
        """Cases: listed, and acted on by routes of which only the names are public (U)."""
        return Cases(self._caller)

    @cached_property
    def settlements(self) -> Settlements:
        """Settlements, what Amili paid out: listed and read."""
        return Settlements(self._caller)

    @cached_property
    def organizations(self) -> Organizations:
        """The reports of an organization (U)."""
        return Organizations(self._caller)

    @cached_property
    def status(self) -> Status:
        """Whether Amili is there (U)."""
        return Status(self._caller)

    @cached_property
    def banqsoft(self) -> Banqsoft:
        """The call to Banqsoft (U)."""
        return Banqsoft(self._caller)

    @cached_property
    def autocollect(self) -> AutoCollect:
        """AutoCollect, the older API, at its own address: ``AmiliClient(autocollect_url=...)``."""
        return AutoCollect(self._caller)

    @classmethod
    @redacted
    def from_env(cls, auth: TokenProvider | str | None = None, /, **overrides: Unpack[ClientSettings]) -> Self:
        """Return a client from the environment's ``AMILI_*`` variables; what is given here goes before them.

        ``AMILI_CLIENT_ID`` and ``AMILI_CLIENT_SECRET``, each of them in a file where ``AMILI_CLIENT_ID_FILE`` or
        ``AMILI_CLIENT_SECRET_FILE`` names one, or ``AMILI_TOKEN``, say who; ``AMILI_ENVIRONMENT``, ``AMILI_BASE_URL``,
        ``AMILI_TOKEN_URL`` and ``AMILI_AUTOCOLLECT_URL`` say where. ``AMILI_CA_BUNDLE`` is a PEM file of CAs to trust,
        ``AMILI_CLIENT_CERT`` (and ``AMILI_CLIENT_KEY``, where the key has a file of its own) the certificate to show.

        Raises:
            ConfigurationError: a variable that is needed is missing, one that is set is empty, or two say the same
                thing; its name is in the message.
        """
        settings: ClientSettings = {}
        if "environment" not in overrides and (environment := variable("AMILI_ENVIRONMENT")):
            settings["environment"] = environment
        if "base_url" not in overrides and (base_url := variable("AMILI_BASE_URL")):
            settings["base_url"] = base_url
        if "token_url" not in overrides and (token_url := variable("AMILI_TOKEN_URL")):
            settings["token_url"] = token_url
        if "autocollect_url" not in overrides and (autocollect_url := variable("AMILI_AUTOCOLLECT_URL")):
            settings["autocollect_url"] = autocollect_url
        if not {"ssl", "session"} & overrides.keys():
            settings["ssl"] = _tls_from_environment()
        settings.update(overrides)
        return cls(provider_from_environment() if auth is None else auth, **settings)

    def with_options(
        self,
        *,
        deadline: float | UnsetType | None = UNSET,
        retry: RetryPolicy | None = None,
        timeout: Timeout | float | None = None,
        headers: Mapping[str, str] | None = None,
        on_invalid: OnInvalid | None = None,
    ) -> Self:
        """Return a copy with other options over the same session, limits, budget and tokens; closing it does nothing.

        ``headers`` are added to every request of the copy; they cannot replace `Authorization`.

        Raises:
            ConfigurationError: an option that cannot be right, by its name.
        """
        options = merge_options(
            self._caller.options,
            deadline=deadline,
            retry=retry,
            timeout=timeout,
            headers=headers,
            on_invalid=on_invalid,
        )
        copy = type(self).__new__(type(self))
        copy._owns = False  # noqa: SLF001  # a copy of itself
        copy._caller = self._caller.with_options(options)  # noqa: SLF001  # the same
        return copy

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        path_params: Mapping[str, Identifier] | None = None,
        query: Mapping[str, str] | None = None,
        json: object = None,
        type: None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        repeatable: bool | None = None,
    ) -> bytes: ...

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        path_params: Mapping[str, Identifier] | None = None,
        query: Mapping[str, str] | None = None,
        json: object = None,
        type: type[T],
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        repeatable: bool | None = None,
    ) -> T | None: ...

    async def request(
        self,
        method: str,
        path: str,
        *,
        path_params: Mapping[str, Identifier] | None = None,
        query: Mapping[str, str] | None = None,
        json: object = None,
        type: type[T] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        repeatable: bool | None = None,
    ) -> T | bytes | None:
        """Return the answer to a request that no method makes: the envelope's ``data`` as ``type``, else the body.

        Deadline, retries, gate and tokens are those of every call. ``path`` is below the API root; an absolute URL is
        taken too, without the token unless it leads to the API's own origin. With ``path_params`` it is a template,
        ``"/orgs/{organization_id}/plans"``, whose values stay one segment each whatever is in them, and which errors
        and hooks name. Without, they show what the route table knows of the path, and ``{...}`` for the rest.

        Only a GET is repeated, unless ``repeatable=True`` says that sending it twice does no more than sending it once.
        With ``type``, an answer that has no body (204, or an empty success of anything but a GET) is ``None``.

        Raises:
            ConfigurationError: an argument that cannot be right, by its name.
            AmiliError: as every call.
        """
        call = raw_request(
            method,
            path,
            path_params=path_params,
            query=query,
            body=None if json is None else encode_body(json),
            headers=headers,
            idempotency_key=check_key(idempotency_key),
            repeatable=repeatable,
        )
        if type is None:
            return await self._caller.transport.send(call, bytes, self._caller.options)
        read = read_optional(self._caller.readers.of(type), call.method)
        return await self._caller.transport.send(call, read, self._caller.options)

    async def authenticate(self) -> None:
        """Return once the client has a token: a check of the credentials, and of readiness, without a call of the API.

        A token in hand costs no request. Asked once, and not within the rate limit.

        Raises:
            TokenError: the credentials were refused, or the token endpoint failed (then with ``retry_after``).
            DeadlineExceededError: it did not answer in time.
        """
        await self._caller.transport.authenticate(self._caller.options)

    @property
    def rate(self) -> float | None:
        """Requests a second that go at most, as learnt or as set; ``None`` while nothing holds them back."""
        return self._caller.transport.limits.rate

    def reopen(self) -> None:
        """Send again at once: forget how long a 429, a quota or the token endpoint asked to wait, and a learnt rate.

        For when somebody knows better than the last answer, such as after the end of an outage.
        """
        self._caller.transport.reopen()

    async def aclose(self) -> None:
        """Close the session and end calls that are under way with `ClientClosedError`. Twice does nothing more."""
        if self._owns:
            await self._caller.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._caller.transport.endpoints.base_url})"

    @property
    def profile(self) -> Profile | None:
        """What the server was found to be like, where the client was told."""
        return self._caller.profile

    @property
    def caller(self) -> OperationClient:
        """What makes the calls: for the parts of this package that work with a client, such as `sync`."""
        return self._caller


def _tls_from_environment() -> SSLContext | None:
    bundle, certificate, key = map(variable, ("AMILI_CA_BUNDLE", "AMILI_CLIENT_CERT", "AMILI_CLIENT_KEY"))
    context = tls_context(bundle, "AMILI_CA_BUNDLE")
    if certificate is not None:
        context = context or create_default_context()
        show_certificate(context, certificate, key, "AMILI_CLIENT_CERT")
    elif key is not None:
        raise ConfigurationError("AMILI_CLIENT_KEY is set without AMILI_CLIENT_CERT, its certificate")
    return context


def _idle(value: object, name: str) -> float:
    """Return a duration that may be 0."""
    return 0.0 if value == 0 and not isinstance(value, bool) else seconds(value, name)


@cache
def _own_agent() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  # a fifth of this package's import

    try:
        return f"amili-async/{version('amili-async')}"
    except PackageNotFoundError:
        return "amili-async"


def _agent(user_agent: str | None) -> str:
    own = _own_agent()
    if user_agent is None:
        return own
    if not isinstance(user_agent, str) or not user_agent.strip():  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError("user_agent must be text that is not empty; leave it out for this package's own")
    return f"{check_headers({'User-Agent': user_agent}, 'user_agent')['User-Agent']} {own}"
