"""Writing the log: one decorator wraps every verb, so that a write and its event are one transaction.

    @recorded("offer.publish")
    def publish(offer, *, by):
        ...
        describe(obj=offer, org=offer.zone.operator, detail={"version": offer.version})

When the verb raises, its transaction is rolled back, then the refusal or the error is recorded in its own.
"""

import functools
import hashlib
import secrets
from contextvars import ContextVar
from typing import Any

import rfc8785
from django.db import connection, transaction

from broker import clock
from broker.audit import context, vocabulary
from broker.audit.actor import Actor
from broker.audit.actor import of as actor_of
from broker.audit.leaf import payload_of, ulid
from broker.errors import TerrainError

_draft: ContextVar[dict[str, Any] | None] = ContextVar("audit_draft", default=None)


def recorded(act: str):
    """Wrap a verb that takes `by=`: open its transaction, record `act` in it; on failure roll back and record why.

    A verb called inside another recorded verb writes its event in the outer transaction; if the whole is rolled
    back, the outermost verb alone records the refusal, and names the inner act in its detail. What must outlive the
    rollback (a counted wrong code) is a callable of the error's `afterwards`, called once the refusal is recorded.
    """
    vocabulary.check_act(act)

    def wrap(verb):
        @functools.wraps(verb)
        def run(*args, by=None, **facts):
            outermost = _draft.get() is None
            token = _draft.set({"detail": {}})
            try:
                with transaction.atomic():
                    result = verb(*args, by=by, **facts)
                    record(act, by=by, **(_draft.get() or {}))
                    return result
            except Exception as error:
                if not outermost:
                    error.__dict__.setdefault("audit_inner_act", act)
                    raise
                _record_failure(act, by=by, error=error, draft=_draft.get() or {})
                for consequence in getattr(error, "afterwards", ()):
                    consequence()
                raise
            finally:
                _draft.reset(token)

        return run

    return wrap


def describe(**facts) -> None:
    """Add facts to the event of the verb under way; `detail` is merged, the rest replaced (see `record`)."""
    draft = _draft.get()
    if draft is None:
        raise RuntimeError("describe() is called inside a recorded verb only")
    draft["detail"] = {**draft["detail"], **facts.pop("detail", {})}
    draft.update(facts)


def under_way() -> bool:
    """Whether a recorded verb is running, whose transaction a refusal would roll back."""
    return _draft.get() is not None


def _record_failure(act: str, *, by, error: Exception, draft: dict[str, Any]) -> None:
    refused = isinstance(error, TerrainError)
    detail = {**draft.get("detail", {}), "error": type(error).__name__}
    if refused:
        detail["message"] = str(error)
    if inner := getattr(error, "audit_inner_act", None):
        detail["inner_act"] = inner
    codes = tuple(r.code for r in getattr(error, "reasons", ())) or (type(error).__name__,)
    facts = {k: v for k, v in draft.items() if k not in ("detail", "reason", "out")}
    with transaction.atomic():
        record(act, by=by, out="deny" if refused else "error", reason=codes, detail=detail, **facts)


def record(
    act: str,
    *,
    by,
    obj=None,
    out: str = "allow",
    reason: tuple[str, ...] = (),
    zone: str = "",
    org=None,
    on_behalf: str = "",
    conv: str = "",
    purp: str = "",
    basis: str = "",
    policy: str = "",
    sub: str | None = None,
    n: int | None = None,
    detail: dict[str, Any] | None = None,
) -> str:
    """Write one event in the transaction under way; return its ULID.

    `obj` is a model instance or a (type, id, version) triple; `org` an organisation or its reference; `sub` a
    subject's erasable reference; `on_behalf` an organisation's reference, or the person whose order a machine executes
    ("user:12", written as their token); `n` a number of rows; `detail` is kept apart, erasable, bound by its digest.
    Raises ValueError on a word outside the closed vocabularies.
    """
    with connection.cursor() as cursor:
        event_id, payload, at = write(
            cursor, act, by=by, obj=obj, out=out, reason=reason, zone=zone, org=org, on_behalf=on_behalf, conv=conv,
            purp=purp, basis=basis, policy=policy, sub=sub, n=n, detail=detail,
        )  # fmt: skip
    if (kept := context.collecting()) is not None:
        transaction.on_commit(lambda: kept.append((event_id, payload, at)))
    return event_id


def write(
    cursor, act, *, by, obj=None, out="allow", reason=(), zone="", org=None, on_behalf="", conv="", purp="", basis="",
    policy="", sub=None, n=None, detail=None,
) -> tuple[str, str, str]:  # fmt: skip
    """`record` on a cursor of the caller's (the sequencer's own connection); (ULID, payload, time as it is written)."""
    actor: Actor = actor_of(by)
    vocabulary.check(act=act, out=out, basis=basis, purp=purp)
    request = context.current()
    at = clock.now()
    event_id, written_at = ulid(at), at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    drafted: dict[str, str] = {}  # reference → the token it gets, should none stand for this year

    def token(ref: str) -> str:
        return "p:" + drafted.setdefault(ref, secrets.token_hex(16))

    salt, body, commitment = None, None, None
    if detail:
        body = rfc8785.dumps(_plain(detail)).decode()
        salt = secrets.token_bytes(32)
        commitment = "sha256:" + hashlib.sha256(salt + body.encode()).hexdigest()
    payload = payload_of(
        {
            "v": 1,
            "id": event_id,
            "at": written_at,
            "zone": zone,
            "actor": {"id": token(actor.ref), "kind": actor.kind, "auth": actor.auth},
            "org": _reference(org) if org is not None else actor.org,
            "on_behalf": token(on_behalf) if on_behalf.startswith("user:") else on_behalf,
            "conv": conv,
            "obj": _object(obj),
            "act": act,
            "purp": purp,
            "basis": basis,
            "out": out,
            "reason": list(reason),
            "policy": policy,
            "req": request.number,
            "ip": request.network,
            "sub": token(sub) if sub else None,
            "n": n,
            "d": commitment,
            "tool": "terrain/1",
        }
    )
    # The database alone ties a token to its reference: it is asked, and the event written, in one trip.
    subjects = [text for pair in drafted.items() for text in pair]
    cursor.execute(
        f"SELECT audit_write(%s, %s, %s, %s, %s{', %s' * len(subjects)})",
        [payload, at.date(), str(at.year), salt, body, *subjects],
    )
    [payload] = cursor.fetchone()
    return event_id, payload, written_at


def _object(obj) -> dict[str, str] | None:
    if obj is None:
        return None
    if isinstance(obj, tuple):
        kind, key, version = (*obj, "", "")[:3]
        return {"type": str(kind), "id": str(key), "ver": str(version)}
    return {
        "type": obj._meta.model_name,
        "id": str(getattr(obj, "audit_id", obj.pk)),
        "ver": str(getattr(obj, "version", "") or ""),
    }


def _reference(org) -> str:
    return org if isinstance(org, str) else org.reference


def _plain(value):
    """`value` as JSON types: dates in ISO form, decimals and unknown objects as text."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
