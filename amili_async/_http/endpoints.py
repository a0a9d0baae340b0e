"""Where Amili's servers are, which of them a user may name instead, and the proxy on the way there."""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit
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
    if not url.strip():
        raise ConfigurationError(f"{name} is empty; leave it out for the environment's own")
    if " " in url or not url.isprintable():
        raise ConfigurationError(f"{name} must hold no blanks and no line ends")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        _check_host(host)
        URL(url)
    except ValueError:
        raise ConfigurationError(f"{name} is not a URL; it should look like https://api.amili.no/…") from None
    if parts.scheme not in {"http", "https"} or not host or port == 0:
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
    """Return the proxy that ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` name for a server, if any.

    Raises:
        ConfigurationError: what they name is no http or https proxy. The message quotes none of it: it may hold a
            password.
    """
    parts = urlsplit(url)
    address = getproxies().get(parts.scheme)
    if not address or proxy_bypass(parts.netloc):
        return None
    variable = f"{parts.scheme.upper()}_PROXY"
    if address.lower().startswith("socks"):
        raise ConfigurationError(f"{variable} names a SOCKS proxy, which is not supported: name an http or https one")
    proxy = _split_proxy(address)
    if proxy is None:
        raise ConfigurationError(
            f"{variable} is no URL such as http://user:password@proxy.example:3128; "
            "in user and password # is written %23, / %2F, ? %3F, @ %40 and : %3A"
        )
    bare = f"{proxy.scheme}://{proxy.netloc.rpartition('@')[2]}"
    if not proxy.username:
        return Proxy(bare)
    credentials = aiohttp.encode_basic_auth(unquote(proxy.username), unquote(proxy.password or ""))
    return Proxy(bare, {"Proxy-Authorization": credentials})


def _split_proxy(address: str) -> SplitResult | None:
    """Return the parts of a proxy's URL; ``None`` where it is none."""
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        _check_host(parts.hostname)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        return None
    # What stands behind the port is the rest of a password with a character that ended it.
    return parts if usable and parts.path in {"", "/"} and not parts.query and not parts.fragment else None


def _check_host(host: str | None) -> None:
    """Refuse a name that cannot be looked up, as the lookup itself would do much later.

    Raises:
        ValueError: a label is empty, too long, or of characters that no name may have.
    """
    if host is not None:
        host.encode("idna")


def environment(name: str) -> Environment:
    """Return where an environment is.

    Raises:
        ConfigurationError: there is none of this name.
    """
    if name not in ENVIRONMENTS:
        raise ConfigurationError(f"environment must be one of {', '.join(ENVIRONMENTS)}, not {name!r}")
    return ENVIRONMENTS[name]


class Unproxied(NamedTuple):
    """A server that is reached without a proxy."""

    root: URL
    prefix: str
    """What the paths of its calls begin with."""


class Endpoints:
    """The roots that one client sends to, and what may go there: the token to its own servers only."""

    def __init__(self, *, base_url: str, token_url: str, autocollect_url: str | None, trust_env: bool) -> None:
        self.base_url: str = check_url(base_url, "base_url")
        self.token_url: str = check_url(token_url, "token_url")
        self.autocollect_url: str | None = (
            None if autocollect_url is None else check_url(autocollect_url, "autocollect_url")
        )
        self._roots = {"api": URL(self.base_url), "autocollect": URL(self.autocollect_url or "")}
        self._trusted = {protocol.origin(url) for url in (self.base_url, self.autocollect_url) if url}
        # The environment is read once: a job's environment does not change, and reading it for every request costs more
        # than the request's own preparation.
        self._proxies: dict[tuple[str, str], Proxy | None] | None = {} if trust_env else None
        self._unproxied: dict[str, Unproxied | None] = {}
        for url in (self.base_url, self.token_url, self.autocollect_url):
            if url is not None:
                self.proxy(URL(url))  # one that cannot be used is refused now, not by the first call

    def url(self, call: protocol.Call) -> URL:
        """Return the absolute URL of a call.

        Raises:
            ConfigurationError: it is one of AutoCollect's, and no ``autocollect_url`` was given.
        """
        root = self._roots[call.route.server] if call.root is None else URL(call.root)
        if not root.raw_authority:
            raise ConfigurationError(
                "autocollect_url is not set: AutoCollect's address is not documented, "
                "so pass AmiliClient(autocollect_url=...) as Amili gave it to you"
            )
        # Put together from parts that are known, since taking a whole URL apart is what costs most about one.
        return URL.build(
            scheme=root.scheme,
            authority=root.raw_authority,
            path=root.raw_path.rstrip("/") + call.path,
            query_string=call.query,
            encoded=True,
        )

    def unproxied(self, call: protocol.Call) -> Unproxied | None:
        """Return where a call to one of the client's own servers goes; ``None`` for one that takes another way."""
        server = call.route.server
        if call.root is not None:
            return None
        if server not in self._unproxied:
            root = self._roots[server]
            through = not root.raw_authority or self.proxy(root) is not None
            self._unproxied[server] = None if through else Unproxied(root, root.raw_path.rstrip("/"))
        return self._unproxied[server]

    def trusted(self, call: protocol.Call) -> bool:
        """Return whether the bearer token may go where this call goes."""
        return call.root is None or protocol.origin(call.root) in self._trusted

    def proxy(self, url: URL) -> Proxy | None:
        """Return the proxy on the way to a URL."""
        if self._proxies is None:
            return None
        place = (url.scheme, url.raw_authority)
        if place not in self._proxies:
            self._proxies[place] = proxy_from_environment(str(url))
        return self._proxies[place]
