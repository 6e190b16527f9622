"""What the pages of zones draw: places on France, a road's slopes and length, how full columns are."""

from types import SimpleNamespace

from zones import drawing, geography, quality


def column(name, *, missing=0, distinct=9, rows=100):
    return SimpleNamespace(name=name, missing=missing, missing_share=drawing.share(missing, rows), distinct=distinct)


def test_neighbouring_zones_share_one_mark_named_after_the_largest_town():
    found = drawing.france_map([
        ("Hôpital", ("76540",)), ("Écoquartier", ("38151",)), ("Réseau", ("38421",)), ("Autoroute", ("38185", "26362")),
    ])  # fmt: skip

    marks = {mark.label: mark.names for mark in found.marks}
    assert marks == {"Rouen": ("Hôpital",), "Grenoble": ("Écoquartier", "Réseau", "Autoroute")}


def test_a_town_without_an_outline_is_placed_by_its_department():
    assert geography.outline("13055") is None

    found = drawing.france_map([("Marseille", ("13055",))])

    (mark,) = found.marks
    assert mark.x > found.width / 2 and mark.y > found.height / 2, "in the south east"


def test_a_zone_overseas_is_named_off_the_map():
    found = drawing.france_map([("Rouen", ("76540",)), ("Saint-Denis", ("97411",))])

    assert found.elsewhere == ("Saint-Denis",)
    assert drawing.france_map([("Saint-Denis", ("97411",))]) is None
    assert drawing.france_map([]) is None


def test_every_department_of_the_mainland_has_a_middle():
    mainland = {c.department for c in geography._communes().values() if len(c.department) == 2}

    assert mainland == set(geography._centres())


def test_a_road_tells_its_climb_and_its_steepest_part():
    road = drawing.road_profile([[0, 700], [10, 1200], [15, 1000]])

    assert (road.km, road.lowest, road.highest, road.climb, road.descent, road.steepest) == (15, 700, 1200, 500, 200, 5)
    assert drawing.road_profile([[0, 700]]) is None


def test_a_section_is_drawn_beside_the_length_asked_for():
    long, short = drawing.section(120, asked_km=100), drawing.section(60, asked_km=100)

    assert long.width > long.asked and short.width < short.asked
    assert drawing.section(0, asked_km=100) is None


def test_the_glance_tells_what_is_empty_rare_or_constant():
    columns = [
        column("id", distinct=100), column("weight", missing=97), column("never", missing=100, distinct=0),
        column("same", distinct=1), column("code", missing=30),
    ]  # fmt: skip

    seen = quality.glance(columns, rows=100, blank_lines=3)

    assert (seen.columns, seen.full, seen.present) == (5, 2, 54.6)
    assert [bar.tone for bar in seen.bars] == ["full", "rare", "rare", "full", "part"]
    assert [note.split(" : ")[-1] for note in seen.notes] == [
        "never.", "weight (97 %).", "same.", "3 lignes vides du fichier ne sont pas comptées.",
    ]  # fmt: skip


def test_a_clean_file_has_nothing_to_tell_and_an_empty_one_no_picture():
    assert quality.glance([column("a")], rows=100).notes == ()
    assert quality.glance([column("a")], rows=0) is None
    assert quality.glance([], rows=10) is None
