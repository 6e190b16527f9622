"""`manage.py release_inputs <release>`: everything a stranger needs to recompute a release, keys included.

In the demo alone, and in the worker's environment: elsewhere no command ever writes a key out. The answer is a JSON
object of the paths written and of the figures, on standard output.
"""

import json
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from broker.keys.store import KeyStore
from broker.releases.models import Release
from consent import consents, oppositions
from zones import sources


class Command(BaseCommand):
    help = (
        "Writes var/demo/release_inputs/: source, recipe, keys, objections, consents. Needs DEMO=1 and the key store."
    )

    def add_arguments(self, parser):
        parser.add_argument("release")
        parser.add_argument("--into", default="", help="a folder of its own under release_inputs/")

    def handle(self, *args, release, into="", **options):
        if not settings.DEMO:
            raise CommandError("release_inputs writes keys in clear: it runs with DEMO=1 only, never in production.")
        row = Release.objects.select_related("convention__zone", "dataset_version__dataset").get(pk=release)
        if row.status != Release.Status.READY:
            raise CommandError(f"the release is {row.status}: ask for one and wait until it is ready")
        folder = settings.VAR / "release_inputs" / Path(into).name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys, version = KeyStore(settings.KEY_STORE), row.dataset_version
        read = {}
        for number, one in enumerate(version.files.select_related("table", "version__dataset")):
            # A file keeps the name it came with; two of several may have come with the same.
            path = folder / (one.file_name if version.files.count() == 1 else f"{number}-{Path(one.file_name).name}")
            with path.open("wb") as file:
                for piece in sources.open_source(one):
                    file.write(piece)
            read[one.table.name] = path
        secrets = {
            "pseudonym_key": keys.open("pseudonym", f"convention:{row.convention_id}").decode(),
            "token_key": keys.open("token", f"zone:{row.convention.zone_id}").decode(),
        }
        opposed = oppositions.tokens_in_force(row.convention.zone, version.dataset, row.opposition_snapshot_at)
        wanted = row.recipe.get("consent")
        written = {
            "recipe": row.recipe,
            "keys": secrets,
            "opposed": sorted(token.hex() for token in opposed),
        }
        if wanted:
            agreed = consents.tokens_in_force(
                version.dataset, purpose=wanted["purpose"], category=wanted["recipient"], at=row.opposition_snapshot_at
            )
            written["consented"] = sorted(token.hex() for token in agreed)
        paths = {"source": next(iter(read.values()))}
        if len(read) > 1:
            written["sources"] = {name: str(path) for name, path in read.items()}
        for name, value in written.items():
            paths[name] = folder / f"{name}.json"
            paths[name].touch(mode=0o600)
            paths[name].write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
        figures = {
            "rows_in": row.rows_in, "rows_out": row.rows_out, "subjects_out": row.subjects_out, "dropped": row.dropped,
            "k_min": row.k_min, "decision_id": str(row.decision_id), "sha256": row.sha256,
        }  # fmt: skip
        self.stdout.write(json.dumps({"paths": {n: str(p) for n, p in paths.items()}, "figures": figures}))
