from .application import Application, PurposeKind
from .convention import Convention, ConventionDocument, NamedPerson, SealedDocument, Signature, SignatureLevel
from .decision import Effect, GateDecision, QuotaUse
from .licence import CommercialLicence
from .life import AdversarialStep, ConventionAct, DeletionAttestation
from .offer import DeliveryMode, ModelsFate, Offer, OfferColumn, Opinion, StandingMandate
from .opposition import ObjectionRequest, Opposition, SealedRequest
from .registry import Accreditation, DirectoryCompany, RegistryEntry
from .subject_consent import Consent, ConsentImport, ConsentWithdrawal, Recipients
from .training import Training, Undertaking

__all__ = [
    "Accreditation",
    "AdversarialStep",
    "Application",
    "Consent",
    "ConsentImport",
    "ConsentWithdrawal",
    "CommercialLicence",
    "Convention",
    "ConventionAct",
    "ConventionDocument",
    "DeletionAttestation",
    "DeliveryMode",
    "DirectoryCompany",
    "Effect",
    "GateDecision",
    "ModelsFate",
    "NamedPerson",
    "ObjectionRequest",
    "Offer",
    "OfferColumn",
    "Opinion",
    "Opposition",
    "PurposeKind",
    "QuotaUse",
    "Recipients",
    "RegistryEntry",
    "SealedDocument",
    "SealedRequest",
    "Signature",
    "SignatureLevel",
    "StandingMandate",
    "Training",
    "Undertaking",
]
