"""Whose word a manifest is: signed with Ed25519 by the zone's worker, which made the release.

The private key is a data key like any other (`broker.keys`, purpose "signing"): in the key store of the worker alone.
Its public half is published with the zone's page, former ones too, so that a stranger checks with ordinary tools:

    openssl pkeyutl -verify -pubin -inkey KEY.pem -rawin -in manifest.json -sigfile manifest.sig

A signing key is replaced by destroying it: the next build of the zone makes another. What the former one signed stays
checkable, since its public half stays published, with the moment of its end.
"""

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.db.models import Q, QuerySet

from broker.keys.models import DataKey
from broker.keys.store import KeyStore
from zones.models import Zone

ALGORITHM = "Ed25519"
SIGNATURE = 64  # bytes


def keys_of(zone: Zone) -> QuerySet[DataKey]:
    """The signing keys that the zone has or had, oldest first."""
    of_zone = Q(ref=f"zone:{zone.pk}") | Q(ref__startswith=f"zone:{zone.pk}/")
    return DataKey.objects.filter(of_zone, purpose=DataKey.Purpose.SIGNING).order_by("pk")


def living_key(zone: Zone) -> DataKey:
    """The key that signs today, made when there is none."""
    every = list(keys_of(zone))
    if every and every[-1].destroyed_at is None:
        return every[-1]
    ref = f"zone:{zone.pk}/{len(every) + 1}" if every else f"zone:{zone.pk}"
    return KeyStore(settings.KEY_STORE).create(DataKey.Purpose.SIGNING, ref)


def _public(key: DataKey) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(key.public))


def number(key: DataKey) -> str:
    """The name of a public key: SHA-256 of its usual DER form, hexadecimal."""
    return hashlib.sha256(_public(key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def pem(key: DataKey) -> str:
    return _public(key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def told(zone: Zone, key: DataKey) -> dict:
    """Who signs, as the manifest says it."""
    return {"algorithm": ALGORITHM, "key": number(key), "zone": zone.reference, "signer": str(zone.operator)}


def sign(key: DataKey, document: bytes) -> bytes:
    """The signature of `document`, 64 bytes. Raises WrongState when the store cannot open the key."""
    seed = KeyStore(settings.KEY_STORE).open(DataKey.Purpose.SIGNING, key.ref, covered_by="release.ready")
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed.decode())).sign(document)
