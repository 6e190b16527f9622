"""Reading a source: what is refused names its line, and what to do."""

import codecs
import csv
import gzip
import io
import itertools
import random
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import BadInput
from zones.reading import (
    GZIP,
    Limits,
    Reading,
    Unreadable,
    encoding_of,
    expand,
    header_below,
    json_columns,
    lines,
    rows,
    write_clear,
)

STAYS = Path(__file__).resolve().parents[2] / "deploy" / "demo" / "data" / "diabetic_data.csv.gz"


def pieces(content, size=7):
    return [content[at : at + size] for at in range(0, len(content), size)]


def read(content, *, limits=None, size=7, **reading):
    limits = limits or Limits()
    chosen = Reading(**reading)
    blocks = lines(expand(pieces(content, size), limits=limits), chosen.encoding, limits=limits)
    return [row for row in rows(blocks, chosen, limits=limits) if row is not None]


def refusal(content, **options):
    with pytest.raises(BadInput) as refused:
        read(content, **options)
    return str(refused.value)


def test_a_plain_file_is_read_as_it_is():
    assert read(b'a,b\r\n1,"x, y"\r\n\r\n2,?\r\n') == [["a", "b"], ["1", "x, y"], ["2", "?"]]


def test_compression_is_told_by_the_first_bytes_even_one_at_a_time():
    packed = gzip.compress(b"a,b\n1,2\n")

    assert read(packed, size=1) == [["a", "b"], ["1", "2"]]


UTF_16 = 'nom,"âge"\r\nŁukasz 😀,"41\n42"\r\n'


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("packed", [gzip.compress, bytes], ids=["gzip", "plain"])
@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("utf-16", codecs.BOM_UTF16_LE + UTF_16.encode("utf-16-le")),
        ("utf-16", codecs.BOM_UTF16_BE + UTF_16.encode("utf-16-be")),
        ("utf-16-le", UTF_16.encode("utf-16-le")),
        ("utf-16-be", UTF_16.encode("utf-16-be")),
    ],
    ids=["marked, low first", "marked, high first", "low first", "high first"],
)
def test_a_text_in_utf_16_is_refused_with_its_encoding_then_read(size, packed, encoding, content):
    with pytest.raises(Unreadable) as refused:
        read(packed(content), size=size)

    assert refused.value.proposed == {"encoding": encoding}
    assert encoding_of(pieces(content, size)) == encoding
    assert read(packed(content), size=size, encoding=encoding) == [["nom", "âge"], ["Łukasz 😀", "41\n42"]]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("é,b\n1,2\n".encode(), "utf-8"), ("é".encode()[:1], "latin-1"), (b"\x80,b\n", "cp1252"),
        (b"\xe9,b\n", "latin-1"), (b"\x81\xe9,b\n", ""), (b"a\0b\n", ""),
    ],
)  # fmt: skip
def test_the_encoding_of_a_text_is_told_by_its_bytes(content, encoding):
    assert encoding_of(pieces(content, 1)) == encoding


def test_gzip_members_follow_each_other():
    assert read(gzip.compress(b"a,b\n") + gzip.compress(b"1,2\n")) == [["a", "b"], ["1", "2"]]


def test_latin_1_and_a_byte_order_mark_are_understood():
    assert read("é;b\n1;à\n".encode("latin-1"), encoding="latin-1", delimiter=";") == [["é", "b"], ["1", "à"]]
    assert read(b"\xef\xbb\xbfa,b\n1,2\n")[0] == ["a", "b"]


def test_json_lines_keep_their_figures_as_written():
    content = b'{"a": 1.50, "b": null}\n\n{"b": true, "a": "x"}\n'

    assert read(content, format="ndjson") == [["a", "b"], ["1.50", ""], ["x", "true"]]


def test_a_key_that_some_objects_leave_out_is_a_column_all_the_same():
    content = ['{"a": 1}\n{"b": 2, "a": 3}\n', '{"c": null}\n']
    columns = json_columns(content)

    found = list(rows(content, Reading(format="ndjson", columns=columns)))

    assert found == [["a", "b", "c"], ["1", "", ""], ["3", "2", ""], ["", "", ""]]


@pytest.mark.parametrize(
    ("content", "message"),
    [("{}\n{}\n", "vide"), ('{"a": 1}\n{"": 2}\n', "Ligne 2 : une clé n'a pas de nom"),
     ('{"a": 1, "A": 2}\n', "Les colonnes 1 et 2 ont le même nom")],
)  # fmt: skip
def test_keys_that_make_no_columns_are_refused_with_their_mend(content, message):
    with pytest.raises(BadInput, match=message):
        json_columns([content])


METER = "PRM;Type;Unité\n09111;Courbe;W\nHorodate;Valeur\n2024-01-01T00:00:00+01:00;12\n2024-01-01T00:30:00+01:00;14\n"


@pytest.mark.parametrize(
    ("content", "reading", "found"),
    [
        ("Export du 3 mars\nservice;;\nage;ville;note\n1;Rouen;2\n", {"delimiter": ";"}, {"header_line": 3}),
        ("Export du 3 mars\n\nage;ville\n1;Rouen\n2;Brest\n", {}, {"header_line": 3, "delimiter": ";"}),
        (METER, {"delimiter": ";"}, {"header_line": 3}),
        ("age,ville\n1,Rouen\n2\n", {}, {}),
        ("vitesse\n12\n13\n", {}, {}),
        ("1,2\n3,4\n", {"header": False}, {}),
    ],
)
def test_a_header_below_words_is_found_with_its_separator(content, reading, found):
    assert header_below([content], Reading(**reading)) == found


def test_one_column_of_semicolons_and_decimal_commas_proposes_the_semicolon():
    with pytest.raises(Unreadable) as refused:
        read(b"age;poids\n1;60,5\n", size=99)

    assert refused.value.proposed == {"delimiter": ";"}


def test_columns_without_a_header_are_numbered():
    assert read(b"1,2\n3,4\n", header=False) == [["colonne_1", "colonne_2"], ["1", "2"], ["3", "4"]]


BAD = [
    (b"", {}, "vide"),
    (b"\n\n", {}, "vide"),
    ("a,b\n1,2\nx,é\n".encode("latin-1"), {}, "Ligne 3, colonne 3 : l'octet 0xE9"),
    (b"a,b\n1,\x81\n", {"encoding": "cp1252"}, "Ligne 2, colonne 3"),
    (b"a,b\n1,2\n1\n", {}, "Ligne 3 : 1 valeur au lieu de 2"),
    (b'a,b\n"1\n2",3\n1,2,3\n', {}, "Ligne 4 : 3 valeurs au lieu de 2"),
    (b'a,b\n1,"2\n', {}, "Ligne 2 : guillemets"),
    (b'a,b\n1,"2" x\n', {}, "Ligne 2 : guillemets mal fermés. Doublez"),
    (b"a,b\r1,2\r3,4\r", {}, "Ligne 1 : un retour chariot seul"),
    (b'a,b\n1,"' + b"x\n" * 600_000 + b'"\n', {"size": 65536}, "Ligne 2 : une valeur dépasse 1024 Kio"),
    (b"a,b\n1,2\n", {"encoding": "utf-16"}, "n'est pas en UTF-16"),
    (
        "a,b\n1,2\nx,".encode("utf-16") + b"\x00\xd8" + "y\n".encode("utf-16-le"),
        {"encoding": "utf-16"},
        "Ligne 3, colonne 3 : les octets 0x00D8",
    ),
    ("nom,âge\n1,2".encode("utf-16") + b"\n", {"encoding": "utf-16"}, "Ligne 2, colonne 4 : les octets 0x0A"),
    (b"\xef\xbb\xbf<!DOCTYPE html><p>404</p>\n", {"size": 99}, "une page web"),
    (b"sep=;\na;b\n1;2\n", {"delimiter": ";"}, "Ligne 1 : « sep=; » est un réglage de tableur"),
    (b'{"a":"x","b":2}\n', {}, "Ligne 1 : c'est un objet JSON"),
    (b'{"a": "\\ud83d\\ude00"}\n{"a": "\\ud83d"}\n', {"format": "ndjson"}, "Ligne 2 : un texte contient la moitié"),
    (b'{"a": "\\\\u0000"}\n{"a": "x\\u0000"}\n', {"format": "ndjson"}, "Ligne 2 : octet nul"),
    (b"a,,c\n1,2,3\n", {}, "La colonne 2 de l'en-tête"),
    (b"a,b,A\n1,2,3\n", {}, "Les colonnes 1 et 3"),
    (b"a" * 121 + b",b\n1,2\n", {}, "colonne 1 dépasse 120 signes"),
    (b"a,b\n\x00,2\n", {}, "Ligne 2 : octet nul"),
    (b'{"a": 1}\n[2]\n', {"format": "ndjson"}, "Ligne 2 : ce n'est pas un objet JSON"),
    (b'{"a": 1}\n{"b": 2}\n', {"format": "ndjson"}, "Ligne 2 : la clé « b »"),
    (b'{"a": {"b": 1}}\n', {"format": "ndjson"}, "Ligne 1 : la clé « a » contient une structure"),
    (GZIP + b"\x08 broken gzip content", {}, "abîmé"),
    (gzip.compress(b"a,b\n1,2\n" * 100)[:-9], {}, "incomplet"),
    (b"a,b\n" + b"x" * 5000 + b",2\n", {"limits": Limits(line_bytes=4096)}, "La ligne 2 dépasse 4 Kio"),
    (b"a,b\n" * 1000, {"limits": Limits(clear_bytes=1000)}, "décompressé"),
    (
        gzip.compress(b"0" * 100_000 + b"\n"),
        {"limits": Limits(ratio=50, ratio_from=10_000, line_bytes=10**6)},
        "gonfle plus de 50 fois",
    ),
    (b",".join(b"c%d" % n for n in range(30)) + b"\n", {"limits": Limits(columns=20)}, "30 colonnes : 20 au plus"),
]


@pytest.mark.parametrize(("content", "options", "message"), BAD, ids=[m[:40] for *_, m in BAD])
def test_a_bad_file_is_refused_with_its_mend(content, options, message):
    told = refusal(content, **options)

    assert message in told
    assert told.endswith(".")


def test_another_library_s_bound_of_a_value_is_not_ours():
    before = csv.field_size_limit(10**9)

    told = refusal(b'a,b\n1,"' + b"xxxxxxx\n" * 150_000 + b'"\n', size=4096)

    assert "dépasse 1024 Kio" in told
    assert before == csv.field_size_limit()


def test_a_giant_line_is_stopped_before_it_is_held_whole():
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1024
            yield b"x" * 1024

    with pytest.raises(BadInput):
        list(lines(endless(), "utf-8", limits=Limits(line_bytes=64 * 1024)))

    assert taken <= 66 * 1024


def test_a_bomb_is_stopped_after_a_few_blocks():
    bomb = zlib.compressobj(9, wbits=31)
    packed = b"".join(bomb.compress(b"\0" * 1024 * 1024) for _ in range(200)) + bomb.flush()
    given = 0

    with pytest.raises(BadInput):
        for clear in expand([packed], limits=Limits(ratio=100, ratio_from=1024 * 1024)):
            given += len(clear)

    assert given <= 25 * 1024 * 1024


def test_a_header_alone_is_not_a_dataset():
    with pytest.raises(BadInput, match="aucune ligne de données"):
        write_clear(["a,b\n"], Reading(), io.StringIO())


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8), min_size=2, max_size=2),
        min_size=1,
        max_size=20,
    ),
    st.integers(min_value=1, max_value=40),
)
def test_what_was_written_is_what_is_read(table, size):
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([["a", "b"], *table])

    found = read(written.getvalue().encode(), size=size)

    assert found == [["a", "b"], *table]


@given(st.binary(max_size=200), st.integers(min_value=1, max_value=20))
def test_any_bytes_are_read_or_refused_but_never_break_the_reader(content, size):
    try:
        read(content, size=size)
    except BadInput as refused:
        assert str(refused)


def test_the_real_stays_are_read_whole_in_whatever_pieces():
    content = STAYS.read_bytes()
    sizes = random.Random(7)
    cuts = [0]
    while cuts[-1] < len(content):
        cuts.append(cuts[-1] + sizes.randint(1, 300_000))
    blocks = lines(expand(content[a:b] for a, b in itertools.pairwise(cuts)), "utf-8")

    found = list(rows(blocks, Reading()))

    assert len(found) == 101_767
    assert len(found[0]) == 50
    at = found[0].index
    assert sum(row[at("weight")] == "?" for row in found) == 98_569
    assert sum(row[at("max_glu_serum")] == "None" for row in found) == 96_420
