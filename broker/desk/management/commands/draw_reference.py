"""`manage.py draw_reference`: docs/reference, drawn from the code. `--check` fails when a page differs."""

import ast
import importlib
import inspect
import pkgutil
import textwrap
from itertools import groupby
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.urls import URLPattern, get_resolver
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

from broker.audit import vocabulary
from consent import gate, rules

APPS = ("broker.audit", "broker.accounts", "broker.epoch", "broker.keys", "zones", "consent", "broker.releases",
        "broker.desk")  # fmt: skip
DRAWN = "<!-- Drawn from the code by `make fix`; do not edit. -->\n\n"


class Command(BaseCommand):
    help = "Draws docs/reference from the code."

    def add_arguments(self, parser):
        parser.add_argument("--check", action="store_true", help="compare only, and fail when a page differs")

    def handle(self, *args, check=False, **options):
        folder = Path(settings.BASE_DIR) / "docs" / "reference"
        pages = {
            "routes.md": routes(), "states.md": states(), "acts.md": acts(), "rules.md": gate_rules(),
            "settings.md": variables_table(), "openapi.yaml": openapi(),
        }  # fmt: skip
        stale = [name for name, text in pages.items() if _read(folder / name) != text]
        if check:
            if stale:
                raise CommandError(f"docs/reference is not what the code says: {', '.join(stale)}. Run `make fix`.")
            return
        folder.mkdir(parents=True, exist_ok=True)
        for name in stale:
            (folder / name).write_text(pages[name])
            self.stdout.write(f"docs/reference/{name}")


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _table(head: tuple[str, ...], rows) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += [
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows
    ]
    return "\n".join(lines) + "\n"


def named_routes():
    """(path, name, view) of each named route, in the order of their paths."""

    def walk(patterns, before):
        for entry in patterns:
            path = before + str(entry.pattern).lstrip("^").rstrip("$")
            if isinstance(entry, URLPattern):
                if entry.name:
                    yield path, entry.name, entry.callback
            else:
                yield from walk(entry.url_patterns, path)

    return sorted(walk(get_resolver().url_patterns, "/"), key=lambda route: (route[0], route[1]))


def routes() -> str:
    def who(view) -> str:
        return "signed in" if getattr(view, "login_required", True) else "anyone"

    def says(view) -> str:
        # allauth's views come with their own words; ours say theirs in their docstring
        return (
            (inspect.getdoc(view) or "").split("\n")[0]
            if view.__module__.startswith(("broker", "zones", "consent"))
            else ""
        )

    rows = [(f"`{path}`", f"`{name}`", who(view), says(view)) for path, name, view in named_routes()]
    return "# Routes\n\n" + DRAWN + _table(("path", "name", "open to", "what"), rows)


def machines():
    """(module, table) of each state machine: every `NEXT` of the house."""
    for app in APPS:
        package = importlib.import_module(app)
        for found in pkgutil.walk_packages(package.__path__, app + "."):
            if ".migrations" in found.name or ".management" in found.name:
                continue
            module = importlib.import_module(found.name)
            table = vars(module).get("NEXT")
            if isinstance(table, dict) and table:
                yield module, table


def states() -> str:
    parts = [
        "# States\n\n"
        + DRAWN
        + "One table a machine: from a state, an act leads to the next one. Anything else is refused.\n"
    ]
    for module, table in machines():
        parts.append(f"\n## {module.__name__}\n\n")
        parts.append(_table(("from", "act", "to"), [(f"`{a}`", act, f"`{b}`") for (a, act), b in table.items()]))
        lines = [f"    {a} --> {b}: {act}" for (a, act), b in table.items()]
        parts.append("\n```mermaid\nstateDiagram-v2\n" + "\n".join(lines) + "\n```\n")
    return "".join(parts)


def acts() -> str:
    words = sorted(vocabulary.ACTS)
    rows = [
        (noun, ", ".join(f"`{act.split('.', 1)[1]}`" for act in several))
        for noun, several in groupby(words, key=lambda act: act.split(".")[0])
    ]
    return (
        "# Acts of the log\n\n"
        + DRAWN
        + "An act is `noun.verb`; a word that is not here is refused.\n\n"
        + _table(("noun", "verbs"), rows)
    )


def gate_rules() -> str:
    current = rules.load("2026.11.0")
    waiting = dict(gate.NOT_YET_JUDGED)
    head = f"Rule set `{current.version}`, in force from {current.effective_from}, SHA-256 `{current.sha256}`.\n\n"
    certainty = {"sure": "law", "check": "awaits counsel", "policy": "choice of the project"}
    rows = [
        (r.id, gate.TITLES[r.id], "not yet" if r.id in waiting else "yes", certainty[r.certainty],
         " ; ".join([*r.legal_source, *(f"*to be confirmed: {text}*" for text in r.legal_to_confirm)]))
        for r in current.rules
    ]  # fmt: skip
    text = "# Rules of the gate\n\n" + DRAWN + head + _table(("rule", "what", "judged", "rests on", "texts"), rows)
    text += "\n## Not yet judged\n\nThey stand in the rule set and wait for what is written beside them.\n\n"
    return text + _table(("rule", "waits because"), gate.NOT_YET_JUDGED)


def variables() -> dict[str, str]:
    """The variables of the environment that the settings read, each with its default ("" when it must be set)."""
    source = (Path(settings.BASE_DIR) / "broker" / "settings.py").read_text()
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        called, name = ast.unparse(node.func), str(node.args[0].value)
        if called == "required":
            found[name] = "required"
        elif called in ("listed", "os.environ.get"):
            found[name] = ast.unparse(node.args[1]).strip("'") if len(node.args) > 1 else ""
    return dict(sorted(found.items()))


def variables_table() -> str:
    notes = example_notes((Path(settings.BASE_DIR) / "deploy" / "env.example").read_text())
    rows = [
        (f"`{name}`", f"`{default}`" if default else "", notes.get(name, "")) for name, default in variables().items()
    ]
    return (
        "# Settings\n\n"
        + DRAWN
        + "Read from the environment; `deploy/env.example` shows each.\n\n"
        + _table(("variable", "default", "what"), rows)
    )


def example_notes(text: str) -> dict[str, str]:
    """Each variable of env.example with the comment above it."""
    notes: dict[str, str] = {}
    comment: list[str] = []
    for line in text.splitlines():
        if line.startswith("# ") and "=" not in line.split(" ")[1]:
            comment.append(line[2:].strip())
        elif "=" in line:
            notes[line.lstrip("# ").split("=", 1)[0].strip()] = " ".join(comment)
            comment = []
        else:
            comment = []
    return notes


def openapi() -> str:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    body = OpenApiYamlRenderer().render(schema, renderer_context={}).decode()
    return textwrap.dedent("# Drawn from the code by `make fix`; do not edit.\n") + body
