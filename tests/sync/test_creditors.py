"""A file of creditors: which client reads whom, where the secrets are, and one line for whatever is wrong in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from amili_async import ConfigurationError
from amili_async.sync import ClientPool
from amili_async.sync._creditors import ids_in, read_creditors
from tests.support.documents import blocks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from amili_async.sandbox import Sandbox

SECRET = "canary-secret"  # what no message may hold


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what files of creditors name."""
    monkeypatch.setenv("NORTH_SECRET", SECRET)
    monkeypatch.setenv("EMPTY", " ")
    (tmp_path / "id").write_text("the id\n", "utf-8")
    (tmp_path / "secret").write_text(f"{SECRET}\n", "utf-8")
    (tmp_path / "north.txt").write_text("three\n# comment\nfour # the fourth\n", "utf-8")
    return tmp_path


def written(folder: Path, text: str, name: str = "creditors.toml") -> Path:
    file = folder / name
    file.write_text(text, "utf-8")
    return file


NORTH = '[north]\norganizations = ["one", "two", "one"]\nclient_id = "n"\nclient_secret_env = "NORTH_SECRET"\n'


def test_each_organization_has_its_creditors_credentials(folder: Path) -> None:
    south = '[south]\norganizations_file = "north.txt"\nclient_id_file = "id"\nclient_secret_file = "secret"\n'
    found = read_creditors(written(folder, NORTH + south))

    assert list(found) == ["one", "two", "three", "four"]
    assert found["one"] is found["two"] is not found["three"]
    assert [repr(found[name]) for name in ("one", "four")] == ["ClientCredentials('n')", "ClientCredentials('the id')"]


def test_the_file_that_the_page_shows_is_one(folder: Path) -> None:
    [shown] = (block.code for block in blocks("toml") if block.code.startswith("# creditors.toml"))
    for name in ("south-id", "south-secret", "south.txt"):
        (folder / name).write_text("x", "utf-8")
    text = shown.replace("/run/secrets/", "").replace("/run/amili/", "")
    assert list(read_creditors(written(folder, text))) == ["7bc05553-4b68-44e8-b7bc-37be63c6d9e9", "x"]


def test_it_may_be_json(folder: Path) -> None:
    north = {"organizations": ["one"], "client_id": "n", "client_secret_file": "secret", "token_cache": "token"}
    found = read_creditors(written(folder, json.dumps({"north": north}), "creditors.json"))
    assert repr(found["one"]) == "ClientCredentials('n')"


@pytest.mark.parametrize("client_id", ['client_id = "n"', 'client_id_file = "id"'])
async def test_a_secret_in_a_file_is_read_anew_for_each_token_wherever_the_id_stands(
    client_id: str, folder: Path
) -> None:
    north = f'[north]\norganizations = ["one"]\n{client_id}\nclient_secret_file = "secret"\n'
    credentials = read_creditors(written(folder, north))["one"]
    secrets: list[str] = []

    async def exchange(form: Mapping[str, str], /) -> bytes:
        secrets.append(form["client_secret"])
        return json.dumps({"access_token": f"t{len(secrets)}", "expires_in": 3600}).encode()

    credentials.reject(await credentials.token(exchange))
    (folder / "secret").write_text("changed", "utf-8")
    await credentials.token(exchange)
    assert secrets == [SECRET, "changed"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"has no creditor; write a table such as \[north\]"),
        ("[north\n", "is no TOML: .*line 1"),
        ("north = 7", "north: Expected `object`, got `int`"),
        ("[north]\norganisations = []", "north: Object contains unknown field `organisations`"),
        ("[north]\norganizations = [7]", r"north: Expected `str`, got `int` - at `\$.organizations\[0\]`"),
        (f'[north]\nclient_secret = "{SECRET}"', "north: a secret has no place in this file; name where it is"),
        ('[north]\norganizations = ["one"]', "north: give one of client_id, client_id_env and client_id_file"),
        (
            '[north]\norganizations = ["one"]\nclient_id = "n"\nclient_id_env = "N"',
            "north: give one of client_id, client_id_env and client_id_file",
        ),
        (
            '[north]\norganizations = ["one"]\nclient_id = "n"',
            "north: give one of client_secret_env and client_secret_file",
        ),
        (NORTH.replace("NORTH_SECRET", "NO_SUCH"), "north: the variable NO_SUCH is not set"),
        (NORTH.replace("NORTH_SECRET", "EMPTY"), "north: EMPTY is set, and empty"),
        (NORTH.replace('client_secret_env = "NORTH_SECRET"', 'client_secret_file = "x"'), "x cannot be read: No such"),
        (NORTH.replace('client_id = "n"', 'client_id = ""'), "north: client_id must be text that is not empty"),
        (NORTH.replace('client_id = "n"', 'client_id = " "'), "north: client_id must be text that is not empty"),
        (NORTH.replace('["one", "two", "one"]', "[]"), "north: name its organizations, by id"),
        (NORTH.replace('"two"', '" "'), "north: name its organizations, by id"),
        (NORTH + 'organizations_file = "no.txt"', r"north: .*no\.txt cannot be read: No such file"),
        (NORTH + NORTH.replace("[north]", "[south]"), "south: organization one is another creditor's too"),
        (NORTH + 'token_cache = "nowhere/token"', "north: shared_cache: there is no folder"),
        (
            '[north]\norganizations = ["one"]\nclient_id_file = "id"\nclient_secret_file = "no"',
            "north: the credentials' file .*no cannot be read",
        ),
    ],
)
def test_a_mistake_names_the_creditor_and_what_is_wrong_and_no_secret(folder: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as raised:
        read_creditors(written(folder, text))
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_one_line(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_creditors(folder / "none.toml")
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        read_creditors(folder)
    (folder / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="is no text in UTF-8"):
        read_creditors(folder / "binary.toml")
    (folder / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="binary cannot be read: it is no text in UTF-8"):
        read_creditors(written(folder, NORTH + 'organizations_file = "binary"'))
    with pytest.raises(ConfigurationError, match="is no object of creditors"):
        read_creditors(written(folder, "[]", "list.json"))
    with pytest.raises(ConfigurationError, match="is no JSON: "):
        read_creditors(written(folder, "[" * 100_000, "creditors.json"))
    # The first one's organizations would never be read, and nobody would notice.
    north = json.dumps({"organizations": ["one"], "client_id": "n", "client_secret_file": "secret"})
    with pytest.raises(ConfigurationError, match="is no JSON: north is there twice"):
        read_creditors(written(folder, f'{{"north": {north}, "north": {north}}}', "creditors.json"))


def test_ids_stand_one_a_line_with_comments() -> None:
    assert ids_in("\ufeffone#1\n\n  two # second\n#three\n") == ["one#1", "two"]


@pytest.mark.amili(organizations=2, batches=3)
async def test_a_pool_from_a_file_reaches_the_servers_that_the_environment_names(
    folder: Path, amili_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = amili_sandbox.organization_ids
    given = amili_sandbox.limited_credentials([first])
    monkeypatch.setenv("NORTH_SECRET", given.client_secret)
    monkeypatch.setenv("AMILI_BASE_URL", amili_sandbox.base_url)
    monkeypatch.setenv("AMILI_TOKEN_URL", amili_sandbox.token_url)
    text = NORTH.replace('"n"', f'"{given.client_id}"').replace('"one", "two", "one"', f'"{first}", "{second}"')
    file = written(folder, text)

    async with ClientPool.from_file(file, deadline=5.0) as clients:
        assert list(clients) == [first, second]
        assert len(await clients[first].batches.list(first).collect()) == 3
    async with ClientPool.from_file(file, [second]) as clients:
        assert list(clients) == [second]
    with pytest.raises(ConfigurationError, match=r"creditors\.toml names no credentials for elsewhere"):
        ClientPool.from_file(file, [first, "elsewhere"])
