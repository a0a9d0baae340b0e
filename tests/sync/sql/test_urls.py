"""How a database is reached: libpq's options by their own names, TLS off this machine, and slips refused by name."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from amili_async.errors import ConfigurationError
from amili_async.sync._sql.urls import parsed_url, reach

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from amili_async.sync._sql.urls import Reach

NOTHING: dict[str, str] = {}


def reached(url: str, environment: Mapping[str, str] = NOTHING) -> Reach:
    return reach(parsed_url(url), environment)


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://user@db.example.com/name", "require"),
        ("postgresql://user@10.0.0.7/name", "require"),
        ("postgresql://user@/name?host=db.example.com:5433", "require"),
        ("postgresql://user@/name?host=127.0.0.1:5433&host=db.example.com:5433", "require"),
        ("postgresql://user@db.example.com/name?sslmode=disable", "disable"),
        ("postgresql://user@db.example.com/name?sslmode=verify-full", "verify-full"),
        ("postgresql://user@db.example.com/name?ssl=prefer", "prefer"),
        ("postgresql://user@localhost/name", None),
        ("postgresql://user@127.0.0.1/name", None),
        ("postgresql://user@[::1]/name", None),
        ("postgresql://user@/name", None),
        ("postgresql://user@/name?host=/var/run/postgresql", None),
        ("postgresql://user@localhost/name?sslmode=require", "require"),
    ],
)
def test_other_machines_are_reached_over_tls_unless_the_url_says_otherwise(url: str, mode: str | None) -> None:
    assert reached(url).arguments.get("ssl") == mode


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({"PGSSLMODE": "verify-full"}, "verify-full"),
        ({"PGSSLMODE": "prefer"}, "require"),
        ({"PGSSLMODE": "disable"}, "require"),
    ],
)
def test_the_environment_can_ask_for_more_and_not_for_less(environment: dict[str, str], mode: str) -> None:
    assert reached("postgresql://user@db.example.com/name", environment).arguments["ssl"] == mode


def test_a_host_of_the_environment_counts_as_one_of_the_url() -> None:
    assert reached("postgresql:///name", {"PGHOST": "localhost,db.example.com"}).arguments["ssl"] == "require"
    assert "ssl" not in reached("postgresql:///name", {"PGHOST": "localhost"}).arguments


def test_options_as_providers_print_them_are_passed_on_in_the_drivers_words(tmp_path: Path) -> None:
    root = tmp_path / "root.crt"
    root.touch()
    found = reached(
        "postgresql://user@db.example.com/name?sslmode=verify-full&application_name=billing&connect_timeout=10"
        f"&options=-c%20statement_timeout%3D5s&channel_binding=prefer&client_encoding=UTF8&sslrootcert={root}"
        "&target_session_attrs=read-write"
    )

    assert found.arguments["timeout"] == 10.0
    assert found.arguments["server_settings"] == {"application_name": "billing", "options": "-c statement_timeout=5s"}
    assert str(found.arguments["dsn"]).startswith("postgresql://?")
    assert "sslrootcert=" in str(found.arguments["dsn"])
    assert "target_session_attrs=read-write" in str(found.arguments["dsn"])
    assert dict(found.url.query) == {}
    assert not found.pgbouncer


def test_a_store_says_who_it_is_and_the_fallback_name_is_one_of_its_names() -> None:
    def name(options: str) -> object:
        return reached(f"postgresql://user@localhost/name{options}").arguments["server_settings"]

    assert name("") == {"application_name": "amili-async"}
    assert name("?fallback_application_name=fly") == {"application_name": "fly"}


def test_the_systems_certificates_can_be_asked_for() -> None:
    context = reached("postgresql://user@db.example.com/name?sslmode=verify-full&sslrootcert=system").arguments["ssl"]

    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(("value", "told"), [("true", True), ("1", True), ("off", False)])
def test_a_pooler_is_told_of_by_one_option(value: str, told: bool) -> None:  # noqa: FBT001  # a parameter of the test
    assert reached(f"postgresql://user@localhost/name?pgbouncer={value}").pgbouncer is told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("sslmode=maybe", "sslmode=maybe in the store's URL is none of disable, allow, prefer, require"),
        ("channel_binding=require", "the option channel_binding in the store's URL: require cannot be had here"),
        ("gssencmode=require", "the option gssencmode in the store's URL: require cannot be had here"),
        ("client_encoding=LATIN1", "the option client_encoding in the store's URL: LATIN1 cannot be had here"),
        ("keepalives=1", "the option keepalives in the store's URL: it is not known here"),
        ("aplication_name=x", "the option aplication_name in the store's URL: it is not known here"),
        ("connect_timeout=soon", "the option connect_timeout in the store's URL: soon is no number of seconds"),
        ("pgbouncer=perhaps", "the option pgbouncer in the store's URL: perhaps is neither true nor false"),
        ("sslrootcert=/nowhere/root.crt", "the option sslrootcert in the store's URL: there is no file /nowhere/root"),
    ],
)
def test_an_option_that_cannot_be_had_is_refused_by_its_name(options: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        reached(f"postgresql://user:secret@localhost/name?{options}")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite://amili.db", "a file is sqlite:///amili.db, three slashes"),
        ("sqlite:///", "names no file: write sqlite:///amili.db"),
        ("sqlite:///amili.db?mode=ro", "the option mode in the store's URL: a SQLite file takes no options"),
    ],
)
def test_a_slip_in_the_url_of_a_file_makes_no_temporary_database(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        parsed_url(url)


def test_a_path_is_a_file_whatever_its_name(tmp_path: Path) -> None:
    assert parsed_url(tmp_path / "a?b=1#c.db").database == str(tmp_path / "a?b=1#c.db")
