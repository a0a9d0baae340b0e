"""An error of what is given secrets: neither it nor its frames hold them, as reporters send local variables on."""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any

import pytest

from amili_async import AmiliClient, ClientCredentials, ConfigurationError
from amili_async.sync import ClientPool, SqlDeduplicationStore, SqlStore
from amili_async.webhooks import WebhookVerifier
from tests.support.reachable import leaks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = "a secret of many letters"
SECRETS = {"secret": SECRET}

MISTAKES: dict[str, Callable[[], object]] = {
    "a token with a line end": lambda: AmiliClient(f"{SECRET}\r"),
    "a token and another mistake": lambda: AmiliClient(SECRET, deadline=-1),
    "credentials as a pair": lambda: AmiliClient(("id", SECRET), environment="prod"),
    "credentials and no folder": lambda: ClientCredentials("id", SECRET, shared_cache="/nowhere/at/all/token"),
    "credentials without an id": lambda: ClientCredentials("", SECRET),
    "a secret with a line end": lambda: WebhookVerifier(f"{SECRET}\r"),
    "a verifier of no algorithm": lambda: WebhookVerifier([SECRET], algorithm="md5"),  # type: ignore[arg-type]  # a slip
    "a store of no kind": lambda: SqlStore(f"mysql://me:{SECRET}@host/db"),
    "a store with an option": lambda: SqlStore(f"postgresql://me:{SECRET}@host/db?x=1"),
    "a store for webhooks": lambda: SqlDeduplicationStore(f"mysql://me:{SECRET}@host/db"),
    "a pool with a slip": lambda: ClientPool({"one": f"{SECRET}\r"})["one"],
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_beside_a_secret_leaves_none_in_the_error(mistake: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        mistake()
    assert not leaks(caught.value, SECRETS)


@pytest.mark.parametrize("make", [AmiliClient.from_env, ClientCredentials.from_env])
def test_the_secret_of_the_environment_is_not_in_the_error_either(
    make: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMILI_CLIENT_SECRET", SECRET)
    with pytest.raises(ConfigurationError, match="AMILI_CLIENT_ID is not set") as caught:
        make()
    assert not leaks(caught.value, SECRETS)
    monkeypatch.setenv("AMILI_CLIENT_ID", os.fsdecode(b"\xe6"))
    with pytest.raises(ConfigurationError, match="client_id is no text") as caught:
        make()
    assert not leaks(caught.value, SECRETS)


def test_a_secret_in_a_file_is_not_in_the_error(tmp_path: Path) -> None:
    creditors = tmp_path / "creditors.toml"
    creditors.write_text(f'[north]\norganizations = ["one"]\nclient_secret = "{SECRET}"\n', "utf-8")
    (tmp_path / "secret").write_text(SECRET, "utf-8")
    with pytest.raises(ConfigurationError, match="a secret has no place in this file") as caught:
        ClientPool.from_file(creditors)
    assert not leaks(caught.value, SECRETS)
    with pytest.raises(ConfigurationError, match="cannot be read") as caught:
        ClientCredentials.from_files(client_secret=tmp_path / "secret", client_id=tmp_path / "none")
    assert not leaks(caught.value, SECRETS)


def test_what_is_redacted_says_what_it_takes_all_the_same() -> None:
    taken: Any = inspect.signature(AmiliClient)
    assert [*taken.parameters][:2] == ["auth", "environment"]
