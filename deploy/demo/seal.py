"""The key and certificate of the demo's platform seal, made at the first start; the worker alone reads them.

Production names its own by TERRAIN_SEAL_KEY: a PEM file with a private key (PKCS#8) and its certificate.
"""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deploy.demo.certificate import self_signed


def identity(path: Path) -> Path:
    """The PEM file at `path`, mode 0600, made when absent: P-256, digital signature and non-repudiation."""
    if path.exists():
        return path
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        self_signed(key, "Cachet de démonstration")
        .add_extension(x509.KeyUsage(True, True, False, False, False, False, False, False, False), critical=True)
        .sign(key, hashes.SHA256())
    )
    body = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(".new")
    made.touch(mode=0o600)
    made.write_bytes(body)
    return made.replace(path)
