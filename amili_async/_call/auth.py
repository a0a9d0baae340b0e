"""Where tokens come from: providers decide when to ask for one, the transport sends what they ask.

`ClientCredentials` asks Amili's token endpoint (D: POST /token, example-workflow-359631m0). A token is renewed early in
the background, and a failing endpoint is left alone for growing pauses while the token in hand is still good.
"""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Protocol, runtime_checkable

import msgspec

from amili_async import _clock as clock
from amili_async._call.token_cache import TokenCache
from amili_async._environment import variable
from amili_async._http.failures import own_cause
from amili_async._protocol.grants import read_grant, sendable
from amili_async._protocol.retry import growing_pauses
from amili_async._redaction import redacted
from amili_async.errors import (
    AmiliError,
    ClientClosedError,
    ConfigurationError,
    TokenError,
    WrongLoopError,
    without_frames,
)
from amili_async.models._inputs import is_broken

if TYPE_CHECKING:
    import os
    from typing import Self

    from amili_async._clock import Clock

REFRESH_AHEAD = 300.0
"""Seconds before expiry from which a token is renewed in the background; a fifth of its life where that is shorter."""

REFRESH_BLOCKING = 30.0
"""Seconds before expiry from which callers wait for the new one; a twentieth of its life where that is shorter."""

LONGEST_PAUSE = 60.0
"""Seconds that a failing token endpoint is left alone, at most, unless it asks for more."""

LONGEST_ASKED = 120.0
"""Seconds that it is left alone where it asks for more, such as until a date years ahead."""

TokenSource = Callable[[], Awaitable[str]]
"""An async callable that returns a token."""


class TokenRequester(Protocol):
    """What a client hands to a `TokenProvider`: posts a form to the token endpoint.

    Raises:
        TokenError: it refused, or gave no answer; ``retry_after`` is set where asking again can help. ``status`` and
            ``body`` are what it answered.
    """

    __module__: str = "amili_async"  # where it is imported from

    async def __call__(self, form: Mapping[str, str], /) -> bytes:
        """Return the body of the success."""
        ...


@runtime_checkable
class TokenProvider(Protocol):
    """What a client gets its bearer tokens from."""

    __module__: str = "amili_async"  # where it is imported from

    async def token(self, exchange: TokenRequester, /) -> str:
        """Return the token to send, asked for anew where need be.

        Raises:
            TokenError: there is none; ``retry_after`` says in how many seconds asking again makes sense, if ever.
        """
        ...

    def reject(self, token: str, /) -> None:
        """Learn that the API refused this token. One that is no longer in use changes nothing.

        It is told where a new token may help: not for each 401 while new ones are refused too.
        """
        ...


class _Form(Mapping[str, str]):
    """A form that shows its names only: tracebacks with local variables must not show the secret."""

    def __init__(self, **values: str) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<form of {', '.join(self)}>"


class _Held(msgspec.Struct, frozen=True):
    """The token in use and the monotonic seconds that rule its life."""

    text: str
    early: float
    due: float
    expires: float

    def __repr__(self) -> str:
        return "<token in use>"


class ClientCredentials:
    """Tokens for a client id and secret, asked for as OAuth2 client credentials in the body (D).

    However many calls wait, one request is under way, in a task of its own: cancelling a caller cancels nothing else.
    Several clients of one event loop may share an instance. The secret is in no ``repr`` and never pickles.

    Args:
        client_id: as Amili gave it; or, as a `Path`, a file that holds it, which is read anew for each token.
        client_secret: the same.
        shared_cache: a file in which the processes of one machine share the token, made with mode 0600: without it,
            each of them asks for one of its own. One file for each client id and environment.

    Raises:
        ConfigurationError: an empty id or secret, a file that cannot be read, or a folder that is not there.
    """

    __module__ = "amili_async"  # where it is imported from

    @redacted
    def __init__(
        self,
        client_id: str | Path,
        client_secret: str | Path,
        *,
        shared_cache: str | os.PathLike[str] | None = None,
    ) -> None:
        for name, value in (("client_id", client_id), ("client_secret", client_secret)):
            if isinstance(value, Path):
                continue
            if not isinstance(value, str) or not value.strip():  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
                raise ConfigurationError(f"{name} must be text that is not empty, or the Path of a file")
            if is_broken(value):
                raise ConfigurationError(f"{name} is no text in UTF-8, as a variable of the environment may be")
        self._sources = (client_id, client_secret)
        read = _read(self._sources)
        if isinstance(read, TokenError):
            raise ConfigurationError(read.message)
        self._given = read
        self._cache = None if shared_cache is None else TokenCache(shared_cache)
        self._refused: str | None = None
        """The token that the API refused last, which the cache may still hold."""
        self._clock: Clock | None = None
        self._held: _Held | None = None
        self._renewal: _Renewal | None = None
        self._failure: TokenError | None = None
        self._asks_again = -math.inf
        self._pauses = growing_pauses(LONGEST_PAUSE)

    @classmethod
    @redacted
    def from_files(
        cls,
        *,
        client_id: str | os.PathLike[str],
        client_secret: str | os.PathLike[str],
        shared_cache: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Return credentials that are read from files anew for each token, such as secrets that Kubernetes mounts.

        One that changes while the program runs is taken up at the next token; after a refusal, as soon as it changes.

        Raises:
            ConfigurationError: a file that is not there or is empty.
        """
        return cls(Path(client_id), Path(client_secret), shared_cache=shared_cache)

    @classmethod
    @redacted
    def from_env(cls) -> Self:
        """Return credentials from the environment: ``AMILI_CLIENT_ID`` and ``AMILI_CLIENT_SECRET``.

        Each may stand in a file, which is read anew for each token: ``AMILI_CLIENT_SECRET_FILE`` names it.

        Raises:
            ConfigurationError: one is missing, set and empty, or set in both ways.
        """
        names = ("AMILI_CLIENT_ID", "AMILI_CLIENT_SECRET")
        given: list[Path | str | None] = []
        for name in names:
            text, file = variable(name), variable(f"{name}_FILE")
            if text is not None and file is not None:
                raise ConfigurationError(f"{name} and {name}_FILE are both set; unset the one that is not meant")
            given.append(text if file is None else Path(file))
        client_id, client_secret = given
        if client_id is None or client_secret is None:
            missing = [name for name, value in zip(names, given, strict=True) if value is None]
            raise ConfigurationError(
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set in the environment; "
                "set AMILI_CLIENT_ID and AMILI_CLIENT_SECRET, or AMILI_TOKEN"
            )
        return cls(client_id, client_secret, shared_cache=variable("AMILI_TOKEN_CACHE"))

    def __repr__(self) -> str:
        return f"ClientCredentials({self._given.client_id!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("ClientCredentials do not pickle or copy: the secret would go with them")

    async def token(self, exchange: TokenRequester, /) -> str:
        """Return a token that is good for the moment: the one in hand, or a new one.

        Raises:
            TokenError: the endpoint refused or failed, and no valid token is in hand.
        """
        # First use, not construction: credentials may be made before a test installs its clock.
        time = self._clock = self._clock or clock.current()
        while True:
            now = time.monotonic()
            held = self._held
            if held is not None and now < held.early:
                return held.text
            if now < self._asks_again and not self._changed():
                return self._cached_or_raise(now)
            renewal = self._under_way() or self._start(exchange, time)
            # Nobody waits for an endpoint that has just failed while the token in hand is good.
            if held is not None and now < (held.due if self._failure is None else held.expires):
                return held.text
            await asyncio.wait({renewal.task})
            if renewal.task.cancelled():
                continue
            outcome = renewal.task.result()
            if isinstance(outcome, str):
                # Taken from the task: a life so short that it is due already would be asked for for ever.
                return outcome
            if isinstance(outcome, TokenError):
                return self._cached_or_raise(time.monotonic())
            if renewal.exchange == exchange:
                raise outcome

    def reject(self, token: str, /) -> None:
        """Drop the token if it is the one in hand; a newer one stays."""
        if self._held is not None and self._held.text == token:
            self._held, self._refused = None, token

    def reopen(self) -> None:
        """Ask the token endpoint at the next call, whatever it asked to wait."""
        self._asks_again, self._failure = -math.inf, None
        self._pauses = growing_pauses(LONGEST_PAUSE)

    def _changed(self) -> bool:
        """Return whether there are other credentials now than those that failed."""
        read = _read(self._sources)
        return not isinstance(read, TokenError) and read != self._given

    def _under_way(self) -> _Renewal | None:
        renewal = self._renewal
        if renewal is None or renewal.task.done():
            return None
        # A loop that ended without finishing its tasks would keep callers in the next one waiting for ever.
        return renewal if renewal.task.get_loop() is asyncio.get_running_loop() else None

    def _start(self, exchange: TokenRequester, time: Clock) -> _Renewal:
        self._renewal = _Renewal(asyncio.create_task(self._renew(exchange, time), name="amili token"), exchange)
        return self._renewal

    async def _renew(self, exchange: TokenRequester, time: Clock) -> str | AmiliError:
        """Ask once and return the token or what went wrong; nothing raised, so nobody need be there to hear it."""
        if self._cache is None:
            return await self._ask(exchange, time)
        try:
            async with self._cache.locked(time):
                wall = time.time()
                cached = self._cache.read(self._given.client_id, wall)
                if cached is not None and wall < cached.early and cached.text != self._refused:
                    ahead = time.monotonic() - wall
                    self._hold(cached.text, cached.early + ahead, cached.due + ahead, cached.expires + ahead)
                    return cached.text
                outcome = await self._ask(exchange, time)
                if isinstance(outcome, str) and (held := self._held) is not None:
                    behind = time.time() - time.monotonic()
                    self._cache.write(
                        self._given.client_id,
                        text=held.text,
                        early=held.early + behind,
                        due=held.due + behind,
                        expires=held.expires + behind,
                    )
                return outcome
        except (ConfigurationError, OSError) as error:
            return error if isinstance(error, ConfigurationError) else await self._ask(exchange, time)

    async def _ask(self, exchange: TokenRequester, time: Clock) -> str | AmiliError:
        """Ask the endpoint once and return the token or what went wrong."""
        asked = time.monotonic()
        read = _read(self._sources)
        if isinstance(read, TokenError):
            return self._note_failure(read, time)
        self._given = read
        form = _Form(
            grant_type="client_credentials", client_id=self._given.client_id, client_secret=self._given.client_secret
        )
        try:
            grant = read_grant(await exchange(form), time.time())
        except (ClientClosedError, WrongLoopError, ConfigurationError) as error:
            return error  # says something of the client that asked, nothing of the endpoint
        except Exception as error:  # noqa: BLE001  # whatever it was, those who wait must hear of it
            return self._note_failure(_explained(error), time)
        self._hold(
            grant.token,
            asked + grant.lifetime - min(REFRESH_AHEAD, grant.lifetime / 5),
            asked + grant.lifetime - min(REFRESH_BLOCKING, grant.lifetime / 20),
            asked + grant.lifetime,
        )
        return grant.token

    def _hold(self, text: str, early: float, due: float, expires: float) -> None:
        self._held = _Held(text=text, early=early, due=due, expires=expires)
        self._failure = None
        self._pauses = growing_pauses(LONGEST_PAUSE)

    def _note_failure(self, failure: TokenError, time: Clock) -> TokenError:
        self._failure = failure
        pause = max(next(self._pauses), min(failure.retry_after or 0.0, LONGEST_ASKED))
        self._asks_again = time.monotonic() + pause
        return failure

    def _cached_or_raise(self, now: float) -> str:
        """Return the token in hand while it is valid; else raise what the endpoint said last."""
        held = self._held
        if held is not None and now < held.expires:
            return held.text
        failure = self._failure or TokenError("there is no token")
        error = copy.copy(failure)  # one for each caller: the transport writes on it which call it ended
        if error.retry_after is not None:
            error.retry_after = max(0.0, self._asks_again - now)
        raise error from failure.__cause__


class _Credentials(NamedTuple):
    """A client id and its secret."""

    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return "<credentials>"


def _read(sources: tuple[str | Path, str | Path]) -> _Credentials | TokenError:
    """Return the credentials as they are given, or stand in files; or what is wrong: those may be back in a moment."""
    found: list[str] = []
    for source in sources:
        try:
            text = source if isinstance(source, str) else source.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            return TokenError(f"the credentials' file {source} cannot be read: {reason}", retry_after=0.0)
        if not text:
            return TokenError(f"the credentials' file {source} is empty", retry_after=0.0)
        found.append(text)
    return _Credentials(*found)


class _Renewal(NamedTuple):
    """A token request under way, and whose it is."""

    task: asyncio.Task[str | AmiliError]
    exchange: TokenRequester


def _explained(error: Exception) -> TokenError:
    """Return the error of a token request as callers see it."""
    if isinstance(error, TokenError):
        return error
    explained = TokenError(f"asking for a token failed with {type(error).__name__}")
    explained.__cause__ = without_frames(error)
    return explained


class StaticToken:
    """One token, as given. A refused one cannot be replaced, so a 401 is final.

    Raises:
        ConfigurationError: it is empty or holds what no header can carry.
    """

    def __init__(self, token: str) -> None:
        if not sendable(token):
            raise ConfigurationError(
                "the token is empty or has characters that no header can carry, such as a line end"
            )
        self._token = token

    def __repr__(self) -> str:
        return "StaticToken(<hidden>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a StaticToken does not pickle or copy: the token would go with it")

    async def token(self, _exchange: TokenRequester, /) -> str:
        """Return the token."""
        return self._token

    def reject(self, token: str, /) -> None:
        """Do nothing: there is no other."""


class CallableToken:
    """Tokens from an async callable of the caller's, which is asked for each call and keeps them as it likes."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    async def token(self, _exchange: TokenRequester, /) -> str:
        """Return what the callable returns.

        Raises:
            TokenError: it raised, or returned what no header can carry.
        """
        try:
            token = await self._source()
        except TokenError:
            raise
        except Exception as error:  # noqa: BLE001  # a caller's own code may raise anything
            raise TokenError(f"the token callable failed with {type(error).__name__}") from own_cause(error)
        if not sendable(token):
            raise TokenError("the token callable returned no text that a header can carry")
        return token

    def reject(self, token: str, /) -> None:
        """Do nothing: the callable is asked again anyway."""


def provider_from_environment() -> TokenProvider:
    """Return the provider that the environment's variables name.

    Raises:
        ConfigurationError: they name none, or two say the same thing.
    """
    token = variable("AMILI_TOKEN")
    return ClientCredentials.from_env() if token is None else StaticToken(token)


def as_provider(auth: TokenProvider | str | tuple[str, str] | TokenSource) -> TokenProvider:
    """Return the provider for what a client was given: a provider, a token, id and secret, or an async callable.

    Raises:
        ConfigurationError: it is none of these.
    """
    if isinstance(auth, str):
        return StaticToken(auth)
    match auth:
        case (str(client_id), str(client_secret)):  # such as a sandbox's credentials
            return ClientCredentials(client_id, client_secret)
        case _:
            pass
    # A class has its instances' methods, and can be called: it would pass for a provider and fail at the first call.
    is_class = isinstance(auth, type)
    if isinstance(auth, TokenProvider) and not is_class:
        return auth
    if callable(auth) and not is_class:
        return CallableToken(auth)
    given = f"the class {auth!r}" if is_class else f"of type {type(auth).__name__}"
    raise ConfigurationError(
        f"auth is {given}; pass ClientCredentials(client_id, client_secret), a token as text, "
        "or an async callable that returns one"
    )
