"""The convention as a PDF: 22 clauses in their order, the same bytes from the same facts, what is signed."""

import hashlib
import json
import shutil
import subprocess

import pytest

from consent import document

PARAMETERS = {
    "operateur": "Centre hospitalier des Deux-Rives", "detenteur": "", "experimentateur": "Glycéa",
    "siren": "900 000 076", "solution": "« Alerte »", "finalites": "« mettre au point »",
    "perimetre": "données cliniques", "zone": "Hôpital des Deux-Rives", "services": "Diabétologie",
    "mode": "observation", "debut": "30 novembre 2026", "fin": "29 mai 2027", "heures_expert": 8,
    "role": "responsable de traitement distinct", "environnement": "Bulle", "sante": True, "hebergeur": "Hébergeur",
    "titulaire_resultats": "l'Expérimentateur", "sort_modeles": "conservés, avec attestation", "preavis_audit": 10,
    "juridiction": "le tribunal administratif compétent",
}  # fmt: skip


def data(**changes):
    party = {"role": "Opérateur", "name": "Hôpital", "identity": "SIREN", "representative": "représenté"}
    return {
        "ref": "CV-2026-0001", "title": "Convention CV-2026-0001", "subtitle": "Séjours", "author": "Hôpital",
        "date": "2026-11-30", "template_version": document.TEMPLATE_VERSION, "parties": [party, party],
        "facts": [["Objet", "Alerte"]], "clauses": document.filled_clauses(PARAMETERS),
        "annex_1": {
            "intro": "Jeu « Séjours ».",
            "columns": [{"name": "age", "justification": "risque", "treatment": "Tranches", "sensitive": True}],
        },
        "annex_2": [["Base", "art. 6(1)(e)"]], "annex_3": [["Hébergeur", "X"]], "signatures": "Chaque signature…",
        **changes,
    }  # fmt: skip


def words_of(pdf, tmp_path):
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext (poppler-utils) reads the PDF here; nothing else does")
    path = tmp_path / "document.pdf"
    path.write_bytes(pdf)
    done = subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, check=True, text=True)
    return " ".join(done.stdout.split())


def test_the_same_facts_give_the_same_bytes():
    first, second = document.render(data()), document.render(json.loads(json.dumps(data())))

    assert first.sha256 == second.sha256 == hashlib.sha256(first.pdf).hexdigest()


def test_one_changed_word_changes_the_hash():
    assert document.render(data()).sha256 != document.render(data(subtitle="Séjour")).sha256


def test_there_are_twenty_two_clauses_numbered_in_order():
    assert [clause["number"] for clause in document.clauses()] == list(range(1, 23))


def test_the_pdf_shows_the_twenty_two_clauses_and_three_annexes(tmp_path):
    words = words_of(document.render(data()).pdf, tmp_path)

    for clause in document.filled_clauses(PARAMETERS):
        assert f"{clause['number']}. {clause['title']}" in words
    assert all(f"Annexe {number}." in words for number in (1, 2, 3))
    assert "age risque Tranches (sensibilité renforcée, approuvée séparément)" in words


def test_the_pdf_declares_itself_pdf_a_3a_and_is_well_formed(tmp_path):
    pdf = document.render(data()).pdf
    path = tmp_path / "document.pdf"
    path.write_bytes(pdf)

    assert b"<pdfaid:part>3</pdfaid:part>" in pdf
    assert b"<pdfaid:conformance>A</pdfaid:conformance>" in pdf
    if not shutil.which("qpdf"):
        pytest.skip("qpdf checks the structure here; nothing else does")
    assert subprocess.run(["qpdf", "--check", str(path)], capture_output=True, check=False).returncode == 0


def test_no_parameter_is_left_open():
    for clause in document.filled_clauses(PARAMETERS):
        assert "{{" not in clause["text"], clause


def test_a_missing_parameter_is_an_error_not_a_blank():
    with pytest.raises(KeyError):
        document.filled_clauses({k: v for k, v in PARAMETERS.items() if k != "solution"})


def test_a_distinct_holder_is_named_among_the_parties():
    with_holder = document.filled_clauses({**PARAMETERS, "detenteur": "Gestionnaire du réseau"})[0]["text"]
    without = document.filled_clauses(PARAMETERS)[0]["text"]

    assert "Gestionnaire du réseau, détenteur des données" in with_holder
    assert "détenteur" not in without


def test_a_convention_without_health_data_keeps_clause_twelve_and_says_it_does_not_apply():
    clause = document.filled_clauses({**PARAMETERS, "sante": False})[11]

    assert clause["number"] == 12
    assert clause["text"].startswith("Sans objet")


def test_a_text_that_looks_like_markup_is_set_as_it_is(tmp_path):
    words = words_of(document.render(data(subtitle="#panic() *gras* $x$ \\ ]")).pdf, tmp_path)

    assert "#panic() *gras* $x$" in words
