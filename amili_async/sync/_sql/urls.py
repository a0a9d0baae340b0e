"""Which database a URL names, and how it is to be reached: libpq's options, by their own names, or refused by name."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from amili_async.errors import ConfigurationError

if TYPE_CHECKING:
    from amili_async.sync._sql.database import Database

EXAMPLES = "sqlite:///amili.db for a file, postgresql://user@host/database for a server"

_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
"""What sslmode may say, the weakest first."""

_FILES = frozenset({"sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile"})
_PASSED_ON = _FILES | {
    *("sslpassword", "sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version"),
    *("user", "password", "dbname", "target_session_attrs", "krbsrvname", "gsslib"),
}
"""What asyncpg reads out of a URL itself, in libpq's way."""

_SETTINGS = {"application_name": "application_name", "fallback_application_name": "application_name"} | {
    "options": "options"
}
"""What is sent to the server, as it is or under another name."""

_HARMLESS = {
    "channel_binding": frozenset({"disable", "prefer"}),
    "gssencmode": frozenset({"disable", "prefer"}),
    "client_encoding": frozenset({"utf8", "utf-8", "unicode", "auto"}),
    "sslcompression": frozenset({"0"}),
}
"""Options that ask for no more than what is done anyway, as long as they have one of these values."""

_SWITCHES = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}


class Reach(NamedTuple):
    """How a PostgreSQL server is reached."""

    url: URL
    """Without options."""
    arguments: Mapping[str, object]
    """Keywords of asyncpg's ``connect``."""
    pgbouncer: bool
    """Whether a connection may be another server's from one transaction to the next."""


def database(url: str | Path, *, patience: float) -> Database:
    """Return the database that a URL or a file's path names, not yet connected.

    It waits ``patience`` seconds for a lock or a restart.

    Raises:
        ConfigurationError: the URL names no database that is known here, or has an option that is not.
    """
    parsed = parsed_url(url)
    if parsed.get_backend_name() == "sqlite":
        from amili_async.sync._sql.sqlite import SQLite  # noqa: PLC0415  # whoever uses the other need not have its driver

        return SQLite(parsed, patience)
    from amili_async.sync._sql.postgresql import PostgreSQL  # noqa: PLC0415  # the same

    server = reach(parsed, os.environ)
    return PostgreSQL(server.url, server.arguments, pgbouncer=server.pgbouncer, patience=patience)


def parsed_url(url: str | Path) -> URL:
    """Return a store's URL in its parts.

    Raises:
        ConfigurationError: it names no database that is known here.
    """
    if isinstance(url, Path):
        return _of_file(sa.URL.create("sqlite", database=str(url)))
    if not isinstance(url, str) or "://" not in url:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError(f"the store's URL must look like one of these: {EXAMPLES}; or give a pathlib.Path")
    # "postgres" is what many providers write, and SQLAlchemy no longer knows it.
    text = url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url
    try:
        parsed = sa.make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            f"the store's URL cannot be read; it must look like one of these: {EXAMPLES}"
        ) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _of_file(parsed)
    if backend != "postgresql":
        raise ConfigurationError(f"the store's URL names {backend!r}, which no store here knows; known are {EXAMPLES}")
    return parsed


def _of_file(url: URL) -> URL:
    if url.host:
        raise ConfigurationError(
            f"sqlite://{url.host} names a host, and SQLite has none: a file is sqlite:///{url.host}, three slashes"
        )
    if url.query:
        _refuse(next(iter(url.query)), "a SQLite file takes no options")
    if url.database == "":
        raise ConfigurationError("the store's URL names no file: write sqlite:///amili.db")
    return url


def reach(url: URL, environment: Mapping[str, str]) -> Reach:
    """Return how to reach the server that a URL names.

    Raises:
        ConfigurationError: an option that is not known, or asks for what cannot be done, by its name.
    """
    passed: dict[str, str] = {}
    settings: dict[str, str] = {}
    arguments: dict[str, object] = {}
    pgbouncer = False
    hosts = url.query.get("host", ())
    for name, given in url.query.items():
        if name in {"host", "port"}:
            continue
        value = given if isinstance(given, str) else given[-1]
        if name in {"sslmode", "ssl"}:
            if value not in _MODES:
                raise ConfigurationError(f"sslmode={value} in the store's URL is none of {', '.join(_MODES)}")
            arguments["ssl"] = value
        elif name == "connect_timeout":
            arguments["timeout"] = _seconds(value)
        elif name == "pgbouncer":
            pgbouncer = _switch(name, value)
        elif name in _SETTINGS:
            settings.setdefault(_SETTINGS[name], value)
        elif name in _HARMLESS:
            if value.lower() not in _HARMLESS[name]:
                _refuse(name, f"{value} cannot be had here")
        elif name in _PASSED_ON:
            passed[name] = _file(name, value) if name in _FILES else value
        else:
            _refuse(name, "it is not known here")
    settings.setdefault("application_name", "amili-async")
    everywhere = [*([url.host] if url.host else []), *((hosts,) if isinstance(hosts, str) else hosts)]
    if not everywhere and environment.get("PGHOST"):
        everywhere = environment["PGHOST"].split(",")
    if "ssl" not in arguments and not all(map(_here, everywhere)):
        mode = environment.get("PGSSLMODE")
        arguments["ssl"] = mode if mode in _MODES[_MODES.index("require") :] else "require"
    if passed.get("sslrootcert") == "system":
        del passed["sslrootcert"]
        arguments["ssl"] = ssl.create_default_context()
    bare = url.difference_update_query([name for name in url.query if name not in {"host", "port"}])
    arguments |= {"dsn": f"postgresql://?{urlencode(passed)}" if passed else None, "server_settings": settings}
    return Reach(bare.set(drivername="postgresql+asyncpg"), arguments, pgbouncer)


def _here(host: str) -> bool:
    """Return whether a host is this machine: a socket's folder, or loopback."""
    name = host.rpartition(":")[0] if host.count(":") == 1 else host
    if not name or name.startswith("/") or name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _seconds(value: str) -> float:
    if not value.isdecimal():
        _refuse("connect_timeout", f"{value} is no number of seconds")
    return float(value) or float(60)


def _switch(name: str, value: str) -> bool:
    if value.lower() not in _SWITCHES:
        _refuse(name, f"{value} is neither true nor false")
    return _SWITCHES[value.lower()]


def _file(name: str, value: str) -> str:
    if value != "system" and not Path(value).expanduser().is_file():
        _refuse(name, f"there is no file {value}")
    return value if value == "system" else str(Path(value).expanduser())


def _refuse(name: str, why: str) -> NoReturn:
    raise ConfigurationError(f"the option {name} in the store's URL: {why}")
