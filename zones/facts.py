"""Gathers what the rules judge: the only place where the eligibility of a zone meets the database and the clock."""

import hashlib
import json
from dataclasses import asdict

from broker import clock
from broker.errors import Reason
from zones import geography, rules
from zones.models import Zone


def of_zone(zone: Zone) -> rules.ZoneFacts:
    found = [(code, geography.find(code)) for code in zone.communes]
    return rules.ZoneFacts(
        kind=zone.kind,
        day=clock.today(),
        communes=tuple(commune for _, commune in found if commune),
        unknown_communes=tuple(code for code, commune in found if commune is None),
        services=tuple(
            rules.ServiceFacts(s.name, s.participation_from, s.participation_until) for s in zone.services.all()
        ),
        evidence=zone.evidence,
        contact_email=zone.contact_email,
        dpo_email=zone.dpo_email,
        general_information_on=zone.general_information_on,
        frame_adopted_on=zone.frame_adopted_on,
    )


def refusals(zone: Zone) -> tuple[Reason, ...]:
    return rules.refusals(of_zone(zone))


def opening_ref(zone: Zone) -> str:
    """What the two persons who open `zone` agree on: this zone with these facts. A file changed after the first
    signature bears another reference, so that the second person cannot complete it."""
    facts = asdict(of_zone(zone))
    del facts["day"]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
    return f"{zone.reference}#{digest[:12]}"
