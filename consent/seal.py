"""The platform's seal (PAdES) on a signed convention: the exact signed bytes, then evidence, then the seal.

The seal proves that the platform held these bytes and this evidence at that time; it is nobody's signature.
`TERRAIN_SEAL_KEY` names a PEM file with a private key and its certificate, readable by the worker alone.
"""

import asyncio
import hashlib
import io
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asn1crypto import keys, pem, x509
from django.conf import settings
from pyhanko.pdf_utils import embed, generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers
from pyhanko.sign.timestamps import HTTPTimeStamper, TimestampRequestError
from pyhanko_certvalidator.registry import SimpleCertificateStore

from broker.errors import BadInput

logger = logging.getLogger(__name__)
FIELD = "CachetTerrain"
EVIDENCE_NAME = "preuves.json"


@dataclass(frozen=True, slots=True)
class Sealed:
    pdf: bytes
    sha256: str
    certificate_sha256: str
    has_time_stamp: bool


def is_configured() -> bool:
    return bool(settings.SEAL_KEY)


def load(path: Path) -> signers.SimpleSigner:
    """The signer of the PEM file at `path`. Raises BadInput naming what the file lacks."""
    key = certificate = None
    for kind, _headers, body in pem.unarmor(path.read_bytes(), multiple=True):
        if kind == "PRIVATE KEY":
            key = keys.PrivateKeyInfo.load(body)
        elif kind == "CERTIFICATE" and certificate is None:
            certificate = x509.Certificate.load(body)
    if key is None or certificate is None:
        raise BadInput(f"{path} doit contenir une clé privée (PKCS#8) et son certificat, au format PEM.")
    return signers.SimpleSigner(certificate, key, SimpleCertificateStore())


def seal(signed: bytes, evidence: dict[str, Any], *, signer: signers.SimpleSigner, tsa_url: str = "") -> Sealed:
    """`signed`, its evidence attached, sealed. A silent time-stamp authority is told in the log and in the result."""
    stamper = HTTPTimeStamper(tsa_url, timeout=5) if tsa_url else None
    try:
        pdf = _seal(signed, evidence, signer, stamper)
    except (TimestampRequestError, OSError) as error:
        if stamper is None:
            raise
        logger.warning("the time-stamp authority %s did not answer (%s): sealed without a time stamp", tsa_url, error)
        stamper, pdf = None, _seal(signed, evidence, signer, None)
    if not pdf.startswith(signed):
        raise RuntimeError("a sealed document must begin with the exact bytes that were signed")
    certificate = hashlib.sha256(signer.signing_cert.dump()).hexdigest()
    return Sealed(pdf, hashlib.sha256(pdf).hexdigest(), certificate, has_time_stamp=stamper is not None)


def _seal(signed, evidence, signer, stamper) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(signed))
    body = json.dumps(evidence, ensure_ascii=False, indent=1, sort_keys=True).encode()
    attached = embed.EmbeddedFileObject.from_file_data(writer, body, mime_type="application/json")
    embed.embed_file(
        writer,
        embed.FileSpec(
            EVIDENCE_NAME, file_name=EVIDENCE_NAME, embedded_data=attached,
            description="Preuves des signatures", af_relationship=generic.pdf_name("/Supplement"),
        ),
    )  # fmt: skip
    meta = signers.PdfSignatureMetadata(
        field_name=FIELD, name="Terrain", reason="Cachet de la plateforme : octets signés et preuves des signatures",
        subfilter=fields.SigSeedSubFilter.PADES, md_algorithm="sha256",
    )  # fmt: skip
    out = io.BytesIO()
    pdf_signer = signers.PdfSigner(meta, signer, timestamper=stamper)
    asyncio.run(pdf_signer.async_sign_pdf(writer, output=out))
    return out.getvalue()


def evidence_of(convention, document) -> dict[str, Any]:
    """Who signed which bytes, how and when: what a court would ask for, without any secret."""
    return {
        "convention": convention.ref,
        "document": {"sha256": document.sha256, "bytes": len(document.pdf), "template": document.template_version},
        "signatures": [
            {
                "party": s.party,
                "signatory": s.signer.full_name,
                "mandate": s.mandate,
                "mandate_until": s.mandate_until.isoformat() if s.mandate_until else None,
                "level": s.level,
                "sha256": s.document_sha256,
                "at": s.signed_at.isoformat(),
                "by_standing_mandate": s.standing_mandate_id is not None,
                "evidence": s.evidence,
            }
            for s in convention.signatures.filter(document_sha256=document.sha256).select_related("signer")
        ],
    }
