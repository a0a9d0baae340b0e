"""Tokens that several processes share, and credentials that change while a program runs."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from amili_async import AmiliClient, ClientCredentials, ConfigurationError, TokenError
from amili_async import _clock as clock_module
from amili_async._call import token_cache
from amili_async.sandbox import Sandbox
from tests.call.test_auth import HOUR, Endpoint, refused
from tests.support.virtual_time import run as run_on_virtual_time

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from amili_async.sandbox import VirtualClock


def run(main: Callable[[VirtualClock], Coroutine[None, None, None]]) -> None:
    """Run on a clock on which waiting takes no time."""

    async def inner(clock: VirtualClock) -> None:
        with clock_module.installed(clock):
            await main(clock)

    run_on_virtual_time(inner)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A folder of credentials, as Kubernetes mounts them."""
    (tmp_path / "id").write_text("client\n", "utf-8")
    (tmp_path / "secret").write_text("first\n", "utf-8")
    return tmp_path


def from_files(folder: Path) -> ClientCredentials:
    return ClientCredentials.from_files(client_id=folder / "id", client_secret=folder / "secret")


def test_two_that_share_a_file_ask_once_and_renew_once(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        endpoint = Endpoint(clock)
        pair = [ClientCredentials("id", "secret", shared_cache=tmp_path / "token") for _ in range(2)]
        for hours in range(3):
            tokens = {await credentials.token(endpoint) for credentials in pair}
            assert tokens == {f"t{hours + 1}"}
            await clock.sleep(HOUR - 10)
        assert len(endpoint.asked) == 3

    run(main)


def test_those_that_ask_at_once_wait_for_the_one_that_holds_the_lock(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        endpoint = Endpoint(clock, seconds=3)
        many = [ClientCredentials("id", "secret", shared_cache=tmp_path / "token") for _ in range(5)]
        assert {*await asyncio.gather(*(credentials.token(endpoint) for credentials in many))} == {"t1"}
        assert len(endpoint.asked) == 1

    run(main)


def test_one_that_hangs_with_the_lock_holds_nobody_up_for_long(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        hanging, endpoint = Endpoint(clock, seconds=1e6), Endpoint(clock)
        stuck = asyncio.create_task(ClientCredentials("id", "s", shared_cache=tmp_path / "token").token(hanging))
        await clock.sleep(1)
        begun = clock.monotonic()
        assert await ClientCredentials("id", "s", shared_cache=tmp_path / "token").token(endpoint) == "t1"
        assert clock.monotonic() - begun < token_cache.WAIT + 1
        stuck.cancel()

    run(main)


def test_a_token_that_the_api_refused_is_not_taken_from_the_file_again(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        endpoint = Endpoint(clock)
        one, other = (ClientCredentials("id", "secret", shared_cache=tmp_path / "token") for _ in range(2))
        assert await one.token(endpoint) == await other.token(endpoint) == "t1"
        one.reject("t1")
        assert await one.token(endpoint) == "t2"
        other.reject("t1")
        assert await other.token(endpoint) == "t2"
        assert len(endpoint.asked) == 2

    run(main)


def test_the_file_is_its_owners_alone_and_another_ids_is_refused(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        endpoint = Endpoint(clock)
        path = tmp_path / "token"
        await ClientCredentials("id", "secret", shared_cache=path).token(endpoint)
        assert [file.stat().st_mode & 0o777 for file in tmp_path.iterdir()] == [0o600] * 2
        assert "t1" not in repr(token_cache.TokenCache(path).read("id", clock.time()))
        with pytest.raises(ConfigurationError, match="belongs to another client id"):
            await ClientCredentials("other", "secret", shared_cache=path).token(endpoint)

    run(main)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"text": 1}'])
def test_a_file_that_makes_no_sense_is_written_anew(content: bytes, tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        (tmp_path / "token").write_bytes(content)
        endpoint = Endpoint(clock)
        for _ in range(2):
            assert await ClientCredentials("id", "secret", shared_cache=tmp_path / "token").token(endpoint) == "t1"

    run(main)


def planted_file(path: Path, elsewhere: Path) -> None:
    path.write_bytes(elsewhere.read_bytes())
    path.chmod(0o666)


def planted_link(path: Path, elsewhere: Path) -> None:
    path.symlink_to(elsewhere)


def planted_pipe(path: Path, elsewhere: Path) -> None:
    assert elsewhere.exists()
    os.mkfifo(path)


@pytest.mark.parametrize("plant", [planted_file, planted_link, planted_pipe])
def test_what_another_user_put_in_the_folder_is_not_taken_for_ours(
    plant: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    async def main(clock: VirtualClock) -> None:
        theirs = tmp_path / "theirs"
        await ClientCredentials("id", "secret", shared_cache=theirs).token(Endpoint(clock))
        folder = tmp_path / "shared"
        folder.mkdir()
        plant(folder / "token", theirs)
        endpoint = Endpoint(clock, first=7)
        assert await ClientCredentials("id", "secret", shared_cache=folder / "token").token(endpoint) == "t7"
        assert (folder / "token").stat().st_mode & 0o777 == 0o600
        assert not (folder / "token").is_symlink()
        assert await ClientCredentials("id", "secret", shared_cache=folder / "token").token(endpoint) == "t7"
        assert b"t7" not in theirs.read_bytes()

    run(main)


def test_a_token_is_written_into_no_file_whose_name_can_be_told_before(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        for name in (f"token.{os.getpid()}", "token.lock"):
            (tmp_path / name).symlink_to(tmp_path / f"victim of {name}")
        await ClientCredentials("id", "secret", shared_cache=tmp_path / "token").token(Endpoint(clock))
        assert not [*tmp_path.glob("victim of *")]

    run(main)


def test_a_file_and_a_lock_of_another_user_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(clock: VirtualClock) -> None:
        await ClientCredentials("id", "secret", shared_cache=tmp_path / "token").token(Endpoint(clock))
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        endpoint = Endpoint(clock, first=7)
        assert await ClientCredentials("id", "secret", shared_cache=tmp_path / "token").token(endpoint) == "t7"
        assert b"t7" not in (tmp_path / "token").read_bytes()

    run(main)


def test_a_failure_is_not_shared_and_a_folder_that_goes_away_ends_nothing(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        folder = tmp_path / "run"
        folder.mkdir()
        endpoint = Endpoint(clock)
        credentials = ClientCredentials("id", "secret", shared_cache=folder / "token")
        endpoint.failure = refused(503)
        with pytest.raises(TokenError):
            await credentials.token(endpoint)
        assert not (folder / "token").exists()
        (folder / "token.lock").unlink()
        folder.rmdir()
        endpoint.failure = None
        await clock.sleep(100)
        assert await credentials.token(endpoint) == "t2"

    run(main)


def test_a_folder_that_is_not_there_is_refused_when_the_credentials_are_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no folder"):
        ClientCredentials("id", "secret", shared_cache=tmp_path / "nowhere" / "token")


def test_a_secret_that_changes_is_taken_up_at_the_next_token(secret: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        endpoint = Endpoint(clock)
        credentials = from_files(secret)
        await credentials.token(endpoint)
        (secret / "secret").write_text("second", "utf-8")
        await clock.sleep(HOUR)
        await credentials.token(endpoint)
        assert [form["client_secret"] for form in endpoint.forms] == ["first", "second"]

    run(main)


def test_after_a_refusal_a_changed_secret_is_tried_at_once_and_the_same_is_not(secret: Path) -> None:
    async def main(clock: VirtualClock) -> None:
        endpoint = Endpoint(clock)
        credentials = from_files(secret)
        endpoint.failure = refused(401)
        for _ in range(5):
            with pytest.raises(TokenError):
                await credentials.token(endpoint)
        assert len(endpoint.asked) == 1
        (secret / "secret").write_text("second", "utf-8")
        endpoint.failure = None
        assert await credentials.token(endpoint) == "t2"
        assert endpoint.forms[-1]["client_secret"] == "second"

    run(main)


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b" \n", "is empty"), (b"\xff", "no text")])
def test_a_secret_that_is_gone_for_the_moment_is_asked_for_again(
    content: bytes | None, said: str, secret: Path
) -> None:
    async def main(clock: VirtualClock) -> None:
        endpoint = Endpoint(clock)
        credentials = from_files(secret)
        file = secret / "secret"
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(TokenError, match=said) as caught:
            await credentials.token(endpoint)
        assert caught.value.retry_after is not None
        with pytest.raises(ConfigurationError, match=said):
            from_files(secret)
        file.write_text("second", "utf-8")
        assert await credentials.token(endpoint) == "t1"

    run(main)


async def test_files_may_stand_in_the_environment(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox(organizations=1, batches=1) as sandbox:
        for name, value in zip(("id", "secret"), sandbox.credentials, strict=True):
            (secret / name).write_text(value, "utf-8")
            monkeypatch.setenv(f"AMILI_CLIENT_{name.upper()}_FILE", str(secret / name))
        monkeypatch.setenv("AMILI_BASE_URL", sandbox.base_url)
        monkeypatch.setenv("AMILI_TOKEN_URL", sandbox.token_url)
        async with AmiliClient.from_env() as amili:
            await amili.authenticate()
        assert sandbox.requests.count("token") == 1


def test_one_may_be_a_variable_and_the_other_a_file(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(clock: VirtualClock) -> None:
        endpoint = Endpoint(clock)
        monkeypatch.setenv("AMILI_CLIENT_ID", "id in a variable")
        monkeypatch.setenv("AMILI_CLIENT_SECRET_FILE", str(secret / "secret"))
        credentials = ClientCredentials.from_env()
        await credentials.token(endpoint)
        (secret / "secret").write_text("second", "utf-8")
        await clock.sleep(HOUR)
        await credentials.token(endpoint)
        assert {form["client_id"] for form in endpoint.forms} == {"id in a variable"}
        assert [form["client_secret"] for form in endpoint.forms] == ["first", "second"]

    run(main)


@pytest.mark.parametrize("name", ["AMILI_CLIENT_ID", "AMILI_CLIENT_SECRET"])
def test_a_secret_that_is_there_in_two_ways_is_refused(
    name: str, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMILI_CLIENT_ID", "id")
    monkeypatch.setenv("AMILI_CLIENT_SECRET", "of an earlier deployment")
    monkeypatch.setenv(f"{name}_FILE", str(secret / "secret"))
    with pytest.raises(ConfigurationError, match=f"^{name} and {name}_FILE are both set; unset the one") as caught:
        AmiliClient.from_env()
    assert "deployment" not in str(caught.value)


@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_what_is_no_text_is_refused_before_it_is_encoded(name: str) -> None:
    given = {"client_id": "id", "client_secret": "secret", name: os.fsdecode(b"bl\xe5b\xe6r")}
    with pytest.raises(ConfigurationError, match=f"^{name} is no text in UTF-8") as caught:
        ClientCredentials(**given)
    assert "udce5" not in repr(caught.value)


def test_credentials_show_their_id_and_never_the_secret(secret: Path) -> None:
    credentials = from_files(secret)
    assert repr(credentials) == "ClientCredentials('client')"
    assert "first" not in repr(vars(credentials))
