"""Until now a connect counted one; from now on the count is that of the attempts before, and nothing was a retry."""

from django.db import migrations, models


def count_anew(apps, schema_editor):
    apps.get_model('leads', 'Lead').objects.filter(attempt_count__gt=0).update(attempt_count=0)


def keep_call_facts(apps, schema_editor):
    """What has been known from the session alone until now, for the leads whose session is still there."""
    Lead, Room = apps.get_model('leads', 'Lead'), apps.get_model('pools', 'Room')
    room_of = Room.objects.filter(voice_session=models.OuterRef('voice_session'))
    session_of = apps.get_model('pools', 'VoiceSession').objects.filter(pk=models.OuterRef('voice_session'))
    Lead.objects.filter(voice_session__isnull=False).update(
        call_id=models.Subquery(room_of.values('name')[:1]),
        end_reason=models.Subquery(session_of.values('end_reason')[:1]),
        transcription=models.Subquery(session_of.values('transcript')[:1]),
        platform_status='INITIATED',
        platform_reason='WEB_SESSION',
    )


class Migration(migrations.Migration):

    dependencies = [
        ('leads', '0004_profile_and_throttle_count'),
    ]

    operations = [
        migrations.RunPython(count_anew, migrations.RunPython.noop),
        migrations.RunPython(keep_call_facts, migrations.RunPython.noop),
    ]
