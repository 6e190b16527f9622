"""From a recipe to the SQL of its build. Pure: no engine, no key, no file but the path it is told to read.

The statements are shared text; what differs between engines stands in one table, `dialects.DIALECTS`, so that Spark can
follow (measured in the sketches: identical rows on 10 M). Keys never enter the text: the engine sets four
variables, `pseudonym_inner`, `pseudonym_outer`, `token_inner`, `token_outer` (the padded keys of HMAC, RFC 2104).

Tables, in order: `source` (as read, a line number a row; a Parquet file is not copied, only looked at) -> `met` (what
stands together in a row of what is counted: subject, age, values that are merged or make classes; `terrain_n` rows) ->
`subject` (one row a subject who does not object) -> `tally` (rows by what becomes of them) -> `counted` (`met` of those
who may leave, minors out) -> `rare_n`, `bounds` -> `graded` (`counted` as it will leave) -> `every_class` (its rows,
and whether it is small) -> `class` (small ones) -> `leaving` (subjects with rows that leave) -> `kept` (the rows that
leave, treated, in no order) -> `present`, `kept_class`, `value_n` (what guards look at in them) -> the file, in order.
All that is counted by subject is counted in `met`, a fraction of the rows: the rows themselves are read once more
(docs/adr/0014), and sorted once, by `sorting` or by the server (docs/adr/0023). A preview stops before `kept`. Tables
`opposed(token)` and `consented(token)` are filled by the engine before `subject`, and `commune_group(code, area)` where
a column is brought to groups of communes (`lookups`).

Where a pseudonym lasts a day (`daily`), `day` has one row a subject's day, and `leaving` one for each that leaves: its
own block of the file. Where the ends of trips are cut (`trace`), `point` holds the points and `stays` the lines left;
`eligible` is `counted` before the others go. Objections, consents, samples and k are of subjects, never of days.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from broker import parquet
from broker.releases import treating
from broker.releases.dialects import name_of, say, text_of
from broker.releases.treating import MERGED, Cell, treated

# A band of ages: "[70-80)" half open, "70-79" both included, "90+" without end, or one age.
# Classes of signs are written out: what \d, \s and $ mean differs between engines.
BLANK = r"[ \t\n\f\r]*"
BAND = rf"^{BLANK}\[?{BLANK}([0-9]+){BLANK}(?:-{BLANK}([0-9]+){BLANK}(\)|\])?|(\+))?{BLANK}\)?{BLANK}\z"
IDENTIFYING = (
    r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z]{2,}",
    r"(^|[^0-9])[12] ?[0-9]{2} ?(0[1-9]|1[0-2]|[2-9][0-9]) ?([0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3}( ?[0-9]{2})?"
    r"([^0-9]|\z)",
    r"(^|[^0-9])(\+33[ .-]?|0033[ .-]?|0 ?)(\(0\) ?)?[1-9]([ .-]?[0-9]{2}){4}([^0-9]|\z)",
)
# Codes of SNOMED CT extensions have as many figures as a social security number; before their check digit they say so.
SNOMED = r"^[0-9]{6,15}1[0-5][0-9]\z"
SEPARATOR = 31  # the sign between a name and a value, under the HMAC: a control sign stands in no name
SCANNED = 6  # signs: shorter values meet an identifier by chance
PARTS = r"[ \t\n\r,;:()]+"  # what parts the words of a sentence
LINE_MAX = 2 * 1024**2  # bytes; the reader of sources refuses a line of half of it


UNTOLD = frozenset({"keep", "clip", "shift_days", "shift_weeks"})  # kinds that look at the typed value alone
LOST = "CASE WHEN terrain_small THEN terrain_n ELSE 0 END"
CARRIED = ("terrain_line", "terrain_sid")  # with every row that leaves


Parted = Literal["", "all", "distinct"]


@dataclass(frozen=True, slots=True)
class Statement:
    """One step: the table it makes, the code of the words shown meanwhile (`words.STEPS`), its share of the work done
    (percent), its text. `of_parts`: asked of every part of `kept` by an engine that parts its rows (of all of them at
    once by another), and whether "all" that is found is one table, or what is "distinct" of it."""

    name: str
    step: str
    percent: int
    sql: str
    of_parts: Parted = ""


class Plan:
    """The statements of one recipe in one dialect."""

    def __init__(self, recipe: dict, *, path: str, dialect: str = "duckdb"):
        self.recipe = recipe
        self.path = path
        self.dialect = dialect
        self.columns = [c for c in recipe["columns"] if c["treatment"]["kind"] != "drop"]
        self.subject = recipe["subject_key"]
        self.age = recipe["minors"]["age_column"]
        self.rank = recipe["rank_by"]
        self.daily = (recipe.get("daily") or {}).get("column")
        self.trace = recipe.get("trace")
        self.quasi = recipe["quasi_identifiers"]

    def _say(self, word: str, **parts) -> str:
        return say(self.dialect, word, **parts)

    def _of_kind(self, *kinds: str) -> list[dict]:
        return [c for c in self.columns if c["treatment"]["kind"] in kinds]

    @property
    def merged(self) -> list[str]:
        """Columns whose rare categories are merged."""
        return [c["name"] for c in self._of_kind(*MERGED)]

    @property
    def blanked(self) -> list[dict]:
        """Coded columns that lose their cells of reinforced sensitivity (G24)."""
        held = {c["name"] for c in self.columns}
        return [one for one in self.recipe.get("blanked", []) if one["column"] in held]

    @property
    def grouped(self) -> list[str]:
        """Columns of communes brought to groups of 5,000 inhabitants: found in the table `commune_group`."""
        return [c["name"] for c in self._of_kind("commune_group")]

    def lookups(self) -> dict[str, str]:
        """The public tables that the statements join: the SHA-256 of the file of each (CSV, compressed or not)."""
        found = self._of_kind("commune_group")
        return {"commune_group": found[0]["treatment"]["sha256"]} if found else {}

    @property
    def clipped(self) -> list[str]:
        """Columns top and bottom coded: measures, when they stand beside a quasi-identifier (7.1)."""
        return [c["name"] for c in self._clipped()]

    def _clipped(self) -> list[dict]:
        return [c for c in self.columns if treating.is_clipped(c["treatment"])] if self.quasi else []

    @property
    def released(self) -> list[str]:
        """The columns of the file, in order."""
        if not self.recipe["personal"]:
            return [c["name"] for c in self.columns]
        others = [c["name"] for c in self.columns if c["name"] != self.subject]
        return ["pseudonym", "event_rank", *others]

    def statements(self) -> list[Statement]:
        if not self.recipe["personal"]:
            return [self.source(), Statement("kept", "plain", 60, self._plain())]
        return [*self._counting(), *self.treating()]

    def previewed(self) -> list[Statement]:
        """What a preview needs: the counts alone, and the values among which an identifier could be. No row is treated
        for it."""
        return [*self._counting(), *self._values(is_kept=False)] if self.recipe["personal"] else [self.source()]

    def treating(self) -> list[Statement]:
        """The rows that leave, and the values they hold."""
        return [
            Statement("kept", "kept", 64, self._kept()),
            Statement("present", "thresholds", 72, "SELECT DISTINCT terrain_sid FROM kept", of_parts="all"),
            Statement(
                "kept_class", "thresholds", 73, self._kept_classes(), of_parts="distinct" if self.daily else "all"
            ),
            *self._values(is_kept=True),
        ]

    def _counting(self) -> list[Statement]:
        return [
            self.source(),
            *self._mobility(),
            Statement("met", "source", 20, self._met()),
            Statement("subject", "subject", 30, self._subject()),
            Statement("tally", "subject", 36, self._tally()),
            *([Statement("age", "age", 40, self._ages(source="met"))] if self.age else []),
            *(
                Statement(f"code_{number}", "base", 42, self._codes(one, number))
                for number, one in enumerate(self.blanked)
            ),
            *self._eligible(),
            *self.measures(),
            Statement("graded", "treated", 58, self._say("table", name="graded") + self._treated(rows="counted")),
            *([Statement("every_class", "class", 59, self._every_class())] if self.quasi else []),
            Statement("class", "class", 60, self._classes()),
            Statement("leaving", "class", 62, self._leaving()),
        ]

    def source(self) -> Statement:
        is_parquet = self.recipe["reading"].get("format") == "parquet"  # whose columns are read when they are asked for
        start = self._say("view" if is_parquet else "table", name="source")
        return Statement("source", "source", 5, start + self.read(self._needed()))

    def native(self) -> set[str]:
        """Columns of a Parquet source that keep the type they have there: it is the one they would be brought to, and
        nobody looks at their text."""
        declared = dict(self.recipe["reading"].get("types", ())) if self.recipe["personal"] else {}
        found = {
            c["name"]
            for c in self.columns
            if c["treatment"]["kind"] in UNTOLD
            and parquet.is_same(declared.get(c["name"], ""), treating.sql_type(c))
            and not any(c["name"] == other["column"] for other in self.blanked)
        }
        if self.age and parquet.is_same(declared.get(self.age, ""), "BIGINT"):
            shown = [c for c in self.columns if c["name"] == self.age]
            if all(c["treatment"]["kind"] == "band_age" for c in shown):
                found.add(self.age)
        looked_at = {self.subject, self.daily, *(self.trace or {}).values(), *self.recipe["identifiers"]}
        return found - looked_at - set(self.recipe["reading"].get("absent", ()))

    def _needed(self) -> set[str]:
        """The columns of the file that the build looks at."""
        needed = {c["name"] for c in self.columns} | {self.subject, self.age, (self.rank or {}).get("column")}
        needed |= {self.daily, *(self.trace or {}).values()}
        return {name for name in needed | set(self.recipe["identifiers"]) if name}

    def read(self, needed: set[str]) -> str:
        """The columns that are needed, as text, missing marks made null, each row with its line.

        The clear copy is a Parquet file, or a CSV in UTF-8 with commas and a header (`zones.sources`)."""
        if self.recipe["reading"].get("format") == "parquet":
            table = parquet.relation(
                self.path, self.recipe["reading"], only=needed, native=self.native(), line="terrain_line"
            )
            return f"SELECT * FROM {table} read"
        every = ", ".join(f"{text_of(c)}: 'VARCHAR'" for c in self.recipe["source_columns"])
        nulls = ", ".join(text_of(mark) for mark in ["", *self.recipe["reading"].get("missing", [])])
        wanted = "".join(f", {name_of(c)}" for c in self.recipe["source_columns"] if c in needed)
        return (
            f"SELECT row_number() OVER () AS terrain_line{wanted} FROM read_csv({text_of(self.path)}, "
            "auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"', compression = 'none', "
            f"max_line_size = {LINE_MAX}, nullstr = [{nulls}], columns = {{{every}}})"
        )

    def _plain(self) -> str:
        return self._say("table", name="kept") + "SELECT terrain_line, " + ", ".join(
            f"{self._typed(c)} AS {name_of(c['name'])}" for c in self.columns
        ) + " FROM source"  # fmt: skip

    def _typed(self, column: dict, table: str = "") -> str:
        """The value as its type; a file of text keeps the text that was read."""
        return treating.typed(
            column,
            say=self._say,
            of=f"{table}{name_of(column['name'])}",
            decimal=self.recipe["reading"].get("decimal") or ".",
            as_read=not self.recipe["personal"] and self.recipe["output"]["format"] == "csv",
        )

    def _cell(self, column: dict) -> Cell:
        treatment, beside = column["treatment"], {}
        if treatment["kind"] == "grid_1km":
            other = next(c for c in self.columns if c["name"] == treatment["pair"])
            axes = [treatment["axis"], other["treatment"]["axis"]]
            beside = dict(zip(axes, [self._typed(column), self._typed(other)], strict=True))
        of, kind = name_of(column["name"]), treating.sql_type(column)
        return Cell(of, self._typed(column), treatment, self._say, kind, beside, self.own_number)

    own_number = "terrain_number"  # the subject's own, in the rows that are treated

    def misread(self) -> list[tuple[str, str]]:
        """For each typed column, its name and how many of its values are not of that type, as an expression."""
        found = []
        for column in self.columns:
            typed = self._typed(column)
            of = name_of(column["name"])
            if typed != of and column["treatment"]["kind"] in treating.TYPED:
                wrong = f"{of} IS NOT NULL AND NOT coalesce({treating.is_within(column, typed, say=self._say)}, false)"
                found.append((column["name"], f"count(*) FILTER (WHERE {wrong})"))
        return found

    def _counted(self) -> list[dict]:
        """The columns that are counted by subject: those of the classes, and those whose rare values are merged."""
        return [c for c in self.columns if c["name"] in {*self.quasi, *self.merged} and c["name"] != self.subject]

    def _met(self) -> str:
        """What stands together in a row: subject, age, what is counted; and in how many rows."""
        pairs = {c["treatment"]["pair"] for c in self._counted() if c["treatment"].get("pair")}
        names = {self.subject, self.age, *(c["name"] for c in self._counted()), *pairs} - {None}
        every, rows = ", ".join(name_of(name) for name in sorted(names)), "source"
        if self.daily:
            rows = f"(SELECT {every}, {self._moved()}"
            every += ", terrain_day" + (", terrain_left" if self.trace else "")
        return self._say("table", name="met") + f"SELECT {every}, count(*) AS terrain_n FROM {rows} GROUP BY {every}"

    def _moved(self) -> str:
        """The day of a row, and whether it is a point that is left, with the rows they are read from."""
        day = f"{self.day('source')} AS terrain_day"
        if not self.trace:
            return f"{day} FROM source) dated"
        left = "(stays.terrain_line IS NOT NULL) AS terrain_left"
        return f"{day}, {left} FROM source LEFT JOIN stays ON stays.terrain_line = source.terrain_line) dated"

    def day(self, table: str) -> str:
        """The day of a row of `table`, which makes its pseudonym."""
        return treating.day(f"{table}.{name_of(self.daily or '')}", say=self._say)

    def name_of_day(self, subject: str, day: str) -> str:
        """What the pseudonym of a subject's day is the HMAC of."""
        return f"{subject} || chr({SEPARATOR}) || {day}"

    def _mobility(self) -> list[Statement]:
        """The days of subjects, each under a name of its own; the points of their trips, and those that are left."""
        if not self.daily:
            return []
        subject, table = name_of(self.subject), partial(self._say, "table")
        days = f"SELECT DISTINCT {subject} AS subject, {self.day('source')} AS terrain_day FROM source"
        keyed = self.hmac("pseudonym", self.name_of_day("subject", "terrain_day"))
        named = f"SELECT subject, terrain_day, {keyed} AS terrain_h FROM ({days} WHERE {subject} IS NOT NULL) dated"
        numbered = f"SELECT *, row_number() OVER (ORDER BY terrain_h) AS terrain_did FROM ({named}) keyed"
        found = [Statement("day", "day", 8, table(name="day") + numbered)]
        if self.trace:
            left = treating.inside_of_trips("point", say=self._say)
            found += [
                Statement("point", "trace", 10, table(name="point") + treating.points(self._placed(), say=self._say)),
                Statement("stays", "trace", 14, table(name="stays") + left),
            ]
        return found

    def _placed(self) -> str:
        """Every row of a subject with its place and its moment, null where they cannot be read."""
        traced = self.trace or {}
        place = {c["name"]: self._typed(c, "source.") for c in self.columns}
        at = self._say("try_cast", x=f"source.{name_of(traced['time'])}", type="TIMESTAMP")
        return (
            f"SELECT source.terrain_line, day.terrain_did, day.terrain_h, {place[traced['latitude']]} AS terrain_y, "
            f"{place[traced['longitude']]} AS terrain_x, {at} AS terrain_t FROM source JOIN day "
            f"ON day.subject = source.{name_of(self.subject)} AND day.terrain_day = {self.day('source')}"
        )

    def _eligible(self) -> list[Statement]:
        """`counted`: what is counted of those who may leave, without the points that are trimmed."""
        table, rows = partial(self._say, "table"), self._base(rows="met")
        if not self.trace:
            return [Statement("counted", "base", 45, table(name="counted") + rows)]
        left = "SELECT * FROM eligible WHERE terrain_left"
        return [
            Statement("eligible", "base", 45, table(name="eligible") + rows),
            Statement("counted", "base", 46, table(name="counted") + left),
        ]

    def _subject(self) -> str:
        """One row a subject who does not object: `terrain_sid` a small number, `terrain_h` its HMAC under the
        convention's key, `token` under the zone's, `consented` whether its rows may leave."""
        pseudonym, token = self.hmac("pseudonym", "subject"), self.hmac("token", "subject")
        return self._say("table", name="subject") + (
            f"SELECT subject, terrain_h, token, row_number() OVER (ORDER BY {self.pseudonym()}) AS terrain_sid, "
            f"{self.consented()} AS consented, {self.sampled()} AS sampled FROM ("
            f"SELECT subject, {pseudonym} AS terrain_h, {token} AS token FROM ("
            f"SELECT DISTINCT {name_of(self.subject)} AS subject FROM met WHERE {name_of(self.subject)} IS NOT NULL"
            f") known) keyed WHERE {self.unopposed()}"
        )

    def pseudonym(self, of: str = "") -> str:
        """The pseudonym of a subject, as it is carried: in the order of its 32 signs, and narrower where it can be."""
        return self._say("packed", h=f"substr({of}terrain_h, 1, 32)")

    def _tally(self) -> str:
        """Rows read, without a subject, of subjects who do not object, of those who consent, of those drawn."""
        of = f"met.{name_of(self.subject)}"
        sums = [
            f"CAST(coalesce(sum(CASE WHEN {test} THEN terrain_n ELSE 0 END), 0) AS BIGINT) AS {name}"
            for name, test in (
                ("rows_in", "true"), ("no_subject", f"{of} IS NULL"), ("known", "subject.subject IS NOT NULL"),
                ("agreed", "subject.consented"), ("drawn", "subject.consented AND subject.sampled"),
            )
        ]  # fmt: skip
        joined = f"FROM met LEFT JOIN subject ON subject.subject = {of}"
        return self._say("table", name="tally") + f"SELECT {', '.join(sums)} {joined}"

    def tally(self, *, is_kept: bool = True) -> str:
        """Rows read, without a subject, known, agreed, drawn, adult; rows left before small classes go; rows kept, or,
        before there are any, those that will be."""
        adults, base, spared = (
            f"(SELECT CAST(coalesce(sum(terrain_n), 0) AS BIGINT) FROM {rows})"
            for rows in ("eligible" if self.trace else self._summed, self._summed, f"{self._summed}{self._not_small}")
        )
        counts = f"{adults}, {base}, {'(SELECT count(*) FROM kept)' if is_kept else spared}"
        return f"SELECT rows_in, no_subject, known, agreed, drawn, {counts} FROM tally"

    def hmac(self, key: str, of: str) -> str:
        """HMAC-SHA-256 of the text `of` under the key of that name, in hexadecimal."""
        return self._say("hmac", key=key, x=of)

    def unopposed(self) -> str:
        """The filter of objections (G26)."""
        return "NOT EXISTS (SELECT 1 FROM opposed WHERE opposed.token = keyed.token)"

    def consented(self) -> str:
        """The filter of consents (G27): everybody, where the data do not rest on them."""
        if not self.recipe.get("consent"):
            return "true"
        return "EXISTS (SELECT 1 FROM consented WHERE consented.token = keyed.token)"

    def sampled(self) -> str:
        """The draw of a sample, by the subject's own HMAC: everybody, where none is asked."""
        if not (wanted := self.recipe.get("sample")):
            return "true"
        bound = 2**32 * int(wanted["per_mille"]) // 1000
        return f"{self._say('hex_number', h='substr(terrain_h, 41, 8)')} < {bound}"

    def _ages(self, *, name: str = "age", source: str = "source") -> str:
        """The first and last age of each band met, both included, null when it cannot be read."""
        text = "CAST(value AS STRING)"  # a Parquet file may hold numbers
        part = [self._say("match", x=text, pattern=BAND, group=group) for group in range(1, 5)]
        low = self._say("try_cast", x=f"nullif({part[0]}, '')", type="INTEGER")
        end = self._say("try_cast", x=f"nullif({part[1]}, '')", type="INTEGER")
        high = (
            f"CASE WHEN {part[3]} = '+' THEN {treating.NO_END} WHEN {part[1]} = '' THEN {low} "
            f"WHEN {part[2]} = ')' THEN {end} - 1 ELSE {end} END"
        )
        met = f"SELECT DISTINCT {name_of(self.age)} AS value FROM {source} WHERE {name_of(self.age)} IS NOT NULL"
        ages = f"SELECT value, {low} AS terrain_low, {high} AS terrain_high FROM ({met}) met"
        if bands := self._bands():  # one a value, rather than one a row
            ages = f"SELECT *, {', '.join(f'{value} AS {name}' for name, value in bands.values())} FROM ({ages}) aged"
        return self._say("table", name=name) + ages

    def _bands(self) -> dict[str, tuple[str, str]]:
        """For each column that is a band of ages, what it is called in the table `age`, and how it is made."""
        return {
            c["name"]: (f"terrain_band_{n}", treating.band_age(Cell("", "", c["treatment"], self._say)))
            for n, c in enumerate(self._of_kind("band_age"))
            if self.age
        }

    def _codes(self, one: dict, number: int) -> str:
        return self._say("table", name=f"code_{number}") + treating.codes(one, say=self._say, source="source")

    def _base(self, *, rows: str = "source", subjects: str = "subject") -> str:
        """Rows of the subjects kept; `terrain_low` and `terrain_high` serve the minors' rule and the bands. Of `met`,
        what is counted."""
        blanked = {one["column"]: number for number, one in enumerate(self.blanked)}
        held = self._counted() if rows == "met" else self.columns
        own = ["terrain_n", *(["terrain_left"] if self.trace else [])] if rows == "met" else ["terrain_line"]
        columns, joins = [f"{rows}.{name}" for name in own], ""
        same = f"{rows}.{name_of(self.subject)} = {subjects}.subject"
        if self.daily and subjects == "leaving":
            same += f" AND {self.day(rows)} = leaving.terrain_day"
            columns.append("leaving.terrain_person")
        elif self.daily and rows == "met":
            joins += " JOIN day ON day.subject = subject.subject AND day.terrain_day = met.terrain_day"
            columns.append("day.terrain_did")
        if self.trace and rows == "source":
            joins += " JOIN stays ON stays.terrain_line = source.terrain_line"
        for c in held:
            name = c["name"]
            of = f"{rows}.{name_of(name)}"
            if name in self.grouped:
                table = f"group_{self.grouped.index(name)}"
                columns.append(f"{treating.area(of, table)} AS {name_of(name)}")
                joins += f" LEFT JOIN commune_group AS {table} ON {treating.commune(of)} = {table}.code"
            elif name in blanked:
                code = f"code_{blanked[name]}"
                columns.append(f"CASE WHEN {code}.value IS NULL THEN {of} END AS {name_of(name)}")
                columns.append(f"({code}.value IS NOT NULL) AS terrain_blanked_{blanked[name]}")
                joins += f" LEFT JOIN {code} ON {code}.value = {of} AND {code}.terrain_reinforced"
            elif name != self.subject:
                columns.append(of)
        names = {c["name"] for c in held}
        if rows == "met":
            pairs = {c["treatment"]["pair"] for c in held if c["treatment"].get("pair")}
            columns += [f"met.{name_of(name)}" for name in sorted(pairs - names)]
        elif self.rank and self.rank["column"] not in names:
            columns.append(f"source.{name_of(self.rank['column'])}")
        columns += (
            ["age.terrain_low", "age.terrain_high"]
            if self.age
            else ["CAST(NULL AS INTEGER) AS terrain_low", "CAST(NULL AS INTEGER) AS terrain_high"]
        )
        columns += [f"age.{band}" for band, _value in self._bands().values()]
        if subjects == "leaving":
            columns.append("leaving.terrain_number")
        elif rows == "source":  # measured over, never kept
            columns.append(f"{treating.subject_number(self._say)} AS terrain_number")
        agreed = " AND subject.consented AND subject.sampled" if subjects == "subject" else ""
        found = (
            f"SELECT {subjects}.terrain_sid, {', '.join(columns)} FROM {rows} JOIN {subjects} "
            f"ON {same}{agreed}"
            + (f" LEFT JOIN age ON {rows}.{name_of(self.age)} = age.value" if self.age else "")
            + joins
        )
        adults = f" WHERE {self.adult()}" if self.recipe["minors"]["rule"] == "exclude" else ""
        return f"SELECT * FROM ({found}) aged{adults}"

    def adult(self) -> str:
        """The minors' rule (G28): the whole band at 18 or more; an unknown age is not."""
        return "terrain_low >= 18 AND terrain_high >= terrain_low"

    def measures(self) -> list[Statement]:
        """What must be known of the base before it is treated: the rare categories and the bounds."""
        found = []
        for number, column in enumerate(self._of_kind(*MERGED)):
            value = treated(self._cell(column))
            text = self._say("table", name=f"rare_{number}") + (
                f"SELECT {value} AS value FROM counted WHERE {value} IS NOT NULL GROUP BY {value} "
                f"HAVING NOT ({self.rare_limit()})"
            )
            found.append(Statement(f"rare_{number}", "common", 50, text))
        if self.clipped:
            bounds = []
            for number, column in enumerate(self._clipped()):
                treatment = column["treatment"]
                low, high = (f"0.{int(treatment[k]):03d}" for k in ("low_per_mille", "high_per_mille"))
                kind = treating.sql_type(column) or "VARCHAR"
                q = self._say("quantiles", x=self._typed(column), low=low, high=high, type=kind)
                bounds.append(f"{q} AS bounds_{number}")
            text = self._say("table", name="bounds") + f"SELECT {', '.join(bounds)} FROM ({self._base()}) base"
            found.append(Statement("bounds", "bounds", 54, text))
        return found

    def rare_limit(self) -> str:
        return f"count(DISTINCT terrain_sid) >= {int(self.recipe['k'])}"

    def _treated(self, *, rows: str) -> str:
        """Every value as it will leave; `terrain_merged_n`, `terrain_clipped_n`: whether the n-th column's changed."""
        is_counted = rows == "counted"
        held = self._counted() if is_counted else self.columns
        shown, joins = (["terrain_sid", "terrain_n"], []) if is_counted else (list(CARRIED), [])
        if self.daily:
            shown.append("terrain_did" if is_counted else "terrain_person")
        merged = {name: number for number, name in enumerate(self.merged)}
        clipped = {name: number for number, name in enumerate(self.clipped)}
        bands = self._bands()
        for column in held:
            name = column["name"]
            if name == self.subject:
                continue
            cell = self._cell(column)
            value = bands[name][0] if name in bands else treated(cell)
            if name in merged:
                n = merged[name]
                joins.append(f" LEFT JOIN rare_{n} ON rare_{n}.value = {value}")
                was = f"(rare_{n}.value IS NOT NULL)"
                value = f"CASE WHEN {was} THEN 'autre' ELSE {value} END"
                if is_counted:
                    shown.append(f"{was} AS terrain_merged_{n}")
            elif name in clipped:
                n = clipped[name]
                bound, was = treating.clipped(cell.typed, f"bounds_{n}", say=self._say)
                value = treated(replace(cell, typed=bound))
                if not is_counted:
                    shown.append(f"{was} AS terrain_clipped_{n}")
            shown.append(f"{value} AS {name_of(name)}")
        if not is_counted:
            shown += [f"terrain_blanked_{number}" for number in range(len(self.blanked))]
            if self.ranked == "terrain_order":
                shown.append(f"{self._order()} AS terrain_order")
        bounds = " CROSS JOIN bounds" if {c["name"] for c in held} & set(clipped) else ""
        start = rows if is_counted else f"({rows}) base"
        return f"SELECT {', '.join(shown)} FROM {start}{bounds}{''.join(joins)}"

    def _order(self) -> str:
        if not self.rank:
            return "terrain_line"
        of = f"base.{name_of(self.rank['column'])}"
        return self._say("try_cast", x=of, type="TIMESTAMP" if self.rank["order"] == "time" else "DOUBLE")

    def _classes(self) -> str:
        """The classes of fewer than k distinct subjects (G30)."""
        names = ", ".join(name_of(name) for name in self.quasi)
        if not names:
            return self._say("table", name="class") + "SELECT 0 AS subjects WHERE false"
        return self._say("table", name="class") + f"SELECT {names} FROM every_class WHERE terrain_small"

    def _every_class(self) -> str:
        names = ", ".join(name_of(name) for name in self.quasi)
        merged = "".join(
            f", sum(CASE WHEN terrain_merged_{n} THEN terrain_n ELSE 0 END) AS terrain_merged_{n}"
            for n in range(len(self.merged))
        )
        return self._say("table", name="every_class") + (
            f"SELECT {names}, sum(terrain_n) AS terrain_n{merged}, {self.small()} AS terrain_small "
            f"FROM graded GROUP BY {names}"
        )

    def small(self) -> str:
        return f"count(DISTINCT terrain_sid) < {int(self.recipe['k'])}"

    def _spared(self, rows: str) -> str:
        """The condition that a row of `rows` is of no small class."""
        if not self.quasi:
            return ""
        same = " AND ".join(
            self._say("same", a=f"{rows}.{name_of(name)}", b=f"class.{name_of(name)}") for name in self.quasi
        )
        return f" WHERE NOT EXISTS (SELECT 1 FROM class WHERE {same})"

    @property
    def _summed(self) -> str:
        """Where rows are summed: by class, or as they were counted where there is none."""
        return "every_class" if self.quasi else "graded"

    @property
    def _not_small(self) -> str:
        return " WHERE NOT terrain_small" if self.quasi else ""

    @property
    def spent(self) -> tuple[str, ...]:
        """Tables of no use to a build once `leaving` is there."""
        return ("met", "counted", "subject", *(["graded"] if self.quasi else []))

    def _leaving(self) -> str:
        """The subjects with rows that leave, or their days, in the order of their pseudonyms: `terrain_sid` is how many
        rows of other pseudonyms stand before theirs in the file, hence their own number."""
        of, number = ("day", "terrain_did") if self.daily else ("subject", "terrain_sid")
        pseudonym = self.pseudonym(f"{of}.")
        left = f"SELECT {number}, sum(terrain_n) AS n FROM graded{self._spared('graded')} GROUP BY {number}"
        before = f"CAST(sum(n) OVER (ORDER BY {number}) - n AS BIGINT)"
        own = treating.subject_number(self._say, of=of)
        own_day = "day.terrain_day, subject.terrain_sid AS terrain_person, " if self.daily else ""
        day = " JOIN day ON day.subject = subject.subject" if self.daily else ""
        return self._say("table", name="leaving") + (
            f"SELECT subject.subject, subject.token, {own_day}placed.place AS terrain_sid, "
            f"{pseudonym} AS terrain_pseudonym, CAST({own} AS BIGINT) AS terrain_number FROM subject{day} "
            f"JOIN (SELECT {number}, {before} AS place FROM ({left}) of_each) placed "
            f"ON placed.{number} = {of}.{number}"
        )

    @property
    def person(self) -> str:
        """The number of the subject of a row of `kept`, whose pseudonym may last a day."""
        return "terrain_person" if self.daily else "terrain_sid"

    @property
    def ranked(self) -> str:
        """What orders the rows of a pseudonym: a moment that leaves, its own or shifted, tells the order by itself."""
        shown = {
            c["name"] for c in self._of_kind("keep", "shift_days", "shift_weeks") if treating.sql_type(c) == "TIMESTAMP"
        }
        by_time = self.rank and self.rank["order"] == "time" and self.rank["column"] in shown - {self.subject}
        return self.rank["column"] if by_time else "terrain_order"

    @property
    def by(self) -> str:
        return f"{name_of(self.ranked)} NULLS LAST, terrain_line"

    def _kept(self) -> str:
        """The rows of no small class, in no order: what they are sorted by is for who holds them to say."""
        rows = self._treated(rows=self._base(subjects="leaving"))
        return f"SELECT * FROM ({rows}) treated{self._spared('treated')}"

    def to_leave(self) -> str:
        """How many rows `kept` will hold, as they were counted."""
        return f"SELECT CAST(coalesce(sum(terrain_n), 0) AS BIGINT) FROM {self._summed}{self._not_small}"

    def pseudonyms(self) -> str:
        """By the place where a subject's rows begin, the pseudonym they bear."""
        return f"SELECT terrain_sid, {self._say('signs', x='terrain_pseudonym')} AS pseudonym FROM leaving"

    def output(self) -> str:
        """The rows of the file, in its order."""
        if not self.recipe["personal"]:
            return f"SELECT {', '.join(name_of(n) for n in self.released)} FROM kept ORDER BY terrain_line"
        others = "".join(f", {name_of(name)}" for name in self.released[2:])
        rank = f"CAST(row_number() OVER (PARTITION BY terrain_sid ORDER BY {self.by}) AS BIGINT)"
        named = f"(SELECT terrain_sid AS terrain_place, pseudonym FROM ({self.pseudonyms()}) each_name) named"
        return (
            f"SELECT named.pseudonym, {rank} AS event_rank{others} FROM kept JOIN {named} "
            "ON named.terrain_place = kept.terrain_sid ORDER BY pseudonym, event_rank"
        )

    def tokens(self) -> str:
        """The zone tokens of the subjects in the file, sorted, hexadecimal."""
        each = "DISTINCT token" if self.daily else "token"
        return f"SELECT {each} FROM leaving WHERE terrain_sid IN (SELECT terrain_sid FROM present) ORDER BY token"

    def merges(self) -> str:
        """For each column of `merged`, how many cells of the rows kept were."""
        cells = (
            f"terrain_merged_{n}" if self.quasi else f"CASE WHEN terrain_merged_{n} THEN terrain_n ELSE 0 END"
            for n in range(len(self.merged))
        )
        sums = ", ".join(f"CAST(coalesce(sum({n}), 0) AS BIGINT)" for n in cells)
        return f"SELECT {sums} FROM {self._summed}{self._not_small}"

    def texts(self) -> list[str]:
        """The released columns that hold text, in which an identifier could stand."""
        return [c["name"] for c in self.columns if c["name"] != self.subject and self._typed(c) == name_of(c["name"])]

    def _values(self, *, is_kept: bool) -> list[Statement]:
        """The distinct values of each released column of text, long enough to be an identifier: of the rows kept, or,
        before there are any, of every row read: more than they will hold, but for columns that are counted."""
        counted = {c["name"] for c in self._counted()}
        found = []
        for number, name in enumerate(self.texts()):
            if is_kept:
                rows = "kept_class" if name in self.quasi else "kept"
            else:
                rows = "graded" if name in counted else "source"
            text = f"SELECT DISTINCT {name_of(name)} AS value FROM {rows} WHERE length({name_of(name)}) >= {SCANNED}"
            asked: Parted = "distinct" if rows == "kept" else ""
            start = "" if asked else self._say("table", name=f"value_{number}")
            found.append(Statement(f"value_{number}", "thresholds", 74, start + text, of_parts=asked))
        return found

    def own_identifiers(self) -> tuple[list[str], str]:
        """The columns of text, and one query that counts in each the rows that hold their own subject key or direct
        identifier (G23), alone or among words. Shorter ones than six signs meet by chance and are left out."""
        owned = [self.subject, *self.recipe["identifiers"]]
        counts = []
        for name in self.texts():
            of = f"kept.{name_of(name)}"
            same = " OR ".join(self.is_told(of, f"s.{name_of(o)}", written=name not in self.merged) for o in owned)
            counts.append(f"count(*) FILTER (WHERE {same})")
        joined = "FROM kept JOIN source s ON s.terrain_line = kept.terrain_line"
        return self.texts(), f"SELECT {', '.join(counts) or 'count(*)'} {joined}"

    def is_told(self, text: str, identifier: str, *, written: bool) -> str:
        """Whether `text` is the identifier, or, of a text that somebody may have `written`, holds it among its words
        whatever the capitals and what stands between."""
        same = f"{text} = {identifier}"
        if written:
            bare = [self._say("bare", x=one) for one in (text, identifier)]
            known = self._say("match", x=identifier, pattern="[A-Za-z0-9]", group=0)
            same += f" OR ({known} <> '' AND {self._say('holds', x=bare[0], y=bare[1])})"
        return f"(length({identifier}) >= {SCANNED} AND ({same}))"

    def shared_with_identifiers(self) -> list[str]:
        """Queries that count the subjects and direct identifiers that are also a released value, whosever, and the
        values of several words: where all find none, `own_identifiers` would find none either, and it reads every row
        again."""
        found = []
        for number, text in enumerate(self.texts()):
            values = f"(SELECT value FROM value_{number})"
            if text not in self.merged:  # a category that k subjects share is nobody's sentence
                several = f"{self._say('match', x='value', pattern=PARTS, group=0)} <> ''"
                found.append(f"SELECT count(*) FROM {values} met WHERE {several}")
            found.append(f"SELECT count(*) FROM leaving WHERE subject IN {values}")
            found += [
                f"SELECT count(*) FROM source WHERE {name_of(name)} IN {values}" for name in self.recipe["identifiers"]
            ]
        return found

    def looks_like_one(self, of: str) -> str:
        """Whether the text `of` looks like somebody's identifier."""
        looks = " OR ".join(f"{self._say('match', x=of, pattern=p, group=0)} <> ''" for p in IDENTIFYING)
        return f"({looks}) AND {self._say('match', x=of, pattern=SNOMED, group=0)} = ''"

    def looking_like_identifiers(self) -> list[tuple[str, str]]:
        """For each column of text, a query that counts its values that look like an e-mail address, a French social
        security number or a telephone number."""
        return [
            (name, f"SELECT count(*) FROM value_{number} WHERE {self.looks_like_one('value')}")
            for number, name in enumerate(self.texts())
        ]

    def smallest_class(self) -> str:
        """k as it stands in the file: the smallest number of distinct subjects in a class of the rows kept."""
        names = ", ".join(name_of(name) for name in self.quasi)
        subjects = f"count(DISTINCT {self.person})" if self.daily else "CAST(sum(subjects) AS BIGINT)"
        by = f" GROUP BY {names}" if names else ""
        return f"SELECT min(subjects) FROM (SELECT {subjects} AS subjects FROM kept_class{by}) classes"

    def _kept_classes(self) -> str:
        """The subjects of each class of a part of the rows kept. A subject's rows are in one part, where it has one
        pseudonym; where it has one a day, who is in the class is told, not how many."""
        names = ", ".join(name_of(name) for name in self.quasi)
        if self.daily:
            return f"SELECT DISTINCT {', '.join([self.person, *filter(None, [names])])} FROM kept"
        shown, by = (f"{names}, ", f" GROUP BY {names}") if names else ("", "")
        return f"SELECT {shown}count(DISTINCT {self.person}) AS subjects FROM kept{by}"

    def smallest_to_be(self) -> str:
        """The same before rows are kept, of those that will be."""
        return self._smallest_class("count(DISTINCT terrain_sid)", f"graded{self._spared('graded')}")

    def _smallest_class(self, subjects: str, rows: str) -> str:
        if not self.quasi:
            return f"SELECT {subjects} FROM {rows}"
        names = ", ".join(name_of(name) for name in self.quasi)
        return f"SELECT min(subjects) FROM (SELECT {subjects} AS subjects FROM {rows} GROUP BY {names}) classes"

    def losses(self, name: str) -> str:
        """By value of one quasi-identifier: rows before and rows lost to small classes."""
        rows, lost = (f"CAST(sum({n}) AS BIGINT)" for n in ("terrain_n", LOST))
        of = name_of(name)
        return f"SELECT {of} AS value, {rows}, {lost} FROM every_class GROUP BY {of} ORDER BY value NULLS LAST"

    def losses_told(self, name: str, *, floor: int) -> str:
        """The same, of the values that `floor` distinct subjects or more hold."""
        return self._losses(name, f" HAVING count(DISTINCT terrain_sid) >= {int(floor)}")

    def _losses(self, name: str, held: str) -> str:
        of, rows = name_of(name), "CAST(sum(terrain_n) AS BIGINT)"
        return (
            f"SELECT before.value, before.n, before.n - coalesce(after.n, 0) FROM "
            f"(SELECT {of} AS value, {rows} AS n FROM graded GROUP BY {of}{held}) before LEFT JOIN "
            f"(SELECT {of} AS value, {rows} AS n FROM graded{self._spared('graded')} GROUP BY {of}) after "
            f"ON {self._say('same', a='before.value', b='after.value')} ORDER BY before.value NULLS LAST"
        )

    def read_classes(self) -> str:
        """The smallest class of the quasi-identifiers as they were read, and how many rows are in one below k."""
        names = ", ".join(name_of(name) for name in self.quasi)
        classes = f"SELECT count(DISTINCT terrain_sid) AS subjects, sum(terrain_n) AS n FROM counted GROUP BY {names}"
        small = f"CASE WHEN subjects < {int(self.recipe['k'])} THEN n ELSE 0 END"
        return f"SELECT min(subjects), sum({small}) FROM ({classes}) classes"

    def cells(self) -> str:
        """The table `cell`: rows by subject and by treated values of the quasi-identifiers."""
        names = ", ".join(name_of(name) for name in self.quasi)
        return (
            self._say("table", name="cell")
            + f"SELECT {names}, terrain_sid, sum(terrain_n) AS n FROM graded GROUP BY {names}, terrain_sid"
        )

    def lost_without(self, name: str) -> str:
        """Rows that small classes would cost if the quasi-identifier `name` were left out."""
        others = ", ".join(name_of(one) for one in self.quasi if one != name)
        by = f" GROUP BY {others}" if others else ""
        return (
            f"SELECT coalesce(sum(n), 0) FROM (SELECT sum(n) AS n FROM cell{by} "
            f"HAVING count(DISTINCT terrain_sid) < {int(self.recipe['k'])}) small"
        )
