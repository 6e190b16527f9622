"""Families of domains that ask for more evidence (legal-gate, section 3.2)."""

from zones.models import Domain

HEALTH = frozenset(
    {
        Domain.CLINICAL,
        Domain.IMAGING,
        Domain.COMMUNITY_CARE,
        Domain.BIOLOGICAL,
        Domain.GENETIC,
        Domain.MEDICO_ECONOMIC,
    }
)
PERSONAL = HEALTH | {Domain.ENERGY_METERING, Domain.EV_CHARGING, Domain.MOBILITY_TRACE, Domain.VIDEO_SCENE}
SLOW = frozenset({Domain.GENETIC, Domain.VIDEO_SCENE})  # decided in 5 working days instead of 2


def labels(domains) -> str:
    """The French names of `domains`, for a sentence."""
    return ", ".join(str(Domain(d).label) for d in domains)
