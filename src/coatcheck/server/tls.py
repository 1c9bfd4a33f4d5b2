"""Certificates: a self-signed one for development, and a look at real ones before the server starts.

Certificate and key of the self-signed one stand in one private file beside the database, so that a browser that was
told to trust it need not be told again after every restart.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

from coatcheck.errors import ConfigurationError
from coatcheck.server.secret import create_private, problem_of_file

# Longer-lived ones are refused by some browsers even where they are trusted by hand.
LIFETIME = timedelta(days=397)
RENEWED_BEFORE = timedelta(days=7)
NAMES = ("localhost",)
ADDRESSES = ("127.0.0.1", "::1")


def self_signed(path: Path, *, now: int) -> str:
    """Make sure that `path` holds certificate and key for the loopback names, valid for a week at least.

    Gives the fingerprint of the certificate, to be compared with what the browser shows. Of several makers at once
    one wins.

    Raises:
        ConfigurationError: the file can neither be used nor made, or others can read it.
    """
    try:
        if not path.exists() or ends_within(path, RENEWED_BEFORE, now=now):
            _create(path, now=now, replaces=path.exists())
        if (problem := problem_of_file(path)) is not None:
            raise ConfigurationError(f"tls_self_signed: {problem}")
        return fingerprint(path)
    except OSError as error:
        raise ConfigurationError(
            f"tls_self_signed: {path} cannot be made or read ({error.strerror}); let this user read and write there"
        ) from error


def fingerprint(path: Path) -> str:
    """Give the SHA-256 fingerprint of the first certificate in a PEM file, written as browsers write it."""
    return sha256(_first_certificate(path)).digest().hex(":").upper()


def ends_within(path: Path, margin: timedelta, *, now: int) -> bool:
    """Say whether the first certificate in a PEM file has ended or will within the margin.

    Raises:
        ConfigurationError: there is no certificate in it.
    """
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(_first_certificate(path))
    except ValueError:
        raise ConfigurationError(f"{path} holds no certificate; remove it or name another") from None
    return certificate.not_valid_after_utc - margin < datetime.fromtimestamp(now, UTC)


def problems_of(cert: Path, key: Path) -> Iterator[str]:
    """Say what keeps a certificate and its key from being used."""
    readable = True
    for setting, path in (("tls_cert", cert), ("tls_key", key)):
        try:
            path.read_bytes()
        except OSError as error:
            readable = False
            yield f"{setting}: {path} cannot be read ({error.strerror}); name a PEM file that can"
    if not readable:
        return
    if (problem := problem_of_file(key)) is not None:
        yield f"tls_key: {problem}"
    try:
        # An empty password keeps OpenSSL from asking for one at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        yield f"tls_cert: certificate and tls_key cannot be used together ({reason}); give two matching PEM files"


def _first_certificate(path: Path) -> bytes:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    text = path.read_text("ascii", "replace")
    return ssl.PEM_cert_to_DER_cert(begin + text.partition(begin)[2].partition(end)[0] + end)


def _create(path: Path, *, now: int, replaces: bool) -> None:
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    except ImportError as error:
        raise ConfigurationError(
            "tls_self_signed: needs the cryptography package; pip install 'coatcheck[server]'"
        ) from error

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Coatcheck development")])
    start = datetime.fromtimestamp(now, UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - timedelta(hours=1))  # clocks of two machines differ
        .not_valid_after(start + LIFETIME)
        .add_extension(
            x509.SubjectAlternativeName(
                [*map(x509.DNSName, NAMES), *(x509.IPAddress(ip_address(address)) for address in ADDRESSES)]
            ),
            critical=False,
        )
        # Whoever trusts this certificate trusts no other that its key could sign.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        create_private(path, pem, replaces=replaces)
    except FileExistsError:
        return  # another server was first
