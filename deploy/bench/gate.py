"""The gate's own cost: the pure evaluation alone, then a whole decision (facts, evaluation, record, commit)."""

import time

from deploy.bench import Figures

EVALUATIONS = 3000
DECISIONS = 300


def p95(seconds: list[float]) -> float:
    """The 95th percentile, in milliseconds."""
    return sorted(seconds)[int(len(seconds) * 0.95)] * 1000


def timed(what, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        what()
        taken.append(time.perf_counter() - began)
    return taken


def measure() -> Figures:
    from django.conf import settings

    from broker import clock
    from broker.keys.models import DataKey
    from consent import gate, rules
    from consent.record import decide
    from tests import cases, factories

    figures = Figures()
    ruleset = rules.load("2026.11.0")
    for name, case in (("evaluate", cases.a_case()), ("evaluate_download", cases.a_download())):
        timed(lambda case=case: gate.evaluate(case, ruleset), 200)
        figures.add(f"{name}_p95", p95(timed(lambda case=case: gate.evaluate(case, ruleset), EVALUATIONS)), "ms")
    worst = cases.a_case(standing=None, environment=None, notice=None, switches=(("zone", "2"),), quota=None)
    figures.add("evaluate_many_reasons_p95", p95(timed(lambda: gate.evaluate(worst, ruleset), EVALUATIONS)), "ms")

    convention = factories.convention(factories.offer(releases_per_month=DECISIONS * 10))
    DataKey.objects.create(
        purpose="pseudonym", ref=f"convention:{convention.pk}", wrapping_key_id="bench", wrapped=b"bench"
    )
    request = {
        "by": convention.named_persons.get().user,
        "convention": convention,
        "version": convention.offer.dataset.versions.get(),
        "columns": ["patient_nbr", "age", "readmitted"],
        "purpose_kind": "experimentation",
        "purpose_code": convention.purpose_code,
        "second_factor_at": clock.now(),
        "address": "127.0.0.1",
        "delivery_mode": "environment",
    }
    late = []

    def ask():
        began = time.perf_counter()
        decide("release_create", **request)
        late.append(time.perf_counter() - began)

    for _ in range(20):
        ask()
    late.clear()
    for _ in range(DECISIONS):
        ask()
    figures.add("facts_evaluate_record_p95", p95(late), "ms")
    figures.settings |= {"evaluations": EVALUATIONS, "decisions": DECISIONS, "demo_clock": settings.DEMO}
    return figures
