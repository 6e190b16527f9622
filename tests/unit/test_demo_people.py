"""The person of the demo fills forms and gives codes as a real one would."""

import json

import httpx
import pytest

from deploy.demo import cast, run
from deploy.demo.people import Person, StepFailed, totp
from deploy.demo.story import Memory, Step, Story

FORM = """<html><body>
<form action="/langue/" method="post"><input name="language" value="fr"></form>
<form action="/envoyer/" method="post">
 <input type="hidden" name="csrfmiddlewaretoken" value="jeton">
 <input name="titre" value="ancien"><input type="checkbox" name="accord" value="oui">
 <input type="checkbox" name="domaine" value="clinique" checked><input type="checkbox" name="domaine" value="trafic">
 <select name="nature"><option value="">-</option><option value="a" selected>A</option>
 <option value="b">B</option></select>
 <textarea name="texte">
reste</textarea><input type="file" name="piece"><button name="acte" value="garder">G</button>
 <button name="acte" value="publier">P</button></form></body></html>"""


@pytest.fixture
def received():
    return []


@pytest.fixture
def person(received):
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            received.append(request)
            if b"refuse-moi" in request.content:
                return httpx.Response(
                    422, html="<html><ul class='errorlist'><li>longueur : 100 km ne suffit pas</li></ul></html>"
                )
            return httpx.Response(303, headers={"Location": "/merci/"})
        return httpx.Response(200, html="<html><p>merci</p></html>" if request.url.path == "/merci/" else FORM)

    made = Person("claire", site="http://127.0.0.1:1", name="Claire Morel", secret="GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    made.browser = httpx.Client(
        base_url="http://127.0.0.1:1", transport=httpx.MockTransport(answer), follow_redirects=True,
        event_hooks=made.browser.event_hooks,
    )  # fmt: skip
    return made


def test_codes_are_those_of_rfc_6238():
    # appendix B gives eight digits for SHA-1; ours are their last six
    vectors = {59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"}

    assert {at: totp("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", at // 30) for at in vectors} == vectors


def test_a_code_is_never_given_twice(person):
    codes = [person.code(), person.code()]

    assert len(set(codes)) == len(codes)


def test_a_form_is_filled_as_a_browser_fills_it(person, received):
    answer = person.submit("/formulaire/", titre="neuf", domaine=["trafic"], piece=("a.csv", b"x,y"), acte="publier")

    body = received[0].content.decode()
    assert answer.url.path == "/merci/"
    for expected in ('name="csrfmiddlewaretoken"\r\n\r\njeton', 'name="titre"\r\n\r\nneuf', 'name="nature"\r\n\r\na',
                     'name="texte"\r\n\r\nreste', 'name="acte"\r\n\r\npublier', 'filename="a.csv"'):  # fmt: skip
        assert expected in body
    assert 'name="accord"' not in body
    assert 'name="domaine"\r\n\r\nclinique' not in body


def test_a_refused_form_fails_the_step_with_the_page_s_words(person):
    with pytest.raises(StepFailed, match="100 km ne suffit pas"):
        person.submit("/formulaire/", titre="refuse-moi")


def test_an_expected_refusal_is_an_answer(person):
    assert person.submit("/formulaire/", titre="refuse-moi", expect=422).status_code == 422


def test_a_choice_that_is_not_offered_fails_the_step(person):
    with pytest.raises(StepFailed, match="n'offre pas"):
        person.submit("/formulaire/", nature="z")


def test_a_form_without_the_fields_fails_the_step(person):
    with pytest.raises(StepFailed, match="ne montre pas"):
        person.submit("/formulaire/", inconnu="1")


def test_the_pages_a_person_saw_are_kept_for_the_browser_that_comes_after(person, tmp_path):
    person.get("/formulaire/?page=2")
    person.submit("/formulaire/", titre="neuf")

    run.keep_pages(tmp_path, {"claire": person})

    assert json.loads((tmp_path / "pages.json").read_text()) == {
        "claire": ["/formulaire/?page=2", "/formulaire/", "/merci/"]
    }


def test_the_story_stops_at_the_first_step_that_does_not_hold(tmp_path, person):
    def fails(story):
        raise StepFailed("la page dit non")

    story = Story(site="", delivery="", var=tmp_path, people={"claire": person})
    steps = [Step("ouvre la page", "claire", lambda story: person.get("/merci/")), Step("échoue", "claire", fails),
             Step("jamais", "claire", fails)]  # fmt: skip

    summary = run.play(story, [("zones", steps)], out=lambda line: None)

    assert [(s["name"], s["status"]) for s in summary["steps"]] == [("ouvre la page", 200), ("échoue", None)]
    assert summary["failed"] == "la page dit non"
    assert not summary["complete"]


def test_what_no_step_gave_is_missed_by_name():
    with pytest.raises(StepFailed, match="hospital"):
        _ = Memory().hospital


def test_each_character_belongs_to_a_known_body():
    assert {one.body for one in cast.CAST} <= cast.DOMAINS.keys()
    assert len({one.email for one in cast.CAST}) == len(cast.CAST)
