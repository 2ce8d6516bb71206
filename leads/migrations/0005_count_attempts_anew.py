"""Until now a connect counted one; from now on the count is that of the attempts before, and nothing was a retry.

In batches, each a transaction of its own: whoever ends a call meanwhile waits for its lead, and all the leads in one
transaction would keep the pods waiting until they count as dead. Interrupted, it can be run again.
"""

from django.db import migrations, models

BATCH = 500


def in_batches(leads):
    last = 0
    while keys := list(leads.filter(pk__gt=last).order_by('pk').values_list('pk', flat=True)[:BATCH]):
        yield leads.filter(pk__in=keys)
        last = keys[-1]


def count_anew(apps, schema_editor):
    for leads in in_batches(apps.get_model('leads', 'Lead').objects.filter(attempt_count__gt=0)):
        leads.update(attempt_count=0)


def keep_call_facts(apps, schema_editor):
    """What has been known from the session alone until now, for the leads whose session is still there."""
    Lead, Room = apps.get_model('leads', 'Lead'), apps.get_model('pools', 'Room')
    room_of = Room.objects.filter(voice_session=models.OuterRef('voice_session'))
    session_of = apps.get_model('pools', 'VoiceSession').objects.filter(pk=models.OuterRef('voice_session'))
    for leads in in_batches(Lead.objects.filter(voice_session__isnull=False)):
        leads.update(
            call_id=models.Subquery(room_of.values('name')[:1]),
            end_reason=models.Subquery(session_of.values('end_reason')[:1]),
            transcription=models.Subquery(session_of.values('transcript')[:1]),
            platform_status='INITIATED',
            platform_reason='WEB_SESSION',
        )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('leads', '0004_profile_and_throttle_count'),
    ]

    operations = [
        migrations.RunPython(count_anew, migrations.RunPython.noop),
        migrations.RunPython(keep_call_facts, migrations.RunPython.noop),
    ]
