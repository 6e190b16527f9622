"""Each treatment against a second program that shares no line with the project, on real files."""

import csv
import gzip
import io
import itertools
import json
import math
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.releases import engine
from consent import treatments
from tests import recompute
from zones import groups

KEY, TOKENS = "ab" * 32, "cd" * 32


def a_column(role="measure", name="mesure", kind="text", *, domains=("clinical",), personal=True):
    dataset = SimpleNamespace(is_personal=personal, domains=list(domains), consent_required=False)
    return SimpleNamespace(name=name, role=role, type=kind, dataset=dataset, sensitive_class="")


def a_recipe(header, columns, *, subject, quasi=(), k=2, **more) -> dict:
    """`columns`: {name: (type, role, treatment)}, beside the subject."""
    said = [{"name": subject, "type": "text", "role": "subject_key", "treatment": {"kind": "pseudonym"}}]
    said += [{"name": n, "type": t, "role": r, "treatment": way} for n, (t, r, way) in columns.items()]
    return {
        "format": 1, "personal": True, "reading": {}, "source_columns": list(header), "identifiers": [],
        "columns": sorted(said, key=lambda c: header.index(c["name"])), "subject_key": subject, "convention": "C-1",
        "minors": {"rule": "covered", "age_column": None}, "quasi_identifiers": list(quasi), "k": k,
        "suppression_max_pct": 100, "rank_by": None, "output": {"format": "parquet", "sealed": False}, "dataset": {},
        **more,
    }  # fmt: skip


def released(tmp_path, recipe, text: str) -> tuple[list[str], list[tuple], dict]:
    """The file that the engine makes of `text`, and what it measured; it is what the second program finds."""
    source = tmp_path / "clear.csv"
    source.write_text(text, encoding="utf-8")
    last = engine.run(
        {
            "recipe": recipe, "source": str(source), "output": str(tmp_path / "out"), "scratch": str(tmp_path / "s"),
            "recipients": [], "pseudonym_key": KEY, "token_key": TOKENS, "opposed": [], "memory_mib": 512,
            "lookups": {"commune_group": str(groups.PATH)},
        },
        lambda line: None,
    )  # fmt: skip
    assert "result" in last, last
    clear = (tmp_path / "out").read_bytes()
    inputs = recompute.Inputs(source, recipe, KEY, TOKENS, [], clear)
    names, table = recompute.read_output(clear, recipe["output"]["format"])
    wanted_names, wanted, counts = recompute.expected(inputs, recompute.read_source(source, recipe)[1])
    assert names == wanted_names
    assert len(table) == len(wanted) > 0
    assert [
        (name, a, b)
        for got, want in zip(table, wanted, strict=True)
        for name, a, b in zip(names, got, want, strict=True)
        if not recompute.same(a, b)
    ] == []
    for told in ("dropped", "subjects_out", "k_min"):
        assert last["result"][told] == counts[told]
    return names, table, last["result"]


def as_csv(header, rows) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows([header, *rows])
    return out.getvalue()


def read(path) -> tuple[list[str], list[list[str]]]:
    with path.open(encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
        return header, [row for row in rows if row]


# ------------------------------------------------------------------------------------------------ communes


def communes_of_france():
    with gzip.open(groups.PATH.with_name("communes-2026.csv.gz"), "rt", encoding="utf-8", newline="") as lines:
        return {line["code"]: line for line in csv.DictReader(lines)}


def areas():
    return recompute.areas_of_communes({"edition": groups.EDITION, "sha256": groups.sha256()})


def test_every_commune_of_france_belongs_to_one_group_of_its_departement():
    communes, found = communes_of_france(), areas()

    assert communes.keys() <= found.keys()
    for code, commune in communes.items():
        area = found[code]
        assert communes.get(area.removeprefix("G"), {"departement": area})["departement"] == commune["departement"]


def test_every_group_where_somebody_lives_counts_5000_inhabitants():
    people: dict[str, int] = {}

    for code, area in areas().items():
        if code in communes_of_france_once:
            people[area] = people.get(area, 0) + int(communes_of_france_once[code]["population"] or 0)

    assert {area: n for area, n in people.items() if n < 5000} == {"984": 0, "989": 0}
    assert max(n for area, n in people.items() if area.startswith("G")) < 20_000  # no coarser than it must be


communes_of_france_once = communes_of_france()


def test_the_table_of_groups_is_what_its_rules_make_of_the_lists(real_data):
    lists = [
        json.loads(gzip.decompress((real_data / "geography" / f"{n}.json.gz").read_bytes()))
        for n in ("communes", "epci")
    ]

    made = groups.make(*lists)

    assert made == areas()
    assert groups.as_csv(made) == groups.PATH.read_bytes()


def test_real_communes_leave_as_groups_and_an_unknown_one_as_its_departement(tmp_path):
    isere = [code for code, one in communes_of_france_once.items() if one["departement"] in ("38", "01", "974")]
    rows = [[f"p{n}", code.lstrip("0")] for n, code in enumerate(isere * 2)] + [["q1", "38999"], ["q2", "38999"]]
    way = {"kind": "commune_group", "edition": groups.EDITION, "sha256": groups.sha256()}
    recipe = a_recipe(["id", "commune"], {"commune": ("text", "geo", way)}, subject="id", quasi=["commune"])

    names, table, _told = released(tmp_path, recipe, as_csv(["id", "commune"], rows))

    seen = {line[names.index("commune")] for line in table}
    assert "38185" in seen and "G38002" in seen and "38" in seen
    assert not {code for code in isere if int(communes_of_france_once[code]["population"] or 0) < 5000} & seen


# ------------------------------------------------------------------------------------------------ points


def test_a_code_that_lost_its_leading_zero_is_of_the_departement_it_had(tmp_path):
    codes = ["1000", "01000", "9700", "97400", "2A004", "33", "971"]
    rows = [[f"p{n}-{m}", code] for n, code in enumerate(codes) for m in range(2)]
    columns = {"code_postal": ("text", "geo", {"kind": "department"})}
    recipe = a_recipe(["id", "code_postal"], columns, subject="id", quasi=["code_postal"])

    names, table, _told = released(tmp_path, recipe, as_csv(["id", "code_postal"], rows))

    assert {line[names.index("code_postal")] for line in table} == {"01", "09", "2A", "33", "971", "974"}


def test_real_accidents_leave_at_the_middle_of_a_cell_of_1_km(tmp_path, real_data):
    header, rows = read(real_data / "av-zones" / "city" / "accidents_grenoble_2018.csv")
    ways = {
        "lat": ("number", "geo", {"kind": "grid_1km", "axis": "latitude", "pair": "long"}),
        "long": ("number", "geo", {"kind": "grid_1km", "axis": "longitude", "pair": "lat"}),
    }
    recipe = a_recipe(header, ways, subject="Num_Acc", quasi=["lat", "long"])

    names, table, _told = released(tmp_path, recipe, as_csv(header, rows))

    at = [(line[names.index("lat")], line[names.index("long")]) for line in table]
    real = {(row[header.index("lat")], row[header.index("long")]) for row in rows}
    assert not {(str(a), str(b)) for a, b in at} & real
    assert 2 <= len(set(at)) < len(real)
    a, b = sorted({y for y, _x in at})[:2]
    assert (b - a) * 111.195 % 1 == pytest.approx(0, abs=0.01) or (b - a) * 111.195 % 1 == pytest.approx(1, abs=0.01)


@given(latitude=st.floats(-89, 89), longitude=st.floats(-179.9, 179.9))
def test_the_middle_of_a_cell_is_less_than_a_kilometre_from_every_point_in_it(latitude, longitude):
    import math

    cell = recompute.cell_of_grid(latitude, longitude)
    assert cell is not None
    y, x = cell

    north = (latitude - y) * 111.195
    east = (longitude - x) * 111.195 * math.cos(math.radians(y))
    assert math.hypot(north, east) <= 0.72


# ------------------------------------------------------------------------------------------------ time


def test_births_of_real_patients_leave_in_bands_and_the_oldest_together(tmp_path, real_data):
    header, rows = read(real_data / "hospital" / "synthea-csv-27" / "patients.csv")
    way = {"kind": "birth_band", "width": 5, "top": 90, "year": 2026}
    recipe = a_recipe(header, {"BIRTHDATE": ("date", "birth", way)}, subject="Id")

    names, table, _told = released(tmp_path, recipe, as_csv(header, rows))

    seen = {line[names.index("BIRTHDATE")] for line in table}
    assert all(band == "<1940" or int(band[5:]) - int(band[:4]) == 4 for band in seen)
    assert ("<1940" in seen) == any(row[header.index("BIRTHDATE")] < "1940" for row in rows)


@settings(max_examples=40, deadline=None)
@given(year=st.integers(1880, 2026), width=st.sampled_from([5, 10, 20]), now=st.integers(2020, 2040))
def test_a_band_of_births_holds_its_year_and_nobody_of_90_is_alone(year, width, now):
    band = recompute.birth_band(f"{year}-03-02", width, 90, now)

    assert band is not None
    if band.startswith("<"):
        assert year < int(band[1:])
        assert int(band[1:]) > now - 90
    else:
        low, high = map(int, band.split("-"))
        assert low <= year <= high == low + width - 1
        assert low > now - 90


@pytest.mark.parametrize("kind", ["shift_weeks", "shift_days"])
def test_dates_shifted_keep_their_intervals_and_weeks_their_day(tmp_path, real_data, kind):
    header, rows = read(real_data / "hospital" / "synthea-csv-27" / "encounters.csv")
    ways = {name: ("timestamp", "timestamp", {"kind": kind}) for name in ("START", "STOP")}
    recipe = a_recipe(header, ways, subject="PATIENT")
    first, last = header.index("START"), header.index("STOP")
    for row in rows:
        row[first], row[last] = row[first].rstrip("Z"), row[last].rstrip("Z")

    names, table, _told = released(tmp_path, recipe, as_csv(header, rows))

    def lengths(lines, start, stop):
        return sorted(recompute.moment(str(line[stop])) - recompute.moment(str(line[start])) for line in lines)

    assert lengths(table, names.index("START"), names.index("STOP")) == lengths(rows, first, last)
    days = [
        sorted(recompute.moment(str(line[at])).weekday() for line in lines)
        for lines, at in ((rows, first), (table, names.index("START")))
    ]
    assert (days[0] == days[1]) == (kind == "shift_weeks")


@pytest.mark.parametrize("unit", ["minute", "hour", "day", "month"])
def test_calendar_time_of_real_charging_is_cut_to_its_unit(tmp_path, real_data, unit):
    header, rows = read(real_data / "eco-district" / "ev-charging" / "station_data_dataverse.csv")
    for row in rows:
        row[header.index("created")] = "20" + row[header.index("created")][2:]
    recipe = a_recipe(header, {"created": ("timestamp", "timestamp", {"kind": unit})}, subject="userId")

    names, table, _told = released(tmp_path, recipe, as_csv(header, rows))

    assert all(recompute.start_of(line[names.index("created")], unit) == line[names.index("created")] for line in table)


# ------------------------------------------------------------------------------------------------ measures


@pytest.mark.parametrize("decimals", treatments.DECIMALS)
def test_real_charges_are_clipped_then_rounded(tmp_path, real_data, decimals):
    header, rows = read(real_data / "eco-district" / "ev-charging" / "station_data_dataverse.csv")
    way = {"kind": "round", "decimals": decimals, "low_per_mille": 5, "high_per_mille": 995}
    ways = {"kwhTotal": ("number", "measure", way), "platform": ("text", "quasi_identifier", {"kind": "category"})}
    recipe = a_recipe(header, ways, subject="userId", quasi=["platform"])

    names, table, told = released(tmp_path, recipe, as_csv(header, rows))

    assert told["clipped"]["kwhTotal"] > 0
    assert all(round(line[names.index("kwhTotal")], decimals) == line[names.index("kwhTotal")] for line in table)


# ------------------------------------------------------------------------------------------------ bands


@settings(max_examples=200)
@given(low=st.integers(0, 110), wide=st.integers(0, 30), width=st.sampled_from([5, 10, 20]))
def test_a_band_of_ages_is_never_finer_than_the_source(low, wide, width):
    band = recompute.band(f"{low}-{low + wide}", width, 90)

    found = recompute.ages(band)
    assert found is not None
    first, last = found
    assert first <= low or band == "90+"
    assert last >= low + wide
    assert last - first + 1 >= max(width, wide + 1)


# ------------------------------------------------------------------------------------------------ choices


@pytest.mark.parametrize(
    ("column", "kinds"),
    [
        (a_column("timestamp", "arrivee", "timestamp"), ["shift_days", "shift_weeks", "drop"]),
        (a_column("timestamp", "lu_le", "timestamp", domains=["energy_metering"]),
         ["keep", "minute", "hour", "day", "month", "drop"]),
        (a_column("timestamp", "lu_le", "timestamp", domains=["ev_charging"]),
         ["minute", "hour", "day", "month", "drop"]),
        (a_column("timestamp", "lu_le", "integer", domains=["mobility_trace"]), ["drop"]),
        (a_column("geo", "code_commune"), ["department", "commune_group", "drop"]),
        (a_column("geo", "code_postal"), ["department", "drop"]),
        (a_column("birth", "naissance", "date"), ["birth_band", "birth_band", "birth_band", "drop"]),
        (a_column("measure", "poids", "number"), ["clip", "round", "round", "round", "round", "category", "drop"]),
        (a_column("subject_key", "patient"), ["pseudonym", "drop"]),
        (a_column("direct_identifier", "nom"), ["drop"]),
        (a_column("measure", "poids", "number", personal=False), ["keep", "drop"]),
    ],
)  # fmt: skip
def test_an_operator_chooses_among_what_the_role_and_the_domain_allow(column, kinds):
    offered = treatments.choices(column)

    assert list(dict.fromkeys(one["kind"] for one in offered)) == list(dict.fromkeys(kinds))
    assert len({treatments.name_of(one) for one in offered}) == len(offered)
    assert [treatments.problems(one, column) for one in offered] == [[] for _one in offered]
    assert all(treatments.words(one) for one in offered)
    assert [k for k in treatments.KINDS if k not in kinds and not treatments.problems({"kind": k}, column)] == []


def test_a_coordinate_goes_to_the_grid_with_its_pair_alone():
    lat, lon = (a_column("geo", name, "number") for name in ("depart_latitude", "depart_longitude"))
    other = a_column("geo", "arrivee_longitude", "number")

    assert [one["kind"] for one in treatments.choices(lat, columns=[lat, other])] == ["drop"]
    assert treatments.choices(lat, columns=[lat, other, lon])[1] == {
        "kind": "grid_1km", "axis": "latitude", "pair": "depart_longitude",
    }  # fmt: skip
    assert treatments.problems(
        {"kind": "grid_1km", "axis": "latitude", "pair": "arrivee_longitude"}, lat, columns=[lat, lon]
    )
    assert treatments.problems({"kind": "keep"}, lat, columns=[lat, lon])


def test_a_moment_that_is_read_as_text_is_not_shifted():
    told = {kind: treatments.problems({"kind": "shift_days", "span": 365}, a_column("timestamp", "arrivee", kind))
            for kind in ("timestamp", "date", "empty", "text", "integer")}  # fmt: skip

    assert [kind for kind, problems in told.items() if problems] == ["text", "integer"]
    assert "relire la version" in told["text"][0]


def test_a_measure_is_not_rounded_out_of_its_bounds():
    column = a_column("measure", "poids", "number")

    assert treatments.problems({"kind": "round", "decimals": 1}, column)
    assert treatments.problems({"kind": "round", "decimals": 9, "low_per_mille": 5, "high_per_mille": 995}, column)


# ------------------------------------------------------------------------------------------------ mobility


def trips_of_real_points(folder) -> tuple[list[str], list[list[str]]]:
    """The real minute of driving of comma2k19, a point every 0.6 s, driven on and on: two cars, three days, two trips a
    day of six minutes, each minute starting where the one before ended."""
    header, rows = read(folder / "av-zones" / "city" / "comma2k19-seg40" / "gnss_live_ublox.csv")
    t, y, x = (header.index(name) for name in ("utc_timestamp_ms", "latitude_deg", "longitude_deg"))
    start, rows = float(rows[0][t]), [*rows[:-1:6], rows[-1]]
    far = [float(rows[-1][n]) - float(rows[0][n]) for n in (y, x)]
    out = []
    for car, day, trip in itertools.product(("A", "B"), (5, 6, 7), (8, 17)):
        begun = datetime.fromisoformat(f"2026-01-0{day} {trip:02d}:59:00")
        for minute, row in itertools.product(range(6), rows):
            second = timedelta(milliseconds=round(float(row[t]) - start)) + minute * timedelta(seconds=58)
            place = [repr(float(row[n]) + minute * step) for n, step in zip((y, x), far, strict=True)]
            out.append([car, (begun + second).isoformat(sep=" "), *place, row[header.index("speed_m_s")]])
    return ["car", "at", "lat", "lon", "speed"], out


def a_trace_recipe(header, **more) -> dict:
    ways = {
        "at": ("timestamp", "timestamp", {"kind": "minute"}),
        "lat": ("number", "geo", {"kind": "trim_trace", "axis": "latitude", "pair": "lon"}),
        "lon": ("number", "geo", {"kind": "trim_trace", "axis": "longitude", "pair": "lat"}),
        "speed": ("number", "measure", {"kind": "keep"}),
    }
    traced = {"daily": {"column": "at"}, "trace": {"time": "at", "latitude": "lat", "longitude": "lon"}}
    return a_recipe(header, ways, subject="car", **traced, rank_by={"column": "at", "order": "time"}, **more)


def metres(line: tuple, y: float, x: float) -> float:
    return math.hypot((line[3] - y) * 111195, (line[4] - x) * 111195 * math.cos(math.radians(y)))


def test_real_trips_lose_their_ends_and_keep_a_point_a_minute_under_a_pseudonym_of_the_day(tmp_path, real_data):
    header, rows = trips_of_real_points(real_data)

    _names, table, told = released(tmp_path, a_trace_recipe(header), as_csv(header, rows))

    assert told["dropped"]["trimmed"] == len(rows) - len(table) > 0
    assert len({line[0] for line in table}) == 6  # two cars, three days
    assert told["subjects_out"] == 2
    assert len({(line[0], line[2]) for line in table}) == len(table)  # one a minute
    ends = [(float(row[2]), float(row[3])) for row in (rows[0], rows[len(rows) // 12 - 1])]
    assert min(metres(line, *end) for line in table for end in ends) >= 300
    ranks: dict[str, list[int]] = {}
    for line in table:
        ranks.setdefault(line[0], []).append(line[1])
    assert all(each == list(range(1, len(each) + 1)) for each in ranks.values())  # no rank tells of the day before


def test_where_a_car_rests_with_its_engine_on_its_trip_ends(tmp_path, real_data):
    header, rows = trips_of_real_points(real_data)
    there = rows[: len(rows) // 12]
    arrived = datetime.fromisoformat(there[-1][1])
    rest = [[*there[-1][:1], str(arrived + timedelta(seconds=5 * n)), *there[-1][2:4], "0"] for n in range(1, 300)]
    left = datetime.fromisoformat(rest[-1][1])
    back = [
        [row[0], (left + (arrived - datetime.fromisoformat(row[1]))).isoformat(sep=" "), *row[2:]]
        for row in reversed(there)
    ]

    _names, table, _told = released(tmp_path, a_trace_recipe(header, k=1), as_csv(header, [*there, *rest, *back]))

    assert {line[2] < arrived for line in table} == {True, False}  # some points of both ways
    assert min(metres(line, float(rest[0][2]), float(rest[0][3])) for line in table) >= 200


def test_a_point_without_place_or_time_is_not_on_a_trip(tmp_path, real_data):
    header, rows = trips_of_real_points(real_data)
    rows[300][2] = ""
    rows[301][1] = ""

    _names, table, told = released(tmp_path, a_trace_recipe(header), as_csv(header, rows))

    assert all(None not in line[2:5] for line in table)
    assert told["dropped"]["trimmed"] == len(rows) - len(table)


def test_real_charging_bears_another_pseudonym_every_day_and_k_counts_persons(tmp_path, real_data):
    header, rows = read(real_data / "eco-district" / "ev-charging" / "station_data_dataverse.csv")
    for row in rows:
        row[header.index("created")] = "20" + row[header.index("created")][2:]
    ways = {
        "created": ("timestamp", "timestamp", {"kind": "minute"}),
        "facilityType": ("text", "quasi_identifier", {"kind": "category"}),
        "weekday": ("text", "quasi_identifier", {"kind": "category"}),
    }
    recipe = a_recipe(
        header, ways, subject="userId", quasi=["facilityType", "weekday"], daily={"column": "created"}, k=10
    )

    names, table, told = released(tmp_path, recipe, as_csv(header, rows))

    days: dict[str, set] = {}
    for line in table:
        days.setdefault(line[0], set()).add(line[names.index("created")].date())
    assert all(len(each) == 1 for each in days.values())
    assert len(days) > 2 * told["subjects_out"] > 0
    assert told["k_min"] >= 10
    assert told["dropped"]["small_class"] > 0
    assert told["subjects_out"] <= 85 < told["rows_out"]


def test_who_objects_is_found_under_the_pseudonym_of_each_day(tmp_path):
    whole = a_trace_recipe(["car", "at", "lat", "lon", "speed"])
    recipe = {**whole, "columns": [], "trace": None, "source_columns": ["car", "at"]}
    source = tmp_path / "clear.csv"
    source.write_text("car,at\nA,2026-01-05 08:00:00\nA,2026-01-06 09:00:00\nB,2026-01-05 08:00:00\n", encoding="utf-8")
    key = "12" * 32
    mine = {recompute.mac(key, name)[:32] for name in ("A", "A\x1f2026-01-05", "A\x1f2026-01-06")}
    token = recompute.mac(TOKENS, "A")

    def asked(by: str, values: list[str]) -> dict:
        job = {
            "recipe": recipe, "source": str(source), "scratch": str(tmp_path / by), "token_key": TOKENS,
            "memory_mib": 256, "match": {"by": by, "values": values, "keys": {"7": key}},
        }  # fmt: skip
        return engine.run(job, lambda line: None)["result"]["matches"]["7"]

    assert set(asked("token", [token])) == mine
    assert asked("pseudonym", sorted(mine)) == dict.fromkeys(mine, token)


def test_charging_that_leaves_the_environment_tells_the_hour_alone():
    column = a_column("timestamp", "lu_le", "timestamp", domains=["ev_charging"])

    assert treatments.default_treatment(column) == {"kind": "minute"}
    assert treatments.outside({"kind": "minute"}, column) == {"kind": "hour"}
    assert treatments.outside({"kind": "day"}, column) == {"kind": "day"}


# ------------------------------------------------------------------------------------------------ sampling


def test_a_sample_is_the_same_persons_for_every_recipe_of_a_convention(tmp_path, real_data):
    header, rows = read(real_data / "eco-district" / "ev-charging" / "station_data_dataverse.csv")
    drawn = []

    for part, column in ((300, "kwhTotal"), (300, "chargeTimeHrs"), (600, "kwhTotal")):
        ways = {column: ("number", "measure", {"kind": "keep"})}
        recipe = a_recipe(header, ways, subject="userId", sample={"per_mille": part})
        (tmp_path / column / str(part)).mkdir(parents=True)
        _names, table, told = released(tmp_path / column / str(part), recipe, as_csv(header, rows))
        assert told["dropped"]["not_sampled"] == len(rows) - len(table) > 0
        drawn.append({line[0] for line in table})

    everybody = len({row[header.index("userId")] for row in rows})
    assert drawn[0] == drawn[1] < drawn[2]
    assert 0.15 * everybody < len(drawn[0]) < 0.45 * everybody
