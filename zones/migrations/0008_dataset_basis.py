from pathlib import Path

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_invitation'),
        ('zones', '0007_open_elsewhere'),
    ]

    operations = [
        migrations.AddField(
            model_name='dataset',
            name='consent_required',
            field=models.BooleanField(default=False, verbose_name='repose sur le consentement de chaque personne'),
        ),
        migrations.AddField(
            model_name='dataset',
            name='holder_agreement',
            field=models.CharField(blank=True, max_length=300, verbose_name='accord écrit du détenteur'),
        ),
        migrations.AddField(
            model_name='dataset',
            name='time_step',
            field=models.CharField(blank=True, choices=[('fine', "plus fin qu'un jour"), ('daily', 'un jour ou plus')], max_length=6, verbose_name='pas de temps'),
        ),
        migrations.AddConstraint(
            model_name='dataset',
            constraint=models.CheckConstraint(condition=models.Q(('is_personal', False), ('consent_required', True), ('time_step', 'daily'), models.Q(('open_url', ''), _negated=True), models.Q(('domains__contains', ['energy_metering']), _negated=True), _connector='OR'), name='dataset_fine_metering_rests_on_consent'),
        ),
        migrations.AddConstraint(
            model_name='dataset',
            constraint=models.CheckConstraint(condition=models.Q(('consent_required', False), ('is_personal', True), _connector='OR'), name='dataset_consent_is_of_persons'),
        ),
        migrations.RunSQL(Path(__file__).with_suffix('.sql').read_text(), migrations.RunSQL.noop),
    ]
