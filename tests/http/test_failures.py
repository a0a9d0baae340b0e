"""What aiohttp raises, in words, with whether the request went out and whether another try can help."""

from __future__ import annotations

import errno
import socket
import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from amili_async._http.failures import place, wire_error

URL_ASKED = URL("https://api.example/collection/v1/orgs?PageToken=hidden-query", encoded=True)
KEY: Any = ConnectionKey(
    "api.example", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
)
PROXY: Any = KEY._replace(host="proxy.example", port=3128)
HEADERS = CIMultiDictProxy(CIMultiDict({"Authorization": "Bearer hidden-token"}))
REQUEST: Any = SimpleNamespace(headers=HEADERS, real_url=URL_ASKED, url=URL_ASKED, method="GET")

OWN_CA = "a CA of your own is given as ssl= or AMILI_CA_BUNDLE"


def system(number: int) -> OSError:
    return OSError(number, "Connect call failed ('10.0.0.1', 443)")


def untrusted(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {message}")
    error.verify_code, error.verify_message = code, message
    return error


def tls(reason: str | None) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason  # type: ignore[assignment]  # OpenSSL leaves it out at times
    return error


NEVER = {"sent": False, "hopeless": False}
HOPELESS = {"sent": False, "hopeless": True}
SENT = {"sent": True, "hopeless": False}


@pytest.mark.parametrize(
    ("problem", "reason", "means"),
    [
        (aiohttp.ConnectionTimeoutError("x"), "no connection to api.example:443 within 5 s", NEVER),
        (
            aiohttp.ClientConnectorError(KEY, system(errno.ECONNREFUSED)),
            "no connection to api.example:443: Connection refused",
            NEVER,
        ),
        (
            aiohttp.ClientConnectorError(KEY, OSError("Multiple exceptions")),
            "no connection to api.example:443: OSError",
            NEVER,
        ),
        (
            aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "Name or service not known")),
            "the address of api.example cannot be found: Name or service not known",
            NEVER,
        ),
        (
            aiohttp.ClientConnectorDNSError(KEY, OSError(None, "DNS lookup failed")),
            "the address of api.example cannot be found: OSError",
            NEVER,
        ),
        (
            aiohttp.ClientProxyConnectionError(PROXY, system(errno.ECONNREFUSED)),
            "no connection to the proxy proxy.example:3128: Connection refused",
            NEVER,
        ),
        (
            aiohttp.ClientConnectorCertificateError(KEY, untrusted(10, "certificate has expired")),
            "the certificate of api.example:443 is not trusted: certificate has expired",
            HOPELESS,
        ),
        (
            aiohttp.ClientConnectorCertificateError(KEY, untrusted(20, "none")),
            f"the certificate of api.example:443 is not trusted: none; {OWN_CA}",
            HOPELESS,
        ),
        (
            aiohttp.ClientConnectorSSLError(KEY, tls("WRONG_VERSION_NUMBER")),
            "api.example:443 does not speak TLS: is it the port of plain http?",
            HOPELESS,
        ),
        (
            aiohttp.ClientConnectorSSLError(KEY, tls("SSLV3_ALERT_HANDSHAKE_FAILURE")),
            "no TLS with api.example:443: sslv3 alert handshake failure",
            HOPELESS,
        ),
        (
            aiohttp.ClientConnectorSSLError(KEY, tls("UNEXPECTED_EOF_WHILE_READING")),
            "no TLS with api.example:443: unexpected eof while reading",
            NEVER,
        ),
        (aiohttp.ClientConnectorSSLError(KEY, tls(None)), "no TLS with api.example:443: SSLError", NEVER),
        (
            aiohttp.ServerFingerprintMismatch(b"a", b"b", "api.example", 443),
            "the certificate of api.example:443 is not the one that was pinned",
            HOPELESS,
        ),
        (
            aiohttp.InvalidURL("https://me:hidden-password@[oops"),
            "the address api.example:443 cannot be requested (InvalidURL)",
            HOPELESS,
        ),
        (UnicodeError("label too long"), "the address api.example:443 cannot be requested (UnicodeError)", HOPELESS),
        (
            aiohttp.NonHttpUrlClientError("ftp://x"),
            "the address api.example:443 cannot be requested (NonHttpUrlClientError)",
            HOPELESS,
        ),
        (
            aiohttp.ClientOSError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required"),
            "api.example:443 refused the TLS handshake: certificate required",
            HOPELESS,
        ),
        (aiohttp.ClientOSError(errno.ECONNRESET, "x"), "api.example:443: Connection reset by peer", SENT),
        (aiohttp.ClientOSError(), "api.example:443: ClientOSError", SENT),
        (aiohttp.ServerDisconnectedError(), "api.example:443: the connection was closed", SENT),
        (aiohttp.ClientPayloadError("hidden-body"), "api.example:443: the body was cut short", SENT),
        (
            aiohttp.ClientResponseError(REQUEST, (), status=400, message="hidden-body", headers=HEADERS),
            "api.example:443: what came is no HTTP",
            SENT,
        ),
        (aiohttp.SocketTimeoutError(), "api.example:443: SocketTimeoutError", SENT),
        (aiohttp.ClientConnectionError("Connector is closed."), "api.example:443: ClientConnectionError", SENT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_failure_says_what_it_was_and_keeps_nothing_of_the_request(
    problem: Exception, reason: str, means: dict[str, bool]
) -> None:
    error = wire_error(problem, URL_ASKED, proxy=None, connect=5.0)
    assert error.reason == reason
    assert {"sent": error.sent, "hopeless": error.hopeless} == means
    cause = error.cause
    assert cause is not problem
    assert (cause.__traceback__, cause.__cause__, cause.__context__) == (None, None, None)
    assert "hidden" not in f"{error!r} {cause!r} {cause} {vars(cause)} {cause.args}"
    assert isinstance(cause, OSError | aiohttp.ClientError)


@pytest.mark.parametrize(
    ("status", "says", "hopeless"),
    [
        (407, "407: it asks for a user and password, or refuses those it was given", True),
        (403, "403", True),
        (429, "429", False),
        (503, "503", False),
    ],
)
def test_a_proxy_that_gives_no_tunnel_is_named_with_its_status(status: int, says: str, *, hopeless: bool) -> None:
    problem = aiohttp.ClientHttpProxyError(REQUEST, (), status=status, message="hidden", headers=HEADERS)
    error = wire_error(problem, URL_ASKED, proxy="proxy.example:3128", connect=5.0)
    assert error.reason == f"the proxy proxy.example:3128 answered {says}"
    assert (error.sent, error.hopeless) == (False, hopeless)
    assert repr(error.cause) == "ClientError('ClientHttpProxyError')"
    unnamed = wire_error(problem, URL_ASKED, proxy=None, connect=5.0)
    assert unnamed.reason == f"the proxy of the session answered {says}"


def test_the_way_through_a_proxy_is_said() -> None:
    error = wire_error(aiohttp.ServerDisconnectedError(), URL_ASKED, proxy="proxy.example:3128", connect=5.0)
    assert error.reason == "api.example:443 through the proxy proxy.example:3128: the connection was closed"


def test_a_cause_keeps_what_the_system_said() -> None:
    refused = wire_error(
        aiohttp.ClientConnectorError(KEY, system(errno.ECONNREFUSED)), URL_ASKED, proxy=None, connect=5.0
    )
    assert isinstance(refused.cause, ConnectionRefusedError)
    expired = wire_error(
        aiohttp.ClientConnectorCertificateError(KEY, untrusted(10, "expired")), URL_ASKED, proxy=None, connect=5.0
    )
    assert isinstance(expired.cause, ssl.SSLCertVerificationError)
    assert "expired" in str(expired.cause)


def test_a_place_reads_as_one_writes_it() -> None:
    assert [place("::1", 443), place("a.no", None), place(None, None)] == ["[::1]:443", "a.no", "?"]
