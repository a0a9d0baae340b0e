"""What aiohttp raises, in words: whether the request went out, whether another try can help, and a bare cause.

aiohttp's own errors hold the request with all of its headers, or the live connection; none of them leaves this room.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import aiohttp

from amili_async._protocol.outcomes import WireError

if TYPE_CHECKING:
    from yarl import URL

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG"})
"""OpenSSL's words for an answer that is no TLS at all."""

_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})
"""OpenSSL's numbers for a certificate that nobody known has signed."""

_REFUSED_HANDSHAKE = (
    "ACCESS_DENIED",
    "BAD_CERTIFICATE",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REQUIRED",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_UNKNOWN",
    "HANDSHAKE_FAILURE",
    "INSUFFICIENT_SECURITY",
    "PROTOCOL_VERSION",
    "UNKNOWN_CA",
    "UNRECOGNIZED_NAME",
    "UNSUPPORTED_CERTIFICATE",
    "UNSUPPORTED_PROTOCOL",
)
"""How a TLS alert's name ends that the same handshake would meet again."""

_PROXY_MAY_RECOVER = frozenset({408, 429})


def wire_error(problem: Exception, url: URL, *, proxy: str | None, connect: float) -> WireError:
    """Return what an error below HTTP means for a request to a URL, sent through a proxy or directly."""
    server = place(url.raw_host, url.port)
    through = f"{server} through the proxy {proxy}" if proxy else server
    cause = plain_cause(problem)

    def unsent(reason: str, hopeless: bool = False) -> WireError:  # noqa: FBT001, FBT002  # handed on as a pair
        return WireError(reason, cause, sent=False, hopeless=hopeless)

    if isinstance(problem, aiohttp.ConnectionTimeoutError):
        return unsent(f"no connection to {through} within {connect:g} s")
    if isinstance(problem, aiohttp.ClientHttpProxyError):
        return unsent(
            f"the proxy {proxy or 'of the session'} answered {proxy_status(problem.status)}",
            hopeless=problem.status < 500 and problem.status not in _PROXY_MAY_RECOVER,  # noqa: PLR2004  # 5xx pass
        )
    if isinstance(problem, aiohttp.ServerFingerprintMismatch):
        return unsent(f"the certificate of {server} is not the one that was pinned", hopeless=True)
    if isinstance(problem, aiohttp.ClientConnectorError):
        # Where it is: the proxy's own address while that one is connected to, the server's behind it.
        where, error = place(problem.host, problem.port), problem.os_error
        if isinstance(error, ssl.SSLCertVerificationError):
            return unsent(_untrusted(error, where), hopeless=True)
        if isinstance(error, ssl.SSLError):
            return unsent(*_no_tls(error, where))
        if isinstance(problem, aiohttp.ClientProxyConnectionError):
            return unsent(f"no connection to the proxy {where}: {_reason(error)}")
        if isinstance(problem, aiohttp.ClientConnectorDNSError):
            return unsent(f"the address of {problem.host} cannot be found: {_reason(error)}")
        return unsent(f"no connection to {through}: {_reason(error)}")
    if isinstance(problem, ValueError | aiohttp.NonHttpUrlClientError):
        return unsent(f"the address {server} cannot be requested ({type(problem).__name__})", hopeless=True)
    if isinstance(problem, OSError) and (alert := _alert(problem)):
        return unsent(f"{server} refused the TLS handshake: {alert}", hopeless=True)
    return WireError(f"{through}: {_broke(problem)}", cause, sent=True)


def place(host: str | None, port: int | None) -> str:
    """Return where something is, as ``host:port``."""
    name = f"[{host}]" if host and ":" in host else host or "?"
    return f"{name}:{port}" if port else name


def proxy_status(status: int) -> str:
    """Return what a proxy means by a status."""
    return "407: it asks for a user and password, or refuses those it was given" if status == 407 else str(status)  # noqa: PLR2004  # a status reads best as its number


def _untrusted(error: ssl.SSLCertVerificationError, where: str) -> str:
    hint = "; a CA of your own is given as ssl= or AMILI_CA_BUNDLE" if error.verify_code in _UNKNOWN_ISSUER else ""
    return f"the certificate of {where} is not trusted: {error.verify_message}{hint}"


def _no_tls(error: ssl.SSLError, where: str) -> tuple[str, bool]:
    """Return why there is no TLS, and whether it stays so."""
    name: str = error.reason or ""
    if name in _NO_TLS:
        return f"{where} does not speak TLS: is it the port of plain http?", True
    return f"no TLS with {where}: {_words(name) or type(error).__name__}", name.endswith(_REFUSED_HANDSHAKE)


def _alert(problem: OSError) -> str | None:
    """Return the alert with which a server ended TLS 1.3 after the handshake had been taken for done."""
    found = next((name for name in _REFUSED_HANDSHAKE if f"ALERT_{name}]" in str(problem.strerror)), None)
    return None if found is None else _words(found)


def _words(name: str) -> str:
    return name.replace("_", " ").lower()


def _reason(error: OSError) -> str:
    """Return the system's words for an error: those of the error itself quote addresses."""
    if isinstance(error, ssl.SSLError) or error.errno is None:
        return type(error).__name__
    # Resolvers count from -1 downwards, in numbers of their own.
    return (error.strerror or type(error).__name__) if error.errno < 0 else os.strerror(error.errno)


def _broke(problem: Exception) -> str:
    """Return how an exchange ended that had begun."""
    if isinstance(problem, aiohttp.ServerDisconnectedError):
        return "the connection was closed"
    if isinstance(problem, aiohttp.ClientPayloadError):
        return "the body was cut short"
    if isinstance(problem, aiohttp.ClientResponseError):
        return "what came is no HTTP"
    if isinstance(problem, OSError) and problem.errno:
        return _reason(problem)
    return type(problem).__name__


def own_cause(problem: Exception) -> Exception:
    """Return what a caller's own code raised, or a stand-in where it is aiohttp's and holds what was sent."""
    return plain_cause(problem) if isinstance(problem, aiohttp.ClientError) else problem


def plain_cause(problem: Exception) -> Exception:
    """Return an error's stand-in that is of plain values: the system's own error, or a name of what aiohttp raised."""
    system = problem.os_error if isinstance(problem, aiohttp.ClientConnectorError) else problem
    if isinstance(system, ssl.SSLCertVerificationError):
        return ssl.SSLCertVerificationError(system.errno, system.strerror)
    if isinstance(system, ssl.SSLError):
        return ssl.SSLError(system.errno, system.strerror)
    if isinstance(system, TimeoutError):
        return TimeoutError(type(problem).__name__)
    if isinstance(system, OSError) and system.errno is not None:
        return OSError(system.errno, system.strerror)
    return aiohttp.ClientError(type(problem).__name__)
