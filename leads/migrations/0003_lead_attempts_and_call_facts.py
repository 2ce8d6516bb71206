import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('leads', '0002_template_call_execution_config'),
    ]

    operations = [
        migrations.AddField(
            model_name='lead',
            name='abort_reason',
            field=models.CharField(blank=True, db_default='', help_text='Why it was cancelled, as its caller said.', max_length=500),
        ),
        migrations.AddField(
            model_name='lead',
            name='call_id',
            field=models.CharField(blank=True, db_default='', help_text='Name of the room.', max_length=128),
        ),
        migrations.AddField(
            model_name='lead',
            name='end_reason',
            field=models.CharField(blank=True, db_default='', help_text='How its session ended.', max_length=100),
        ),
        migrations.AddField(
            model_name='lead',
            name='flow_override',
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='lead',
            name='platform_reason',
            field=models.CharField(blank=True, db_default='', help_text='DIALED, WEB_SESSION, or why not.', max_length=50),
        ),
        migrations.AddField(
            model_name='lead',
            name='platform_status',
            field=models.CharField(blank=True, choices=[('INITIATED', 'Initiated'), ('NOT_INITIATED', 'Not Initiated')], db_default='', max_length=20),
        ),
        migrations.AddField(
            model_name='lead',
            name='previous_attempt',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='next_attempts', to='leads.lead'),
        ),
        migrations.AddField(
            model_name='lead',
            name='provider_hangup_cause',
            field=models.CharField(blank=True, db_default='', max_length=100),
        ),
        migrations.AddField(
            model_name='lead',
            name='provider_reason',
            field=models.CharField(blank=True, choices=[('COMPLETED', 'Completed'), ('NO_ANSWER', 'No Answer'), ('BUSY', 'Busy'), ('FAILED', 'Failed'), ('CANCELED', 'Canceled'), ('TIMEOUT', 'Timeout')], db_default='', max_length=20),
        ),
        migrations.AddField(
            model_name='lead',
            name='provider_status',
            field=models.CharField(blank=True, choices=[('ANSWERED', 'Answered'), ('NOT_ANSWERED', 'Not Answered'), ('UNKNOWN', 'Unknown')], db_default='', max_length=20),
        ),
        migrations.AddField(
            model_name='lead',
            name='push_digest',
            field=models.CharField(blank=True, db_default='', editable=False, help_text='SHA-256 of what was pushed.', max_length=64),
        ),
        migrations.AddField(
            model_name='lead',
            name='push_key',
            field=models.CharField(blank=True, editable=False, help_text='SHA-256 of caller and Idempotency-Key.', max_length=64, null=True),
        ),
        migrations.AddField(
            model_name='lead',
            name='reporting_webhook_url',
            field=models.URLField(blank=True, db_default='', help_text='Told how the lead ended.', max_length=2000),
        ),
        migrations.AddField(
            model_name='lead',
            name='transcription',
            field=models.JSONField(blank=True, db_default=[], default=list),
        ),
        migrations.AlterField(
            model_name='lead',
            name='attempt_count',
            field=models.PositiveIntegerField(default=0, help_text='Attempts before this one.'),
        ),
        migrations.AddIndex(
            model_name='lead',
            index=models.Index(fields=['request_id'], name='lead_request'),
        ),
        migrations.AddIndex(
            model_name='lead',
            index=models.Index(condition=models.Q(('execution_mode__in', ('TELEPHONY', 'TELEPHONY_TEST')), ('status', 'BACKLOG')), fields=['template', 'next_attempt_at'], name='lead_to_dial'),
        ),
        migrations.AddIndex(
            model_name='lead',
            index=models.Index(condition=models.Q(('execution_mode__in', ('TELEPHONY', 'TELEPHONY_TEST')), ('status', 'PROCESSING')), fields=['template'], name='lead_in_call'),
        ),
        migrations.AddConstraint(
            model_name='lead',
            constraint=models.CheckConstraint(condition=models.Q(('previous_attempt', None), ('attempt_count__gt', 0), _connector='OR'), name='lead_retry_counts_its_attempts'),
        ),
        migrations.AddConstraint(
            model_name='lead',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('provider_reason', ''), ('provider_status', '')), ('platform_status', 'INITIATED'), _connector='OR'), name='lead_provider_speaks_of_calls_made'),
        ),
        migrations.AddConstraint(
            model_name='lead',
            constraint=models.UniqueConstraint(condition=models.Q(('previous_attempt__isnull', False)), fields=('previous_attempt',), name='lead_retried_once_an_attempt'),
        ),
        migrations.AddConstraint(
            model_name='lead',
            constraint=models.UniqueConstraint(condition=models.Q(('push_key__isnull', False)), fields=('push_key',), name='lead_pushed_once_a_key'),
        ),
    ]
