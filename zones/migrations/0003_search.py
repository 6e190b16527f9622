from django.db import migrations


class Migration(migrations.Migration):
    """A text without accents or case. `unaccent` is only STABLE, since its dictionary may be replaced: named with its
    schema it is as good as immutable here, which generated columns and indexes ask for."""

    dependencies = [("zones", "0002_zone_grants")]

    operations = [
        migrations.RunSQL(
            """
            CREATE FUNCTION terrain_plain(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
            AS $$ SELECT lower(public.unaccent('public.unaccent'::regdictionary, $1)) $$
            """,
            "DROP FUNCTION terrain_plain(text)",
        )
    ]
