"""A certificate for 127.0.0.1, made for one run by the `openssl` command, and how clients come to trust it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_REQUEST = """\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = 127.0.0.1
[extensions]
subjectAltName = IP:127.0.0.1
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyCertSign
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
"""


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate."""

    own_file: Path
    """The certificate with its private key."""
    trust_file: Path
    """The certificate behind the authorities of certifi, so that a client loads as many as it does elsewhere."""

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables by which httpx and its like, and requests, document that they are told whom to trust."""
        return dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(self.trust_file))


def make_certificate(folder: Path) -> Certificate | None:
    """Make a certificate in a folder; return None if there is no `openssl` command."""
    import certifi  # httpx brings it

    openssl = shutil.which("openssl")
    if not openssl:
        return None
    request, key, own, trust = (folder / name for name in ("request.cnf", "key.pem", "own.pem", "trust.pem"))
    request.write_text(_REQUEST)
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config", str(request)]
    subprocess.run([*command, "-keyout", str(key), "-out", str(own)], check=True, capture_output=True)
    trust.write_text(Path(certifi.where()).read_text(encoding="utf-8") + own.read_text(), encoding="utf-8")
    own.write_text(key.read_text() + own.read_text())
    return Certificate(own, trust)
