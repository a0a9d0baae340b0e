"""Where a client sends to, what it trusts there, and the proxy on the way."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from amili_async._http.endpoints import ENVIRONMENTS, Endpoints, Proxy, check_url, environment, is_loopback
from amili_async._protocol.requests import Call
from amili_async._routes import ROUTES, Route
from amili_async.errors import ConfigurationError


def servers(**changes: Any) -> Endpoints:
    settings: dict[str, Any] = {
        "base_url": "https://api.example/collection/v1",
        "token_url": "https://auth.example/token",
        "autocollect_url": None,
        "trust_env": False,
    }
    return Endpoints(**{**settings, **changes})


def call(target: str, *, operation: str = "batches.list", root: str | None = None) -> Call:
    path, _, query = target.partition("?")
    return Call(route=ROUTES[operation], path=path, query=query, method="GET", root=root)


def test_the_environments_are_those_of_the_documentation() -> None:
    assert environment("production").base_url == "https://api.amili.no/collection/v1"
    assert environment("production").token_url == "https://auth.amili.no/token"
    assert environment("staging").base_url == "https://api.staging.amili.no/collection/v1"
    assert environment("staging").token_url == "https://auth.staging.amili.no/token"
    assert set(ENVIRONMENTS) == {"production", "staging"}
    with pytest.raises(ConfigurationError, match=r"^environment must be one of production, staging, not 'test'"):
        environment("test")


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://api.example/collection/v1/", "https://api.example/collection/v1"),
        ("https://api.example:8443", "https://api.example:8443"),
        ("http://127.0.0.1:80/x", "http://127.0.0.1:80/x"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://amili.localhost", "http://amili.localhost"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
    ],
)
def test_a_root_is_https_or_loopback(url: str, root: str) -> None:
    assert check_url(url, "base_url") == root


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://api.example", "must be https: http to api.example would send the token in the clear"),
        ("http://127.evil.example", "must be https"),
        ("http://127.0.0.1.evil.example", "must be https"),
        ("http://localhost.evil.example", "must be https"),
        ("http://10.0.0.1", "must be https"),
        ("http://[::2]", "must be https"),
        ("ftp://api.example", "must be an absolute https URL"),
        ("api.example/v1", "must be an absolute https URL"),
        ("https://", "must be an absolute https URL"),
        ("", "is empty; leave it out for the environment's own"),
        ("  ", "is empty"),
        ("https://api.example\n", "must hold no blanks and no line ends"),
        (" https://api.example", "must hold no blanks and no line ends"),
        ("https://api.exa\u202emple", "must hold no blanks and no line ends"),
        ("https://a..example", "is not a URL"),
        ("https://" + "a" * 64 + ".example", "is not a URL"),
        ("https://api.example:0", "must be an absolute https URL"),
        ("https://me:secret@api.example", "must hold no credentials"),
        ("https://api.example?x=1", "must hold no credentials, query or fragment"),
        ("https://api.example#x", "must hold no credentials, query or fragment"),
        ("https://api.example:port", "is not a URL"),
        ("https://[::1", "is not a URL"),
        (None, "must be text, not NoneType"),
        (b"https://api.example", "must be text, not bytes"),
    ],
)
@pytest.mark.parametrize("name", ["base_url", "token_url", "autocollect_url"])
def test_any_other_root_is_refused_by_name_and_without_its_secrets(url: Any, why: str, name: str) -> None:
    if name == "autocollect_url" and url is None:
        return
    with pytest.raises(ConfigurationError) as caught:
        servers(**{name: url})
    assert str(caught.value).startswith(f"{name} {why}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.0.9", "::1", "localhost", "a.localhost"])
def test_this_machines_own_names_are_loopback(host: str) -> None:
    assert is_loopback(host)


def test_a_call_goes_below_the_root_of_its_server() -> None:
    roots = servers(autocollect_url="https://old.example/auto/")
    assert roots.url(call("/orgs/a%2Fb/batches?PageToken=x%26y%3F")) == URL(
        "https://api.example/collection/v1/orgs/a%2Fb/batches?PageToken=x%26y%3F", encoded=True
    )
    assert str(roots.url(call("/webapi/api/Ping", operation="autocollect.ping"))) == (
        "https://old.example/auto/webapi/api/Ping"
    )
    elsewhere = roots.url(call("/%2e%2e?x=1", root="https://other.example"))
    assert str(elsewhere) == "https://other.example/%2e%2e?x=1"


def test_the_port_and_brackets_of_a_root_stay() -> None:
    assert str(servers(base_url="http://[::1]:8080/v1").url(call("/x"))) == "http://[::1]:8080/v1/x"


def test_without_an_autocollect_url_its_calls_say_what_is_missing() -> None:
    with pytest.raises(ConfigurationError, match=r"^autocollect_url is not set"):
        servers().url(call("/webapi/api/Ping", operation="autocollect.ping"))


def test_the_token_is_for_the_clients_own_origins() -> None:
    roots = servers(autocollect_url="https://old.example")
    assert roots.trusted(call("/orgs"))
    assert roots.trusted(call("/elsewhere", root="https://api.example"))
    assert roots.trusted(call("/x", root="https://OLD.example:443"))
    for other in ("https://auth.example", "https://api.example:8443", "http://api.example", "https://x"):
        assert not roots.trusted(call("/token", root=other))


def test_a_route_of_request_goes_below_the_api_root() -> None:
    free = Call(route=Route("request", "GET", "{path}", mark="U"), path="/x", method="GET")
    assert str(servers().url(free)) == "https://api.example/collection/v1/x"


# -- proxies


@pytest.mark.parametrize(
    ("setting", "proxy"),
    [
        ("http://proxy.example:3128", Proxy("http://proxy.example:3128")),
        ("proxy.example:3128", Proxy("http://proxy.example:3128")),
        (
            "http://me:s%40crit@proxy.example:3128",
            Proxy("http://proxy.example:3128", {"Proxy-Authorization": "Basic bWU6c0Bjcml0"}),
        ),
        ("http://me@proxy.example", Proxy("http://proxy.example", {"Proxy-Authorization": "Basic bWU6"})),
    ],
)
def test_the_environments_proxy_is_taken_apart(setting: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", setting)
    found = servers(trust_env=True).proxy(URL("https://api.example/x"))
    assert found == proxy
    assert "crit" not in repr(found)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("http://me:hidden@proxy.example:99999", "is no URL such as"),
        ("http://me:hidden@proxy.example:port", "is no URL such as"),
        ("http://me:hidden@proxy.example:0", "is no URL such as"),
        ("http://me:hid#den@proxy.example:3128", "is no URL such as"),
        ("http://me:hid/den@proxy.example:3128", "is no URL such as"),
        ("http://me:hid?den@proxy.example:3128", "is no URL such as"),
        ("http://me:1#hidden@proxy.example:3128", "is no URL such as"),
        ("http://me:1/hidden@proxy.example:3128", "is no URL such as"),
        ("http://me:1?hidden@proxy.example:3128", "is no URL such as"),
        ("http://[::1", "is no URL such as"),
        ("http://", "is no URL such as"),
        ("http://a..example:3128", "is no URL such as"),
        ("ftp://me:hidden@proxy.example", "is no URL such as"),
        ("socks5://me:hidden@proxy.example:1080", "names a SOCKS proxy"),
        ("socks5h://proxy.example:1080", "names a SOCKS proxy"),
        ("SOCKS4://proxy.example:1080", "names a SOCKS proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_when_the_client_is_made_and_not_quoted(
    setting: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", setting)
    with pytest.raises(ConfigurationError, match=rf"^HTTPS_PROXY {says}") as caught:
        servers(trust_env=True)
    assert "hid" not in str(caught.value)
    assert "me:" not in str(caught.value)
    servers(trust_env=False)
    monkeypatch.setenv("NO_PROXY", "*")
    servers(trust_env=True)


def test_a_proxy_for_a_scheme_that_is_not_spoken_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks5://proxy.example:1080")
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy.example:1080")
    assert servers(trust_env=True).proxy(URL("https://api.example")) is None


def test_a_proxy_is_looked_up_once_for_each_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://one.example")
    monkeypatch.setenv("NO_PROXY", "auth.example")
    roots = servers(trust_env=True)
    assert roots.proxy(URL("https://api.example/x")) == Proxy("http://one.example")
    assert roots.proxy(URL("https://auth.example/token")) is None
    assert roots.proxy(URL("http://127.0.0.1/x")) is None
    monkeypatch.setenv("HTTPS_PROXY", "http://two.example")
    monkeypatch.delenv("NO_PROXY")
    assert roots.proxy(URL("https://api.example/y")) == Proxy("http://one.example")
    assert roots.proxy(URL("https://auth.example/token")) is None
    assert roots.proxy(URL("https://new.example/x")) == Proxy("http://two.example")


def test_without_trust_the_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    assert servers(trust_env=False).proxy(URL("https://api.example")) is None
