from __future__ import annotations

import json
from typing import TYPE_CHECKING

import aiohttp
import pytest

from amili_async import AmiliClient, ClientCredentials, ForbiddenError
from amili_async.sandbox._access import AccessTokens, Credentials

if TYPE_CHECKING:
    from amili_async.sandbox import Sandbox
    from tests.support.raw_client import RawClient

FORM = "application/x-www-form-urlencoded"


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def access(clock: Clock, **members: object) -> AccessTokens:
    return AccessTokens(Credentials("id", "secret"), seed=1, lifetime=60, members=members, clock=clock)


RIGHT = b"grant_type=client_credentials&client_id=id&client_secret=secret"


def test_the_answer_is_the_documented_one() -> None:
    response = access(Clock()).exchange(FORM, RIGHT)
    answer = json.loads(response.body)
    token = answer.pop("access_token")
    assert token.startswith("sandbox-")
    assert response.status == 200
    assert answer == {
        "token_type": "Bearer",
        "not_before": 1_700_000_000,
        "expires_in": 60,
        "expires_on": 1_700_000_060,
        "resource": "04468334-ec11-4ef8-9e7c-e124bacbd5c1",
    }


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("application/json", RIGHT, 400, "invalid_request"),
        (FORM, b"grant_type=password&client_id=id&client_secret=secret", 400, "unsupported_grant_type"),
        (FORM, b"grant_type=client_credentials&client_id=id&client_secret=wrong", 401, "invalid_client"),
        (FORM, b"grant_type=client_credentials&client_id=id", 401, "invalid_client"),
        (FORM, b"", 400, "unsupported_grant_type"),
    ],
)
def test_other_requests_are_refused_as_oauth_says(content_type: str, body: bytes, status: int, code: str) -> None:
    response = access(Clock()).exchange(content_type, body)
    assert (response.status, json.loads(response.body)["error"]) == (status, code)


def test_a_token_is_accepted_until_it_expires_or_is_revoked() -> None:
    clock = Clock()
    tokens = access(clock)
    first, second = tokens.issue(), tokens.issue()
    assert first != second
    tokens.revoke(first)
    assert not tokens.accepts(first)
    assert tokens.accepts(second)
    clock.now += 60
    assert not tokens.accepts(second)
    third = tokens.issue()
    tokens.revoke()
    assert not tokens.accepts(third)
    assert not tokens.accepts("made up")


def test_members_of_the_answer_can_be_put_over_and_left_out() -> None:
    answer = json.loads(access(Clock(), expires_in="60", expires_on=None).exchange(FORM, RIGHT).body)
    assert answer["expires_in"] == "60"
    assert "expires_on" not in answer


def test_the_secret_is_in_no_repr() -> None:
    assert "secret" not in repr(Credentials("id", "hush")).replace("client_secret", "")


async def test_a_client_gets_in_with_a_token_of_the_endpoint_and_not_without(sandbox: Sandbox) -> None:
    client_id, client_secret = sandbox.credentials
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    url = f"{sandbox.base_url}/orgs/{sandbox.organization_ids[0]}/batches"
    async with aiohttp.ClientSession() as session:
        async with session.post(sandbox.token_url, data=form) as response:
            token = (await response.json())["access_token"]
            assert response.headers["Cache-Control"] == "no-store"
        async with session.get(url, headers={"Authorization": f"bearer {token}"}) as response:
            assert response.status == 200
        for refused in ({}, {"Authorization": "Bearer made-up"}, {"Authorization": f"Basic {token}"}):
            async with session.get(url, headers=refused) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"] == "Bearer"
        async with session.get(sandbox.token_url) as response:
            assert response.status == 405
    assert [request.authorization for request in sandbox.requests] == [None, "bearer", None, "Bearer", "Basic", None]
    assert sandbox.requests.count("token") == 2


async def test_autocollect_takes_basic_as_well(raw: RawClient, session: aiohttp.ClientSession) -> None:
    sandbox = raw.sandbox
    for credentials, status in ((sandbox.credentials, 200), (("id", "wrong"), 401)):
        headers = {"Authorization": aiohttp.encode_basic_auth(*credentials)}
        async with session.get(f"{sandbox.autocollect_url}/webapi/api/Ping", headers=headers) as response:
            assert response.status == status
    for nonsense in ("Basic %%%", "Basic /w=="):
        headers = {"Authorization": nonsense}
        async with session.get(f"{sandbox.autocollect_url}/webapi/api/Ping", headers=headers) as response:
            assert response.status == 401


async def test_a_revoked_token_is_refused_until_there_is_another(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:revoke,count=1")
    assert [(await raw.batches()).status for _ in range(2)] == [401, 401]
    raw.headers = {"Authorization": f"Bearer {raw.sandbox.issue_token()}"}
    assert (await raw.batches()).status == 200
    raw.sandbox.revoke_tokens()
    assert (await raw.batches()).status == 401


async def test_revoking_passes_over_requests_that_carry_no_token(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:revoke,count=1")
    async with raw.session.get(f"{raw.sandbox.base_url}/orgs/{raw.organization}/batches") as response:
        assert response.status == 401
    assert raw.sandbox.faults.pending


@pytest.mark.amili(organizations=3, batches=2)
async def test_credentials_of_one_creditor_reach_its_organizations_alone(amili_sandbox: Sandbox) -> None:
    mine, other, _ = amili_sandbox.organization_ids
    given = amili_sandbox.limited_credentials([mine])
    assert given != amili_sandbox.limited_credentials([other])
    auth = ClientCredentials(*given)
    async with AmiliClient(auth, base_url=amili_sandbox.base_url, token_url=amili_sandbox.token_url) as client:
        batches = await client.batches.list(mine).collect()
        assert len(batches) == 2
        assert (await client.batches.get_by_id(batches[0].batch_id)).batch_id == batches[0].batch_id
        with pytest.raises(ForbiddenError):
            await client.batches.list(other).collect()
