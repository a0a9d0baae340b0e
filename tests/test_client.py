"""What a client takes, what it refuses by name, and what its copies share."""

from __future__ import annotations

import pydoc
import re
from importlib.metadata import PackageNotFoundError
from typing import Any

import msgspec
import pytest

import amili_async
from amili_async import AmiliClient, ClientCredentials, RetryPolicy, Timeout
from amili_async._client import ClientSettings
from amili_async.errors import (
    BadRequestError,
    ConfigurationError,
    DecodeError,
    InvalidArgumentError,
    OutcomeUnknownError,
    UnauthorizedError,
    UnconfirmedRouteWarning,
)
from amili_async.models import SucceededEntry
from amili_async.resources._base import Resource
from amili_async.sandbox import Fault, Sandbox

VARIABLES = (
    "AMILI_CLIENT_ID",
    "AMILI_CLIENT_SECRET",
    "AMILI_TOKEN",
    "AMILI_ENVIRONMENT",
    "AMILI_BASE_URL",
    "AMILI_TOKEN_URL",
    "AMILI_AUTOCOLLECT_URL",
)
CREDENTIALS = ClientCredentials("id", "secret")


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    return {"organizations": 1, "batches": 2, "entries": 1}


@pytest.fixture
def auth(sandbox: Sandbox) -> str:
    return sandbox.issue_token()


# -- settings


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"environment": "test"}, "environment must be one of production, staging"),
        ({"base_url": "http://api.example", "token_url": "https://a.example"}, "base_url must be https"),
        ({"token_url": "http://auth.example"}, "token_url must be https"),
        ({"autocollect_url": "nowhere"}, "autocollect_url must be an absolute https URL"),
        ({"base_url": "https://api.example"}, "base_url is given without token_url"),
        ({"deadline": 0}, "deadline must be a number of seconds above 0"),
        ({"timeout": -1}, "timeout must be a number of seconds above 0"),
        ({"retry": 3}, "retry must be a RetryPolicy"),
        ({"concurrency": 0}, "concurrency must be a whole number of at least 1"),
        ({"concurrency": 1.5}, "concurrency must be a whole number of at least 1"),
        ({"concurrency": None}, "concurrency must be a whole number of at least 1"),
        ({"max_response_bytes": 0}, "max_response_bytes must be a whole number of at least 1"),
        ({"max_response_bytes": None}, "max_response_bytes must be a whole number of at least 1"),
        ({"hooks": [object()]}, "hooks: object has no method of a hook"),
        ({"on_invalid": "ignore"}, 'on_invalid must be "raise", "skip" or a function'),
        ({"user_agent": "a\r\nX-Evil: 1"}, "user_agent: "),
        ({"trust_env": "false"}, "trust_env must be True or False, not 'false'"),
        ({"session": object()}, "session must be an aiohttp.ClientSession, not object"),
        ({"routes": {"cases.pauze": "/x"}}, "routes"),
    ],
)
def test_a_setting_that_cannot_be_right_is_refused_by_name(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AmiliClient(CREDENTIALS, **settings)
    assert str(caught.value).startswith(says)


def test_two_entry_types_of_one_tag_are_refused_while_the_client_is_made() -> None:
    class One(SucceededEntry, tag="paymentSuccess", frozen=True, kw_only=True):
        pass

    class Other(SucceededEntry, tag="paymentSuccess", frozen=True, kw_only=True):
        pass

    with pytest.raises(ConfigurationError, match="paymentSuccess"):
        AmiliClient("token", entry_types=[One, Other])


def test_a_static_token_needs_no_token_url_beside_its_base_url() -> None:
    AmiliClient("token", base_url="https://api.example")


@pytest.mark.parametrize("auth", [None, "", 7, ClientCredentials])
def test_no_auth_is_refused_and_says_what_to_pass(auth: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"auth is|token is empty"):
        AmiliClient(auth)


async def test_the_credentials_of_a_sandbox_are_taken_as_they_are(sandbox: Sandbox) -> None:
    async with AmiliClient(sandbox.credentials, base_url=sandbox.base_url, token_url=sandbox.token_url) as amili:
        await amili.authenticate()
    with pytest.raises(ConfigurationError, match="base_url is given without token_url"):
        AmiliClient(sandbox.credentials, base_url=sandbox.base_url)


def test_help_shows_every_resource_with_a_line_on_it(client: AmiliClient) -> None:
    shown = pydoc.plain(pydoc.render_doc(AmiliClient))
    line = re.compile(r"^ \|  (\w+) = <functools.cached_property object>\n \|      (\S.*)$", re.MULTILINE)
    described = dict(line.findall(shown))
    assert {*described} == {name for name in dir(client) if isinstance(getattr(client, name), Resource)}
    assert all(text.endswith(".") for text in described.values())


def test_a_resource_is_the_same_each_time_and_can_be_replaced(client: AmiliClient) -> None:
    assert client.batches is client.batches
    assert client.with_options(deadline=5).batches is not client.batches
    stand_in: Any = object()
    client.batches = stand_in
    assert client.batches is stand_in


def test_the_environment_names_the_servers() -> None:
    assert repr(AmiliClient("token")) == "AmiliClient(https://api.amili.no/collection/v1)"
    assert repr(AmiliClient("token", environment="staging")) == (
        "AmiliClient(https://api.staging.amili.no/collection/v1)"
    )


def test_the_defaults_of_a_client_are_those_of_its_options() -> None:
    options = AmiliClient("token").caller.options
    assert (options.deadline, options.timeout, options.retry) == (60.0, Timeout(30.0, 5.0), RetryPolicy(attempts=3))


# -- from_env


def test_from_env_takes_credentials_and_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMILI_CLIENT_ID", "id")
    monkeypatch.setenv("AMILI_CLIENT_SECRET", "secret")
    monkeypatch.setenv("AMILI_ENVIRONMENT", "staging")
    assert "staging" in repr(AmiliClient.from_env())
    monkeypatch.setenv("AMILI_BASE_URL", "https://api.example")
    monkeypatch.setenv("AMILI_TOKEN_URL", "https://auth.example/token")
    monkeypatch.setenv("AMILI_AUTOCOLLECT_URL", "https://old.example")
    client = AmiliClient.from_env()
    assert repr(client) == "AmiliClient(https://api.example)"
    assert client.caller.transport.endpoints.token_url == "https://auth.example/token"
    assert client.caller.transport.endpoints.autocollect_url == "https://old.example"


async def test_from_env_takes_a_token_and_keywords_go_before_variables(
    monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    monkeypatch.setenv("AMILI_TOKEN", sandbox.issue_token())
    monkeypatch.setenv("AMILI_BASE_URL", "https://api.example")
    async with AmiliClient.from_env(base_url=sandbox.base_url, deadline=9.0) as client:
        assert client.caller.options.deadline == 9.0
        await client.batches.list(sandbox.organization_ids[0]).collect()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "AMILI_CLIENT_ID and AMILI_CLIENT_SECRET are not set in the environment"),
        ({"AMILI_CLIENT_ID": "id"}, "AMILI_CLIENT_SECRET is not set in the environment"),
    ],
)
def test_from_env_says_by_name_what_is_missing(
    given: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        AmiliClient.from_env()
    assert str(caught.value).startswith(says)
    assert str(caught.value).endswith("set AMILI_CLIENT_ID and AMILI_CLIENT_SECRET, or AMILI_TOKEN")


@pytest.mark.parametrize("value", ["", "  ", "\n"])
@pytest.mark.parametrize(
    "name",
    [
        "AMILI_TOKEN",
        "AMILI_CLIENT_ID",
        "AMILI_CLIENT_SECRET",
        "AMILI_ENVIRONMENT",
        "AMILI_BASE_URL",
        "AMILI_TOKEN_URL",
        "AMILI_AUTOCOLLECT_URL",
        "AMILI_CA_BUNDLE",
        "AMILI_CLIENT_CERT",
        "AMILI_CLIENT_KEY",
    ],
)
def test_a_variable_that_is_set_and_empty_is_refused_by_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMILI_CLIENT_ID", "id")
    monkeypatch.setenv("AMILI_CLIENT_SECRET", "secret")
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"^{name} is set, and empty; give it a value or unset it"):
        AmiliClient.from_env()


def test_a_keyword_stands_in_for_a_variable_that_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMILI_TOKEN", "t-1")
    monkeypatch.setenv("AMILI_BASE_URL", "")
    assert "https://api.example" in repr(AmiliClient.from_env(base_url="https://api.example"))


@pytest.mark.parametrize("value", ["", " "])
@pytest.mark.parametrize("name", ["base_url", "token_url", "autocollect_url", "environment", "user_agent"])
def test_an_empty_setting_is_no_default(name: str, value: str) -> None:
    settings: Any = {name: value}
    with pytest.raises(ConfigurationError, match=f"^{name} "):
        AmiliClient("token", **settings)


@pytest.mark.parametrize("value", ["", " ", "\t", None, 7])
def test_an_empty_credential_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^client_id "):
        ClientCredentials(value, "secret")
    with pytest.raises(ConfigurationError, match=r"^client_secret "):
        ClientCredentials("id", value)
    with pytest.raises(ConfigurationError):
        AmiliClient(value)


def test_the_settings_are_the_keywords_of_the_client() -> None:
    parameters = list(amili_async.AmiliClient.__init__.__annotations__)
    assert [name for name in parameters if name not in {"auth", "return"}] == list(ClientSettings.__annotations__)


# -- copies


async def test_a_copy_has_its_own_options_and_shares_the_rest(client: AmiliClient, sandbox: Sandbox) -> None:
    copy = client.with_options(deadline=None, timeout=3.0, headers={"X-A": "1"})
    again = copy.with_options(headers={"X-B": "2"}, retry=RetryPolicy(attempts=1), on_invalid="skip")
    assert type(copy) is AmiliClient
    assert (copy.caller.options.deadline, copy.caller.options.timeout.total) == (None, 3.0)
    assert again.caller.options.headers == {"X-A": "1", "X-B": "2"}
    assert client.caller.options.headers == {}
    assert again.caller.transport is client.caller.transport
    await again.batches.list(sandbox.organization_ids[0]).collect()
    await client.batches.list(sandbox.organization_ids[0]).collect()
    sent = [(request.headers.get("x-a"), request.headers.get("x-b")) for request in sandbox.requests]
    assert sent == [("1", "2"), (None, None)]
    assert len({request.connection for request in sandbox.requests}) == 1


def test_a_copy_of_a_subclass_is_one_too() -> None:
    class Collector(AmiliClient):
        pass

    assert type(Collector("token").with_options(deadline=1.0)) is Collector


def test_an_option_that_cannot_be_right_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"^deadline must be"):
        AmiliClient("token").with_options(deadline=-1.0)


async def test_warnings_and_readers_are_shared_with_copies(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("*:status=400")
    with pytest.warns(UnconfirmedRouteWarning, match=r"status\.health"), pytest.raises(BadRequestError):
        await client.status.health()
    with pytest.raises(BadRequestError):
        await client.with_options(deadline=1.0).status.health()


# -- request


class Thing(msgspec.Struct):
    name: str


async def test_a_request_returns_the_body_or_the_data_as_a_type(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("unknown", status=200, body=b'{"data": {"name": "x"}}'))
    assert await client.request("GET", "/things/7") == b'{"data": {"name": "x"}}'
    assert await client.request("get", "/things/7", type=Thing) == Thing(name="x")
    with pytest.raises(DecodeError):
        await client.request("GET", "/things/7", type=int)
    assert [request.method for request in sandbox.requests] == ["GET"] * 3
    assert sandbox.requests.last().path == "/collection/v1/things/7"


async def test_a_request_sends_query_json_headers_and_key(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("unknown:status=204")
    sent = await client.request(
        "PUT", "/things/7?x=1", query={"y": "2"}, json={"a": [1]}, headers={"X-A": "1"}, idempotency_key="k"
    )
    assert sent == b""
    request = sandbox.requests.last()
    assert request.query == {"x": "1", "y": "2"}
    assert request.body == b'{"a":[1]}'
    assert request.headers["content-type"] == "application/json"
    assert (request.headers["x-a"], request.headers["idempotencykey"]) == ("1", "k")


async def test_bytes_are_sent_as_the_json_that_they_are(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("unknown:status=204")
    await client.request("POST", "/things", json=b'{"a":  1}')
    assert sandbox.requests.last().body == b'{"a":  1}'


@pytest.mark.parametrize("method", ["", "FETCH", "GET\r\nX: 1", "CONNECT", None])
async def test_a_method_that_is_none_is_refused(method: Any, client: AmiliClient) -> None:
    with pytest.raises(ConfigurationError, match=r"^method must be one of GET, POST"):
        await client.request(method, "/things")


async def test_json_that_cannot_be_written_is_refused_by_its_place_without_quoting_it(
    client: AmiliClient, sandbox: Sandbox
) -> None:
    endless: list[object] = []
    endless.append(endless)
    for value in ({"debtors": {"Kari Nordmann": object()}}, endless, {"a": "\ud800"}):
        with pytest.raises(InvalidArgumentError, match=r"^json(\.debtors\.…|\.a|\[0\]).* (is|holds) ") as caught:
            await client.request("POST", "/things", json=value)
        assert "Kari" not in str(caught.value)
    assert len(sandbox.requests) == 0


async def test_a_large_body_goes_out_whole(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("unknown:status=204")
    body = b'"' + b"x" * 300_000 + b'"'
    await client.request("POST", "/things", json=body)
    assert sandbox.requests.last().body == body


async def test_an_error_of_a_request_names_no_path(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("unknown:status=500")
    with pytest.raises(OutcomeUnknownError) as caught:
        await client.request("POST", "/debtors/Kari", idempotency_key="k-1")
    assert (caught.value.operation, caught.value.method) == ("request", "POST")
    assert "Kari" not in f"{caught.value} {caught.value.to_dict()}"


# -- the rest


async def test_a_refused_token_says_so(sandbox: Sandbox) -> None:
    async with AmiliClient("not-in-force", base_url=sandbox.base_url) as client:
        with pytest.raises(UnauthorizedError):
            await client.batches.list(sandbox.organization_ids[0]).collect()


async def test_the_user_agent_names_the_package(
    sandbox: Sandbox, client: AmiliClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.batches.list(sandbox.organization_ids[0]).collect()
    assert re.fullmatch(r"amili-async/\d+\.\d+\.\d+", sandbox.requests.last().headers["user-agent"])

    def not_installed(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", not_installed)
    monkeypatch.setattr("amili_async._client._own_agent", vars(amili_async._client)["_own_agent"].__wrapped__)
    async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, user_agent="erp") as copied:
        await copied.batches.list(sandbox.organization_ids[0]).collect()
    assert sandbox.requests.last().headers["user-agent"] == "erp amili-async"
