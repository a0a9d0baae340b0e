"""Whom to trust and who to be: files that are right, and what is said of those that are not."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from amili_async import AmiliClient, ConfigurationError
from amili_async._http.tls import show_certificate, tls_context

if TYPE_CHECKING:
    from pathlib import Path

    import aiohttp


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


def test_a_bundle_is_trusted_and_nothing_else(bundle: Path) -> None:
    for given in (bundle, str(bundle)):
        context = tls_context(given)
        assert context is not None
        assert context.cert_store_stats()["x509_ca"] == 1
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


def test_a_context_of_ones_own_is_taken_as_it_is() -> None:
    own = ssl.create_default_context()
    assert tls_context(own) is own
    assert tls_context(None) is None


@pytest.mark.parametrize("given", [False, True, 7, b"ca.pem", ["ca.pem"]])
def test_what_is_neither_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^ssl must be an ssl.SSLContext, or the path of a PEM file"):
        AmiliClient("token", ssl=given)


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(ConfigurationError, match=r"^ssl: .*empty.pem holds no certificate in PEM form"):
        AmiliClient("token", ssl=tmp_path / "empty.pem")
    with pytest.raises(ConfigurationError, match=r"^ssl: .*none.pem' cannot be read: No such file or directory"):
        AmiliClient("token", ssl=tmp_path / "none.pem")
    with pytest.raises(ConfigurationError, match=r"^ssl is empty"):
        AmiliClient("token", ssl="")
    with pytest.raises(ConfigurationError, match=r"^ssl: 'a\\x00b' cannot be read: ValueError"):
        AmiliClient("token", ssl="a\x00b")


async def test_a_session_has_its_own(bundle: Path, plain_session: aiohttp.ClientSession) -> None:
    with pytest.raises(ConfigurationError, match="give ssl or session, not both"):
        AmiliClient("token", ssl=bundle, session=plain_session)


@pytest.fixture
async def plain_session() -> Any:
    import aiohttp  # noqa: PLC0415  # for this test alone

    async with aiohttp.ClientSession() as session:
        yield session


# -- the environment


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("AMILI_CA_BUNDLE", "AMILI_CLIENT_CERT", "AMILI_CLIENT_KEY", "AMILI_BASE_URL", "AMILI_TOKEN_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AMILI_TOKEN", "t-1")
    return monkeypatch


def context_of(client: AmiliClient) -> ssl.SSLContext | None:
    return client.caller.transport._connection._ssl  # pyright: ignore[reportPrivateUsage]  # nothing public hands it out


def test_the_environment_names_bundle_and_certificate(
    authority: trustme.CA, bundle: Path, tmp_path: Path, variables: pytest.MonkeyPatch
) -> None:
    assert context_of(AmiliClient.from_env()) is None
    variables.setenv("AMILI_CA_BUNDLE", str(bundle))
    trusting = context_of(AmiliClient.from_env())
    assert trusting is not None
    assert trusting.cert_store_stats()["x509_ca"] == 1
    mine = authority.issue_cert("me@example.org")
    both, certificate, key = tmp_path / "both.pem", tmp_path / "cert.pem", tmp_path / "key.pem"
    mine.private_key_and_cert_chain_pem.write_to_path(both)
    mine.cert_chain_pems[0].write_to_path(certificate)
    mine.private_key_pem.write_to_path(key)
    variables.setenv("AMILI_CLIENT_CERT", str(both))
    assert context_of(AmiliClient.from_env()) is not None
    variables.setenv("AMILI_CLIENT_CERT", str(certificate))
    variables.setenv("AMILI_CLIENT_KEY", str(key))
    variables.delenv("AMILI_CA_BUNDLE")
    shown = context_of(AmiliClient.from_env())
    assert shown is not None
    assert shown.cert_store_stats()["x509_ca"] > 1
    own = ssl.create_default_context()
    assert context_of(AmiliClient.from_env(ssl=own)) is own


def test_what_is_wrong_with_the_variables_is_said_by_their_names(
    authority: trustme.CA, tmp_path: Path, variables: pytest.MonkeyPatch
) -> None:
    variables.setenv("AMILI_CA_BUNDLE", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match=r"^AMILI_CA_BUNDLE: .*none' cannot be read"):
        AmiliClient.from_env()
    variables.delenv("AMILI_CA_BUNDLE")
    variables.setenv("AMILI_CLIENT_KEY", "x")
    with pytest.raises(ConfigurationError, match=r"^AMILI_CLIENT_KEY is set without AMILI_CLIENT_CERT"):
        AmiliClient.from_env()
    variables.setenv("AMILI_CLIENT_CERT", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match=r"^AMILI_CLIENT_CERT: a file cannot be read: No such file"):
        AmiliClient.from_env()
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    authority.issue_cert("me@example.org").cert_chain_pems[0].write_to_path(certificate)
    authority.issue_cert("you@example.org").private_key_pem.write_to_path(key)
    variables.setenv("AMILI_CLIENT_CERT", str(certificate))
    variables.setenv("AMILI_CLIENT_KEY", str(key))
    with pytest.raises(ConfigurationError, match=r"^AMILI_CLIENT_CERT: no certificate in PEM form with the key"):
        AmiliClient.from_env()


def test_a_key_with_a_password_is_not_asked_for_on_the_terminal(authority: trustme.CA, tmp_path: Path) -> None:
    mine = authority.issue_cert("me@example.org")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    key = load_pem_private_key(mine.private_key_pem.bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hidden"))
    (tmp_path / "key.pem").write_bytes(locked)
    with pytest.raises(ConfigurationError, match="the key asks for a password; give ssl= an SSLContext that knows it"):
        show_certificate(ssl.create_default_context(), str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"), "A")
