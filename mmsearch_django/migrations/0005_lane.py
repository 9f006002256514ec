import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mmsearch_django', '0004_space_serves'),
    ]

    operations = [
        migrations.CreateModel(
            name='Lane',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(choices=[('live', 'Live'), ('backfill', 'Backfill')], max_length=8)),
                ('paused', models.BooleanField(db_default=False, default=False)),
                ('per_minute', models.PositiveIntegerField(null=True)),
                ('spent_until', models.DateTimeField(null=True)),
                ('opens_at', models.TimeField(null=True)),
                ('closes_at', models.TimeField(null=True)),
                ('space', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, to='mmsearch_django.space')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('space', 'name'), name='mmsearch_lane_unique')],
            },
        ),
    ]
