"""What the documents name exists: files, links, functions, routes, commands, people of the cast."""

import ast
import re
from pathlib import Path

import pytest
from django.urls import Resolver404, resolve

from deploy.demo import cast

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "adr").glob("*.md")]
)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CODE = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"(?:broker|zones|consent|deploy|docs|tests|templates|static|locale|\.ci)/[\w./-]*\w")
MADE_LATER = ("var/",)  # what a command writes


def words(document: Path) -> list[str]:
    return CODE.findall(document.read_text())


def names_in(path: Path) -> set[str]:
    """Functions, classes, methods and constants of a module."""
    tree = ast.parse(path.read_text())
    found = {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    targets = (t for n in tree.body if isinstance(n, ast.Assign) for t in n.targets)
    return found | {target.id for target in targets if isinstance(target, ast.Name)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_link_leads_somewhere(document):
    links = [link for link in LINK.findall(document.read_text()) if "://" not in link]

    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_file_that_is_named_is_there(document):
    named = {word for word in words(document) if FILE.fullmatch(word) and "<" not in word}

    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_each_function_of_the_tour_is_in_the_file_it_is_said_to_be_in():
    tour, missing, seen = ROOT / "docs" / "tour.md", [], 0
    # `file` · `name`, `name`, `file` · `name`
    for line in tour.read_text().splitlines():
        path = None
        for word in CODE.findall(line):
            if FILE.fullmatch(word) and word.endswith(".py"):
                path = ROOT / word
            elif (
                path is not None and re.fullmatch(r"[A-Za-z_]\w+", word) and f"· `{word}`" in line.replace(", `", "· `")
            ):
                seen += 1
                if word not in names_in(path):
                    missing.append(f"{path.relative_to(ROOT)}: {word}")

    assert missing == []
    assert seen > 40


def test_each_page_of_the_visit_is_a_route():
    pages = {word for word in words(ROOT / "README.md") if re.fullmatch(r"/[\w/-]*", word)}
    lost = []

    for page in sorted(pages):
        try:
            resolve(page)
        except Resolver404:
            lost.append(page)

    assert lost == []
    assert {"/", "/et-moi/", "/zones/", "/catalogue/", "/registre/", "/bureau/", "/journal/", "/demo/"} <= pages


def test_each_person_of_the_visit_is_in_the_cast():
    readme = (ROOT / "README.md").read_text()
    visitors = re.findall(r"^\| \d+ \| ([A-ZÉ]\w+ [A-ZÉ]\w+),", readme, re.M)

    assert len(visitors) == 14  # seven in French, the same in English
    assert set(visitors) <= {one.full_name for one in cast.CAST}


def test_each_command_is_in_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    told = {
        target for document in DOCUMENTS for target in re.findall(r"(?:^|`)make ([a-z]+)", document.read_text(), re.M)
    }

    assert told <= targets
    assert {"demo", "test", "check", "fix", "bench"} <= told
