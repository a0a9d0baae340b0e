"""Whom to trust and who to be: the TLS context of a client's connections, from an argument or from the environment."""

from __future__ import annotations

import os
import ssl

from amili_async.errors import ConfigurationError


def tls_context(given: ssl.SSLContext | str | os.PathLike[str] | None, argument: str = "ssl") -> ssl.SSLContext | None:
    """Return the context that ``ssl=`` stands for: itself, or one that trusts the CAs of a PEM file and no others.

    Raises:
        ConfigurationError: it is neither, or holds no certificate.
    """
    if given is None or isinstance(given, ssl.SSLContext):
        return given
    if not isinstance(given, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError(
            f"{argument} must be an ssl.SSLContext, or the path of a PEM file of CA certificates, "
            f"not {type(given).__name__}"
        )
    path = os.fspath(given)
    if not path:  # which `ssl` would take for the system's own CAs
        raise ConfigurationError(f"{argument} is empty; leave it out to trust the system's CAs")
    try:
        return ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ConfigurationError(f"{argument}: {path} holds no certificate in PEM form") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{argument}: {path!r} cannot be read: {_reason(error)}") from None


def show_certificate(context: ssl.SSLContext, certificate: str, key: str | None, argument: str) -> None:
    """Let a context show a client certificate: a PEM file that holds its key too, unless ``key`` names another.

    Raises:
        ConfigurationError: there is none, or the key does not belong to it, or asks for a password.
    """

    def no_password() -> str:
        raise ConfigurationError(f"{argument}: the key asks for a password; give ssl= an SSLContext that knows it")

    try:
        context.load_cert_chain(certificate, key, no_password)
    except ssl.SSLError:
        raise ConfigurationError(f"{argument}: no certificate in PEM form with the key that belongs to it") from None
    except OSError as error:
        raise ConfigurationError(f"{argument}: a file cannot be read: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
