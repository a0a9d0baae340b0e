"""A certificate authority of the tests' own, and what it signs."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("localhost", "127.0.0.1")


class Authority:
    """An authority that nobody trusts who was not told to."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.path = folder / "authority.pem"
        """Its own certificate: what a client is given to trust."""
        self._authority.cert_pem.write_to_path(str(self.path))
        self._folder = folder

    def context(self) -> ssl.SSLContext:
        """Return a context that trusts it and nobody else."""
        return ssl.create_default_context(cafile=str(self.path))

    def server_certificate(self, *names: str) -> Path:
        """Return a file with a key and the certificate for it; for localhost where no name is given."""
        return self._written("server", self._authority.issue_cert(*(names or NAMES)))

    def client_certificate(self, name: str = "client.example") -> Path:
        """Return a file with a key and a certificate that a client shows."""
        return self._written("client", self._authority.issue_cert(name))

    def _written(self, kind: str, certificate: trustme.LeafCert) -> Path:
        number = len(list(self._folder.glob(f"{kind}-*.pem")))
        path = self._folder / f"{kind}-{number}.pem"
        certificate.private_key_and_cert_chain_pem.write_to_path(str(path))
        # Servers that shed root's rights read it.
        path.chmod(0o644)
        return path
