"""How a source is read: stated by whoever sends it, stored with the version, shown on its page. Pure.

Bytes are decoded strictly, in a stream: an error names its line and column. Nothing is guessed but the compression,
which its first bytes tell.
"""

import csv
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import IO, Any

from django.utils.translation import gettext as _

from broker.errors import BadInput

ENCODINGS = ("utf-8", "cp1252", "latin-1", "iso8859-15")  # all keep ASCII's line ends, on which the stream is cut
DELIMITERS = (",", ";", "\t", "|")
EXTENSIONS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz", ".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz")
GZIP = b"\x1f\x8b"
CHUNK = 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """What a source may become once opened. Beyond, it is refused before it fills a disk or a memory."""

    clear_bytes: int = 16 * 1024**3
    ratio: int = 300  # clear bytes for one compressed byte, looked at once `ratio_from` bytes have come out
    ratio_from: int = 64 * 1024**2
    line_bytes: int = 1024**2
    columns: int = 1000
    name_signs: int = 120  # as stored


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Reading:
    """`missing` are the marks that stand for no value, beside the empty text; `decimal` is the sign in numbers."""

    format: str = "csv"
    encoding: str = "utf-8"
    delimiter: str = ","
    header: bool = True
    missing: tuple[str, ...] = field(default=())
    decimal: str = "."
    blank_lines: int | None = None  # counted by the profile; None until then

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Reading":
        known = {f.name for f in fields(cls)}
        chosen = {name: value for name, value in stored.items() if name in known}
        if "missing" in chosen:
            chosen["missing"] = tuple(chosen["missing"])
        return cls(**chosen)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "missing": list(self.missing)}

    @property
    def is_plain(self) -> bool:
        """Whether the decoded text is already what the engine reads, so that no row needs to be written anew."""
        return self.format == "csv" and self.delimiter == "," and self.header and self.blank_lines == 0


def expand(chunks: Iterable[bytes], *, limits: Limits = LIMITS) -> Iterator[bytes]:
    """The clear bytes of a stream that is gzip or not. Raises BadInput on a broken file or one that swells."""
    chunks = iter(chunks)
    first = next(chunks, b"")
    while first and len(first) < len(GZIP) and (more := next(chunks, b"")):
        first += more
    if not first:
        raise BadInput(_("Le fichier est vide. Choisissez-en un autre."))
    if not first.startswith(GZIP):
        yield from _bounded(_chain(first, chunks), limits)
        return
    yield from _gunzip(_chain(first, chunks), limits)


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
    line = 1  # the number of the first line of `held`
    held = b""
    first = True
    for chunk in chunks:
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
        raise BadInput(
            _("Ligne %(line)s, colonne %(column)s : l'octet 0x%(byte)s n'existe pas en %(encoding)s. Choisissez "
              "l'encodage du fichier (souvent cp1252 ou latin-1) et envoyez-le à nouveau.") % {
                "line": line + before.count(b"\n"),
                "column": len(before[before.rfind(b"\n") + 1 :].decode(encoding)) + 1,
                "byte": f"{block[error.start]:02X}",
                "encoding": encoding,
            }
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
            raise BadInput(_("La colonne %(place)s de l'en-tête n'a pas de nom. Donnez-lui-en un.") % {"place": place})
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


def rows(blocks: Iterable[str], reading: Reading, *, limits: Limits = LIMITS) -> Iterator[list[str] | None]:
    """The names of the columns, then the rows as lists of text, and None for a blank line.

    Raises BadInput with the line of the first row that does not fit.
    """
    if reading.format == "ndjson":
        yield from _json_rows(_cut_all(blocks), limits)
        return
    reader = csv.reader(_cut_all(blocks), delimiter=reading.delimiter, strict=True)
    names: list[str] | None = None
    started = 0
    try:
        for row in reader:
            if not row:
                yield None
            elif names is None:
                if reading.header:
                    names = checked_names(row, limits=limits)
                    yield names
                else:
                    names = [f"colonne_{n}" for n in range(1, len(row) + 1)]
                    yield names
                    yield row
            elif len(row) != len(names):
                raise BadInput(
                    _("Ligne %(line)s : %(found)s valeurs au lieu de %(wanted)s. Vérifiez le séparateur et les "
                      "guillemets de cette ligne.")
                    % {"line": started + 1, "found": len(row), "wanted": len(names)}
                )  # fmt: skip
            else:
                yield row
            started = reader.line_num
    except csv.Error as error:
        raise BadInput(
            _("Ligne %(line)s : guillemets mal fermés (%(error)s). Doublez les guillemets qui sont dans un texte.")
            % {"line": started + 1, "error": error}
        ) from None
    if names is None:
        raise BadInput(_("Le fichier est vide. Choisissez-en un autre."))


def _cut_all(blocks: Iterable[str]) -> Iterator[str]:
    for block in blocks:
        yield from _cut(block)


def _json_rows(single: Iterator[str], limits: Limits) -> Iterator[list[str] | None]:
    """One JSON object a line; the first one names the columns."""
    names: list[str] | None = None
    for number, line in enumerate(single, start=1):
        if not line.strip():
            yield None
            continue
        try:
            found = json.loads(line, parse_float=str, parse_int=str)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise BadInput(
                _("Ligne %(line)s : ce n'est pas un objet JSON. Écrivez un objet par ligne.") % {"line": number}
            )
        if names is None:
            names = checked_names(list(found), limits=limits)
            keys = list(found)
            yield names
        for key, value in found.items():
            if key not in keys:
                raise BadInput(
                    _("Ligne %(line)s : la clé « %(key)s » n'est pas dans la première ligne. Mettez-y toutes les clés.")
                    % {"line": number, "key": key}
                )
            if isinstance(value, (dict, list)):
                raise BadInput(
                    _("Ligne %(line)s : la clé « %(key)s » contient une structure. Mettez-la à plat, une colonne par "
                      "valeur.") % {"line": number, "key": key}
                )  # fmt: skip
        yield [_json_text(found.get(key)) for key in keys]
    if names is None:
        raise BadInput(_("Le fichier est vide. Choisissez-en un autre."))


def _json_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def write_clear(blocks: Iterable[str], reading: Reading, out: IO[str], *, limits: Limits = LIMITS) -> tuple[int, int]:
    """Write the rows as CSV with commas and a header; return how many rows and how many blank lines there were."""
    writer = csv.writer(out, lineterminator="\n")
    count = blank = 0
    for row in rows(blocks, reading, limits=limits):
        if row is None:
            blank += 1
        else:
            writer.writerow(row)
            count += 1
    if count <= 1:
        raise BadInput(_("Le fichier n'a aucune ligne de données sous l'en-tête. Choisissez-en un autre."))
    return count - 1, blank
