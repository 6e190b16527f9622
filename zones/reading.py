"""How a source is read: stated by whoever sends it, stored with the version, shown on its page. Pure.

Bytes are decoded strictly, in a stream: an error names its line and column. Nothing is guessed but the compression,
which its first bytes tell. What a reading mends (a century, the shape of dates, blank lines, names of columns) was
accepted by a person, and every mended thing is counted: `mended` goes with the version, the manifest and the page.
"""

import codecs
import csv
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from itertools import chain, islice
from typing import IO, Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from broker.errors import BadInput
from zones.fhir import Flattening

BYTE_WISE = ("utf-8", "cp1252", "latin-1", "iso8859-15")  # all keep ASCII's line ends, on which the stream is cut
ENCODINGS = (*BYTE_WISE, "utf-16", "utf-16-le", "utf-16-be")  # the first of these with its mark, the others without
FORMATS = ("csv", "ndjson", "fhir", "parquet")
DELIMITERS = (",", ";", "\t", "|")
ORDERS = ("mdy", "dmy")  # of the day in a date with bars: 8/21/2023 or 21/8/2023
EXTENSIONS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz", ".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz",
              ".parquet")  # fmt: skip
PARQUET = ".parquet"
GZIP = b"\x1f\x8b"
CHUNK = 1024 * 1024  # bytes
FEW = 5  # rows: fewer are not shown apart (legal-gate, section 7.2)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a source may become once opened. Beyond, it is refused before it fills a disk or a memory."""

    clear_bytes: int = 16 * 1024**3
    ratio: int = 300  # clear bytes for one compressed byte, looked at once `ratio_from` bytes have come out
    ratio_from: int = 64 * 1024**2
    line_bytes: int = 1024**2
    columns: int = 1000
    rows: int = 2_000_000_000  # that a Parquet footer declares: repeated values take no room
    name_signs: int = 120  # as stored


LIMITS = Limits()


class Unreadable(BadInput):
    """A file that cannot be read so; `proposed` are the options that would mend it, {} when nobody knows."""

    def __init__(self, message: str, **proposed):
        super().__init__(message)
        self.proposed = proposed


class Ragged(Unreadable):
    """A row that has not as many values as the header."""


COUNTED = ("blank_lines", "columns", "types", "mended", "age_on")  # of a reading: what the worker fills in


@dataclass(frozen=True, slots=True)
class Reading:
    """`missing` are the marks that stand for no value, beside the empty text; `decimal` is the sign in numbers.

    Mends: `century` names the columns whose years 00YY are read 20YY; `dates` those where several shapes of dates are
    made ISO, with the order of days and months; `absent` those whose values that are no date ("date") or no finite
    number ("number") are read as missing; `skip_blank` passes rows without any value; `one_line` brings the
    names of columns to one line; `number_nameless` names the columns that have no name.
    `header_line` is the line of the header (or of the first row), those above it being passed; `stacked` says which of
    several tables, one under the other between blank lines, is read: 0 where there is only one.
    """

    format: str = "csv"
    encoding: str = "utf-8"
    delimiter: str = ","
    header: bool = True
    missing: tuple[str, ...] = field(default=())
    decimal: str = "."
    century: tuple[str, ...] = field(default=())
    dates: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    skip_blank: bool = False
    one_line: bool = False
    number_nameless: bool = False
    header_line: int = 1
    stacked: int = 0
    age_on: str = ""  # FHIR patients: the day on which ages are told, ISO
    # Counted by the profile:
    blank_lines: int | None = None  # lines without any value, not kept; None until then
    columns: tuple[str, ...] = field(default=())  # FHIR, JSON lines: the paths or keys met, in order
    types: tuple[tuple[str, str], ...] = field(default=())  # Parquet: the columns in order, with the engine's types
    mended: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Reading":
        known = {f.name for f in fields(cls)}
        chosen = {name: value for name, value in stored.items() if name in known}
        for name in ("missing", "century", "columns"):
            if name in chosen:
                chosen[name] = tuple(chosen[name])
        if "types" in chosen:
            chosen["types"] = tuple((name, declared) for name, declared in chosen["types"])
        return cls(**chosen)

    def as_json(self) -> dict[str, Any]:
        lists = {name: list(getattr(self, name)) for name in ("missing", "century", "columns")}
        return {**asdict(self), **lists, "types": [list(pair) for pair in self.types]}

    @property
    def asked(self) -> dict[str, Any]:
        """What a person chose, without what was counted: two readings that ask the same are one."""
        return {k: v for k, v in self.as_json().items() if k not in COUNTED}

    @property
    def is_mending(self) -> bool:
        dates = self.century or self.dates or self.absent
        return bool(dates or self.skip_blank or self.one_line or self.number_nameless)

    @property
    def is_plain(self) -> bool:
        """Whether the decoded text is already what the engine reads, so that no row needs to be written anew."""
        as_is = self.format == "csv" and self.delimiter == "," and self.header and self.blank_lines == 0
        as_is = as_is and self.header_line == 1 and not self.stacked
        return as_is and not self.is_mending


def named(reading: Reading, file_name: str) -> Reading:
    """`reading` for a file of that name: a Parquet file says itself how it is read. Raises BadInput."""
    if file_name.lower().endswith(PARQUET):
        return replace(Reading(format="parquet"), missing=reading.missing, absent=reading.absent)
    if reading.format == "parquet":
        raise BadInput(_("Un fichier Parquet porte un nom en .parquet. Renommez-le, ou choisissez son vrai format."))
    return reading


def expand(chunks: Iterable[bytes], *, limits: Limits = LIMITS) -> Iterator[bytes]:
    """The clear bytes of a stream that is gzip or not. Raises BadInput on a broken file or one that swells."""
    first, chunks = _begun(chunks, len(GZIP))
    if not first:
        raise BadInput(_("Le fichier est vide. Choisissez-en un autre."))
    opened = _gunzip if first.startswith(GZIP) else _bounded
    first, chunks = _begun(opened(_chain(first, chunks), limits), LOOKED_AT)
    if problem := wrong_kind(first):
        raise BadInput(problem)
    yield from _chain(first, chunks)


def _begun(chunks: Iterable[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of a stream, `size` of them or more where there are so many, and the rest."""
    rest = iter(chunks)
    first = b""
    while len(first) < size and (more := next(rest, b"")):
        first += more
    return first, rest


LOOKED_AT = 40  # first bytes that tell what a file is


def utf_16_of(first: bytes) -> str:
    """The encoding of a text in UTF-16: by its mark, or because of every two bytes one is mostly null, the other
    seldom; "" for any other text."""
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = first[0:LOOKED_AT:2], first[1:LOOKED_AT:2]
    for seldom, mostly, encoding in ((even, odd, "utf-16-le"), (odd, even, "utf-16-be")):
        if len(mostly) >= 4 and mostly.count(0) * 2 > len(mostly) > seldom.count(0) * 4:
            return encoding
    return ""


# First bytes of what people send instead of a text. Source: file(1), magic numbers of each format.
KINDS = (
    (b"PK\x03\x04", "zip"), (b"%PDF-", "pdf"), (b"\xd0\xcf\x11\xe0", "xls"), (b"PAR1", "parquet"),
    (b"SQLite format 3", "sqlite"), (b"\x89PNG", "image"),
    (b"\xff\xd8\xff", "image"), (b"7z\xbc\xaf", "zip"), (b"Rar!", "zip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"), (GZIP, "gzip"), (b"<?xml", "markup"), (b"<!DOCTYPE", "markup"),
    (b"<!doctype", "markup"), (b"<html", "markup"), (b"<HTML", "markup"),
)  # fmt: skip


def wrong_kind(first: bytes) -> str:
    """What a file that begins with `first` is instead of a text, and the mend; "" when nothing tells."""
    bare = first.removeprefix(codecs.BOM_UTF8)
    kind = next((kind for sign, kind in KINDS if bare.startswith(sign)), "")
    if not kind:
        return ""
    return {
        "zip": _("C'est une archive ou un classeur (zip, xlsx, ods). Ouvrez-le et exportez une feuille en CSV."),
        "pdf": _("C'est un PDF. Demandez la table d'où il vient, en CSV."),
        "xls": _("C'est un ancien classeur Excel. Ouvrez-le et exportez une feuille en CSV."),
        "parquet": _("C'est un fichier Parquet. Donnez-lui un nom en .parquet et lisez-le comme tel."),
        "sqlite": _("C'est une base SQLite. Exportez une table en CSV."),
        "markup": _("C'est une page web ou un fichier XML. Exportez la table en CSV."),
        "image": _("C'est une image. Envoyez une table, en CSV."),
        "gzip": _("Le fichier est compressé deux fois. Décompressez-le une fois, puis envoyez-le."),
    }.get(kind, _("Cette compression n'est pas lue ici. Compressez avec gzip, ou pas du tout."))


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _bounded(chunks: Iterator[bytes], limits: Limits) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limits.clear_bytes:
            raise _too_large(limits)
        yield chunk


def _too_large(limits: Limits) -> BadInput:
    return BadInput(
        _("Le fichier dépasse %(gib)s Gio une fois décompressé. Découpez-le par période.")
        % {"gib": max(1, limits.clear_bytes // 1024**3)}
    )


def _gunzip(chunks: Iterator[bytes], limits: Limits) -> Iterator[bytes]:
    """The members of a gzip file one after the other, as `gzip -d` does."""
    taken = given = 0
    member = zlib.decompressobj(wbits=31)
    pending = False  # whether a member has begun and not ended
    for chunk in chunks:
        taken += len(chunk)
        left = chunk
        while left:
            try:
                clear = member.decompress(left, CHUNK)
            except zlib.error as error:
                raise BadInput(
                    _("Le fichier gzip est abîmé après %(bytes)s octets. Compressez-le et envoyez-le à nouveau.")
                    % {"bytes": taken - len(left)}
                ) from error
            pending = True
            given += len(clear)
            if given > limits.clear_bytes:
                raise _too_large(limits)
            if given > limits.ratio_from and given > limits.ratio * taken:
                raise BadInput(
                    _("Le fichier gonfle plus de %(ratio)s fois en se décompressant. Envoyez-le non compressé, ou "
                      "découpé.") % {"ratio": limits.ratio}
                )  # fmt: skip
            if clear:
                yield clear
            if member.eof:
                left, member, pending = member.unused_data, zlib.decompressobj(wbits=31), False
            else:
                left = member.unconsumed_tail
    while pending and (clear := member.decompress(b"", CHUNK)):
        given += len(clear)
        yield clear
        pending = not member.eof
    if pending and not member.eof:
        raise BadInput(_("Le fichier gzip est incomplet : sa fin manque. Envoyez-le à nouveau en entier."))


def lines(chunks: Iterable[bytes], encoding: str, *, limits: Limits = LIMITS) -> Iterator[str]:
    """The text of a stream of bytes, in blocks of whole lines. Raises BadInput with the line and column at fault."""
    begun, rest = _begun(chunks, LOOKED_AT)
    found = utf_16_of(begun)
    if found != ("" if encoding in BYTE_WISE else encoding):
        raise Unreadable(
            _("Le texte est en UTF-16. Choisissez cet encodage et lisez-le à nouveau.")
            if found
            else _("Le texte n'est pas en UTF-16. Choisissez son encodage et lisez-le à nouveau."),
            encoding=found,
        )
    pieces = _chain(begun, rest)
    if found:
        pieces, encoding = (
            _as_utf_8(pieces, is_big=begun.startswith(codecs.BOM_UTF16_BE) or found == "utf-16-be"),
            "utf-8",
        )
    line = 1  # the number of the first line of `held`
    held = b""
    first = True
    for chunk in pieces:
        held += chunk
        cut = held.rfind(b"\n") + 1
        if cut:
            block, held = held[:cut], held[cut:]
            _no_giant_line(block, line, limits)
            text = _decoded(block, encoding, line)
            line += block.count(b"\n")
            yield text.removeprefix("\ufeff") if first else text
            first = False
        if len(held) > limits.line_bytes:
            raise _giant(line, limits)
    if held:
        text = _decoded(held, encoding, line)
        yield text.removeprefix("\ufeff") if first else text


def _as_utf_8(chunks: Iterable[bytes], *, is_big: bool) -> Iterator[bytes]:
    """A text in UTF-16 as UTF-8, its mark included. Raises BadInput with the line and column at fault."""
    encoding = "utf-16-be" if is_big else "utf-16-le"
    decoder = codecs.getincrementaldecoder(encoding)()
    line, column = 1, 1  # of the sign that comes next
    for chunk, is_last in chain(((chunk, False) for chunk in chunks), [(b"", True)]):
        try:
            text = decoder.decode(chunk, is_last)
        except UnicodeDecodeError as error:
            line, column = _after(error.object[: error.start].decode(encoding), line, column)
            raise BadInput(
                _("Ligne %(line)s, colonne %(column)s : les octets 0x%(bytes)s n'existent pas en UTF-16. Enregistrez "
                  "le fichier en UTF-8, puis envoyez-le.")
                % {"line": line, "column": column, "bytes": error.object[error.start : error.start + 2].hex().upper()}
            ) from None  # fmt: skip
        line, column = _after(text, line, column)
        yield text.encode()


def _after(text: str, line: int, column: int) -> tuple[int, int]:
    """Where one stands after `text`, having begun at this line and column; the mark at the start has no width."""
    last = text.rpartition("\n")[2].replace("\ufeff", "")
    return line + text.count("\n"), len(last) + (1 if "\n" in text else column)


def _no_giant_line(block: bytes, line: int, limits: Limits) -> None:
    if len(block) <= limits.line_bytes:
        return
    for number, content in enumerate(block.split(b"\n"), start=line):
        if len(content) > limits.line_bytes:
            raise _giant(number, limits)


def _giant(line: int, limits: Limits) -> BadInput:
    return BadInput(
        _("La ligne %(line)s dépasse %(size)s Kio. Vérifiez les fins de ligne et les guillemets fermants.")
        % {"line": line, "size": limits.line_bytes // 1024}
    )


def _decoded(block: bytes, encoding: str, line: int) -> str:
    try:
        text = block.decode(encoding)
    except UnicodeDecodeError as error:
        before = block[: error.start]
        raise Unreadable(
            _("Ligne %(line)s, colonne %(column)s : l'octet 0x%(byte)s n'existe pas en %(encoding)s. Choisissez "
              "l'encodage du fichier (souvent cp1252 ou latin-1) et lisez-le à nouveau.") % {
                "line": line + before.count(b"\n"),
                "column": len(before[before.rfind(b"\n") + 1 :].decode(encoding)) + 1,
                "byte": f"{block[error.start]:02X}",
                "encoding": encoding,
            },
            encoding="",  # which one is told by `encoding_of`, once the whole file has been looked at
        ) from None  # fmt: skip
    if "\0" in text:
        raise BadInput(
            _("Ligne %(line)s : octet nul. Ce n'est pas un fichier de texte ; exportez vos données en CSV.")
            % {"line": line + text[: text.index("\0")].count("\n")}
        )
    return text


def checked_names(names: list[str], *, limits: Limits = LIMITS) -> list[str]:
    """The names of a header, stripped. Raises BadInput on an empty, repeated or too long one."""
    names = [name.strip() for name in names]
    if len(names) > limits.columns:
        raise BadInput(
            _("%(count)s colonnes : %(most)s au plus. Découpez le fichier ou vérifiez le séparateur.")
            % {"count": len(names), "most": limits.columns}
        )
    seen: dict[str, int] = {}
    for place, name in enumerate(names, start=1):
        if not name:
            raise Unreadable(
                _("La colonne %(place)s de l'en-tête n'a pas de nom. Donnez-lui-en un, ou lisez à nouveau en la "
                  "numérotant.") % {"place": place},
                number_nameless=sum(not name for name in names),
            )  # fmt: skip
        if len(name) > limits.name_signs:
            raise BadInput(
                _("Le nom de la colonne %(place)s dépasse %(most)s signes. Vérifiez que le fichier a un en-tête.")
                % {"place": place, "most": limits.name_signs}
            )
        if name.lower() in seen:
            raise BadInput(
                _("Les colonnes %(first)s et %(second)s ont le même nom « %(name)s ». Renommez-en une.")
                % {"first": seen[name.lower()], "second": place, "name": name}
            )
        seen[name.lower()] = place
    return names


def _cut(block: str) -> Iterator[str]:
    """Lines ended by a line feed alone: a lone carriage return or another separator stays inside its field."""
    start = 0
    while (end := block.find("\n", start)) >= 0:
        yield block[start : end + 1]
        start = end + 1
    if start < len(block):
        yield block[start:]


@dataclass
class Seen:
    """What was met while reading: mended, or only noticed (`proposed`: options that would mend it, with how many)."""

    mended: dict[str, Any] = field(default_factory=dict)
    proposed: dict[str, Any] = field(default_factory=dict)

    def count(self, table: dict[str, Any], name: str, n: int = 1) -> None:
        table[name] = table.get(name, 0) + n


Cure = Callable[[str, int], str]


def _header(row: list[str], reading: Reading, seen: Seen, limits: Limits) -> list[str]:
    names = [name.strip() for name in row]
    if broken := [name for name in names if len(name.split("\n")) > 1 or "\r" in name]:
        if reading.one_line:
            names = [" ".join(name.split()) for name in names]
            seen.mended["one_line"] = [" ".join(name.split()) for name in broken]
        else:
            seen.proposed["one_line"] = len(broken)
    if reading.number_nameless and (nameless := [at for at, name in enumerate(names, start=1) if not name]):
        names = [name or f"colonne_{at}" for at, name in enumerate(names, start=1)]
        seen.mended["number_nameless"] = [f"colonne_{at}" for at in nameless]
    return checked_names(names, limits=limits)


def _cures(names: list[str], reading: Reading, seen: Seen) -> list[tuple[int, Cure]]:
    """For each column to mend its place and what is done to a value, counted."""
    found: list[tuple[int, Cure]] = []
    for name in (*reading.century, *reading.dates, *reading.absent):
        if name not in names:
            raise BadInput(
                _("La correction des dates nomme la colonne « %(name)s », qui n'est pas dans ce fichier. Lisez-le à "
                  "nouveau sans elle.") % {"name": name}
            )  # fmt: skip
    for name in reading.century:
        found.append((names.index(name), _century(seen.mended.setdefault("century", {}).setdefault(name, {}))))
    for name, kind in reading.absent.items():
        counted = seen.mended.setdefault("absent", {}).setdefault(name, {"kind": kind, "n": 0})
        found.append((names.index(name), _absent(kind, counted)))
    for name, order in reading.dates.items():
        counts = seen.mended.setdefault("dates", {}).setdefault(name, {"order": order, "changed": 0})
        found.append((names.index(name), _iso(name, order, counts, {"", *reading.missing})))
    return found


def _century(counts: dict[str, int]) -> Cure:
    """00YY-MM-DD to 20YY-MM-DD, counted by year as it was written."""

    def cure(value: str, line: int) -> str:
        if value[:2] == "00" and value[4:5] == "-" and value[2:4].isdecimal():
            year = value[:4]
            counts[year] = counts.get(year, 0) + 1
            return "20" + value[2:]
        return value

    return cure


# Numbers that are none: NaN and infinities, as programs and workbooks write them.
NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity|[01]?[.]?#(ind|inf|qnan|snan)\d*)", re.IGNORECASE)


def _absent(kind: str, counts: dict[str, Any]) -> Cure:
    """A value that has the shape of a date but is no day of the calendar, or is no finite number, becomes none."""

    def is_void(value: str) -> bool:
        if kind == "number":
            return NOT_FINITE.fullmatch(value) is not None
        found = ISO.fullmatch(value)
        if found is None:
            return False
        year, _sign, month, day, _rest = found.groups()
        try:
            date(int(year), int(month), int(day))
        except ValueError:
            return True
        return False

    def cure(value: str, line: int) -> str:
        if value and is_void(value.strip()):
            counts["n"] += 1
            return ""
        return value

    return cure


ISO = re.compile(r"(\d{4})([-./]?)(\d{2})\2(\d{2})([ T].+)?")
BARRED = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})([ T].+)?")


def _iso(name: str, order: str, counts: dict[str, Any], missing: set[str]) -> Cure:
    """2023-08-21, 2023.08.21, 20230821, 8/21/2023 (or 21/8/2023) to 2023-08-21; a time of day stays as it is."""
    known: dict[str, str] = {}  # dates repeat: most are worked out once

    def made(value: str, line: int) -> str:
        if found := ISO.fullmatch(value):
            year, _sign, month, day, rest = found.groups()
        elif found := BARRED.fullmatch(value):
            one, _sign, two, year, rest = found.groups()
            month, day = (one, two) if order == "mdy" else (two, one)
        else:
            found, year, month, day, rest = None, "0", "0", "0", ""
        try:
            told = date(int(year), int(month), int(day)).isoformat()
        except ValueError:
            raise BadInput(
                _("Ligne %(line)s, colonne « %(name)s » : ce n'est pas une date de la forme choisie. Corrigez-la, ou "
                  "lisez à nouveau sans ramener ces dates à une forme.") % {"line": line, "name": name}
            ) from None  # fmt: skip
        return told + (rest or "")

    def cure(value: str, line: int) -> str:
        bare = value.strip()
        if bare in missing:
            return value
        if (told := known.get(bare)) is None:
            told = made(bare, line)
            if len(known) < 100_000:
                known[bare] = told
        counts["changed"] += told != value
        return told

    return cure


def rows(
    blocks: Iterable[str], reading: Reading, *, limits: Limits = LIMITS, seen: Seen | None = None
) -> Iterator[list[str] | None]:
    """The names of the columns, then the rows as lists of text, and None for a blank line.

    Raises BadInput with the line of the first row that does not fit. `seen` is told what is mended or noticed.
    """
    seen = seen if seen is not None else Seen()
    if reading.format == "ndjson":
        yield from _json_rows(_cut_all(blocks), limits, reading, seen)
        return
    if reading.format == "fhir":
        yield from _fhir_rows(_cut_all(blocks), limits, reading, seen)
        return
    # A value over several lines is bounded as a line is. The bound is the process's: a library may have moved it.
    csv.field_size_limit(limits.line_bytes)
    single = _cut_all(blocks)
    started = passed = sum(1 for _line in islice(single, reading.header_line - 1))
    single = _checked_first(single, reading)
    reader = csv.reader(single, delimiter=reading.delimiter, strict=True)
    names: list[str] | None = None
    cures: list[tuple[int, Cure]] = []
    blank, tables = 0, _Stack(reading.stacked)
    try:
        for row in reader:
            if tables.passes(row):
                pass
            elif not row:
                yield None
            elif names is None:
                if reading.header:
                    names = _header(row, reading, seen, limits)
                    cures = _cures(names, reading, seen)
                    if sign := _other_delimiter(names):
                        seen.proposed["delimiter"] = sign
                    yield names
                else:
                    names = [f"colonne_{n}" for n in range(1, len(row) + 1)]
                    cures = _cures(names, reading, seen)
                    yield names
                    for at, cure in cures:
                        row[at] = cure(row[at], passed + reader.line_num)
                    yield row
            elif not any(row) and (reading.skip_blank or 1 < len(row) == len(names)):  # commas alone
                blank += 1
                yield None if reading.skip_blank else row
            elif len(row) != len(names):
                sign = _other_delimiter(names)
                raise Ragged(
                    ngettext("Ligne %(line)s : %(found)s valeur au lieu de %(wanted)s. Vérifiez le séparateur et les "
                             "guillemets de cette ligne.",
                             "Ligne %(line)s : %(found)s valeurs au lieu de %(wanted)s. Vérifiez le séparateur et les "
                             "guillemets de cette ligne.", len(row))
                    % {"line": started + 1, "found": len(row), "wanted": len(names)},
                    **({"delimiter": sign} if sign else {}),
                )  # fmt: skip
            else:
                for at, cure in cures:
                    row[at] = cure(row[at], started + 1)
                yield row
            started = passed + reader.line_num
    except csv.Error as error:
        raise BadInput(_broken(str(error)) % {"line": started + 1, "size": limits.line_bytes // 1024}) from None
    if names is None and reading.stacked:
        raise BadInput(
            _("Le fichier n'a pas %(n)s tables l'une sous l'autre. Lisez-le à nouveau comme une seule table.")
            % {"n": reading.stacked}
        )
    if names is None:
        raise BadInput(_("Le fichier est vide. Choisissez-en un autre."))
    if blank:
        (seen.mended if reading.skip_blank else seen.proposed)["skip_blank"] = blank


def _other_delimiter(names: list[str]) -> str:
    """The separator that a header of one name holds, "" otherwise."""
    return next((sign for sign in DELIMITERS if sign in names[0]), "") if len(names) == 1 else ""


def _checked_first(single: Iterator[str], reading: Reading) -> Iterator[str]:
    """The lines, once the first one is seen to be no object of JSON and no setting of a workbook."""
    first = next(single, "")
    begun = first.lstrip()
    if begun.startswith("{"):
        try:
            found = json.loads(begun)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            raise Unreadable(
                _("Ligne %(line)s : c'est un objet JSON, pas une ligne de CSV. Lisez ce fichier en JSON par lignes.")
                % {"line": reading.header_line},
                format="fhir" if "resourceType" in found else "ndjson",
            )
    if told := WORKBOOK_SIGN.fullmatch(begun.strip()):
        sign = told["sign"]
        raise Unreadable(
            _("Ligne %(line)s : « %(text)s » est un réglage de tableur, pas un en-tête. Lisez à partir de la ligne "
              "suivante.") % {"line": reading.header_line, "text": begun.strip()},
            header_line=reading.header_line + 1, **({"delimiter": sign} if sign in DELIMITERS else {}),
        )  # fmt: skip
    yield first
    yield from single


# What Excel writes and reads above a table to name its separator.
WORKBOOK_SIGN = re.compile(r'"?sep=(?P<sign>.?)"?', re.IGNORECASE)


HEADER_WITHIN = 40  # lines looked at for a header that is not the first


def header_below(blocks: Iterable[str], reading: Reading) -> dict[str, Any]:
    """Where the header may stand below lines of words: its line, and its separator if it is another; {} otherwise.

    It has no empty, repeated or figure-like cell, and the three rows below it (or those there are) have as many cells.
    """
    if not reading.header:
        return {}
    held = list(islice(_cut_all(blocks), HEADER_WITHIN))
    for sign in dict.fromkeys((reading.delimiter, *DELIMITERS)):
        reader = csv.reader(held, delimiter=sign)
        found: list[tuple[int, list[str]]] = []
        started = 1
        try:
            for row in reader:
                found.append((started, [cell.strip() for cell in row]))
                started = reader.line_num + 1
        except csv.Error:
            continue
        for at, (line, cells) in enumerate(found):
            below = [row for _line, row in found[at + 1 : at + 4] if row]
            told = len(cells) > 1 and all(cells) and len(set(cells)) == len(cells)
            told = told and not any(TOLD_AS_FIGURE.fullmatch(cell) for cell in cells)
            if told and below and all(len(row) == len(cells) for row in below):
                other = {"delimiter": sign} if sign != reading.delimiter else {}
                return {"header_line": line, **other} if line > reading.header_line else {}
    return {}


def _broken(error: str) -> str:
    """What the CSV reader's complaint means, with the mend. Source: Modules/_csv.c of CPython."""
    if "new-line" in error:
        return _("Ligne %(line)s : un retour chariot seul hors des guillemets. Enregistrez le fichier avec les fins de "
                 "ligne de Windows ou d'Unix, et mettez entre guillemets un texte de plusieurs lignes.")  # fmt: skip
    if "field limit" in error:
        return _("Ligne %(line)s : une valeur dépasse %(size)s Kio. Vérifiez les guillemets fermants, ou découpez ce "
                 "texte.")  # fmt: skip
    return _("Ligne %(line)s : guillemets mal fermés. Doublez les guillemets qui sont dans un texte.")


@dataclass
class _Stack:
    """Which rows are of another table than the `wanted` one (0: every row is of the only table)."""

    wanted: int
    at: int = 0
    between: bool = True

    def passes(self, row: list[str]) -> bool:
        if not self.wanted:
            return False
        if not any(cell.strip() for cell in row):
            self.between = True
            return True
        self.at += self.between
        self.between = False
        return self.at != self.wanted


TOLD_AS_FIGURE = re.compile(r"[+-]?\d+([.,]\d+)?|\d{4}-\d{2}-\d{2}.*")
STACKED_MOST = 50


def stacked_tables(blocks: Iterable[str], reading: Reading) -> list[tuple[str, int]]:
    """The tables that stand one under the other between blank lines: the name of the first column and the rows of each.

    [] unless there are several and each has a header of its own: no cell of it empty, equal to another or a figure,
    and a column whose every value is a figure or a date below it. Ends at the first one that has not.
    """
    found: list[tuple[str, int]] = []
    head: list[str] = []
    figures: list[bool] = []
    count = 0

    def is_figure(cell: str) -> bool:
        return TOLD_AS_FIGURE.fullmatch(cell) is not None

    def is_table() -> bool:
        return count > 0 and any(figures) and len(found) < STACKED_MOST

    single = _cut_all(blocks)
    for _line in islice(single, reading.header_line - 1):
        pass
    try:
        for row in csv.reader(single, delimiter=reading.delimiter, strict=True):
            cells = [cell.strip() for cell in row]
            if not any(cells):
                if head:
                    if not is_table():
                        return []
                    found.append((head[0], count))
                    head, count = [], 0
            elif not head:
                if not all(cells) or len(set(cells)) < len(cells) or any(map(is_figure, cells)):
                    return []
                head, figures = cells, [True] * len(cells)
            elif len(cells) != len(head):
                return []
            else:
                count += 1
                figures = [
                    was and bool(TOLD_AS_FIGURE.fullmatch(cell)) for was, cell in zip(figures, cells, strict=True)
                ]
    except csv.Error:
        return []
    if head:
        if not is_table():
            return []
        found.append((head[0], count))
    return found if len(found) > 1 else []


def _cut_all(blocks: Iterable[str]) -> Iterator[str]:
    for block in blocks:
        yield from _cut(block)


def _json_objects(single: Iterator[str]) -> Iterator[tuple[int, dict | None]]:
    """The objects with their lines, None for a blank one. Figures stay as they were written."""
    for number, line in enumerate(single, start=1):
        if not line.strip():
            yield number, None
            continue
        try:
            found = json.loads(line, parse_float=str, parse_int=str)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise BadInput(
                _("Ligne %(line)s : ce n'est pas un objet JSON. Écrivez un objet par ligne.") % {"line": number}
            )
        if "\\u" in line:
            _only_signs(found, number)
        yield number, found


def _only_signs(found: dict, line: int) -> None:
    """Raises BadInput where a text holds what JSON can write and UTF-8 or a table cannot: half a sign, a null."""
    told = json.dumps(found, ensure_ascii=False)
    if "\\u0000" in told.replace("\\\\", ""):
        raise BadInput(_("Ligne %(line)s : octet nul (\\u0000) dans un texte. Retirez-le.") % {"line": line})
    if HALF_A_SIGN.search(told):
        raise BadInput(
            _("Ligne %(line)s : un texte contient la moitié d'un signe (\\uD800 à \\uDFFF). Écrivez-le en entier, ou "
              "retirez-le.") % {"line": line}
        )  # fmt: skip


HALF_A_SIGN = re.compile("[\ud800-\udfff]")


def json_columns(blocks: Iterable[str], *, limits: Limits = LIMITS) -> tuple[str, ...]:
    """The keys of a file of JSON lines, in the order met: exports leave out a key that has no value."""
    keys: dict[str, None] = {}
    for number, found in _json_objects(_cut_all(blocks)):
        if found is None or found.keys() <= keys.keys():
            continue
        keys |= dict.fromkeys(found)
        if not all(key.strip() for key in found):
            raise BadInput(_("Ligne %(line)s : une clé n'a pas de nom. Donnez-lui-en un.") % {"line": number})
        if len(keys) > limits.columns:
            raise BadInput(
                _("Ligne %(line)s : plus de %(most)s clés différentes. Exportez moins d'éléments, ou mettez-les en "
                  "lignes.") % {"line": number, "most": limits.columns}
            )  # fmt: skip
    if not keys:
        raise BadInput(_("Le fichier est vide. Choisissez-en un autre."))
    checked_names(list(keys), limits=limits)
    return tuple(keys)


def _json_rows(single: Iterator[str], limits: Limits, reading: Reading, seen: Seen) -> Iterator[list[str] | None]:
    """One JSON object a line. The columns are those that `json_columns` found, else those of the first line."""
    names: list[str] | None = None
    cures: list[tuple[int, Cure]] = []
    for number, found in _json_objects(single):
        if found is None:
            yield None
            continue
        if names is None:
            keys = list(reading.columns or found)
            names = checked_names(keys, limits=limits)
            cures = _cures(names, reading, seen)
            yield names
        for key, value in found.items():
            if key not in keys:
                raise BadInput(
                    _("Ligne %(line)s : la clé « %(key)s » n'est pas dans la première ligne. Mettez-y toutes les clés.")
                    % {"line": number, "key": key}
                )
            if isinstance(value, (dict, list)):
                raise Unreadable(
                    _("Ligne %(line)s : la clé « %(key)s » contient une structure. Mettez-la à plat, une colonne par "
                      "valeur.") % {"line": number, "key": key},
                    **({"format": "fhir"} if "resourceType" in found else {}),
                )  # fmt: skip
        row = [_json_text(found.get(key)) for key in keys]
        for at, cure in cures:
            row[at] = cure(row[at], number)
        yield row
    if names is None:
        raise BadInput(_("Le fichier est vide. Choisissez-en un autre."))


def _json_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def fhir_columns(blocks: Iterable[str], reading: Reading, *, limits: Limits = LIMITS) -> tuple[str, ...]:
    """The columns of a file of FHIR resources: every path that one of its lines holds, in the order met."""
    flattening = Flattening(age_on=reading.age_on)
    for number, found in _json_objects(_cut_all(blocks)):
        if found is None:
            continue
        flattening.flat(found, number)
        if len(flattening.columns) > limits.columns:
            raise BadInput(
                _("Ligne %(line)s : plus de %(most)s colonnes une fois à plat. Exportez moins d'éléments.")
                % {"line": number, "most": limits.columns}
            )
    if not flattening.columns:
        raise BadInput(_("Le fichier est vide. Choisissez-en un autre."))
    return tuple(checked_names(list(flattening.columns), limits=limits))


def _fhir_rows(single: Iterator[str], limits: Limits, reading: Reading, seen: Seen) -> Iterator[list[str] | None]:
    """The cells of `reading.columns`, which `fhir_columns` found in the same bytes."""
    flattening = Flattening(age_on=reading.age_on)
    names = list(reading.columns)
    cures = _cures(names, reading, seen)
    yield names
    resources = 0
    for number, found in _json_objects(single):
        if found is None:
            yield None
            continue
        cells = flattening.flat(found, number)
        row = [cells.get(name, "") for name in names]
        for at, cure in cures:
            row[at] = cure(row[at], number)
        resources += 1
        yield row
    seen.mended["fhir"] = {"resources": resources, **flattening.counts()}


def encoding_of(chunks: Iterable[bytes]) -> str:
    """The encoding of a text; "" when no known one holds it.

    Of one byte a sign: Latin-1 when no byte stands where it has control signs only (0x80 to 0x9F), else Windows' when
    each is one of its.
    """
    first, rest = _begun(chunks, LOOKED_AT)
    if found := utf_16_of(first):
        return found
    utf_8: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
    windows, one_byte = False, True
    for chunk in _chain(first, rest):
        if b"\0" in chunk:
            return ""
        if utf_8:
            try:
                utf_8.decode(chunk)
            except UnicodeDecodeError:
                utf_8 = None
        if chunk.translate(None, NOT_CONTROLS):
            windows = True
            one_byte = one_byte and not chunk.translate(None, NOT_MISSING_IN_CP1252)
        if not utf_8 and not one_byte:
            return ""
    if utf_8 and not utf_8.getstate()[0]:  # no sign is left half read
        return "utf-8"
    return "" if not one_byte else "cp1252" if windows else "latin-1"


NOT_CONTROLS = bytes(b for b in range(256) if not 0x80 <= b <= 0x9F)
NOT_MISSING_IN_CP1252 = bytes(b for b in range(256) if b not in (0x81, 0x8D, 0x8F, 0x90, 0x9D))


def accepted(reading: Reading, proposed: dict[str, Any]) -> Reading:
    """`reading` with the options that an examination proposed."""
    changes: dict[str, Any] = {name: True for name in ("skip_blank", "one_line", "number_nameless") if name in proposed}
    changes |= {name: proposed[name] for name in ("encoding", "delimiter", "format", "header_line") if name in proposed}
    if "century" in proposed:
        changes["century"] = (*reading.century, *proposed["century"])
    if "absent" in proposed:
        changes["absent"] = {**reading.absent, **{name: one["kind"] for name, one in proposed["absent"].items()}}
    if "dates" in proposed:
        changes["dates"] = {**reading.dates, **{name: one["order"] for name, one in proposed["dates"].items()}}
    return replace(reading, **changes)


def proposals_in_words(proposed: dict[str, Any]) -> list[tuple[str, str]]:
    """Each mend proposed, its name and what it would do."""
    told = []
    for name, count in sorted(proposed.get("century", {}).items()):
        told.append(
            (
                f"century:{name}",
                ngettext(
                    "« %(name)s » : %(n)s date de l'an 1 à 99 ; lire l'année 00AA comme 20AA",
                    "« %(name)s » : %(n)s dates de l'an 1 à 99 ; lire l'année 00AA comme 20AA",
                    count,
                )
                % {"name": name, "n": _n(count)},
            )
        )
    for name, one in sorted(proposed.get("dates", {}).items()):
        shape = _("mois/jour/année") if one["order"] == "mdy" else _("jour/mois/année")
        told.append(
            (
                f"dates:{name}",
                _("« %(name)s » : plusieurs formes de dates, dont %(n)s en %(shape)s ; les ramener à année-mois-jour")
                % {"name": name, "n": _n(one["n"]), "shape": shape},
            )
        )
    for name, one in sorted(proposed.get("absent", {}).items()):
        said = (
            _("« %(name)s » : dates hors du calendrier (valeurs : %(n)s) ; les lire comme absentes")
            if one["kind"] == "date"
            else _("« %(name)s » : NaN ou infinis (valeurs : %(n)s) ; les lire comme absents")
        )
        told.append((f"absent:{name}", said % {"name": name, "n": _n(one["n"])}))
    if count := proposed.get("skip_blank"):
        told.append(
            (
                "skip_blank",
                ngettext("%(n)s ligne sans aucune valeur : la passer", "%(n)s lignes sans aucune valeur : les passer",
                         count) % {"n": _n(count)},
            )
        )  # fmt: skip
    if count := proposed.get("one_line"):
        told.append(
            (
                "one_line",
                ngettext(
                    "%(n)s nom de colonne tient sur plusieurs lignes : le ramener à une",
                    "%(n)s noms de colonnes tiennent sur plusieurs lignes : les ramener à une",
                    count,
                )
                % {"n": _n(count)},
            )
        )
    if count := proposed.get("number_nameless"):
        told.append(
            (
                "number_nameless",
                ngettext("%(n)s colonne sans nom : la numéroter", "%(n)s colonnes sans nom : les numéroter", count)
                % {"n": _n(count)},
            )
        )
    if encoding := proposed.get("encoding"):
        told.append(
            (
                "encoding",
                _("le texte n'est pas dans cet encodage : le lire en %(encoding)s") % {"encoding": encoding.upper()},
            )
        )
    if line := proposed.get("header_line"):
        told.append(
            ("header_line", _("l'en-tête semble être à la ligne %(n)s : passer ce qui est au-dessus") % {"n": line})
        )
    if sign := proposed.get("delimiter"):
        said = _("tabulation") if sign == "\t" else sign
        told.append(("delimiter", _("lire avec le séparateur « %(sign)s »") % {"sign": said}))
    if tables := proposed.get("stacked"):
        parts = ", ".join(f"« {name} » ({_n(count)})" for name, count in tables)
        told.append(
            (
                "stacked",
                _("%(n)s tables l'une sous l'autre, avec leurs lignes : %(tables)s ; les lire à part")
                % {"n": len(tables), "tables": parts},
            )
        )
    if proposed.get("format") == "fhir":
        told.append(("format", _("ce sont des ressources FHIR : les mettre à plat")))
    if proposed.get("format") == "ndjson":
        told.append(("format", _("ce sont des objets JSON : les lire en JSON par lignes")))
    return told


def chosen_among(proposed: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """The part of `proposed` that a person kept, by the names of `proposals_in_words`."""
    kept: dict[str, Any] = {}
    for key in keys:
        name, _sign, column = key.partition(":")
        if name not in proposed:
            continue
        if not column:
            kept[name] = proposed[name]
        elif column in proposed[name]:
            kept.setdefault(name, {})[column] = proposed[name][column]
    return kept


def _n(count: int) -> str:
    return number_format(count, force_grouping=True)


def mends_in_words(reading: Reading) -> list[str]:
    """What the reading changed, each counted; empty when the file was read as it is."""
    told, mended = [], reading.mended
    for name, years in sorted(mended.get("century", {}).items()):
        if years:
            # A year that few rows bear is counted, not shown: the page tells columns, not rows.
            shown = sorted(y for y in years if years[y] >= FEW) or [max(sorted(years), key=lambda y: years[y])]
            facts = {
                "name": name, "n": _n(sum(years.values())), "first": shown[0], "last": shown[-1],
                "from": f"20{shown[0][2:]}", "to": f"20{shown[-1][2:]}",
            }  # fmt: skip
            told.append(
                _("« %(name)s » : %(n)s dates, année %(first)s lue %(from)s") % facts
                if len(shown) == 1
                else _("« %(name)s » : %(n)s dates, années %(first)s à %(last)s lues %(from)s à %(to)s") % facts
            )
    for name, counts in sorted(mended.get("dates", {}).items()):
        if counts["changed"]:
            shape = _("mois/jour/année") if counts["order"] == "mdy" else _("jour/mois/année")
            told.append(
                ngettext(
                    "« %(name)s » : %(n)s date écrite autrement (%(shape)s…), lue année-mois-jour",
                    "« %(name)s » : %(n)s dates écrites autrement (%(shape)s…), lues année-mois-jour",
                    counts["changed"],
                )
                % {"name": name, "n": _n(counts["changed"]), "shape": shape}
            )
    for name, one in sorted(mended.get("absent", {}).items()):
        if one["n"]:
            said = (
                _("« %(name)s » : dates hors du calendrier, lues comme absentes (valeurs : %(n)s)")
                if one["kind"] == "date"
                else _("« %(name)s » : NaN ou infinis, lus comme absents (valeurs : %(n)s)")
            )
            told.append(said % {"name": name, "n": _n(one["n"])})
    if count := mended.get("skip_blank", 0):
        told.append(
            ngettext("%(n)s ligne sans aucune valeur, passée", "%(n)s lignes sans aucune valeur, passées", count)
            % {"n": _n(count)}
        )
    if names := mended.get("one_line"):
        told.append(
            ngettext(
                "%(n)s nom de colonne ramené à une ligne", "%(n)s noms de colonnes ramenés à une ligne", len(names)
            )
            % {"n": _n(len(names))}
        )
    if names := mended.get("number_nameless"):
        told.append(
            ngettext("%(n)s colonne sans nom, numérotée", "%(n)s colonnes sans nom, numérotées", len(names))
            % {"n": _n(len(names))}
        )
    if laid := mended.get("fhir"):
        told.append(
            _("%(n)s ressources %(kind)s mises à plat en %(columns)s colonnes")
            % {"n": _n(laid["resources"]), "kind": laid["resource"], "columns": len(reading.columns)}
        )
        if reading.age_on and "age" in reading.columns:
            told.append(
                _("« age » : années révolues au %(day)s ou au décès, d'après « birthDate »")
                % {"day": date.fromisoformat(reading.age_on).strftime("%d/%m/%Y")}
            )
        for path, count in sorted(laid["lists"].items()):
            told.append(
                ngettext(
                    "« %(path)s » : %(n)s ressource a plusieurs valeurs, la première est gardée",
                    "« %(path)s » : %(n)s ressources ont plusieurs valeurs, la première est gardée",
                    count,
                )
                % {"path": path, "n": _n(count)}
            )
        if laid.get("displays"):
            told.append(_("%(n)s noms affichés par des renvois, non repris") % {"n": _n(laid["displays"])})
        if laid.get("dropped"):
            told.append(
                _("hors de la liste des champs permis, non repris : %(names)s")
                % {"names": ", ".join(f"{path} ({_n(n)})" for path, n in sorted(laid["dropped"].items()))}
            )
        if laid.get("omitted"):
            told.append(_("non repris : %(names)s") % {"names": ", ".join(laid["omitted"])})
    return told


@dataclass(frozen=True, slots=True)
class Written:
    """What `write_clear` wrote and met: rows, blank lines passed, what was mended and what could be."""

    rows: int
    blank_lines: int
    seen: Seen


def write_clear(blocks: Iterable[str], reading: Reading, out: IO[str], *, limits: Limits = LIMITS) -> Written:
    """Write the rows as CSV with commas and a header."""
    writer = csv.writer(out, lineterminator="\n")
    count = blank = 0
    seen = Seen()
    for row in rows(blocks, reading, limits=limits, seen=seen):
        if row is None:
            blank += 1
        else:
            writer.writerow(row)
            count += 1
    if count <= 1:
        raise BadInput(_("Le fichier n'a aucune ligne de données sous l'en-tête. Choisissez-en un autre."))
    return Written(count - 1, blank, seen)
