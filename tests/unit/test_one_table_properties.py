"""What holds of every release, on random tables and random recipes, through the real engine in this process."""

import csv
import io
import json
import shutil
import tempfile
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.releases import engine
from tests import recompute

KEYS = ("ab" * 32, "12" * 32)  # of two conventions
TOKENS = "cd" * 32
HEADER = ("dossier", "nir", "sexe", "age", "valeur", "venue", "note")
KINDS = {"dossier": "text", "nir": "text", "sexe": "text", "age": "text", "valeur": "number", "venue": "timestamp",
         "note": "text"}  # fmt: skip
ROLES = {"dossier": "subject_key", "nir": "direct_identifier", "sexe": "quasi_identifier", "age": "quasi_identifier",
         "valeur": "measure", "venue": "timestamp", "note": "measure"}  # fmt: skip
WAYS: dict[str, list[dict]] = {
    "sexe": [{"kind": "category"}],
    "age": [{"kind": "band_age", "width": 5, "top": 90}, {"kind": "band_age", "width": 10, "top": 80}],
    "valeur": [{"kind": "clip", "low_per_mille": 5, "high_per_mille": 995}, {"kind": "keep"}],
    "venue": [{"kind": "shift_days"}],
    "note": [{"kind": "category"}, {"kind": "keep"}],
}
SECRET = "PATIENT"  # every direct identifier bears it

texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], include_characters="\t\n\"',;=+-@"), max_size=6
)
lines = st.fixed_dictionaries(
    {
        "dossier": st.one_of(st.integers(1, 12).map(lambda n: f"{SECRET}-{n:06d}"), st.just("")),
        "sexe": st.sampled_from(["F", "M", "", "X"]),
        "age": st.sampled_from(["17", "18", "[40-50)", "41", "90+", "99", "", "?", "inconnu"]),
        "valeur": st.one_of(st.just(""), st.floats(-1e9, 1e9, width=32).map(repr)),
        "venue": st.one_of(
            st.just(""),
            st.datetimes(datetime.fromisoformat("1950-01-01"), datetime.fromisoformat("2090-01-01")).map(
                lambda moment: moment.replace(microsecond=0).isoformat(" ")
            ),
        ),
        "note": texts,
    }
)  # fmt: skip
tables = st.lists(lines, min_size=1, max_size=60)
asked = st.fixed_dictionaries({name: st.sampled_from([None, *ways]) for name, ways in WAYS.items()})
opposed = st.sets(st.integers(1, 12), max_size=3)


def recipe_of(wanted: dict, *, k: int, minors: str, form: str) -> dict:
    ways = {**wanted, "dossier": {"kind": "pseudonym"}, "nir": {"kind": "drop"}}
    columns = [
        {"name": name, "type": KINDS[name], "role": ROLES[name], "treatment": ways[name]}
        for name in HEADER
        if ways[name] is not None
    ]
    return {
        "format": 1, "kind": "experimental", "convention": "CV-1", "dataset": {"slug": "jeu"}, "personal": True,
        "reading": {"missing": ["?"]}, "source_columns": list(HEADER), "columns": columns, "subject_key": "dossier",
        "identifiers": ["nir"], "consent": None, "blanked": [], "k": k, "suppression_max_pct": 100,
        "minors": {"rule": minors, "age_column": "age"}, "rank_by": {"column": "venue", "order": "time"},
        "quasi_identifiers": [n for n in ("sexe", "age") if ways[n] is not None],
        "output": {"format": form, "sealed": False},
    }  # fmt: skip


class Built:
    """One build of a random table: what the engine said, its bytes, its rows."""

    def __init__(self, rows: list[dict], recipe: dict, *, key: str = KEYS[0], refused=frozenset(), threads: int = 2):
        folder = Path(tempfile.mkdtemp(prefix="properties-"))
        try:
            with (folder / "clear.csv").open("w", encoding="utf-8", newline="") as file:
                out = csv.DictWriter(file, HEADER)
                out.writeheader()
                out.writerows({**row, "nir": f"{SECRET}-{n:06d}-NIR"} for n, row in enumerate(rows))
            job = {
                "recipe": recipe, "source": str(folder / "clear.csv"), "output": str(folder / "out"),
                "scratch": str(folder / "scratch"), "recipients": [], "pseudonym_key": key, "token_key": TOKENS,
                "opposed": sorted(recompute.mac(TOKENS, f"{SECRET}-{n:06d}") for n in refused), "memory_mib": 256,
                "threads": threads, "marks": {"terrain_kind": "experimental"},
            }  # fmt: skip
            self.last = engine.run(job, lambda line: None)
            self.left = sorted(path.name for path in (folder / "scratch").rglob("*"))
            self.exists = (folder / "out").exists()
            self.clear = (folder / "out").read_bytes() if self.exists else b""
        finally:
            shutil.rmtree(folder)
        self.result = self.last.get("result")
        if self.result:
            self.names, self.rows = recompute.read_output(self.clear, recipe["output"]["format"])

    def column(self, name: str) -> list:
        return [row[self.names.index(name)] for row in self.rows]


recipes = st.builds(
    recipe_of, asked, k=st.integers(1, 4), minors=st.sampled_from(["exclude", "covered"]),
    form=st.sampled_from(["parquet", "csv"]),
)  # fmt: skip


@settings(max_examples=30)
@given(rows=tables, recipe=recipes, refused=opposed)
def test_whatever_is_asked_only_what_is_permitted_leaves(rows, recipe, refused):
    built = Built(rows, recipe, refused=refused)

    assert built.left in ([], ["tokens"])
    if built.result is None:
        assert built.last["refused"] in ("empty", "suppression", "k")
        assert not built.exists, "a refused build leaves no file"
        return
    told = built.result
    assert SECRET.encode() not in built.clear, "a direct identifier is in the bytes"
    assert SECRET not in json.dumps(told), "a direct identifier is in what the engine says"
    assert not any(SECRET in str(value) for row in built.rows for value in row)
    assert told["rows_in"] == len(rows) == told["rows_out"] + sum(told["dropped"].values())
    assert len(built.rows) == told["rows_out"]
    quasi = [built.names.index(name) for name in recipe["quasi_identifiers"]]
    classes = defaultdict(set)
    for row in built.rows:
        classes[tuple(row[n] for n in quasi)].add(row[0])
    assert min(len(subjects) for subjects in classes.values()) == told["k_min"] >= recipe["k"]
    alive = {recompute.mac(KEYS[0], f"{SECRET}-{n:06d}")[:32] for n in set(range(1, 13)) - refused}
    assert set(built.column("pseudonym")) <= alive, "somebody who objects is inside"
    ranks = defaultdict(list)
    for pseudonym, rank in zip(built.column("pseudonym"), built.column("event_rank"), strict=True):
        ranks[pseudonym].append(int(rank))
    assert all(found == list(range(1, len(found) + 1)) for found in ranks.values())


@settings(max_examples=15)
@given(rows=tables, recipe=recipes, refused=opposed)
def test_one_recipe_makes_the_same_bytes_each_time_whatever_the_threads(rows, recipe, refused):
    first, second = (Built(rows, recipe, refused=refused, threads=threads) for threads in (1, 2))

    assert first.clear == second.clear
    assert first.last.get("refused") == second.last.get("refused")
    if first.result and second.result:
        assert first.result["clear_sha256"] == second.result["clear_sha256"]


@settings(max_examples=15)
@given(rows=tables, recipe=recipes)
def test_pseudonyms_never_join_across_two_conventions(rows, recipe):
    here, there = (Built(rows, recipe, key=key) for key in KEYS)

    assert (here.result is None) == (there.result is None)
    if here.result:
        assert not set(here.column("pseudonym")) & set(there.column("pseudonym"))
        counts = [Counter(Counter(one.column("pseudonym")).values()) for one in (here, there)]
        assert counts[0] == counts[1], "the same subjects, under other names"


@settings(max_examples=15)
@given(rows=tables, form=st.sampled_from(["parquet", "csv"]))
def test_intervals_are_kept_within_a_subject_and_the_calendar_is_not(rows, form):
    built = Built(rows, recipe_of({**dict.fromkeys(WAYS), "venue": {"kind": "shift_days"}}, k=1, minors="covered",
                                  form=form))  # fmt: skip

    if built.result is None:
        assert built.last["refused"] == "empty"
        return
    moments = defaultdict(list)
    for row in rows:
        if row["dossier"]:
            pseudonym = recompute.mac(KEYS[0], row["dossier"])[:32]
            moments[pseudonym].append(datetime.fromisoformat(row["venue"]) if row["venue"] else None)
    released = defaultdict(list)
    for pseudonym, moment in zip(built.column("pseudonym"), built.column("venue"), strict=True):
        released[pseudonym].append(datetime.fromisoformat(moment) if isinstance(moment, str) else moment)
    for pseudonym, before in moments.items():
        was = sorted(moment for moment in before if moment)
        now = sorted(moment for moment in released[pseudonym] if moment)
        shifts = {after - first for first, after in zip(was, now, strict=True)}
        assert len(shifts) <= 1, "one shift a subject"
        assert all(abs(shift.days) <= 182 and not shift.seconds for shift in shifts)


@settings(max_examples=15)
@given(notes=st.lists(st.tuples(texts, texts), min_size=1, max_size=20))
def test_a_csv_keeps_every_text_but_for_the_shield_of_formulas(notes):
    recipe = {
        "format": 1, "personal": False, "convention": "CV-1", "dataset": {"slug": "jeu"}, "reading": {"missing": ["?"]},
        "source_columns": ["a", "b"], "subject_key": None, "identifiers": [], "consent": None, "blanked": [], "k": 0,
        "columns": [{"name": n, "type": "text", "role": "measure", "treatment": {"kind": "keep"}} for n in "ab"],
        "minors": {"rule": "covered", "age_column": None}, "rank_by": None, "quasi_identifiers": [],
        "suppression_max_pct": 100, "output": {"format": "csv", "sealed": False},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        with (folder / "clear.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *notes])
        job = {"recipe": recipe, "source": str(folder / "clear.csv"), "output": str(folder / "out"),
               "scratch": str(folder / "scratch"), "recipients": [], "memory_mib": 256}  # fmt: skip
        last = engine.run(job, lambda line: None)
        read = list(csv.reader(io.StringIO((folder / "out").read_bytes().decode(), newline="")))

    def is_number(text):
        try:
            float(text.replace(",", "."))
        except ValueError:
            return False
        return not set(text) - set("+-0123456789.,eE")

    def shown(text):
        text = "" if text == "?" else text
        return f"'{text}" if text[:1] in tuple("=+-@\t\n") and not is_number(text) else text

    wanted = [[shown(a), shown(b)] for a, b in notes]
    assert read[1:] == wanted
    [file] = last["result"]["files"]
    changed = sum(cell != ("" if was == "?" else was) for row, line in zip(wanted, notes, strict=True)
                  for cell, was in zip(row, line, strict=True))  # fmt: skip
    assert sum(file["neutralised"].values()) == changed
