"""A recipe over several tables, and the SQL of its build. Pure: no engine, no key, no file but the paths it is told.

`tables_of` reads the tables of a recipe of either format (`recipe`): everybody who asks what a recipe releases asks it.

Steps of a build, each table with its own number n: `source_n` (as read) -> `known` (the subjects of the subjects'
table) -> `subject` (those who may leave) -> `link_n` (a key of table n, to its subject; its second key's is `link_n_1`)
-> `owned_n` (every row with its subject, its age and its `terrain_fate`: empty, or why it stays) -> `seen` (who has an
adult's row) -> `base_n` -> `treated_n` -> `cohort` (subjects of no small class) -> `class_n` (small ones, by the row's
own quasi-identifiers and its subject's) -> `referred_n` (of a table of no person, the rows that a row that leaves
refers to) -> `kept_n` (references to rows that do not leave are empty) -> the file of table n. A recipe of one table
has no cohort: its classes are its rows'.
"""

import itertools
from dataclasses import replace

from broker.releases import treating
from broker.releases.dialects import name_of, text_of
from broker.releases.plan import PARTS, SEPARATOR, Plan, Statement
from broker.releases.treating import MERGED, clipped, merged, treated

NO_TEXT, NO_AGE = "CAST(NULL AS STRING)", "CAST(NULL AS INTEGER)"  # a table of Spark's has a type for every column
SCANNED = 6  # signs: shorter values meet by chance
STEPS_UP = 8  # rows above a row of the same table that leave with it, where none but rows of that table name them
SCANNED_DIGITS = 9  # figures alone meet by chance further


def tables_of(recipe: dict) -> list[dict]:
    """The tables of a recipe, in order, as format 2 tells them. A recipe of format 1 is a list of one."""
    if recipe.get("format", 1) != 1:
        return recipe["tables"]
    subject = recipe["subject_key"]
    return [
        {
            "name": recipe["dataset"]["slug"], "source_sha256": recipe["dataset"].get("source_sha256", ""),
            "rows": recipe["dataset"].get("rows"), "reading": recipe["reading"],
            "source_columns": recipe["source_columns"], "columns": recipe["columns"],
            "subject": {"column": subject} if subject else None, "keys": [], "age": recipe["minors"]["age_column"],
            "event": None, "rank_by": recipe["rank_by"], "quasi_identifiers": recipe["quasi_identifiers"],
            "identifiers": recipe["identifiers"], "blanked": recipe.get("blanked", []),
        }
    ]  # fmt: skip


def is_single(recipe: dict) -> bool:
    return len(tables_of(recipe)) == 1


def path_of(recipe: dict, table: dict, column: str) -> str:
    """How a column is called in its recipe: its name, or "table.name" where there are several tables."""
    return column if is_single(recipe) else f"{table['name']}.{column}"


def columns_of(recipe: dict) -> dict[str, dict]:
    """Every column asked, by its path: {"name", "type", "role", "treatment"}."""
    return {path_of(recipe, t, c["name"]): c for t in tables_of(recipe) for c in t["columns"]}


def quasi_of(recipe: dict) -> list[str]:
    """The released columns that others could know of a person, by their paths."""
    return [path_of(recipe, t, name) for t in tables_of(recipe) for name in t["quasi_identifiers"]]


def blanked_of(recipe: dict) -> list[dict]:
    """The columns of codes that lose cells, each under its path."""
    return [
        {**one, "column": path_of(recipe, t, one["column"])} for t in tables_of(recipe) for one in t.get("blanked", [])
    ]


def is_released(table: dict) -> bool:
    """Whether anything of the table leaves; else it is read for what it tells of the others."""
    return any(c["treatment"]["kind"] != "drop" for c in table["columns"])


class TablePlan(Plan):
    """The part of one table. Its guards are those of `Plan`."""

    def __init__(self, whole: "TablesPlan", table: dict, number: int, *, path: str, dialect: str):
        recipe = whole.recipe
        view = {
            **recipe, **table, "subject_key": (table["subject"] or {}).get("column"),
            "minors": {**recipe["minors"], "age_column": table.get("age")},
        }  # fmt: skip
        super().__init__(view, path=path, dialect=dialect)
        self.whole, self.table, self.number = whole, table, number
        self.keys = {one["column"]: tuple(one["of"]) for one in table["keys"]}
        self.through = (table["subject"] or {}).get("through")
        self.is_of_persons = table["subject"] is not None
        self.is_by_reference = table.get("leaves") == "referred"

    def native(self) -> set[str]:
        """None: keys, births and events are looked at as text."""
        return set()

    own_number = ""

    def at(self, word: str) -> str:
        """The name of this table's own relation of that kind."""
        return f"{word}_{self.number}"

    def _make(self, word: str, sql: str, *, step: str, percent: int) -> Statement:
        return Statement(self.at(word), step, percent, self._say("table", name=self.at(word)) + sql)

    # ------------------------------------------------------------------------------ what the file is

    @property
    def is_head(self) -> bool:
        return self.whole.of_subjects is self

    @property
    def own_subject(self) -> str | None:
        """The column that leaves as the pseudonym of the row's subject."""
        return self.subject if self.is_of_persons and not self.through else None

    @property
    def shown(self) -> list[dict]:
        """The columns that leave under their own name."""
        return [c for c in self.columns if c["name"] != self.own_subject]

    @property
    def kin(self) -> list[str]:
        """Columns that name another subject than the row's own: empty where that one does not leave."""
        return [c["name"] for c in self.shown if self.keys.get(c["name"]) == self.whole.subject_key]

    @property
    def references(self) -> list[tuple[str, "TablePlan"]]:
        """Columns that name a row of a released table by its own key, with that table: empty where that row does not
        leave."""
        found = []
        for name in (c["name"] for c in self.shown if c["name"] in self.keys):
            table, key = self.keys[name]
            target = next((one for one in self.whole.released if one.table["name"] == table), None)
            if target is None or (target is self and name == key) or self.keys[name] == self.whole.subject_key:
                continue
            if any(c["name"] == key for c in target.shown) and target.keys.get(key) == (table, key):
                found.append((name, target))
        return found

    @property
    def named_by(self) -> list[tuple["TablePlan", str, str]]:
        """The columns of released tables that name a row of this one: their table, their name, the key they mean."""
        return [
            (one, name, one.keys[name][1])
            for one in self.whole.released
            for name, target in one.references
            if target is self
        ]

    def _clipped(self) -> list[dict]:
        """Measures that stand beside a quasi-identifier, the row's own or its subject's (7.1)."""
        beside = self.quasi or (self.is_of_persons and self.whole.head.quasi)
        return [c for c in self.columns if treating.is_clipped(c["treatment"])] if beside else []

    @property
    def released(self) -> list[str]:
        start = ["pseudonym", "event_rank"] if self.is_of_persons and self.recipe["personal"] else []
        return [*start, *(c["name"] for c in self.shown)]

    def _needed(self) -> set[str]:
        needed = super()._needed() | set(self.keys) | self.whole.linked(self.table["name"])
        if self.is_head and self.whole.birth:
            needed.add(self.whole.birth["column"])
        return needed | ({self.table["event"]} if self.table.get("event") else set())

    # ------------------------------------------------------------------------------ whose row it is

    def source(self) -> Statement:
        return self._make("source", self.read(self._needed()), step="source", percent=5)

    def owner(self) -> tuple[str, str]:
        """The local identifier of a row's subject, and the joins that find it; the row is called `s`."""
        if not self.through:
            return f"s.{name_of(self.subject or '')}", ""
        link = self.whole.named(self.through[0]).linked_by(self.through[1])
        return f"{link}.terrain_owner", f" LEFT JOIN {link} ON {link}.terrain_key = s.{name_of(self.subject or '')}"

    def linked_by(self, key: str) -> str:
        """The name of the relation from `key` of this table to its subject."""
        place = sorted(self.whole.linked(self.table["name"])).index(key)
        return self.at("link") if place == 0 else f"{self.at('link')}_{place}"

    def links(self) -> list[Statement]:
        """Each key of this table by which others reach their subject. A key that stands for two subjects stands for
        none."""
        owner, joins = self.owner()
        return [
            Statement(
                self.linked_by(key), "subject", 24,
                self._say("table", name=self.linked_by(key))
                + "SELECT terrain_key, min(terrain_met) AS terrain_owner FROM ("
                f"SELECT s.{name_of(key)} AS terrain_key, {owner} AS terrain_met FROM {self.at('source')} s{joins}"
                ") held WHERE terrain_key IS NOT NULL AND terrain_met IS NOT NULL "
                "GROUP BY terrain_key HAVING count(DISTINCT terrain_met) = 1",
            )
            for key in sorted(self.whole.linked(self.table["name"]))
        ]  # fmt: skip

    def ages(self) -> Statement:
        return Statement(self.at("age"), "age", 32, self._ages(name=self.at("age"), source=self.at("source")))

    def owned(self) -> Statement:
        """Every row with its subject, its age at its own event, and whether it stays behind: `terrain_fate`."""
        owner, joins = self.owner()
        low, high = self._age()
        joins += f" LEFT JOIN known ON known.subject = {owner} LEFT JOIN subject ON subject.subject = {owner}"
        if self.age:
            joins += f" LEFT JOIN {self.at('age')} ON {self.at('age')}.value = s.{name_of(self.age)}"
        by_events = self._is_judged_by_events()
        seen = "CAST(NULL AS BOOLEAN) AS terrain_has_adult"
        if by_events:
            joins += " LEFT JOIN seen ON seen.terrain_sid = subject.terrain_sid"
            seen = "seen.terrain_has_adult"
        is_adult = f"coalesce({self.adult()}, false)"
        if by_events:
            is_adult = f"coalesce(terrain_has_adult, {is_adult})"
        minor = f" WHEN NOT ({is_adult}) THEN 'minor'" if self.recipe["minors"]["rule"] == "exclude" else ""
        return self._make(
            "owned",
            f"SELECT *, CASE WHEN terrain_known IS NULL THEN 'no_subject' WHEN terrain_sid IS NULL THEN 'opposed' "
            f"WHEN NOT terrain_agreed THEN 'no_consent' WHEN NOT terrain_drawn THEN 'not_sampled'"
            f"{minor} ELSE '' END AS terrain_fate FROM (SELECT s.*, "
            f"known.subject AS terrain_known, subject.terrain_sid, subject.terrain_h, "
            f"subject.consented AS terrain_agreed, subject.sampled AS terrain_drawn, "
            f"{low} AS terrain_low, {high} AS terrain_high, {seen} "
            f"FROM {self.at('source')} s{joins}) aged",
            step="age", percent=40,
        )  # fmt: skip

    def _is_judged_by_events(self) -> bool:
        """Whether a subject's own row follows the rows of the other tables: by birth, and with other tables."""
        return self.is_head and bool(self.whole.birth) and not self.age and bool(self.whole.dated)

    def _age(self) -> tuple[str, str]:
        """The first and last age the subject of a row can have at its event, null where they cannot be known."""
        if self.age:
            return f"{self.at('age')}.terrain_low", f"{self.at('age')}.terrain_high"
        birth, event = self.whole.birth, self.table.get("event")
        alone = self.is_head and (not event or bool(self.whole.events))
        if not birth or not (event or self.is_head):
            return NO_AGE, NO_AGE
        on = text_of(self.recipe["minors"]["on"]) if alone else f"s.{name_of(event or '')}"
        born = f"s.{name_of(birth['column'])}" if self.is_head else "known.born"
        at = f"CAST({self._say('try_cast', x=on, type='TIMESTAMP')} AS DATE)"
        if birth["as"] == "year":
            years = f"year({at}) - {self._say('try_cast', x=born, type='INTEGER')}"
            return f"({years} - 1)", f"({years})"
        day = f"CAST({self._say('try_cast', x=born, type='TIMESTAMP')} AS DATE)"
        before = f"month({at}) * 100 + day({at}) < month({day}) * 100 + day({day})"
        years = f"(year({at}) - year({day}) - CASE WHEN {before} THEN 1 ELSE 0 END)"
        return years, years

    # ------------------------------------------------------------------------------ what becomes of it

    def codes(self) -> list[Statement]:
        """The codes of each column that loses some (G24)."""
        return [
            self._make(
                f"code_{number}", treating.codes(one, say=self._say, source=self.at("source")), step="base", percent=43
            )
            for number, one in enumerate(self.blanked)
        ]

    def base(self) -> Statement:
        """The rows that are treated: coded cells that do not leave are empty (G24)."""
        blanked = {one["column"]: number for number, one in enumerate(self.blanked)}
        columns = ["s.terrain_line"]
        columns += (
            ["s.terrain_sid", "s.terrain_h", "s.terrain_low", "s.terrain_high"]
            if self.is_of_persons
            else [
                "s.terrain_line AS terrain_sid",
                f"{NO_TEXT} AS terrain_h",
                f"{NO_AGE} AS terrain_low",
                f"{NO_AGE} AS terrain_high",
            ]
        )
        held, joins = [c["name"] for c in self.shown], ""
        for name in held:
            if name in self.grouped:
                place, group = f"s.{name_of(name)}", f"group_{self.grouped.index(name)}"
                columns.append(f"{treating.area(place, group)} AS {name_of(name)}")
                joins += f" LEFT JOIN commune_group AS {group} ON {treating.commune(place)} = {group}.code"
            elif name in blanked:
                code = self.at(f"code_{blanked[name]}")
                columns.append(f"CASE WHEN {code}.value IS NULL THEN s.{name_of(name)} END AS {name_of(name)}")
                columns.append(f"({code}.value IS NOT NULL) AS terrain_blanked_{blanked[name]}")
                joins += f" LEFT JOIN {code} ON {code}.value = s.{name_of(name)} AND {code}.terrain_reinforced"
            else:
                columns.append(f"s.{name_of(name)}")
        if self.rank and self.rank["column"] not in held:
            columns.append(f"s.{name_of(self.rank['column'])}")
        if not self.is_of_persons:
            text = f"SELECT {', '.join(columns)} FROM {self.at('source')} s{joins}"
        else:
            text = f"SELECT {', '.join(columns)} FROM {self.at('owned')} s{joins} WHERE s.terrain_fate = ''"
            if not self.is_head:
                text += f" AND s.terrain_sid IN (SELECT terrain_sid FROM {self.whole.head.at('base')})"
        return self._make("base", text, step="base", percent=45)

    def measures(self) -> list[Statement]:
        """The common categories and the bounds of this table."""
        found = []
        for number, column in enumerate(self._of_kind(*MERGED)):
            value = treated(self._cell(column))
            found.append(
                self._make(
                    f"common_{number}",
                    f"SELECT {value} AS value FROM {self.at('base')} WHERE {value} IS NOT NULL GROUP BY {value} "
                    f"HAVING {self.rare_limit()}",
                    step="common",
                    percent=50,
                )
            )
        if self.clipped:
            bounds = []
            for number, column in enumerate(self._clipped()):
                low, high = (f"0.{int(column['treatment'][k]):03d}" for k in ("low_per_mille", "high_per_mille"))
                kind = treating.sql_type(column) or "VARCHAR"
                q = self._say("quantiles", x=self._typed(column), low=low, high=high, type=kind)
                bounds.append(f"{q} AS terrain_bounds_{number}")
            found.append(
                self._make("bounds", f"SELECT {', '.join(bounds)} FROM {self.at('base')}", step="bounds", percent=54)
            )
        return found

    def rekeyed(self, name: str) -> str:
        """A declared key under the convention's key: one domain a key, so that joins hold and nothing else does."""
        of = f"{text_of('.'.join(self.keys[name]))} || chr({SEPARATOR}) || {name_of(name)}"
        return f"substr({self.hmac('pseudonym', of)}, 1, 32)"

    def treated(self) -> Statement:
        columns, joins = ["terrain_line", "terrain_sid", "terrain_h"], []
        commons = {name: number for number, name in enumerate(self.merged)}
        bounded = {name: number for number, name in enumerate(self.clipped)}
        for column in self.shown:
            name = column["name"]
            if name in self.kin:
                columns.append(name_of(name))
                continue
            value = self.rekeyed(name) if name in self.keys else treated(self._cell(column))
            if name in commons:
                common = self.at(f"common_{commons[name]}")
                joins.append(f" LEFT JOIN {common} ON {common}.value = {value}")
                value, rare = merged(value, common)
                columns.append(f"{rare} AS terrain_merged_{commons[name]}")
            elif name in bounded:
                bound, far = clipped(self._cell(column).typed, f"terrain_bounds_{bounded[name]}", say=self._say)
                value = treated(replace(self._cell(column), typed=bound))
                columns.append(f"{far} AS terrain_clipped_{bounded[name]}")
            columns.append(f"{value} AS {name_of(name)}")
        columns += [f"terrain_blanked_{number}" for number in range(len(self.blanked))]
        columns.append(f"{self._order()} AS terrain_order")
        bounds = f" CROSS JOIN {self.at('bounds')}" if bounded else ""
        text = f"SELECT {', '.join(columns)} FROM {self.at('base')} base{bounds}{''.join(joins)}"
        return self._make("treated", text, step="treated", percent=60)

    def _groups(self) -> list[str]:
        """What makes the classes of this table: the subject's quasi-identifiers, and the row's own."""
        own = [name_of(name) for name in self.quasi]
        return [*self.whole.shared(self), *own] if own else []

    def _with_subjects(self, relation: str) -> str:
        """The rows of `relation` whose subject is in the cohort, with the subject's quasi-identifiers."""
        if not self.whole.shared(self):
            return relation
        own = "".join(f", m.{name_of(name)}" for name in self.quasi)
        shared = "".join(f", cohort.{name}" for name in self.whole.shared(self))
        return (
            f"(SELECT m.terrain_line, m.terrain_sid{own}{shared} FROM {relation} m "
            "JOIN cohort ON cohort.terrain_sid = m.terrain_sid)"
        )

    @property
    def scope(self) -> str:
        """The treated rows that leave unless their class is too small."""
        if not self.is_by_reference:
            return self.at("treated")
        referred = self.at("referred")
        return f"(SELECT m.* FROM {self.at('treated')} m JOIN {referred} ON {referred}.terrain_line = m.terrain_line)"

    def referred(self) -> list[Statement]:
        """The lines that a row of another table that leaves refers to, then those that these refer to in turn."""
        if not self.is_by_reference:
            return []
        rows, own = self.at("treated"), [(name, key) for one, name, key in self.named_by if one is self]
        found = [
            f"SELECT up.terrain_line FROM {rows} up JOIN (SELECT DISTINCT m.{name_of(name)} AS value "
            f"FROM {one._left()}) met ON met.value = up.{name_of(key)}"
            for one, name, key in self.named_by
            if one is not self
        ]
        words = [*(f"referred_{n}" for n in range(STEPS_UP if own else 0)), "referred"]
        first = f"SELECT DISTINCT terrain_line FROM ({' UNION ALL '.join(found)}) named"
        made = [self._make(words[0], first, step="class", percent=67)]
        for before, word in itertools.pairwise(words):
            below = self.at(before)
            ups = [
                f"SELECT up.terrain_line FROM {rows} up JOIN (SELECT DISTINCT m.{name_of(name)} AS value FROM {rows} m "
                f"JOIN {below} ON {below}.terrain_line = m.terrain_line) met ON met.value = up.{name_of(key)}"
                for name, key in own
            ]
            made.append(
                self._make(word, " UNION ".join([f"SELECT terrain_line FROM {below}", *ups]), step="class", percent=67)
            )
        return made

    def scoped(self) -> str:
        """How many rows leave unless their class is too small."""
        return f"SELECT count(*) FROM {self.scope} scoped"

    def classes(self) -> Statement | None:
        """The classes of fewer than k distinct subjects (G30)."""
        if not (groups := self._groups()):
            return None
        names = ", ".join(groups)
        text = f"SELECT {names} FROM {self._with_subjects(self.scope)} met GROUP BY {names} HAVING {self.small()}"
        return self._make("class", text, step="class", percent=66)

    def kept(self) -> Statement:
        """Rows of the cohort and of no small class, ranked within their subject."""
        columns = ["m.terrain_line", "m.terrain_sid", "m.terrain_h"]
        joins = ""
        for number, name in enumerate(self.kin):
            joins += f" LEFT JOIN {self._persons()} kin_{number} ON kin_{number}.subject = m.{name_of(name)}"
        met = {name: f"kin_{number}.terrain_h" for number, name in enumerate(self.kin)}
        for number, (name, target) in enumerate(self.references):
            rows = f"SELECT DISTINCT m.{name_of(self.keys[name][1])} AS value FROM {target._left()}"
            joins += f" LEFT JOIN ({rows}) met_{number} ON met_{number}.value = m.{name_of(name)}"
            met[name] = f"met_{number}.value"
        for column in self.shown:
            name = column["name"]
            if name in self.kin:
                columns.append(f"substr({met[name]}, 1, 32) AS {name_of(name)}")
            elif name in met:
                columns.append(f"{met[name]} AS {name_of(name)}")
            else:
                columns.append(f"m.{name_of(name)}")
        columns += [f"m.terrain_merged_{n}" for n in range(len(self.merged))]
        columns += [f"m.terrain_clipped_{n}" for n in range(len(self.clipped))]
        columns += [f"m.terrain_blanked_{n}" for n in range(len(self.blanked))]
        columns += [
            f"(m.{name_of(name)} IS NOT NULL AND {value} IS NULL) AS terrain_emptied_{n}"
            for n, (name, value) in enumerate(met.items())
        ]
        columns.append(
            "CAST(row_number() OVER (PARTITION BY m.terrain_sid ORDER BY m.terrain_order NULLS LAST, m.terrain_line) "
            "AS BIGINT) AS event_rank"
        )
        return self._make("kept", f"SELECT {', '.join(columns)} FROM {self._left(joins)}", step="kept", percent=72)

    @property
    def emptied(self) -> list[str]:
        """The columns that are empty where what they name does not leave, in the order in which they are counted."""
        return [*self.kin, *(name for name, _table in self.references)]

    def _persons(self) -> str:
        """The subjects who leave: the cohort, or those of the rows of the only table."""
        if self.whole.has_cohort:
            return "cohort"
        leaving = f"SELECT DISTINCT m.terrain_sid FROM {self.whole.head._left()}"
        return f"(SELECT subject, terrain_h FROM subject WHERE terrain_sid IN ({leaving}))"

    @property
    def _is_in_cohort(self) -> bool:
        return self.is_of_persons and self.whole.has_cohort

    def _left(self, joins: str = "") -> str:
        """The treated rows `m` of the cohort and of no small class, with what else is joined to them."""
        in_cohort, where = self._is_in_cohort, ""
        start = (" JOIN cohort ON cohort.terrain_sid = m.terrain_sid" if in_cohort else "") + joins
        if groups := self._groups():
            if in_cohort and not self.is_head:
                sides = [
                    *(f"cohort.{name}" for name in self.whole.shared(self)),
                    *(f"m.{name_of(q)}" for q in self.quasi),
                ]
            else:
                sides = [f"m.{one}" for one in groups]
            small = self.at("class")
            same = " AND ".join(
                self._say("same", a=side, b=f"{small}.{one}") for side, one in zip(sides, groups, strict=True)
            )
            where = f" WHERE NOT EXISTS (SELECT 1 FROM {small} WHERE {same})"
        return f"{self.scope} m{start}{where}"

    def left(self) -> str:
        """How many rows are in the cohort and in no small class."""
        return f"SELECT count(*) FROM {self._left()}"

    def plain(self) -> Statement:
        columns = "".join(f", {self._typed(c)} AS {name_of(c['name'])}" for c in self.columns)
        text = f"SELECT terrain_line{columns} FROM {self.at('source')}"
        return self._make("kept", text, step="plain", percent=60)

    # ------------------------------------------------------------------------------ what is asked of it

    def output(self) -> str:
        """The rows of the file, in its order. What is of no person is in the order of its own values: that of the
        source would let two releases be laid side by side."""
        if not self.recipe["personal"]:
            return f"SELECT {', '.join(name_of(n) for n in self.released)} FROM {self.at('kept')} ORDER BY terrain_line"
        if not self.is_of_persons:
            names = [name_of(n) for n in self.released]
            first = [name_of(n) for n in self.keys if n in self.released]
            return f"SELECT {', '.join(names)} FROM {self.at('kept')} ORDER BY {', '.join([*first, *names])}"
        others = "".join(f", {name_of(name)}" for name in self.released[2:])
        prefix = self._say("hex_order", h="substr(terrain_h, 1, 16)")
        return (
            f"SELECT pseudonym, event_rank{others} FROM (SELECT substr(terrain_h, 1, 32) AS pseudonym, "
            f"{prefix} AS terrain_prefix, event_rank{others} FROM {self.at('kept')}) shown "
            "ORDER BY terrain_prefix, pseudonym, event_rank"
        )

    def fates(self) -> str:
        """Rows by what becomes of them before any class is made."""
        return f"SELECT terrain_fate, count(*) FROM {self.at('owned')} GROUP BY terrain_fate"

    @property
    def rows(self) -> str:
        """The relation that holds every row as it was read."""
        return self.at("owned" if self.is_of_persons else "source")

    def identifiers(self) -> list[str]:
        """Queries of the values that may stand nowhere: subject keys and direct identifiers of this table."""
        found = []
        for name in [self.subject, *self.recipe["identifiers"]]:
            if name:
                of = name_of(name)
                is_telling = (
                    f"length({of}) >= {SCANNED_DIGITS} OR {self._say('match', x=of, pattern='[^0-9]', group=0)} <> ''"
                )
                found.append(
                    f"SELECT {of} AS value FROM {self.rows} WHERE length({of}) >= {SCANNED} AND ({is_telling})"
                )
        return found

    def texts(self) -> list[str]:
        return [
            c["name"] for c in self.shown if c["name"] not in self.keys and self._typed(c) == name_of(c["name"])
        ]  # fmt: skip

    def scan(self) -> tuple[list[str], str]:
        """The columns of text, and one query that counts in each the rows that hold an identifier of any table, their
        own key or identifier, or what looks like one (G23)."""
        owned = [name for name in [self.subject, *self.recipe["identifiers"]] if name]
        joins, counts = [], []
        for number, name in enumerate(self.texts()):
            of, met = f"k.{name_of(name)}", f"met_{number}"
            joins.append(f" LEFT JOIN identifier {met} ON {met}.value = {of}")
            own = [self.is_told(of, f"s.{name_of(o)}", written=name not in self.merged) for o in owned]
            tests = " OR ".join([f"{met}.value IS NOT NULL", *own, self.looks_like_one(of)])
            counts.append(f"count(*) FILTER (WHERE {tests})")
        return self.texts(), (
            f"SELECT {', '.join(counts) or 'count(*)'} FROM {self.at('kept')} k "
            f"JOIN {self.rows} s ON s.terrain_line = k.terrain_line{''.join(joins)}"
        )

    def told_among_words(self) -> list[tuple[str, str]]:
        """For each column of text that somebody may have written, queries that count the identifiers of any table
        among its words: those of one word, as they are; those of several, whatever the capitals, the accents and what
        stands between."""
        return [
            (name, query)
            for name in self.texts()
            if name not in self.merged
            for query in (self._words_told(name_of(name)), self._phrases_told(name_of(name)))
        ]

    def _words_told(self, of: str) -> str:
        word = self._say("words", x=of, pattern=PARTS)
        held = f"{self._say('match', x=of, pattern=PARTS, group=0)} <> ''"
        return (
            f"SELECT count(*) FROM (SELECT {word} AS word FROM (SELECT DISTINCT {of} FROM {self.at('kept')} "
            f"WHERE {held}) met) parted JOIN identifier ON identifier.value = parted.word"
        )

    def _phrases_told(self, of: str) -> str:
        bare, word = self._say("bare", x=of), self._say("words", x="trim(text)", pattern=" ")
        texts = f"SELECT DISTINCT {bare} AS text FROM {self.at('kept')} WHERE length({of}) >= {SCANNED}"
        return (
            f"SELECT count(*) FROM (SELECT text, {word} AS word FROM ({texts}) met WHERE trim(text) LIKE '% %') parted "
            f"JOIN phrase ON phrase.word = parted.word AND {self._say('holds', x='parted.text', y='phrase.phrase')}"
        )

    def smallest_class(self, *, is_kept: bool = True) -> str:
        """The smallest number of distinct subjects in a class of the rows kept; null where there is no class."""
        if not (groups := self._groups()):
            return "SELECT NULL"
        names = ", ".join(groups)
        met = self._with_subjects(self.at("kept"))
        classes = f"SELECT count(DISTINCT terrain_sid) AS subjects FROM {met} met GROUP BY {names}"
        return f"SELECT min(subjects) FROM ({classes}) classes"

    def read_classes(self) -> str:
        """The smallest class by what the row and its subject's own say as they were read, and the rows in one below k;
        null and none where nothing does."""
        head = self.whole.head
        sides = [f"b.{name_of(name)}" for name in self.quasi]
        sides += [f"h.{name_of(name)}" for name in head.quasi if not self.is_head]
        if not sides or not self.is_of_persons:
            return "SELECT NULL, 0"
        start = "" if self.is_head else f" JOIN {head.at('base')} h ON h.terrain_sid = b.terrain_sid"
        classes = (
            f"SELECT count(DISTINCT b.terrain_sid) AS subjects, count(*) AS n FROM {self.at('base')} b{start} "
            f"GROUP BY {', '.join(sides)}"
        )
        small = f"CASE WHEN subjects < {int(self.recipe['k'])} THEN n ELSE 0 END"
        return f"SELECT min(subjects), coalesce(sum({small}), 0) FROM ({classes}) classes"

    def losses(self, name: str) -> str:
        return self._losses(name, "")

    def _bands(self) -> dict[str, tuple[str, str]]:
        """None: an age may also be told by a birth and an event."""
        return {}

    def _losses(self, name: str, held: str) -> str:
        of = name_of(name)
        return (
            f"SELECT before.value, before.n, before.n - coalesce(after.n, 0) FROM "
            f"(SELECT {of} AS value, count(*) AS n FROM {self.scope} scoped GROUP BY {of}{held}) before LEFT JOIN "
            f"(SELECT {of} AS value, count(*) AS n FROM {self.at('kept')} GROUP BY {of}) after "
            f"ON {self._say('same', a='before.value', b='after.value')} ORDER BY before.value NULLS LAST"
        )


class TablesPlan:
    """The statements of one recipe over its tables, in one dialect."""

    def __init__(
        self, recipe: dict, *, paths: dict[str, str], dialect: str = "duckdb", table_class: type[TablePlan] = TablePlan
    ):
        self.recipe = recipe
        tables = tables_of(recipe)
        self.birth = recipe["minors"].get("birth")
        subjects = recipe.get("subjects")
        self.subject_key = (subjects["table"], subjects["column"]) if subjects else None
        self.of_subjects: TablePlan | None = None
        self.tables: list[TablePlan] = []
        for number, table in enumerate(tables):
            made = table_class(self, table, number, path=paths[table["name"]], dialect=dialect)
            self.tables.append(made)
            if subjects and table["name"] == subjects["table"]:
                self.of_subjects = made

    @property
    def head(self) -> TablePlan:
        """The table of the subjects. Raises ValueError where there is none: the recipe is of no persons."""
        if self.of_subjects is None:
            raise ValueError("a recipe about persons names the table of its subjects")
        return self.of_subjects

    def named(self, name: str) -> TablePlan:
        return next(one for one in self.tables if one.table["name"] == name)

    def linked(self, name: str) -> set[str]:
        """The keys of the table `name` by which others reach their subject."""
        return {one.through[1] for one in self.tables if one.through and one.through[0] == name}

    @property
    def released(self) -> list[TablePlan]:
        return [one for one in self.tables if is_released(one.table)]

    @property
    def persons(self) -> list[TablePlan]:
        """The tables whose rows are a subject's, the subjects' own first."""
        return sorted((one for one in self.tables if one.is_of_persons), key=lambda one: (not one.is_head, one.number))

    @property
    def events(self) -> list[TablePlan]:
        """The tables of persons beside the subjects' own."""
        return [one for one in self.persons if not one.is_head]

    @property
    def dated(self) -> list[TablePlan]:
        """Those whose rows tell the age of their subject."""
        return [one for one in self.events if one.age or one.table.get("event")]

    @property
    def has_cohort(self) -> bool:
        return self.of_subjects is not None and len(self.tables) > 1

    def shared(self, table: TablePlan) -> list[str]:
        """The subject's quasi-identifiers, as the cohort holds them, that make classes of another table's rows."""
        if not self.has_cohort or not table.is_of_persons or table.is_head:
            return []
        return [f"terrain_shared_{number}" for number in range(len(self.head.quasi))]

    def changed_by(self, table: TablePlan) -> list[TablePlan]:
        """The released tables whose rows to leave change with the classes of `table`."""
        return [one for one in self.released if table.is_head or one is table or one.is_by_reference]

    def without(self, table: str, column: str) -> "TablesPlan":
        """The same, were `column` of `table` none of what makes classes."""
        tables = [
            {**one, "quasi_identifiers": [name for name in one["quasi_identifiers"] if name != column]}
            if one["name"] == table
            else one
            for one in self.recipe["tables"]
        ]
        paths = {one.table["name"]: one.path for one in self.tables}
        return TablesPlan({**self.recipe, "tables": tables}, paths=paths, dialect=self.tables[0].dialect)

    def small(self) -> list[Statement]:
        """The statements that find small classes, of what is treated already."""
        found = [self.head.classes(), self._cohort()] if self.has_cohort else []
        for one in self._referring_first():
            found += one.referred()
            if not (self.has_cohort and one.is_head):
                found.append(one.classes())
        return [statement for statement in found if statement]

    def _referring_first(self) -> list[TablePlan]:
        """The released tables, each whose rows leave by reference after all that refer to them."""
        order = [one for one in self.released if not one.is_by_reference]
        waiting = [one for one in self.released if one.is_by_reference]
        while waiting:
            ready = [
                one for one in waiting if all(by in order or by is one for by, _name, _key in one.named_by)
            ]  # fmt: skip
            if not ready:
                raise ValueError("tables of no person leave by references to each other")
            order += ready
            waiting = [one for one in waiting if one not in ready]
        return order

    def statements(self) -> list[Statement]:
        found = [one.source() for one in self.tables]
        if not self.recipe["personal"]:
            return found + [one.plain() for one in self.released]
        found += [self._known(), self._subject(), *self._links()]
        found += [one.ages() for one in self.persons if one.age]
        found += [one.owned() for one in self.events]
        if self.dated:
            found.append(self._seen())
        found.append(self.head.owned())
        found += [self._identifier(), self._phrase()]
        for one in [*self.persons, *(t for t in self.released if not t.is_of_persons)]:
            if one.is_head or one in self.released:
                found += [*one.codes(), one.base(), *one.measures(), one.treated()]
        return found + self.small() + [one.kept() for one in self.released]

    def _known(self) -> Statement:
        """The subjects of the subjects' table, with their birth where it tells minors."""
        head = self.head
        key = name_of(head.subject or "")
        born = f", min({name_of(self.birth['column'])}) AS born" if self.birth else ""
        text = f"SELECT {key} AS subject{born} FROM {head.at('source')} WHERE {key} IS NOT NULL GROUP BY {key}"
        return Statement("known", "subject", 14, head._say("table", name="known") + text)

    def _subject(self) -> Statement:
        """One row a subject who does not object, as `Plan` makes it."""
        head = self.head
        pseudonym, token = head.hmac("pseudonym", "subject"), head.hmac("token", "subject")
        text = (
            f"SELECT subject, terrain_h, token, row_number() OVER (ORDER BY terrain_h) AS terrain_sid, "
            f"{head.consented()} AS consented, {head.sampled()} AS sampled "
            f"FROM (SELECT subject, {pseudonym} AS terrain_h, {token} AS token "
            f"FROM known) keyed WHERE {head.unopposed()}"
        )
        return Statement("subject", "subject", 20, head._say("table", name="subject") + text)

    def lookups(self) -> dict[str, str]:
        """The public tables that the statements join, by name: the SHA-256 of each (`Plan.lookups`)."""
        return {name: sha256 for one in self.released for name, sha256 in one.lookups().items()}

    def _links(self) -> list[Statement]:
        """Each key by which others reach their subject, after those it is reached by itself."""
        made: list[TablePlan] = []
        wanted = [one for one in self.tables if self.linked(one.table["name"])]
        while len(made) < len(wanted):
            ready = [
                one
                for one in wanted
                if one not in made and (not one.through or self.named(one.through[0]) in made)
            ]  # fmt: skip
            if not ready:
                raise ValueError("tables reach their subject by each other")
            made += ready
        return [statement for one in made for statement in one.links()]

    def _seen(self) -> Statement:
        """Which subjects have a row beside their own, and whether one of them is an adult's."""
        rows = " UNION ALL ".join(
            f"SELECT terrain_sid, terrain_fate = '' AS is_adult FROM {one.at('owned')} "
            "WHERE terrain_sid IS NOT NULL AND terrain_fate IN ('', 'minor')"
            for one in self.dated
        )
        text = f"SELECT terrain_sid, bool_or(is_adult) AS terrain_has_adult FROM ({rows}) every GROUP BY terrain_sid"
        return Statement("seen", "age", 42, self.tables[0]._say("table", name="seen") + text)

    def _cohort(self) -> Statement:
        """The subjects who leave: of no class too small by what their own row says."""
        head = self.head
        shared = "".join(f", m.{name_of(q)} AS terrain_shared_{n}" for n, q in enumerate(head.quasi))
        text = (
            f"SELECT m.terrain_sid, m.terrain_h, subject.subject{shared} FROM {head.at('treated')} m "
            "JOIN subject ON subject.terrain_sid = m.terrain_sid"
        )
        if head.quasi:
            small = head.at("class")
            same = " AND ".join(
                head._say("same", a=f"m.{name_of(q)}", b=f"{small}.{name_of(q)}") for q in head.quasi
            )  # fmt: skip
            text += f" WHERE NOT EXISTS (SELECT 1 FROM {small} WHERE {same})"
        return Statement("cohort", "kept", 68, head._say("table", name="cohort") + text)

    def _identifier(self) -> Statement:
        """Every value that may stand in no table, whichever it comes from, once."""
        queries = [query for one in self.tables for query in one.identifiers()]
        text = f"SELECT DISTINCT value FROM ({' UNION ALL '.join(queries)}) every" if queries else "SELECT '' AS value"
        return Statement("identifier", "source", 44, self.tables[0]._say("table", name="identifier") + text)

    def _phrase(self) -> Statement:
        """The identifiers of several words, bare, each with the longest of its words, by which texts are looked for: a
        name is found by "delacroix", an address by "lilas"."""
        say = self.tables[0]._say
        several = f"{say('match', x='value', pattern=PARTS, group=0)} <> ''"
        bare = f"SELECT DISTINCT {say('bare', x='value')} AS phrase FROM identifier WHERE {several}"
        is_telling = (
            f"{say('match', x='phrase', pattern='[a-z]', group=0)} <> '' "
            f"OR length(replace(phrase, ' ', '')) >= {SCANNED_DIGITS}"
        )
        words = (
            f"SELECT phrase, {say('words', x='trim(phrase)', pattern=' ')} AS word FROM ({bare}) bare "
            f"WHERE trim(phrase) LIKE '% %' AND length(trim(phrase)) >= {SCANNED} AND ({is_telling})"
        )
        longest = "substr(max(lpad(CAST(length(word) AS STRING), 9, '0') || word), 10)"
        text = f"SELECT phrase, {longest} AS word FROM ({words}) parted GROUP BY phrase"
        return Statement("phrase", "source", 44, say("table", name="phrase") + text)

    def doubled(self) -> str:
        """How many subjects have several rows in the subjects' table, where it should hold one each."""
        key, head = name_of(self.head.subject or ""), self.head.at("source")
        twice = f"SELECT {key} FROM {head} WHERE {key} IS NOT NULL GROUP BY {key} HAVING count(*) > 1"
        return f"SELECT count(*) FROM ({twice}) twice"

    def tokens(self) -> str:
        """The zone tokens of the subjects in the files, sorted, hexadecimal."""
        inside = " UNION ".join(
            f"SELECT terrain_sid FROM {one.at('kept')}" for one in self.released if one.is_of_persons
        )
        return f"SELECT token FROM subject WHERE terrain_sid IN ({inside}) ORDER BY token" if inside else (
            "SELECT token FROM subject WHERE false"
        )  # fmt: skip

    def declared(self, table: TablePlan) -> dict:
        """The keys of a table as they stand in its file: its own, and those of other released tables it refers to."""
        names = {one.table["name"] for one in self.released}
        own, foreign = [], []
        shown = {c["name"] for c in table.shown}
        for column, (name, key) in table.keys.items():
            if column not in shown:
                continue
            if (name, key) == (table.table["name"], column):
                own.append(column)
            elif (name, key) == self.subject_key and name in names:
                foreign.append({"fields": [column], "table": name, "to": ["pseudonym"]})
            elif name in names:
                foreign.append({"fields": [column], "table": name, "to": [key]})
        if table.own_subject and self.recipe["personal"]:
            if table.is_head and self.has_cohort:
                own.insert(0, "pseudonym")
            elif self.has_cohort and self.head in self.released:
                foreign.insert(0, {"fields": ["pseudonym"], "table": self.head.table["name"], "to": ["pseudonym"]})
        return {"primary_key": own[:1], "foreign_keys": foreign}
