from pathlib import Path

import broker.clock
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('zones', '0014_tables_required'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='versionfile',
            name='place_mark',
            field=models.CharField(blank=True, max_length=300, verbose_name='marque du lieu'),
        ),
        migrations.CreateModel(
            name='PlaceListing',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('place', models.CharField(choices=[('upload', 'envoyé'), ('folder', "dossier de l'opérateur"), ('s3', 'stockage S3')], max_length=8, verbose_name='lieu')),
                ('files', models.JSONField(default=list, verbose_name='fichiers')),
                ('problem', models.TextField(blank=True, verbose_name='motif')),
                ('listed_at', models.DateTimeField(default=broker.clock.now)),
                ('zone', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='listings', to='zones.zone')),
            ],
            options={
                'ordering': ['place'],
                'constraints': [models.UniqueConstraint(fields=('zone', 'place'), name='place_listing_once')],
            },
        ),
        migrations.CreateModel(
            name='SourceOrder',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('place', models.CharField(choices=[('upload', 'envoyé'), ('folder', "dossier de l'opérateur"), ('s3', 'stockage S3')], max_length=8, verbose_name='lieu')),
                ('ref', models.CharField(max_length=1000, verbose_name='adresse dans ce lieu')),
                ('size', models.BigIntegerField(verbose_name='taille (octets)')),
                ('mark', models.CharField(max_length=300, verbose_name='marque du lieu')),
                ('reading', models.JSONField(default=dict, verbose_name='options de lecture')),
                ('asked_at', models.DateTimeField(default=broker.clock.now, editable=False)),
                ('problem', models.TextField(blank=True, verbose_name='motif de refus')),
                ('asked_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='source_orders', to='zones.dataset')),
                ('version', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='order', to='zones.datasetversion')),
            ],
            options={
                'ordering': ['-pk'],
                'constraints': [models.CheckConstraint(condition=models.Q(('version', None), ('problem', ''), _connector='OR'), name='source_order_one_end')],
            },
        ),
        migrations.RunSQL(Path(__file__).with_suffix(".sql").read_text(), migrations.RunSQL.noop),
    ]
