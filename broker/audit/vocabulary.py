"""The closed vocabularies of the log. A word that is not here is refused; free text goes to the detail only."""

OUTS = frozenset({"allow", "deny", "error"})
PURPOSES = frozenset({"", "experimentation", "commercial"})
BASES = frozenset(
    {"", "consent", "contract", "legal_obligation", "vital_interests", "public_task", "legitimate_interests"}
)

# One line an app; a verb's act is `noun.verb`.
ACTS = frozenset(
    [
        "log.genesis",
        "log.search",
        "log.export",
        "log.proof",
        "log.partition",
        "clock.advance",
        "user.signup",
        "user.sign_in",
        "user.second_factor",
        "user.password",
        "organisation.create",
        "membership.add",
        "membership.end",
        "environment.declare",
        "environment.attest",
        "environment.credential",
        "environment.revoke",
        "order.give",
        "order.use",
        "countersign.first",
        "countersign.second",
        "grant.add",
        "grant.remove",
        "switch.set",
        "switch.lift",
        "key.create",
        "key.open",
        "key.destroy",
        "zone.create",
        "zone.amend",
        "zone.propose",
        "zone.open",
        "zone.suspend",
        "zone.close",
        "service.add",
        "service.agree",
        "site.add",
        "sensor.add",
        "dataset.create",
        "dataset.publish",
        "dataset.withdraw",
        "dataset.link",
        "version.receive",
        "version.profile",
        "version.refuse",
        "column.role",
        "registry.request",
        "registry.submit",
        "registry.check",
        "registry.review",
        "registry.accredit",
        "registry.refuse",
        "registry.suspend",
        "registry.reinstate",
        "registry.withdraw",
        "registry.complete",
        "registry.extend",
        "registry.renew",
        "registry.expire",
        "registry.abandon",
        "offer.draft",
        "offer.submit",
        "offer.review",
        "offer.resume",
        "offer.opinion",
        "offer.mandate",
        "offer.publish",
        "offer.suspend",
        "offer.end",
        "application.draft",
        "application.simulate",
        "application.submit",
        "application.approve",
        "application.refuse",
        "application.withdraw",
        "convention.create",
        "convention.sign",
        "convention.activate",
        "convention.review",
        "convention.lapse",
        "convention.attest",
        "convention.seal",
        "convention.suspend",
        "convention.resume",
        "convention.terminate",
        "convention.expire",
        "convention.close",
        "person.name",
        "person.confirm",
        "person.end",
        "notice.publish",
        "notice.withdraw",
        "opposition.receive",
        "opposition.record",
        "opposition.withdraw",
        "consent.record",
        "consent.withdraw",
        "licence.request",
        "gate.decide",
        "release.request",
        "release.build",
        "release.ready",
        "release.fail",
        "release.withdraw",
        "data.profile",
        "data.build",
        "data.download",
        "data.download_end",
    ]
)


def check_act(act: str) -> None:
    if act not in ACTS:
        raise ValueError(f"{act!r} is not an act of the log; add it to broker/audit/vocabulary.py")


def check(*, act: str, out: str, basis: str, purp: str) -> None:
    """Raises ValueError naming the first word that is outside its vocabulary."""
    check_act(act)
    for name, word, words in (("out", out, OUTS), ("basis", basis, BASES), ("purp", purp, PURPOSES)):
        if word not in words:
            raise ValueError(f"{name} = {word!r} is not one of {', '.join(sorted(words))}")
