import django.core.validators
from django.db import migrations, models

import leads.models.template


class Migration(migrations.Migration):

    dependencies = [
        ('leads', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='template',
            name='calling_window_end',
            field=models.TimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='template',
            name='calling_window_start',
            field=models.TimeField(blank=True, help_text='Empty, with the end: at any time.', null=True),
        ),
        migrations.AddField(
            model_name='template',
            name='expected_payload_schema',
            field=models.JSONField(blank=True, help_text='JSON Schema that payloads must satisfy. Empty: any object will do.', null=True),
        ),
        migrations.AddField(
            model_name='template',
            name='initial_offset',
            field=models.PositiveIntegerField(db_default=0, default=0, validators=[django.core.validators.MaxValueValidator(2419200)], verbose_name='initial offset (s)'),
        ),
        migrations.AddField(
            model_name='template',
            name='max_attempts',
            field=models.PositiveSmallIntegerField(db_default=1, default=1, help_text='Calls in all. 1: no retry.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(20)]),
        ),
        migrations.AddField(
            model_name='template',
            name='max_concurrent_calls',
            field=models.PositiveIntegerField(blank=True, help_text='Empty: as many as there is capacity for.', null=True, validators=[django.core.validators.MinValueValidator(1)]),
        ),
        migrations.AddField(
            model_name='template',
            name='retry_offset',
            field=models.PositiveIntegerField(db_default=900, default=900, validators=[django.core.validators.MaxValueValidator(2419200)], verbose_name='retry offset (s)'),
        ),
        migrations.AddField(
            model_name='template',
            name='time_zone',
            field=models.CharField(db_default='UTC', default='UTC', help_text='Of the calling window.', max_length=64, validators=[leads.models.template.check_time_zone]),
        ),
        migrations.AddConstraint(
            model_name='template',
            constraint=models.CheckConstraint(condition=models.Q(('max_attempts__gte', 1)), name='template_is_tried_once'),
        ),
        migrations.AddConstraint(
            model_name='template',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('calling_window_end', None), ('calling_window_start', None)), models.Q(('calling_window_end__isnull', False), ('calling_window_start__isnull', False), models.Q(('calling_window_start', models.F('calling_window_end')), _negated=True)), _connector='OR'), name='template_window_has_start_and_end'),
        ),
        migrations.AddConstraint(
            model_name='template',
            constraint=models.CheckConstraint(condition=models.Q(('max_concurrent_calls', None), ('max_concurrent_calls__gte', 1), _connector='OR'), name='template_allows_a_call'),
        ),
    ]
