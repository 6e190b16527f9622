"""Parquet sources: what is checked before one is taken. `broker.parquet` holds the SQL that reads them.

    python -m zones.parquet < order.json

The order holds `path`, `scratch`, `memory` (MiB), `seconds`, `absent` (see `zones.reading`) and `limits`. A line of
JSON answers: {"rows", "types", "absent"} with the engine's type of each column in order and the values passed, or
{"problem": code, ...} with figures and names, never a value. It is a process of its own with bounded memory, since a
footer or a page of a few bytes may declare any size. The words of a problem are in `refusal`. Nothing is written: the
file is read as the very bytes that were sent.

Nested columns are refused rather than flattened: which paths, which names and how lists repeat is the sender's to say.
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any

from broker.parquet import FLOATS, WHOLE, in_calendar, literal, quoted

MAGIC, ENCRYPTED = b"PAR1", b"PARE"
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
WIDE = ("UBIGINT", "HUGEINT", "UHUGEINT")
MOMENTS = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")
FLAT = (*INTEGERS, *WIDE, *FLOATS, *MOMENTS, "BOOLEAN", "DATE", "TIME", "TIME WITH TIME ZONE", "VARCHAR", "UUID",
        '"NULL"')  # fmt: skip
NUMBERED = "file_row_number"  # the name under which the engine numbers the rows of a file: a column cannot bear it
EXACT = 2**53  # whole numbers that a double holds exactly
MIB = 1024**2


def kind_of(declared: str) -> str:
    """The type that a profile tells, from the engine's."""
    if declared in INTEGERS or declared == WHOLE:
        return "integer"
    if declared in FLOATS or declared.startswith("DECIMAL"):
        return "number"
    if declared == "DATE":
        return "date"
    return "timestamp" if declared in MOMENTS else "text"


class Unfit(Exception):
    """The file cannot be taken: a code of `refusal` and its facts."""

    def __init__(self, code: str, **facts):
        super().__init__(code)
        self.code, self.facts = code, facts


def check(order: dict[str, Any]) -> dict[str, Any]:
    """Rows and types of the file that `order` names, every page of it read once. Raises Unfit."""
    import duckdb

    path, limits = Path(order["path"]), order["limits"]
    _ends(path)
    source = literal(str(path))
    connection = duckdb.connect(
        config={
            "memory_limit": f"{order['memory']}MiB",
            "temp_directory": order["scratch"],
            "threads": 2,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    try:
        schema = connection.execute(f"SELECT name, num_children FROM parquet_schema({source})").fetchall()
        (rows, encryption), *_others = connection.execute(
            f"SELECT num_rows, encryption_algorithm FROM parquet_file_metadata({source})"
        ).fetchall()
    except duckdb.Error as error:
        raise Unfit("encrypted" if "encrypt" in str(error).lower() else "footer") from None
    if encryption:
        raise Unfit("encrypted")
    names = _top(schema)
    if len(names) > limits["columns"]:
        raise Unfit("columns", count=len(names), most=limits["columns"])
    _names(names, limits)
    if not rows:
        raise Unfit("empty")
    if rows > limits["rows"]:
        raise Unfit("rows", count=rows, most=limits["rows"])
    _bomb(connection, source, path.stat().st_size, limits)
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({source})").fetchall()
    except duckdb.Error as error:
        raise Unfit("encrypted" if "encrypt" in str(error).lower() else "footer") from None
    types = {name: row[1] for name, row in zip(names, described, strict=True)}
    for name, declared in types.items():
        if not (declared in FLAT or declared.startswith(("DECIMAL", "ENUM"))):
            raise Unfit(_unread(declared), name=name, type=declared[:40])
    absent, void, passed = order.get("absent", {}), {}, {}
    if unknown := [name for name in absent if name not in types]:
        raise Unfit("unknown", name=unknown[0])
    for name, declared in types.items():
        found = _scan(connection, source, name, declared, limits)
        types[name] = found["type"]
        if name in absent:
            passed[name] = {"kind": absent[name], "n": found["void"]}
        elif found["void"]:
            void[name] = {"kind": found["kind"], "n": found["void"], "line": found["line"]}
    if void:
        raise Unfit("void", columns=void)
    return {"rows": int(rows), "types": list(types.items()), "absent": passed}


def _unread(declared: str) -> str:
    if declared.startswith(("STRUCT", "MAP", "UNION", "VARIANT")) or declared.endswith("]"):
        return "nested"
    return "binary" if declared == "BLOB" else "type"


def _ends(path: Path) -> None:
    """The first and last bytes, as the format has them. Source: parquet-format, README."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(4)
        if first == ENCRYPTED:
            raise Unfit("encrypted")
        if first != MAGIC:
            raise Unfit("other")
        if size < 12:
            raise Unfit("cut")
        file.seek(-8, 2)
        length, last = int.from_bytes(file.read(4), "little"), file.read(4)
    if last == ENCRYPTED:
        raise Unfit("encrypted")
    if last != MAGIC:
        raise Unfit("cut")
    if length + 12 > size:
        raise Unfit("footer")


def _top(schema: list[tuple[str, int | None]]) -> list[str]:
    """The names of the columns, without those inside nested ones. The schema is a tree told in order."""
    names: list[str] = []
    inside = 0
    for name, children in schema[1:]:  # the first is the root
        if inside:
            inside += (children or 0) - 1
        else:
            names.append(name)
            inside = children or 0
    return names


def _names(names: list[str], limits: dict[str, int]) -> None:
    seen: dict[str, int] = {}
    for place, name in enumerate(names, start=1):
        if name != name.strip() or not name or any(ord(sign) < 32 for sign in name):
            raise Unfit("name", place=place)
        if name.lower() == NUMBERED:
            raise Unfit("taken_name", name=name)
        if len(name) > limits["name_signs"]:
            raise Unfit("long_name", place=place, most=limits["name_signs"])
        if name.lower() in seen:
            raise Unfit("same_name", first=seen[name.lower()], second=place, name=name)
        seen[name.lower()] = place


def _bomb(connection, source: str, size: int, limits: dict[str, int]) -> None:
    """What the footer declares: beyond the limits nothing is opened. A footer that lies meets the memory limit."""
    declared, groups = connection.execute(
        f"SELECT coalesce(sum(total_uncompressed_size), 0), max(row_group_bytes) FROM parquet_metadata({source})"
    ).fetchone()
    if declared > limits["clear_bytes"]:
        raise Unfit("large", gib=max(1, limits["clear_bytes"] // 1024**3))
    if declared > limits["ratio_from"] and declared > limits["ratio"] * size:
        raise Unfit("swells", ratio=limits["ratio"])
    if (groups or 0) < 0 or declared < 0:
        raise Unfit("footer")


def _scan(connection, source: str, name: str, declared: str, limits: dict[str, int]) -> dict[str, Any]:
    """Read one column whole. `void` counts values that are no finite number, or no day of the calendar."""
    import duckdb

    column = quoted(name)
    read = f"bit_xor(hash({column}))"  # a count or an extreme alone is answered by the footer, no page being opened
    found: dict[str, Any] = {"type": declared, "void": 0, "line": 0, "kind": ""}
    if declared in FLOATS:
        asked = (
            f"count(*) FILTER (NOT isfinite({column})), min(file_row_number) FILTER (NOT isfinite({column})), "
            f"coalesce(bool_and({column} = floor({column}) AND abs({column}) < {EXACT}) FILTER (isfinite({column})), "
            "false)"
        )
    elif declared == "DATE" or declared in MOMENTS:
        outside = f"FILTER ({column} IS NOT NULL AND NOT {in_calendar(column)})"
        asked = f"count(*) {outside}, min(file_row_number) {outside}, false"
    elif declared in WIDE:
        asked = f"max({column}) < {2**63} AND min({column}) >= {-(2**63)}, 0, {read} IS NULL"
    elif declared == "VARCHAR":
        asked = (
            f"coalesce(max(strlen({column})), 0), min(file_row_number) FILTER (strlen({column}) > "
            f"{limits['line_bytes']}), count(*) FILTER (contains({column}, chr(0))) > 0"
        )
    else:
        asked = f"{read}, 0, false"
    try:
        one, line, whole = connection.execute(
            f"SELECT {asked} FROM read_parquet({source}, file_row_number = true)"
        ).fetchone()
    except duckdb.OutOfMemoryException:
        raise Unfit("memory", name=name) from None
    except duckdb.Error as error:
        said = str(error)
        if "UTF8" in said or "UTF-8" in said:
            raise Unfit("utf8", name=name) from None
        raise Unfit("encrypted" if "encrypt" in said.lower() else "page", name=name) from None
    if declared in FLOATS:
        found |= {"void": one, "line": line, "kind": "number", "type": WHOLE if whole else declared}
    elif declared == "DATE" or declared in MOMENTS:
        found |= {"void": one, "line": line, "kind": "date"}
    elif declared in WIDE:
        found["type"] = "BIGINT" if one else declared  # what a BIGINT cannot hold is told as text
    elif declared == "VARCHAR":
        if one > limits["line_bytes"]:
            raise Unfit("cell", name=name, line=line + 1, size=limits["line_bytes"] // 1024)
        if whole:
            raise Unfit("null_byte", name=name)
    found["line"] = int(found["line"] or 0) + 1
    found["void"] = int(found["void"] or 0)
    return found


def refusal(told: dict[str, Any]) -> str:
    """The words of a problem, with its mend."""
    from django.utils.translation import gettext as _

    if told["problem"] == "void":
        return " ".join(_void(name, one) for name, one in list(told["columns"].items())[:5])
    return {
        "other": _("Ce n'est pas un fichier Parquet : il ne commence pas comme l'un d'eux. Vérifiez le fichier, ou "
                   "choisissez son vrai format."),
        "cut": _("Le fichier Parquet est incomplet : sa fin manque. Envoyez-le à nouveau en entier."),
        "encrypted": _("Le fichier Parquet est chiffré. Envoyez-le sans ce chiffrement : il est scellé à la clé de la "
                       "zone en arrivant."),
        "footer": _("Le pied du fichier Parquet est abîmé. Écrivez le fichier de nouveau, puis envoyez-le."),
        "columns": _("%(count)s colonnes : %(most)s au plus. Découpez le fichier ou vérifiez le séparateur."),
        "name": _("Le nom de la colonne %(place)s est vide, commence ou finit par une espace, ou contient un signe "
                  "invisible. Renommez-la."),
        "taken_name": _("« %(name)s » est un nom que le lecteur de fichiers Parquet garde pour lui. Renommez cette "
                        "colonne."),
        "long_name": _("Le nom de la colonne %(place)s dépasse %(most)s signes. Renommez-la."),
        "same_name": _("Les colonnes %(first)s et %(second)s ont le même nom « %(name)s ». Renommez-en une."),
        "empty": _("Le fichier n'a aucune ligne de données. Choisissez-en un autre."),
        "rows": _("%(count)s lignes : %(most)s au plus. Découpez le fichier par période."),
        "large": _("Le fichier dépasse %(gib)s Gio une fois décompressé. Découpez-le par période."),
        "swells": _("Le fichier gonfle plus de %(ratio)s fois en se décompressant. Envoyez-le non compressé, ou "
                    "découpé."),
        "nested": _("La colonne « %(name)s » contient une structure (%(type)s). Mettez-la à plat, une colonne par "
                    "valeur, puis envoyez le fichier à nouveau."),
        "binary": _("La colonne « %(name)s » contient des octets, pas du texte. Écrivez-la en texte UTF-8, ou "
                    "retirez-la."),
        "type": _("La colonne « %(name)s » est d'un type qui n'est pas lu ici (%(type)s). Écrivez-la en texte ou en "
                  "nombre."),
        "memory": _("La colonne « %(name)s » demande trop de mémoire d'un coup. Écrivez le fichier par groupes de "
                    "lignes plus petits (100 000 lignes), puis envoyez-le."),
        "utf8": _("La colonne « %(name)s » contient des octets qui ne sont pas du texte UTF-8. Corrigez-la, puis "
                  "envoyez le fichier à nouveau."),
        "page": _("La colonne « %(name)s » ne se lit pas en entier : une page du fichier est abîmée. Écrivez le "
                  "fichier de nouveau, puis envoyez-le."),
        "cell": _("Ligne %(line)s, colonne « %(name)s » : une valeur dépasse %(size)s Kio. Retirez ce texte, ou "
                  "découpez-le."),
        "null_byte": _("La colonne « %(name)s » contient un octet nul. Retirez-le, puis envoyez le fichier à nouveau."),
        "unknown": _("La correction des dates nomme la colonne « %(name)s », qui n'est pas dans ce fichier. Lisez-le à "
                     "nouveau sans elle."),
        "died": _("L'examen ne s'est pas achevé : le fichier demande plus de mémoire ou de disque que l'ouvrier n'en "
                  "a. Découpez-le par période, ou prévenez l'administrateur."),
    }[told["problem"]] % told  # fmt: skip


def _void(name: str, one: dict[str, Any]) -> str:
    from django.utils.translation import gettext as _

    facts = {"name": name, "n": one["n"], "line": one["line"]}
    if one["kind"] == "date":
        return _("Colonne « %(name)s », dès la ligne %(line)s : date hors du calendrier (valeurs : %(n)s). Lisez-les "
                 "comme absentes, ou corrigez-les à la source.") % facts  # fmt: skip
    return _("Colonne « %(name)s », dès la ligne %(line)s : ni un nombre fini ni une absence (NaN ou infini, valeurs : "
             "%(n)s). Lisez-les comme absentes, ou corrigez-les à la source.") % facts  # fmt: skip


def main() -> None:
    order = json.load(sys.stdin)
    # Beside the engine's own limit: what a page declares beyond it dies here rather than taking the machine along.
    most = (order["memory"] * 2 + 2048) * MIB
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (order["seconds"], order["seconds"]))
    try:
        told = check(order)
    except Unfit as problem:
        told = {"problem": problem.code, **problem.facts}
    except MemoryError:
        told = {"problem": "died"}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
