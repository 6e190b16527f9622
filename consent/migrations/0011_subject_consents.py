from pathlib import Path

import broker.clock
import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('consent', '0010_no_offer_on_open_data'),
        ('zones', '0008_dataset_basis'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='sealedrequest',
            name='kind',
            field=models.CharField(choices=[('opposition', 'opposition'), ('consent', 'consentement'), ('withdrawal', 'retrait de consentement'), ('import', 'import de consentements')], default='opposition', max_length=12),
        ),
        migrations.CreateModel(
            name='ConsentImport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('receipt', models.CharField(max_length=26, unique=True, verbose_name='numéro de récépissé')),
                ('file_name', models.CharField(max_length=200, verbose_name='nom du fichier')),
                ('status', models.CharField(choices=[('received', 'reçu'), ('done', 'enregistré'), ('refused', 'refusé'), ('undone', 'annulé')], default='received', max_length=10, verbose_name='état')),
                ('progress', models.JSONField(default=dict)),
                ('problem', models.TextField(blank=True, verbose_name='motif de refus')),
                ('lines', models.PositiveIntegerField(default=0, verbose_name='lignes lues')),
                ('recorded', models.PositiveIntegerField(default=0, verbose_name='consentements enregistrés')),
                ('already', models.PositiveIntegerField(default=0, verbose_name='déjà enregistrés')),
                ('refused', models.JSONField(default=list, verbose_name='lignes refusées : numéro et motif')),
                ('received_at', models.DateTimeField(default=broker.clock.now)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('undone_at', models.DateTimeField(blank=True, null=True)),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='consent_imports', to='zones.dataset')),
                ('received_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('undone_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-received_at', '-pk'],
            },
        ),
        migrations.CreateModel(
            name='ConsentWithdrawal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('token', models.BinaryField(max_length=32)),
                ('receipt', models.CharField(max_length=26, unique=True, verbose_name='numéro de récépissé')),
                ('recorded_at', models.DateTimeField(default=broker.clock.now)),
                ('effective_at', models.DateTimeField(verbose_name='en vigueur le')),
                ('dataset', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='zones.dataset')),
                ('recorded_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('zone', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='consent_withdrawals', to='zones.zone')),
            ],
        ),
        migrations.CreateModel(
            name='Consent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('token', models.BinaryField(max_length=32)),
                ('purposes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=60), size=None, verbose_name='finalités couvertes')),
                ('recipients', models.CharField(choices=[('any_accredited', 'tout expérimentateur agréé'), ('public_body', 'un organisme public seulement')], max_length=16, verbose_name='destinataires')),
                ('given_on', models.DateField(verbose_name='donné le')),
                ('channel', models.CharField(choices=[('paper', 'sur papier'), ('online', "en ligne, chez l'opérateur ou le détenteur"), ('phone', 'par téléphone'), ('carer', 'par une personne qui la représente'), ('import', 'par import')], max_length=8, verbose_name='recueilli')),
                ('proof', models.CharField(max_length=200, verbose_name='référence de la preuve')),
                ('proof_sha256', models.CharField(blank=True, max_length=64, verbose_name='empreinte de la preuve')),
                ('receipt', models.CharField(max_length=26, verbose_name='numéro de récépissé')),
                ('recorded_at', models.DateTimeField(default=broker.clock.now)),
                ('withdrawn_at', models.DateTimeField(blank=True, null=True, verbose_name='retiré le')),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='consents', to='zones.dataset')),
                ('recorded_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('zone', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='consents', to='zones.zone')),
                ('imported', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='consents', to='consent.consentimport')),
                ('withdrawal', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='consents', to='consent.consentwithdrawal')),
            ],
        ),
        migrations.AddConstraint(
            model_name='consentimport',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('undone_at', None), ('undone_by', None)), models.Q(('undone_at__isnull', False), ('undone_by__isnull', False)), _connector='OR'), name='consent_import_undone_at_with_by'),
        ),
        migrations.AddIndex(
            model_name='consent',
            index=models.Index(fields=['dataset', 'withdrawn_at'], name='consent_in_force'),
        ),
        migrations.AddConstraint(
            model_name='consent',
            constraint=models.UniqueConstraint(condition=models.Q(('withdrawn_at', None)), fields=('dataset', 'token', 'purposes', 'recipients'), name='consent_once'),
        ),
        migrations.AddConstraint(
            model_name='consent',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('proof', ''), _negated=True), models.Q(('purposes', []), _negated=True)), name='consent_is_proven'),
        ),
        migrations.AddConstraint(
            model_name='consent',
            constraint=models.CheckConstraint(condition=models.Q(('withdrawal', None), ('withdrawn_at__isnull', False), _connector='OR'), name='consent_withdrawal_is_dated'),
        ),
        migrations.AddConstraint(
            model_name='consent',
            constraint=models.CheckConstraint(condition=models.Q(('withdrawn_at', None), ('withdrawn_at__gte', models.F('recorded_at')), _connector='OR'), name='consent_dates_in_order'),
        ),
        migrations.RunSQL(Path(__file__).with_suffix('.sql').read_text(), migrations.RunSQL.noop),
    ]
