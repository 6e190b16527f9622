"""The second program: recompute a release from its inputs, without any module of the project.

    python tests/recompute.py var/demo/summary.json

It reads the source file, the recipe, the convention's key, the zone's token key and the register of objections (the
demo alone gives these away), works everything out again in plain Python (csv, hmac), opens the released file with the
recipient's identity, and compares. Each check is printed; the exit status is 1 when one does not hold.
Only the container formats come from libraries: DuckDB reads Parquet, pyrage opens age.
"""

import bisect
import csv
import gzip
import hashlib
import hmac
import io
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
import unicodedata
import zipfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Report:
    """What was checked: (holds, words)."""

    lines: list[tuple[bool, str]] = field(default_factory=list)

    def check(self, name: str, holds: bool, detail: str = "") -> bool:
        self.lines.append((bool(holds), name + (f" ({detail})" if detail else "")))
        return bool(holds)

    @property
    def failed(self) -> list[str]:
        return [words for holds, words in self.lines if not holds]


@dataclass
class Inputs:
    """All that the release depends on, and the clear bytes that it became."""

    source: Path
    recipe: dict
    pseudonym_key: str
    token_key: str
    opposed: list[str]  # hexadecimal zone tokens in force when it was built
    clear: bytes
    manifest: dict = field(default_factory=dict)
    consented: list[str] = field(default_factory=list)  # of those who agreed, where the recipe asks for consent
    sources: dict[str, Path] = field(default_factory=dict)  # of a recipe of format 2: the file of each table


# ---------------------------------------------------------------------------------------------- reading


def read_source(path: Path, recipe: dict) -> tuple[bytes, list[dict]]:
    """The original bytes and their rows: text, or None where the value is missing."""
    original = path.read_bytes()
    clear = gzip.decompress(original) if original[:2] == b"\x1f\x8b" else original
    reading = recipe["reading"]
    text = clear.decode(reading.get("encoding") or "utf-8").removeprefix("\ufeff")
    marks = {"", *reading.get("missing", ())}
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=reading.get("delimiter") or ",")
    header = [name.strip() for name in next(lines)]
    if reading.get("one_line"):
        header = [" ".join(name.split()) for name in header]
    kept = [line for line in lines if line and not (reading.get("skip_blank") and not any(line))]
    rows: list[dict] = [{n: (None if v in marks else v) for n, v in zip(header, line, strict=True)} for line in kept]
    for name in reading.get("century", ()):
        counted: Counter[str] = Counter()
        for row in rows:
            if row[name] and re.match(r"00\d\d-", row[name]):
                counted[row[name][:4]] += 1
                row[name] = f"20{row[name][2:]}"
        if counted != reading["mended"]["century"][name]:
            raise ValueError(f"the years of {name} were not mended as often as the recipe says")
    return original, rows


def read_output(clear: bytes, form: str) -> tuple[list[str], list[tuple]]:
    """Names and rows of the released file, in its order."""
    if form == "csv":
        lines = csv.reader(io.StringIO(clear.decode("utf-8"), newline=""))
        names = next(lines)
        return names, [tuple(v if v != "" else None for v in line) for line in lines]
    import tempfile

    import duckdb

    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        file.write(clear)
        file.flush()
        with duckdb.connect() as engine:
            found = engine.execute("SELECT * FROM read_parquet(?)", [file.name])
            return [column[0] for column in found.description], found.fetchall()


def open_sealed(sealed: bytes, identity: str) -> bytes:
    import pyrage

    return pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(identity)])


# ---------------------------------------------------------------------------------------------- treatments


def mac(key: str, text: str) -> str:
    return hmac.new(key.encode("ascii"), text.encode("utf-8"), hashlib.sha256).hexdigest()


def ages(text: str | None) -> tuple[int, int] | None:
    """First and last age of a band, both included."""
    if text is None:
        return None
    text = text.strip()
    if match := re.fullmatch(r"\[(\d+)-(\d+)\)", text):
        return int(match[1]), int(match[2]) - 1
    if match := re.fullmatch(r"(\d+)-(\d+)", text):
        return int(match[1]), int(match[2])
    if match := re.fullmatch(r"(\d+)\+", text):
        return int(match[1]), 999
    if match := re.fullmatch(r"\d+", text):
        return int(text), int(text)
    return None


def band(text: str | None, width: int, top: int) -> str | None:
    known = ages(text)
    if known is None:
        return None
    low, high = known
    start = low // width * width
    if start >= top:
        return f"{top}+"
    return f"{start}+" if high == 999 else f"{start}-{high // width * width + width - 1}"


def is_adult(text: str | None) -> bool:
    known = ages(text)
    return known is not None and known[0] >= 18 and known[1] >= known[0]


def birth_band(text: str | None, width: int, top: int, year: int) -> str | None:
    """The band of the year that the text begins with; the oldest of all in one."""
    found = re.match(r"(\d{4})(-|$)", text or "")
    if not found:
        return None
    low, oldest = int(found[1]) // width * width, (year - top) // width * width
    return f"<{oldest + width}" if low <= oldest else f"{low}-{low + width - 1}"


def areas_of_communes(treatment: dict) -> dict[str, str]:
    """The public table of groups of communes, which must be the one of the recipe."""
    stored = (ROOT / f"zones/reference/commune-groups-{treatment['edition']}.csv.gz").read_bytes()
    if hashlib.sha256(stored).hexdigest() != treatment["sha256"]:
        raise ValueError("the table of communes is not the recipe's")
    return {line["code"]: line["area"] for line in csv.DictReader(io.StringIO(gzip.decompress(stored).decode()))}


def cell_of_grid(latitude: float | None, longitude: float | None) -> tuple[float, float] | None:
    """The middle of the cell of 1 km: rows of latitude, and in each, cells as wide at the row's own middle."""
    if latitude is None or longitude is None or abs(latitude) > 89 or abs(longitude) > 180:
        return None
    degree = 111.195  # km
    middle = (math.floor(latitude * degree) + 0.5) / degree
    wide = degree * math.cos(math.radians(middle))
    return half_up(middle, 5), half_up((math.floor(longitude * wide) + 0.5) / wide, 5)


def half_up(x: float, decimals: int) -> float:
    scale = 10.0**decimals
    return math.floor(x * scale + 0.5) / scale


def start_of(at, unit: str):
    """The start of the minute, hour, day or month of a date or a moment."""
    if not isinstance(at, datetime):
        return at.replace(day=1) if unit == "month" else at
    clock = {"minute": time(at.hour, at.minute), "hour": time(at.hour)}.get(unit, time(0))
    cut = datetime.combine(at.date(), clock)
    return cut.replace(day=1) if unit == "month" else cut


def metres(a: tuple, b: tuple) -> float:
    """How far the point `a` is from `b`: (moment, line, latitude, longitude) each."""
    y, x = 111195.0 * (a[2] - b[2]), 111195.0 * (a[3] - b[3]) * math.cos(math.radians(a[2]))
    return math.sqrt(y * y + x * x)


def left_of_trips(points: list[tuple], day: str) -> list[int]:
    """The lines that stay of one subject's day: `points` are (moment, line, latitude, longitude), `day` its HMAC."""
    start, end = (300 + int(day[at : at + 8], 16) % 201 for at in (48, 56))
    once = [next(same) for _at, same in itertools.groupby(sorted(points), key=lambda point: point[0])]
    times = [(at - datetime.fromisoformat("1970-01-01")) // timedelta(microseconds=1) for at, *_rest in once]
    pause = 600 * 10**6
    trips: list[list[tuple]] = []
    was_resting = None
    for n, point in enumerate(once):
        ahead, behind = bisect.bisect_left(times, times[n] + pause), bisect.bisect_right(times, times[n] - pause) - 1
        known = [*once[ahead : ahead + 1], *(once[behind : behind + 1] if behind >= 0 else [])]
        rests = any(metres(point, other) < 100 for other in known)
        if rests != was_resting or times[n] - times[n - 1] > pause:
            trips.append([])
        was_resting = rests
        trips[-1].append((point, rests))
    first: dict = {}
    for trip in trips:
        for point, rests in trip:
            if not rests and metres(point, trip[0][0]) >= start and metres(point, trip[-1][0]) >= end:
                first.setdefault(point[0].replace(second=0, microsecond=0), point[1])
    return list(first.values())


def department(text: str | None) -> str | None:
    if text is None:
        return None
    code = text.rjust(5, "0") if len(text) == 4 else text
    return code[:3] if code[:2] in ("97", "98") else code[:2]


def number(text: str | None, kind: str, decimal: str):
    if text is None:
        return None
    return int(text) if kind in ("integer", "bigint") else float(text.replace(decimal, "."))


def moment(text: str):
    """A day, or a moment: the local time that is written, without its offset."""
    if len(text) <= 10:
        return date.fromisoformat(text)
    return datetime.fromisoformat(text).replace(tzinfo=None)


def category_of(code: str) -> str:
    """The three signs by which a code of diagnosis is compared."""
    before = code.strip().upper().partition(".")[0]
    return before.rjust(3, "0") if before.isdigit() else before[:3]


def without_reinforced(rows: list[dict], blanked: list[dict]) -> list[dict]:
    """The rows, in which the cells whose code is of a class that does not leave are empty."""
    copies = [dict(row) for row in rows]
    for one in blanked:
        for row in copies:
            code = row[one["column"]]
            if code is None:
                continue
            whole = category_of(code) + "." + code.strip().upper().partition(".")[2]
            if category_of(code) in one["categories"] or whole.startswith(tuple(one["beginnings"])):
                row[one["column"]] = None
    return copies


# A few codes that everybody can look up, written here and not read from the recipe: by class, ICD-9-CM and ICD-10.
KNOWN_CODES = {
    "hiv": {"042", "B20", "B24", "Z21"},
    "psychiatry": {"295", "296", "300", "311", "F20", "F32"},
    "addiction": {"291", "303", "304", "305", "F10", "F19"},
    "sexual_health": {"642", "648", "654", "V27", "O80", "Z32"},
}


def quantile(values: list, per_mille: int):
    """The discrete quantile: of n sorted values, the one numbered ceil(n * per_mille / 1000), from 1."""
    ordered = sorted(values)
    rank = -((-len(ordered) * per_mille) // 1000)
    return ordered[max(1, rank) - 1]


NUMBERS = {"integer", "bigint", "number", "float", "decimal", "double"}
MOMENTS = {"date", "datetime", "timestamp"}


def typed(text: str | None, column: dict, decimal: str):
    kind = column["type"].lower()
    if text is None or kind not in NUMBERS | MOMENTS:
        return text
    return number(text, kind, decimal) if kind in NUMBERS else moment(text)


# ---------------------------------------------------------------------------------------------- the release


def days_of(keyed: str, *, weeks: bool) -> int:
    """The shift of a subject, from their HMAC."""
    number = int(keyed[32:40], 16)
    return number % 9 * 7 - 28 if weeks else number % 365 - 182


def treat(column: dict, rows: list[dict], who: list, *, shift: dict, k: int, decimal: str, beside: bool) -> list:
    """The released values of one column of `rows`, of the subjects `who`: before any class is made.

    `shift`: days by subject; `beside`: whether a quasi-identifier is released, so that far values are clipped."""
    name, treatment = column["name"], column["treatment"]
    kind = treatment["kind"]
    read = [row[name] for row in rows]
    if kind in ("category", "department", "commune_group"):
        if kind == "commune_group":
            areas = areas_of_communes(treatment)
            read = [v and areas.get(v.rjust(5, "0") if len(v) == 4 else v, department(v)) for v in read]
        if kind == "department":
            read = [department(v) for v in read]
        holders = defaultdict(set)
        for value, one in zip(read, who, strict=True):
            holders[value].add(one)
        return [v if v is None or len(holders[v]) >= k else "autre" for v in read]
    if kind == "band_age":
        return [band(v, treatment["width"], treatment["top"]) for v in read]
    if kind == "birth_band":
        return [birth_band(v, treatment["width"], treatment["top"], treatment["year"]) for v in read]
    if kind == "grid_1km":
        at = [treatment["axis"] == "longitude", treatment["axis"] == "latitude"]
        pair = [[typed(row[n], {"type": "number"}, decimal) for n in (name, treatment["pair"])] for row in rows]
        cells = [cell_of_grid(p[at[0]], p[at[1]]) for p in pair]
        return [cell and cell[at[0]] for cell in cells]
    read = [typed(v, column, decimal) for v in read]
    known = [v for v in read if v is not None]
    if "low_per_mille" in treatment and beside and known:
        low, high = quantile(known, treatment["low_per_mille"]), quantile(known, treatment["high_per_mille"])
        read = [v if v is None else min(max(v, low), high) for v in read]
    if kind == "round" and column["type"] not in ("integer", "bigint"):
        read = [v if v is None else half_up(v, treatment["decimals"]) for v in read]
    if kind in ("minute", "hour", "day", "month"):
        read = [v if v is None else start_of(v, kind) for v in read]
    if kind in ("shift_days", "shift_weeks"):
        read = [None if v is None else v + timedelta(days=shift[one]) for v, one in zip(read, who, strict=True)]
    return read


def expected(inputs: Inputs, rows: list[dict]) -> tuple[list[str], list[tuple], dict]:
    """The names, the rows in order, and the counts that the release must have."""
    recipe = inputs.recipe
    decimal = recipe["reading"].get("decimal") or "."
    columns = [c for c in recipe["columns"] if c["treatment"]["kind"] != "drop"]
    if not recipe["personal"]:
        keep = [c["name"] for c in columns]
        as_read = recipe["output"]["format"] == "csv"
        table = [tuple(r[c["name"]] if as_read else typed(r[c["name"]], c, decimal) for c in columns) for r in rows]
        return keep, table, {"rows_in": len(rows), "rows_out": len(rows), "dropped": {}}
    subject, age, k = recipe["subject_key"], recipe["minors"]["age_column"], recipe["k"]
    opposed = set(inputs.opposed)
    consented = set(inputs.consented) if recipe.get("consent") else None
    dropped = Counter(no_subject=0, opposed=0, minor=0, small_class=0)
    if consented is not None:
        dropped["no_consent"] = 0
    if recipe.get("sample"):
        dropped["not_sampled"] = 0
    token = {s: mac(inputs.token_key, s) for s in {r[subject] for r in rows} if s is not None}
    base = []
    for line, row in enumerate(rows):
        if row[subject] is None:
            dropped["no_subject"] += 1
        elif token[row[subject]] in opposed:
            dropped["opposed"] += 1
        elif consented is not None and token[row[subject]] not in consented:
            dropped["no_consent"] += 1
        elif recipe.get("sample") and not is_drawn(mac(inputs.pseudonym_key, row[subject]), recipe["sample"]):
            dropped["not_sampled"] += 1
        elif recipe["minors"]["rule"] == "exclude" and not is_adult(row[age]):
            dropped["minor"] += 1
        else:
            base.append((line, row))
    whole = dict(base)
    blank = without_reinforced([row for _line, row in base], recipe.get("blanked", []))
    base = [(line, row) for (line, _row), row in zip(base, blank, strict=True)]
    names_of = {line: row[subject] + day_mark(row, recipe) for line, row in base}
    keyed = {s: mac(inputs.pseudonym_key, s) for s in {*names_of.values(), *(r[subject] for _line, r in base)}}
    if recipe.get("trace"):
        stay = set(inside_of_trips(inputs, rows))
        dropped["trimmed"] = sum(line not in stay for line, _row in base)
        base = [(line, row) for line, row in base if line in stay]
    weeks = any(c["treatment"]["kind"] == "shift_weeks" for c in columns)
    shift = {s: days_of(h, weeks=weeks) for s, h in keyed.items()}
    table_rows, who = [row for _line, row in base], [row[subject] for _line, row in base]
    beside = bool(recipe["quasi_identifiers"])
    values = {
        c["name"]: treat(c, table_rows, who, shift=shift, k=k, decimal=decimal, beside=beside)
        for c in columns
        if c["name"] != subject
    }
    classes = defaultdict(set)
    key_of = [tuple(values[q][n] for q in recipe["quasi_identifiers"]) for n in range(len(base))]
    for n, (_line, row) in enumerate(base):
        classes[key_of[n]].add(row[subject])
    small = bool(recipe["quasi_identifiers"])
    kept = [n for n in range(len(base)) if not small or len(classes[key_of[n]]) >= k]
    dropped["small_class"] = len(base) - len(kept)
    histories = defaultdict(list)
    for n in kept:
        line, row = base[n]
        histories[names_of[line]].append((order_of(row, recipe["rank_by"]), line, n))
    table = []
    for who in sorted(histories, key=lambda s: keyed[s][:32]):
        for rank, (_order, _line, n) in enumerate(sorted(histories[who]), 1):
            others = [values[c["name"]][n] for c in columns if c["name"] != subject]
            table.append((keyed[who][:32], rank, *others))
    names = ["pseudonym", "event_rank", *(c["name"] for c in columns if c["name"] != subject)]
    persons = len({base[n][1][subject] for n in kept})
    counts = {
        "rows_in": len(rows), "rows_out": len(table), "subjects_out": persons, "dropped": dict(dropped),
        "k_min": min((len(s) for s in classes.values() if len(s) >= k), default=0) if small else persons,
        "base": len(base),
        "blanked": {
            name: sum(1 for n in kept if base[n][1][name] is None and whole[base[n][0]][name] is not None)
            for name in (one["column"] for one in recipe.get("blanked", []))
        },
    }  # fmt: skip
    return names, table, counts


def day_mark(row: dict, recipe: dict) -> str:
    """What a pseudonym of the day is made of beside the subject; nothing where a pseudonym lasts."""
    if not recipe.get("daily"):
        return ""
    text = row[recipe["daily"]["column"]]
    return "\x1f" + (moment(text).isoformat()[:10] if text else "")


def at_midnight(at):
    """A day as its first moment."""
    return at if isinstance(at, datetime) else datetime.combine(at, time(0))


def inside_of_trips(inputs: Inputs, rows: list[dict]) -> list[int]:
    """The lines whose points are left, of every subject's day."""
    recipe, days = inputs.recipe, defaultdict(list)
    trace, decimal = recipe["trace"], recipe["reading"].get("decimal") or "."
    for line, row in enumerate(rows):
        at, *place = [row[trace[name]] for name in ("time", "latitude", "longitude")]
        if at is not None and None not in place and row[recipe["subject_key"]] is not None:
            point = (at_midnight(moment(at)), line, *(float(v.replace(decimal, ".")) for v in place))
            days[row[recipe["subject_key"]] + day_mark(row, recipe)].append(point)
    return [line for name, points in days.items() for line in left_of_trips(points, mac(inputs.pseudonym_key, name))]


def is_drawn(of: str, sample: dict) -> bool:
    """Whether the person of this HMAC is in the sample."""
    return int(of[40:48], 16) < 2**32 * sample["per_mille"] // 1000


def order_of(row: dict, rank_by: dict | None):
    """Sorts as the recipe says: by number or by time, those without one last."""
    if rank_by is None:
        return (0, 0)
    text = row[rank_by["column"]]
    if text is None:
        return (1, 0)
    if rank_by["order"] == "number":
        return (0, Fraction(text))
    at = moment(text)
    return (0, at.isoformat())


def same(a, b) -> bool:
    """Whether the released value `a` is the expected `b`; a file of text holds numbers as text."""
    if isinstance(a, str) and isinstance(b, (int, float)):
        return float(a) == float(b)
    if isinstance(a, str) and isinstance(b, date):
        return datetime.fromisoformat(a) == datetime.fromisoformat(b.isoformat())
    if isinstance(a, float) or isinstance(b, float):
        return a is not None and b is not None and abs(a - b) <= 1e-9 * max(1.0, abs(a))
    if isinstance(a, datetime) != isinstance(b, datetime) and a is not None and b is not None:
        return datetime.fromisoformat(a.isoformat()[:10]) == datetime.fromisoformat(b.isoformat()[:10])
    return a == b


def recompute(inputs: Inputs) -> Report:
    if inputs.recipe.get("format", 1) == 2:
        return recompute_tables(inputs)
    report, recipe = Report(), inputs.recipe
    original, rows = read_source(inputs.source, recipe)
    source_digest = recipe["dataset"].get("source_sha256")
    report.check("la source a l'empreinte de la recette", hashlib.sha256(original).hexdigest() == source_digest)
    names, table = read_output(inputs.clear, recipe["output"]["format"])
    wanted_names, wanted, counts = expected(inputs, rows)
    report.check("les colonnes sont celles de la recette", names == wanted_names, ", ".join(names[:6]))
    report.check("autant de lignes que recalculé", len(table) == len(wanted), f"{len(table)} pour {len(wanted)}")
    if recipe["personal"]:
        check_persons(report, inputs, rows, names, table)
    different: Counter[str] = Counter()
    for got, want in zip(table, wanted, strict=False):
        for name, a, b in zip(wanted_names, got, want, strict=False):
            if not same(a, b):
                different[name] += 1
    for column in wanted_names:
        report.check(f"chaque valeur de {column}", not different[column], f"{different[column]} différences")
    if inputs.manifest:
        check_manifest(report, inputs, counts)
    return report


# ---------------------------------------------------------------------------------------------- several tables


@dataclass
class Read:
    """One table as it was read: its part of the recipe, its rows, whose each one is."""

    told: dict
    rows: list[dict]
    who: list = field(default_factory=list)

    @property
    def columns(self) -> list[dict]:
        return [c for c in self.told["columns"] if c["treatment"]["kind"] != "drop"]

    @property
    def of_persons(self) -> bool:
        return self.told["subject"] is not None

    @property
    def own(self) -> str | None:
        """The column that becomes the pseudonym of the row's subject."""
        subject = self.told["subject"]
        return subject["column"] if subject and "through" not in subject else None

    @property
    def decimal(self) -> str:
        return self.told["reading"].get("decimal") or "."


def whose(tables: dict[str, Read], name: str) -> list:
    """The local identifier of the subject of each row of a table, through the keys that lead to it."""
    table = tables[name]
    subject = table.told["subject"]
    if subject is None:
        return [None] * len(table.rows)
    if "through" not in subject:
        return [row[subject["column"]] for row in table.rows]
    other, key = subject["through"]
    leads = defaultdict(set)
    for row, one in zip(tables[other].rows, whose(tables, other), strict=True):
        if one is not None:
            leads[row[key]].add(one)
    found = [leads.get(row[subject["column"]], set()) if row[subject["column"]] else set() for row in table.rows]
    return [next(iter(one)) if len(one) == 1 else None for one in found]


def day_of(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        return None


def surely_adult(born: str | None, event: str | None, birth: dict) -> bool:
    """Whether a person born then was 18 at the event, whatever the birthday within the year."""
    on = day_of(event)
    if born is None or on is None:
        return False
    if birth["as"] == "year":
        return born.isdigit() and on.year - int(born) - 1 >= 18
    day = day_of(born)
    if day is None:
        return False
    return on.year - day.year - ((on.month, on.day) < (day.month, day.day)) >= 18


def rekeyed(key: str, of: list[str], value: str | None) -> str | None:
    return None if value is None else mac(key, f"{of[0]}.{of[1]}\x1f{value}")[:32]


def expected_tables(inputs: Inputs, tables: dict[str, Read]) -> tuple[dict[str, tuple[list[str], list[tuple]]], dict]:
    """Of each table that leaves: its names, its rows in order; and the counts by table."""
    recipe, k = inputs.recipe, inputs.recipe["k"]
    head = tables[recipe["subjects"]["table"]]
    alone, birth, excludes = len(tables) == 1, recipe["minors"].get("birth"), recipe["minors"]["rule"] == "exclude"
    for name, table in tables.items():
        table.who = whose(tables, name)
    known = {one for one in head.who if one is not None}
    opposed, agreed = set(inputs.opposed), set(inputs.consented)
    token = {one: mac(inputs.token_key, one) for one in known}
    keyed = {one: mac(inputs.pseudonym_key, one) for one in known}
    born = {one: row[birth["column"]] for one, row in zip(head.who, head.rows, strict=True)} if birth else {}

    def why_not(one) -> str:
        if one not in known:
            return "no_subject"
        if token[one] in opposed:
            return "opposed"
        if recipe.get("consent") and token[one] not in agreed:
            return "no_consent"
        return "not_sampled" if recipe.get("sample") and not is_drawn(keyed[one], recipe["sample"]) else ""

    def adult(table: Read, row: dict, one) -> bool:
        if table.told.get("age"):
            return is_adult(row[table.told["age"]])
        if not birth:
            return False
        if table is head and not (alone and table.told["event"]):
            return surely_adult(row[birth["column"]], recipe["minors"]["on"], birth)
        birthday = row[birth["column"]] if alone else born[one]
        return bool(table.told["event"]) and surely_adult(birthday, row[table.told["event"]], birth)

    fates: dict[str, list[str]] = {}
    seen: dict[str, bool] = {}
    others = [(name, t) for name, t in tables.items() if t.of_persons and t is not head]
    for name, table in [*others, (recipe["subjects"]["table"], head)]:
        fates[name] = []
        for row, one in zip(table.rows, table.who, strict=True):
            fate = why_not(one)
            if not fate and excludes:
                is_one = adult(table, row, one)
                if table is not head and (table.told.get("age") or table.told.get("event")):
                    seen[one] = seen.get(one, False) or is_one
                if table is head and birth and not table.told.get("age"):
                    is_one = seen.get(one, is_one)
                fate = "" if is_one else "minor"
            fates[name].append(fate)
    inside = {one for one, fate in zip(head.who, fates[recipe["subjects"]["table"]], strict=True) if not fate}

    shifts = {one: days_of(h, weeks=any_weeks(tables)) for one, h in keyed.items()}
    bases, values = {}, {}
    for name, table in tables.items():
        if not table.columns and table is not head:
            continue
        lines = list(range(len(table.rows)))
        if table.of_persons:
            lines = [n for n in lines if not fates[name][n] and table.who[n] in inside]
        rows = without_reinforced([table.rows[n] for n in lines], table.told.get("blanked", []))
        who = [table.who[n] if table.of_persons else n for n in lines]
        beside = bool(table.told["quasi_identifiers"] or (table.of_persons and head.told["quasi_identifiers"]))
        keys = {one["column"]: one["of"] for one in table.told["keys"]}
        bases[name] = (list(lines), rows, who)
        values[name] = {
            c["name"]: [rekeyed(inputs.pseudonym_key, keys[c["name"]], row[c["name"]]) for row in rows]
            if c["name"] in keys
            else treat(c, rows, who, shift=shifts, k=k, decimal=table.decimal, beside=beside)
            for c in table.columns
            if c["name"] != table.own
        }

    def shares(name: str, quasi: list[str], of: dict | None = None) -> list[tuple]:
        _lines, _rows, who = bases[name]
        own = [tuple(values[name][q][n] for q in quasi) for n in range(len(who))]
        return [(of[one] if of is not None else ()) + mine for one, mine in zip(who, own, strict=True)]

    top = recipe["subjects"]["table"]
    cohort: dict | None = None
    if not alone:
        quasi = head.told["quasi_identifiers"]
        met = shares(top, quasi)
        sizes = Counter(met)
        cohort = {
            one: mine for one, mine in zip(bases[top][2], met, strict=True) if not quasi or sizes[mine] >= k
        }  # fmt: skip
    found, counts, stays = {}, {}, {}
    for name, table in referring_first(tables):
        _lines, rows, who = bases[name]
        quasi = table.told["quasi_identifiers"]
        stay = [n for n in range(len(rows)) if not table.of_persons or cohort is None or who[n] in cohort]
        unreferred = 0
        if table.told.get("leaves") == "referred":
            stay = referred_lines(name, tables, values, stays)
            unreferred = len(rows) - len(stay)
        k_min = None
        if quasi:
            upper = cohort if table.of_persons and not alone and table is not head else None
            wide = {one: upper.get(one, ()) for one in who} if upper is not None else None
            group = shares(name, quasi, wide)
            holders = defaultdict(set)
            for n in stay:
                holders[group[n]].add(who[n])
            if table is not head or alone:
                stay = [n for n in stay if len(holders[group[n]]) >= k]
            k_min = min((len(holders[group[n]]) for n in stay), default=None)
        kin = [one["column"] for one in table.told["keys"] if one["of"] == [top, recipe["subjects"]["column"]]]
        there = cohort if cohort is not None else {who[n] for n in stay}
        for name_of_kin in kin:
            values[name][name_of_kin] = [
                keyed[row[name_of_kin]][:32] if row[name_of_kin] in there else None for row in rows
            ]
        nobodys = {
            one: sum(rows[n][one] is not None and values[name][one][n] is None for n in stay) for one in kin
        }  # fmt: skip
        stays[name] = stay
        lost = {"small_class": len(rows) - unreferred - len(stay)}
        if table.told.get("leaves") == "referred":
            lost["unreferred"] = unreferred
        if table.of_persons:
            reasons = ["no_subject", "opposed", *(["no_consent"] if recipe.get("consent") else [])]
            reasons += ["not_sampled"] if recipe.get("sample") else []
            lost |= {reason: fates[name].count(reason) for reason in reasons}
            lost["minor"] = fates[name].count("minor") + fates[name].count("") - len(rows)
        counts[name] = {"rows_in": len(table.rows), "rows_out": len(stay), "k_min": k_min, "dropped": lost}
        counts[name]["emptied"] = nobodys
    emptied = {name: without_dangling(name, tables, values, stays, recipe["subjects"]) for name in stays}
    for name in (name for name in tables if name in stays):
        stay = stays[name]
        for column, held in emptied[name].items():
            counts[name].setdefault("emptied", {})[column] = sum(
                values[name][column][n] is not None and held[n] is None for n in stay
            )
        shown = [c["name"] for c in tables[name].columns if c["name"] != tables[name].own]
        found[name] = laid_out(tables[name], shown, {**values[name], **emptied[name]}, stay, bases[name], keyed)
    return found, counts


def named_rows(name: str, tables: dict[str, Read]) -> list[tuple[str, str, str]]:
    """The columns of released tables that name rows of `name` by its own key: (their table, their name, the key)."""
    own = {one["column"] for one in tables[name].told["keys"] if one["of"] == [name, one["column"]]}
    return [
        (other, one["column"], one["of"][1])
        for other, table in tables.items()
        if table.columns
        for one in table.told["keys"]
        if one["of"][0] == name and one["of"][1] in own and (other, one["column"]) != (name, one["of"][1])
        if one["column"] in {c["name"] for c in table.columns}
    ]


def referring_first(tables: dict[str, Read]) -> list[tuple[str, Read]]:
    """The tables that leave, each that leaves by reference after those that refer to it."""
    order: list[str] = []

    def add(name: str) -> None:
        if name in order:
            return
        if tables[name].told.get("leaves") == "referred":
            for other, _column, _key in named_rows(name, tables):
                if other != name:
                    add(other)
        order.append(name)

    for name, table in tables.items():
        if table.columns:
            add(name)
    return [(name, tables[name]) for name in order]


def referred_lines(name: str, tables: dict[str, Read], values: dict, stays: dict) -> list[int]:
    """The rows of a table of no person that a row that leaves names, and eight steps of those above them."""
    naming = named_rows(name, tables)
    size = len(tables[name].rows)
    met = {
        (key, values[other][column][n]) for other, column, key in naming if other != name for n in stays[other]
    }  # fmt: skip
    keys = {key for _other, _column, key in naming}

    def named(wanted: set) -> set[int]:
        held = {key: values[name][key] for key in keys}
        return {n for n in range(size) for key in keys if held[key][n] is not None and (key, held[key][n]) in wanted}

    found = named(met)
    for _step in range(8):
        found |= named(
            {(key, values[name][column][n]) for other, column, key in naming if other == name for n in found}
        )
    return sorted(found)


def without_dangling(name: str, tables: dict[str, Read], values: dict, stays: dict, subjects: dict) -> dict[str, list]:
    """The columns that name rows of a released table by their own key: None where no such row leaves."""
    made = {}
    for one in tables[name].told["keys"]:
        column, (table, key) = one["column"], one["of"]
        own = {(each["column"], *each["of"]) for each in tables[table].told["keys"]} if table in tables else set()
        if column not in values[name] or (table, key) in ((name, column), (subjects["table"], subjects["column"])):
            continue
        if table in stays and key in values[table] and (key, table, key) in own:
            there = {values[table][key][n] for n in stays[table]}
            made[column] = [value if value in there else None for value in values[name][column]]
    return made


def any_weeks(tables: dict[str, Read]) -> bool:
    return any(c["treatment"]["kind"] == "shift_weeks" for table in tables.values() for c in table.columns)


def laid_out(table: Read, shown: list[str], values: dict, stay: list[int], base: tuple, keyed: dict):
    """The names and the rows of a file: by pseudonym and rank, or in the order of their own values."""
    lines, _rows, who = base
    if not table.of_persons:
        first = [one["column"] for one in table.told["keys"] if one["column"] in shown]
        rows_out = [tuple(values[name][n] for name in shown) for n in stay]
        places = [shown.index(name) for name in [*first, *shown]]
        return shown, sorted(rows_out, key=lambda line: [plain(line[p]) for p in places])
    histories = defaultdict(list)
    for n in stay:
        histories[who[n]].append((order_of(rows_of(table, lines[n]), table.told["rank_by"]), lines[n], n))
    out = []
    for one in sorted(histories, key=lambda s: keyed[s][:32]):
        for rank, (_order, _line, n) in enumerate(sorted(histories[one]), 1):
            out.append((keyed[one][:32], rank, *(values[name][n] for name in shown)))
    return ["pseudonym", "event_rank", *shown], out


def rows_of(table: Read, line: int) -> dict:
    """The row as it was read: what orders events is never blanked or treated."""
    return table.rows[line]


def plain(value) -> tuple:
    """What a value of a file sorts by, missing ones last."""
    if value is None:
        return (1, "")
    if isinstance(value, datetime):
        return (0, value.isoformat()[:19])
    return (0, f"{value.isoformat()}T00:00:00") if isinstance(value, date) else (0, str(value))


def read_package(clear: bytes, form: str) -> tuple[list[str], dict[str, tuple[list[str], list[tuple]]]]:
    """The members of an archive, and the names and rows of each table in it."""
    found = {}
    with zipfile.ZipFile(io.BytesIO(clear)) as archive:
        for name in archive.namelist():
            if name.startswith("data/"):
                found[name.removeprefix("data/").removesuffix(f".{form}")] = read_output(archive.read(name), form)
        return archive.namelist(), found


def recompute_tables(inputs: Inputs) -> Report:
    """A release of format 2: each table, row by row; then what none may show."""
    report, recipe = Report(), inputs.recipe
    tables = {}
    for told in recipe["tables"]:
        original, rows = read_source(inputs.sources[told["name"]], told)
        if told["source_sha256"]:
            digest = hashlib.sha256(original).hexdigest()
            report.check(f"{told['name']} : la source a l'empreinte de la recette", digest == told["source_sha256"])
        tables[told["name"]] = Read(told, rows)
    wanted, counts = expected_tables(inputs, tables)
    form = recipe["output"]["format"]
    if len(tables) == 1:
        released = {next(iter(tables)): read_output(inputs.clear, form)}
    else:
        members, released = read_package(inputs.clear, form)
        report.check("les tables sont celles de la recette", list(released) == list(wanted), ", ".join(released))
        report.check("la licence est jointe", "LICENCE.txt" in members)
    for name, (names, due) in wanted.items():
        got_names, got = released.get(name, ([], []))
        report.check(f"{name} : les colonnes sont celles de la recette", got_names == names, ", ".join(got_names[:6]))
        report.check(f"{name} : autant de lignes que recalculé", len(got) == len(due), f"{len(got)} pour {len(due)}")
        if not tables[name].of_persons:
            got = sorted(got, key=lambda line: [plain(v) for v in line])
            due = sorted(due, key=lambda line: [plain(v) for v in line])
        different = Counter(
            column for a, b in zip(got, due, strict=False) for column, x, y in zip(names, a, b, strict=False)
            if not same(x, y)
        )  # fmt: skip
        for column in names:
            report.check(
                f"{name} : chaque valeur de {column}", not different[column], f"{different[column]} différences"
            )
    check_tables(report, inputs, tables, released)
    if inputs.manifest:
        for told in inputs.manifest.get("tables", []):
            count = counts[told["name"]]
            pair = (told["rows"]["in"], told["rows"]["out"])
            report.check(f"{told['name']} : lignes du manifeste", pair == (count["rows_in"], count["rows_out"]))
            lost = count["dropped"]
            protected = sum(lost.get(reason, 0) for reason in ("no_subject", "opposed", "no_consent", "minor"))
            report.check(
                f"{told['name']} : lignes écartées",
                told["rows"]["lost"]
                == {"protected_persons": protected, "small_classes": lost["small_class"], **chosen_of(lost)},
                str(lost),
            )  # fmt: skip
            emptied = {column: n for column, n in counts[told["name"]].get("emptied", {}).items() if n}
            report.check(f"{told['name']} : renvois vidés", told.get("references_emptied", {}) == emptied, str(emptied))
        clear = hashlib.sha256(inputs.clear).hexdigest()
        report.check("le fichier ouvert a l'empreinte du manifeste", clear == inputs.manifest["clear_sha256"])
    return report


def check_tables(report: Report, inputs: Inputs, tables: dict[str, Read], released: dict) -> None:
    """What the files themselves must never show, whatever the expected rows are."""
    recipe, k = inputs.recipe, inputs.recipe["k"]
    head = tables[recipe["subjects"]["table"]]
    known = {row[recipe["subjects"]["column"]] for row in head.rows} - {None}
    pseudonym = {mac(inputs.pseudonym_key, one)[:32]: one for one in known}
    opposed = {one for one in known if mac(inputs.token_key, one) in set(inputs.opposed)}
    agreed = {one for one in known if mac(inputs.token_key, one) in set(inputs.consented)}
    clear = {
        row[name]
        for table in tables.values()
        for name in (*table.told["identifiers"], *([table.own] if table.own else []))
        for row in table.rows
        if row[name] is not None and len(row[name]) >= 6 and (len(row[name]) >= 9 or not row[name].isdigit())
    }
    for name, (names, rows) in released.items():
        inside = {line[names.index("pseudonym")] for line in rows} if "pseudonym" in names else set()
        report.check(f"{name} : chaque pseudonyme est celui d'une personne, sous la clé", inside <= pseudonym.keys())
        whom = {pseudonym.get(one) for one in inside}
        report.check(f"{name} : aucune personne opposée", not whom & opposed)
        if recipe.get("consent"):
            report.check(f"{name} : chaque personne a consenti", whom <= agreed)
        texts = {v for line in rows for v in line if isinstance(v, str)}
        report.check(f"{name} : aucun identifiant d'aucune table", not clear & texts, f"{len(clear & texts)}")
        told = told_in_words(clear, texts)
        report.check(f"{name} : aucun identifiant de plusieurs mots dans une phrase", not told, f"{len(told)}")
        report.check(
            f"{name} : aucune colonne d'identifiant direct", not set(names) & set(tables[name].told["identifiers"])
        )
        for one in tables[name].told["keys"]:
            if one["column"] in names and one["of"] != [recipe["subjects"]["table"], recipe["subjects"]["column"]]:
                held = {line[names.index(one["column"])] for line in rows} - {None}
                made = {rekeyed(inputs.pseudonym_key, one["of"], row[one["column"]]) for row in tables[name].rows}
                report.check(f"{name} : {one['column']} est refaite sous la clé", held <= made)
        quasi = tables[name].told["quasi_identifiers"]
        if quasi and tables[name].of_persons:
            holders = defaultdict(set)
            for line in rows:
                holders[tuple(line[names.index(q)] for q in quasi)].add(line[0])
            smallest = min((len(one) for one in holders.values()), default=k)
            report.check(f"{name} : chaque groupe compte au moins {k} personnes", smallest >= k, f"k = {smallest}")


def bare_words(text: str) -> list[str]:
    """The words of a text, without capitals, accents or what stands between."""
    plain_letters = (sign for sign in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(sign))
    return re.findall("[a-z0-9]+", "".join(plain_letters))


def told_in_words(identifiers: set[str], texts: set[str]) -> set[str]:
    """The identifiers of several words that one of the texts holds among its own."""
    by_first = defaultdict(list)
    for one in identifiers:
        words = bare_words(one)
        is_telling = any(not word.isdigit() for word in words) or sum(map(len, words)) >= 9
        if len(one.split()) > 1 and len(words) > 1 and is_telling:
            by_first[words[0]].append((words, one))
    found = set()
    for text in texts:
        said = bare_words(text)
        for n, word in enumerate(said):
            found |= {one for words, one in by_first.get(word, ()) if said[n : n + len(words)] == words}
    return found


def check_persons(report: Report, inputs: Inputs, rows: list[dict], names: list[str], table: list[tuple]) -> None:
    """What the file itself must never show, whatever the expected rows are."""
    recipe = inputs.recipe
    subject, quasi, k = recipe["subject_key"], recipe["quasi_identifiers"], recipe["k"]
    everybody = {r[subject] for r in rows if r[subject] is not None}
    named = {r[subject] + day_mark(r, recipe): r[subject] for r in rows if r[subject] is not None}
    pseudonym = {mac(inputs.pseudonym_key, name)[:32]: s for name, s in named.items()}
    inside = {line[0] for line in table}
    report.check("chaque pseudonyme est celui d'une personne, sous la clé de la convention", inside <= pseudonym.keys())
    opposed = {s for s in everybody if mac(inputs.token_key, s) in set(inputs.opposed)}
    report.check(
        "aucune personne opposée", not any(pseudonym.get(p) in opposed for p in inside), f"{len(opposed)} au registre"
    )
    if recipe.get("consent"):
        agreed = {s for s in everybody if mac(inputs.token_key, s) in set(inputs.consented)}
        report.check(
            "chaque personne a consenti à cet usage",
            all(pseudonym.get(p) in agreed for p in inside),
            f"{len(agreed)} au registre",
        )
    if recipe["minors"]["rule"] == "exclude":
        age = recipe["minors"]["age_column"]
        adults = Counter(r[subject] for r in rows if is_adult(r[age]))
        events = Counter(line[0] for line in table)
        report.check(
            "aucun mineur : chacun n'a pas plus de lignes que de séjours majeurs",
            all(count <= adults.get(pseudonym.get(p), 0) for p, count in events.items()),
        )
        if age in names:
            at = names.index(age)
            low = [ages(line[at]) for line in table]
            report.check("aucune tranche d'âge sous 18 ans ou inconnue", all(x and x[1] >= 18 for x in low))
    holders = defaultdict(set)
    places = [names.index(q) for q in quasi]
    for line in table:
        holders[tuple(line[p] for p in places)].add(pseudonym.get(line[0]))
    smallest = min((len(s) for s in holders.values()), default=0)
    report.check(f"chaque groupe compte au moins {k} personnes", smallest >= k, f"k = {smallest}")
    direct = [c for c in (*recipe["identifiers"], subject) if c]
    report.check("aucune colonne d'identifiant direct", not set(direct) & set(names))
    clear = {r[c] for c in direct for r in rows if r[c] is not None and len(r[c]) >= 6}
    texts = {v for line in table for v in line[2:] if isinstance(v, str)}
    report.check("aucun identifiant en clair dans une valeur", not clear & texts)
    for one in recipe.get("blanked", []):
        at = names.index(one["column"])
        held = {category_of(line[at]) for line in table if line[at] is not None}
        never = set().union(*(KNOWN_CODES.get(klass, set()) for klass in one["classes"]))
        report.check(f"aucun code de sensibilité renforcée dans {one['column']}", not held & never, str(held & never))
    ranks = defaultdict(list)
    for line in table:
        ranks[line[0]].append(line[1])
    report.check("les rangs d'une personne sont 1, 2, 3…", all(r == list(range(1, len(r) + 1)) for r in ranks.values()))
    report.check("le fichier est trié par pseudonyme", [line[0] for line in table] == sorted(line[0] for line in table))


def chosen_of(lost: dict) -> dict:
    """Rows left out because the recipient asked for fewer, and points of trips."""
    return {name: lost[name] for name in ("not_sampled", "trimmed", "unreferred") if name in lost}


def check_manifest(report: Report, inputs: Inputs, counts: dict) -> None:
    manifest, recipe = inputs.manifest, inputs.recipe
    plain = json.dumps(recipe, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    report.check(
        "la recette a l'empreinte du manifeste", hashlib.sha256(plain).hexdigest() == manifest["recipe_sha256"]
    )
    clear = hashlib.sha256(inputs.clear).hexdigest()
    report.check("le fichier ouvert a l'empreinte du manifeste", clear == manifest["clear_sha256"])
    told = manifest["rows"]
    report.check("lignes lues et remises", (told["in"], told["out"]) == (counts["rows_in"], counts["rows_out"]))
    licence = hashlib.sha256(manifest["licence"].encode()).hexdigest()
    report.check(
        "la licence est jointe",
        licence == manifest["licence_sha256"] and "xpérimentation seulement" in manifest["licence"],
    )
    mark = mac(inputs.pseudonym_key, f"watermark:{recipe['convention']}:{manifest['recipe_sha256']}")[:32]
    report.check("l'empreinte de la convention", manifest["watermark"] == mark)
    if recipe["personal"]:
        report.check("k mesuré", manifest["k"]["measured"] == counts["k_min"], f"k = {counts['k_min']}")
        told_cells = [one["count"] for one in manifest["receipts"] if one["obligation"] == "blank_reinforced_codes"]
        if recipe.get("blanked"):
            report.check(
                "cellules effacées, comptées par le reçu", told_cells == [sum(counts["blanked"].values())],
                str(counts["blanked"]),
            )  # fmt: skip
        lost = counts["dropped"]
        protected = lost["no_subject"] + lost["opposed"] + lost["minor"] + lost.get("no_consent", 0)
        report.check(
            "lignes écartées",
            told["lost"] == {"protected_persons": protected, "small_classes": lost["small_class"], **chosen_of(lost)},
            str(lost),
        )
        report.check(
            "pas plus de 5 % de lignes supprimées",
            lost["small_class"] * 100 <= recipe["suppression_max_pct"] * counts["base"],
        )


# The releases of the story, and whose identity opens each: the first one, the second start-up's, the rebuilt first,
# the load curves of those who consented.
OTHERS = (("", ""), ("_cardelia", "_cardelia"), ("_rebuilt", ""), ("_curves", "_flexio"))


def _sources(path: Path) -> dict[str, Path]:
    """The file of each table, where there are several."""
    return {name: Path(one) for name, one in json.loads(path.read_text()).items()}


def inputs_of(report: Report, given: dict, suffix: str, path, whose: str) -> Inputs:
    """What the story left of one release, opened with its recipient's identity."""
    parts = given[f"release_inputs{suffix}"]
    keys = json.loads(path(parts["keys"]).read_text())
    sealed = path(given[f"release_file{suffix}"]).read_bytes()
    manifest = json.loads(path(given[f"release_manifest{suffix}"]).read_text())
    report.check(
        "le fichier remis a l'empreinte du manifeste", hashlib.sha256(sealed).hexdigest() == manifest["sha256"]
    )
    identity = next(
        line
        for line in path(given[f"recipient_identity{whose}"]).read_text().splitlines()
        if line.startswith("AGE-SECRET-KEY-")
    )
    return Inputs(
        source=path(parts["source"]),
        recipe=json.loads(path(parts["recipe"]).read_text()),
        pseudonym_key=keys["pseudonym_key"],
        token_key=keys["token_key"],
        opposed=json.loads(path(parts["opposed"]).read_text()),
        clear=open_sealed(sealed, identity.strip()),
        manifest=manifest,
        consented=json.loads(path(parts["consented"]).read_text()) if "consented" in parts else [],
        sources=_sources(path(parts["sources"])) if "sources" in parts else {},
    )


def pseudonyms_of(inputs: Inputs) -> set[str]:
    names, table = read_output(inputs.clear, inputs.recipe["output"]["format"])
    return {line[names.index("pseudonym")] for line in table}


def check_signature(report: Report, given: dict, path, manifest: dict) -> None:
    """The manifest as it was handed out, against the key that the zone publishes; what it says is beside it."""
    if "release_signature" not in given or not shutil.which("openssl"):
        return
    files = {name: str(path(given[f"release_{name}"])) for name in ("signing_key", "manifest", "signature")}
    told = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", files["signing_key"], "-rawin", "-in",
         files["manifest"], "-sigfile", files["signature"]],
        capture_output=True,
    )  # fmt: skip
    report.check("le manifeste porte la signature de la zone", told.returncode == 0)
    for name, digest in manifest["enclosed"].items():
        held = path(given[f"release_{name.partition('.')[0].lower()}"]).read_bytes()
        report.check(f"{name} est celui que le manifeste nomme", hashlib.sha256(held).hexdigest() == digest)
    package = json.loads(path(given["release_datapackage"]).read_bytes())
    told_of = [one["hash"] for one in package["resources"]]
    report.check("le paquet de données décrit le fichier ouvert", told_of == [f"sha256:{manifest['clear_sha256']}"])


def main(argv: list[str]) -> int:
    if len(argv) != 2:
        print(__doc__)
        return 2
    summary = json.loads(Path(argv[1]).read_text())
    given = summary["artefacts"]

    def path(name: str) -> Path:
        return ROOT / name

    report, releases = Report(), {}
    for suffix, identity in OTHERS:
        if f"release_inputs{suffix}" in given and f"release_file{suffix}" in given:
            releases[suffix] = inputs_of(report, given, suffix, path, identity)
    for suffix, inputs in releases.items():
        told_of = suffix.removeprefix("_")
        report.lines += [
            (holds, (f"{told_of} : " if told_of else "") + words) for holds, words in recompute(inputs).lines
        ]
    inside = {suffix: pseudonyms_of(inputs) for suffix, inputs in releases.items()}
    if "_cardelia" in inside:
        report.check("aucun pseudonyme commun à deux conventions", not inside[""] & inside["_cardelia"])
    if "_rebuilt" in inside:
        lost = set(releases["_rebuilt"].opposed) - set(releases[""].opposed)
        report.check("la remise refaite tient compte d'oppositions de plus", bool(lost), f"{len(lost)} de plus")
        report.check("elle n'ajoute personne", inside["_rebuilt"] <= inside[""])
    manifest = releases[""].manifest
    check_signature(report, given, path, manifest)
    told = summary["release"]
    for name, value in (
        ("rows_in", manifest["rows"]["in"]),
        ("rows_out", manifest["rows"]["out"]),
        ("sha256", manifest["sha256"]),
        ("decision_id", manifest["decision_id"]),
    ):
        report.check(f"le résumé et le manifeste disent le même {name}", told.get(name) == value)
    for holds, words in report.lines:
        print(("ok   " if holds else "FAUX ") + words)
    print(f"{len(report.lines)} vérifications, {len(report.failed)} fausse(s)")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
