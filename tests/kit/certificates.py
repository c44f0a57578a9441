"""Certificates for tests of TLS: an authority that nobody else knows, and what it signs.

What may live here: making them on disk, and the context of a client that trusts them.
"""

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import Struct

_DAY = datetime.timedelta(days=1)
_ADDRESSES = ("127.0.0.1", "::1")


class Pair(Struct, frozen=True):
    """A certificate and its key as files, as settings name them."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates of this machine's loopback addresses, and of localhost."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("test authority")
        builder = _begin(self._name, self._name, self._key.public_key())
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        builder = builder.add_extension(_AUTHORITY_USAGE, critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.file = folder / "authority.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str = "server", password: bytes | None = None) -> Pair:
        """Write a new pair over the files of ``name``; its subject is told by ``serial_of``."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _begin(_name(name), self._name, key.public_key())
        others: list[x509.GeneralName] = [
            x509.IPAddress(ipaddress.ip_address(text)) for text in _ADDRESSES
        ]
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), *others]), critical=False
        )
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
            critical=False,
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        sealed: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password is not None:
            sealed = serialization.BestAvailableEncryption(password)
        _replace(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))
        _replace(
            pair.key,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed
            ),
        )
        return pair

    def trusting(self) -> ssl.SSLContext:
        """The context of a client that trusts what this signed, and nothing else."""
        return ssl.create_default_context(cafile=str(self.file))


def serial_of(pair: Pair) -> int:
    """The serial number of a certificate."""
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes()).serial_number


_AUTHORITY_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _replace(path: Path, data: bytes) -> None:
    # As renewals do it: a new file in the place of the old one.
    fresh = path.with_name(path.name + ".new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(data)
    fresh.replace(path)
