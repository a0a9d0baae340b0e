"""Where Amili's servers are, which of them a user may name instead, and the proxy on the way there."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec
from yarl import URL

from amili_async._protocol import requests as protocol
from amili_async.errors import ConfigurationError

PRODUCTION = "production"


class Environment(msgspec.Struct, frozen=True):
    """Where one of Amili's environments is (D: example-workflow-359631m0)."""

    base_url: str
    token_url: str


ENVIRONMENTS: dict[str, Environment] = {
    PRODUCTION: Environment("https://api.amili.no/collection/v1", "https://auth.amili.no/token"),
    "staging": Environment("https://api.staging.amili.no/collection/v1", "https://auth.staging.amili.no/token"),
}


def check_url(url: str, name: str) -> str:
    """Return a server's root without a trailing slash.

    Raises:
        ConfigurationError: it is no absolute URL, holds credentials or a query, or is http to a host that is not
            loopback, which would send the token in the clear.
    """
    if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError(f"{name} must be text, not {type(url).__name__}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{name} is not a URL; it should look like https://api.amili.no/…") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigurationError(f"{name} must be an absolute https URL, such as https://api.amili.no/collection/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError(f"{name} must hold no credentials, query or fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(f"{name} must be https: http to {host} would send the token in the clear")
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Return whether a host name is this machine's own."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Proxy(msgspec.Struct, frozen=True):
    """A forward proxy: its URL without credentials, and the header that carries them."""

    url: str
    headers: dict[str, str] | None = None

    def __repr__(self) -> str:
        return "Proxy(...)"

    @property
    def place(self) -> str:
        """Where it is, as ``host:port``."""
        return urlsplit(self.url).netloc


def proxy_from_environment(url: str) -> Proxy | None:
    """Return the proxy that ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` name for a server, if any."""
    parts = urlsplit(url)
    address = getproxies().get(parts.scheme)
    if not address or proxy_bypass(parts.netloc):
        return None
    proxy = urlsplit(address if "://" in address else f"http://{address}")
    if not proxy.username:
        return Proxy(urlunsplit(proxy))
    credentials = aiohttp.encode_basic_auth(unquote(proxy.username), unquote(proxy.password or ""))
    bare = proxy._replace(netloc=proxy.netloc.rpartition("@")[2])
    return Proxy(urlunsplit(bare), {"Proxy-Authorization": credentials})


def environment(name: str) -> Environment:
    """Return where an environment is.

    Raises:
        ConfigurationError: there is none of this name.
    """
    if name not in ENVIRONMENTS:
        raise ConfigurationError(f"environment must be one of {', '.join(ENVIRONMENTS)}, not {name!r}")
    return ENVIRONMENTS[name]


class Endpoints:
    """The roots that one client sends to, and what may go there: the token to its own servers only."""

    def __init__(self, *, base_url: str, token_url: str, autocollect_url: str | None, trust_env: bool) -> None:
        self.base_url = check_url(base_url, "base_url")
        self.token_url = check_url(token_url, "token_url")
        self.autocollect_url = None if autocollect_url is None else check_url(autocollect_url, "autocollect_url")
        self._roots = {"api": URL(self.base_url), "autocollect": URL(self.autocollect_url or "")}
        self._trusted = {protocol.origin(url) for url in (self.base_url, self.autocollect_url) if url}
        # The environment is read once: a job's environment does not change, and reading it for every request costs more
        # than the request's own preparation.
        self._proxies: dict[tuple[str, str], Proxy | None] | None = {} if trust_env else None

    def url(self, call: protocol.Call) -> URL:
        """Return the absolute URL of a call.

        Raises:
            ConfigurationError: it is one of AutoCollect's, and no ``autocollect_url`` was given.
        """
        if call.absolute:
            return URL(call.target, encoded=True)
        root = self._roots[call.route.server]
        if not root.raw_authority:
            raise ConfigurationError(
                "autocollect_url is not set: AutoCollect's address is not documented, "
                "so pass AmiliClient(autocollect_url=...) as Amili gave it to you"
            )
        path, _, query = call.target.partition("?")
        # Put together from parts that are known, since taking a whole URL apart is what costs most about one.
        return URL.build(
            scheme=root.scheme,
            authority=root.raw_authority,
            path=root.raw_path.rstrip("/") + path,
            query_string=query,
            encoded=True,
        )

    def trusted(self, call: protocol.Call) -> bool:
        """Return whether the bearer token may go where this call goes."""
        return not call.absolute or protocol.origin(call.target) in self._trusted

    def proxy(self, url: URL) -> Proxy | None:
        """Return the proxy on the way to a URL."""
        if self._proxies is None:
            return None
        place = (url.scheme, url.raw_authority)
        if place not in self._proxies:
            self._proxies[place] = proxy_from_environment(str(url))
        return self._proxies[place]
