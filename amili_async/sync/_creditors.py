"""A file of creditors: who reads which organizations, and where the secrets for that are; the file itself has none."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import msgspec

from amili_async._call.auth import ClientCredentials
from amili_async._environment import variable
from amili_async.errors import ConfigurationError
from amili_async.models._extra import given_twice

if TYPE_CHECKING:
    from pathlib import Path

_COMMENT = re.compile(r"(?:^|\s)#.*")
"""What is no id in a line: a # that stands inside an id belongs to it."""


class _Creditor(msgspec.Struct, forbid_unknown_fields=True):
    organizations: list[str] = []
    organizations_file: str | None = None
    client_id: str | None = None
    client_id_env: str | None = None
    client_id_file: str | None = None
    client_secret_env: str | None = None
    client_secret_file: str | None = None
    token_cache: str | None = None


def read_creditors(path: Path) -> dict[str, ClientCredentials]:
    """Return the credentials of each organization in a file; those of one creditor are one object.

    Raises:
        ConfigurationError: it cannot be read, or something in it cannot be right; no value of it is in the message.
    """
    try:
        text = path.read_text("utf-8")
        read_text = _json(text) if path.suffix == ".json" else tomllib.loads(text)
        tables = msgspec.convert(read_text, dict[str, object])
    except OSError as error:
        raise ConfigurationError(f"creditors {path} cannot be read: {error.strerror}") from None
    except UnicodeError:
        raise ConfigurationError(f"creditors {path} is no text in UTF-8") from None
    except msgspec.ValidationError:
        raise ConfigurationError(f"creditors {path} is no object of creditors") from None
    except (ValueError, RecursionError) as error:
        # Both readers say a line and what they expected there; neither quotes.
        raise ConfigurationError(f"creditors {path} is no {path.suffix[1:].upper() or 'TOML'}: {error}") from None
    if not tables:
        raise ConfigurationError(f"creditors {path} has no creditor; write a table such as [north] for each")
    found: dict[str, ClientCredentials] = {}
    for name, table in tables.items():
        creditor = f"creditors {path}, {name}"
        if isinstance(table, dict) and "client_secret" in table:
            raise ConfigurationError(
                f"{creditor}: a secret has no place in this file; name where it is with client_secret_file or "
                "client_secret_env"
            )
        try:
            read = msgspec.convert(table, _Creditor)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"{creditor}: {error}") from None
        credentials = _credentials(read, creditor, path.parent)
        for organization_id in _organizations(read, creditor, path.parent):
            if organization_id in found:
                raise ConfigurationError(f"{creditor}: organization {organization_id} is another creditor's too")
            found[organization_id] = credentials
    return found


def _json(text: str) -> object:
    twice = given_twice(text)
    if twice is not None:
        # As TOML's reader has it too: the first one's organizations would never be read.
        raise ValueError(f"{twice} is there twice")
    return msgspec.json.decode(text)


def _credentials(read: _Creditor, creditor: str, folder: Path) -> ClientCredentials:
    ids = (read.client_id, read.client_id_env, read.client_id_file)
    secrets = (read.client_secret_env, read.client_secret_file)
    if len([one for one in ids if one is not None]) != 1:
        raise ConfigurationError(f"{creditor}: give one of client_id, client_id_env and client_id_file")
    if len([one for one in secrets if one is not None]) != 1:
        raise ConfigurationError(f"{creditor}: give one of client_secret_env and client_secret_file")
    cache = None if read.token_cache is None else folder / read.token_cache
    try:
        named = read.client_id
        client_id = _source(read.client_id_env, read.client_id_file, folder) if named is None else named
        client_secret = _source(read.client_secret_env, read.client_secret_file, folder)
        return ClientCredentials(client_id, client_secret, shared_cache=cache)
    except ConfigurationError as error:
        raise ConfigurationError(f"{creditor}: {error.message}") from None


def _source(name: str | None, file: str | None, folder: Path) -> str | Path:
    """Return what a variable of the environment holds, or the file to read anew for each token."""
    if file is not None:
        return folder / file
    value = variable(name or "")
    if value is None:
        raise ConfigurationError(f"the variable {name} is not set")
    return value


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise ConfigurationError(f"{file} cannot be read: {reason}") from None


def _organizations(read: _Creditor, creditor: str, folder: Path) -> list[str]:
    """Return a creditor's organizations, each once, in their order."""
    ids = read.organizations
    if read.organizations_file is not None:
        try:
            ids = [*ids, *ids_in(_text(folder / read.organizations_file))]
        except ConfigurationError as error:
            raise ConfigurationError(f"{creditor}: {error.message}") from None
    if not ids or not all(one.strip() for one in ids):
        raise ConfigurationError(f"{creditor}: name its organizations, by id, in organizations or organizations_file")
    return list(dict.fromkeys(ids))


def ids_in(text: str) -> list[str]:
    """Return the ids of a text with one a line; ``#`` after a blank begins a comment."""
    lines = (_COMMENT.sub("", line).strip() for line in text.removeprefix("\ufeff").splitlines())
    return [line for line in lines if line]
