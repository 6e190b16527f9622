"""The rollup's days are those of Europe/Paris, as every day of the product: a report and a search agree on midnight.

What was counted by days of UTC is counted again from the index, of which the rollup is a function.
"""

from django.db import migrations

SQL = """
TRUNCATE audit_rollup_day;
INSERT INTO audit_rollup_day (day, zone, org, conv, act, out, purp, n)
SELECT (at AT TIME ZONE 'Europe/Paris')::date, zone, org, conv, act, out, purp, count(*)
FROM audit_index WHERE zone IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6, 7;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0007_no_amended_at")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
