import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('leads', '0003_lead_attempts_and_call_facts'),
    ]

    operations = [
        migrations.CreateModel(
            name='Profile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('admin', 'Admin'), ('reseller', 'Reseller'), ('merchant', 'Merchant'), ('user', 'User')], max_length=10)),
                ('reseller_ids', models.JSONField(blank=True, default=list)),
                ('merchant_ids', models.JSONField(blank=True, default=list)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='ThrottleCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(help_text="SHA-256 of the rate's name and of whom it limits.", max_length=64)),
                ('window', models.BigIntegerField(help_text='Number of the window since the epoch.')),
                ('used', models.PositiveIntegerField(default=1)),
            ],
        ),
        migrations.AddField(
            model_name='profile',
            name='user',
            field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='profile', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddIndex(
            model_name='throttlecount',
            index=models.Index(fields=['window'], name='throttle_window'),
        ),
        migrations.AddConstraint(
            model_name='throttlecount',
            constraint=models.UniqueConstraint(fields=('key', 'window'), name='throttle_count'),
        ),
        migrations.RunSQL('ALTER TABLE leads_throttlecount SET UNLOGGED', 'ALTER TABLE leads_throttlecount SET LOGGED'),
    ]
