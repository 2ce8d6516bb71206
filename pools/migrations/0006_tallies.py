from django.db import migrations, models

# What ended before there were tallies is counted from its rows, as far as they are kept.
COUNT_ENDED_SESSIONS = """
INSERT INTO pools_sessiontally (start_kind, agent_miss, room_miss, end_reason, shard, sessions, handed_off_again)
SELECT start_kind, agent_miss, room_miss, end_reason, 0, count(*), sum(attempt - 1)
FROM pools_voicesession WHERE status = 'ended' GROUP BY start_kind, agent_miss, room_miss, end_reason"""


class Migration(migrations.Migration):

    dependencies = [
        ("pools", "0005_session_story"),
    ]

    operations = [
        migrations.CreateModel(
            name='EventTally',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event', models.CharField(max_length=50, unique=True)),
                ('number', models.BigIntegerField(default=0)),
            ],
            options={
                'verbose_name_plural': 'event tallies',
            },
        ),
        migrations.CreateModel(
            name='SessionTally',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('start_kind', models.CharField(choices=[('warm', 'Warm'), ('partial', 'Partial'), ('cold', 'Cold')], max_length=10)),
                ('agent_miss', models.CharField(blank=True, max_length=20)),
                ('room_miss', models.CharField(blank=True, max_length=20)),
                ('end_reason', models.CharField(max_length=100)),
                ('shard', models.PositiveSmallIntegerField()),
                ('sessions', models.BigIntegerField(default=0)),
                ('handed_off_again', models.BigIntegerField(default=0, help_text='Hand-offs beyond the first of each session.')),
            ],
            options={
                'verbose_name_plural': 'session tallies',
                'constraints': [models.UniqueConstraint(fields=('start_kind', 'agent_miss', 'room_miss', 'end_reason', 'shard'), name='session_tally')],
            },
        ),
        migrations.RunSQL(COUNT_ENDED_SESSIONS, migrations.RunSQL.noop),
    ]
