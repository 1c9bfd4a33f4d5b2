"""The self-signed certificate, and what is said of real ones."""

from __future__ import annotations

import ssl
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from coatcheck import ConfigurationError
from coatcheck.server import tls

NOW = 1_800_000_000
DAY = 86_400


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return tmp_path / "coatcheck.db.tls.pem"


def certificate(pem: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.read_bytes())


def test_the_certificate_names_the_loopback_and_signs_nothing_else(pem: Path) -> None:
    tls.self_signed(pem, now=NOW)

    names = certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert not certificate(pem).extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_certificate_and_key_go_together(pem: Path) -> None:
    tls.self_signed(pem, now=NOW)

    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pem, pem)


def test_key_07_the_file_is_readable_by_its_owner_only(pem: Path) -> None:
    tls.self_signed(pem, now=NOW)

    assert stat.S_IMODE(pem.stat().st_mode) == 0o600


def test_key_07_a_file_that_others_can_read_is_refused(pem: Path) -> None:
    tls.self_signed(pem, now=NOW)
    pem.chmod(0o644)

    with pytest.raises(ConfigurationError, match="chmod 600"):
        tls.self_signed(pem, now=NOW)


def test_the_certificate_is_kept_while_it_is_good(pem: Path) -> None:
    first = tls.self_signed(pem, now=NOW)
    second = tls.self_signed(pem, now=NOW + 300 * DAY)

    assert first == second


def test_the_certificate_is_renewed_before_it_ends(pem: Path) -> None:
    first = tls.self_signed(pem, now=NOW)
    second = tls.self_signed(pem, now=NOW + 391 * DAY)

    assert first != second
    assert not tls.ends_within(pem, timedelta(days=300), now=NOW + 391 * DAY)


def test_the_fingerprint_is_the_one_that_browsers_show(pem: Path) -> None:
    from cryptography.hazmat.primitives import hashes

    shown = tls.self_signed(pem, now=NOW)

    assert bytes.fromhex(shown.replace(":", "")) == certificate(pem).fingerprint(hashes.SHA256())


def test_a_file_that_is_no_certificate_is_named(pem: Path) -> None:
    pem.write_text("nonsense")

    with pytest.raises(ConfigurationError, match=r"tls\.pem"):
        tls.self_signed(pem, now=NOW)


def test_a_sound_pair_has_no_problems(pem: Path) -> None:
    tls.self_signed(pem, now=NOW)

    assert list(tls.problems_of(pem, pem)) == []


def test_missing_files_are_named_each(tmp_path: Path) -> None:
    found = list(tls.problems_of(tmp_path / "a.pem", tmp_path / "b.pem"))

    assert [problem.partition(":")[0] for problem in found] == ["tls_cert", "tls_key"]


def test_key_07_a_key_that_others_can_read_is_refused(pem: Path, tmp_path: Path) -> None:
    tls.self_signed(pem, now=NOW)
    key = tmp_path / "key.pem"
    key.write_bytes(pem.read_bytes())
    key.chmod(0o640)

    (problem,) = tls.problems_of(pem, key)

    assert problem.startswith("tls_key:")


def test_a_key_of_another_certificate_is_told(pem: Path, tmp_path: Path) -> None:
    tls.self_signed(pem, now=NOW)
    other = tmp_path / "other.pem"
    tls.self_signed(other, now=NOW)

    (problem,) = tls.problems_of(pem, other)

    assert "cannot be used together" in problem


def test_an_encrypted_key_is_told_and_nobody_is_asked_for_its_password(pem: Path, tmp_path: Path) -> None:
    tls.self_signed(pem, now=NOW)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"tiger"),
        )
    )
    locked.chmod(0o600)

    assert len(list(tls.problems_of(pem, locked))) == 1
