"""Serializers that describe the answers of the status endpoints in OpenAPI."""

from typing import Any

from rest_framework import serializers

from pools.decisions.targets import Action


class CountsSerializer(serializers.Serializer[Any]):
    pool_size = serializers.IntegerField(help_text="Targets of the live pods that take sessions, together.")
    available = serializers.IntegerField(help_text="What a claim could get now.")
    in_use = serializers.IntegerField()
    warming = serializers.IntegerField()


class PodCountsSerializer(CountsSerializer):
    max_pool_size = serializers.IntegerField()
    configured_size = serializers.IntegerField()
    why = serializers.CharField(help_text="Where pool_size comes from: configured, ordered, demand, reserved, paused.")


class OrderSerializer(serializers.Serializer[Any]):
    order_id = serializers.UUIDField()
    action = serializers.ChoiceField(choices=[action.value for action in Action])
    pool = serializers.CharField(help_text="`agents`, `rooms`, or `pairs` of both (reservations).")
    pod = serializers.CharField(allow_null=True, help_text="null: all pods.")
    size = serializers.IntegerField(allow_null=True, help_text="Per pod; of a reservation: pairs of all pods together.")
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField(allow_null=True, help_text="null: until it is cancelled.")
    reason = serializers.CharField()
    ordered_by = serializers.CharField()
    ordered_at = serializers.DateTimeField()


class RolloutSerializer(serializers.Serializer[Any]):
    shares = serializers.DictField(child=serializers.FloatField(), help_text="Percent of the calls by version.")
    words = serializers.CharField(help_text="The shares as text, with the share of the other versions.")
    set_by = serializers.CharField()
    set_at = serializers.DateTimeField()
    reason = serializers.CharField()


class PodSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    live = serializers.BooleanField()
    draining = serializers.BooleanField()
    heartbeat_age_seconds = serializers.FloatField()
    started_at = serializers.DateTimeField()
    version = serializers.CharField()
    start_method = serializers.CharField()
    free_slots = serializers.IntegerField(help_text="Processes that the pod can still start.")
    trouble = serializers.CharField(help_text="Why agent processes do not become ready. Empty if they do.")
    agent_processes = PodCountsSerializer()
    rooms = PodCountsSerializer()


class VoicePoolStatsSerializer(serializers.Serializer[Any]):
    managed_processes = serializers.IntegerField()
    available_processes = serializers.IntegerField()
    active_processes = serializers.IntegerField()
    managed_active = serializers.IntegerField(help_text="In use, from the pool.")
    ephemeral_active = serializers.IntegerField(help_text="In use, made on demand.")
    is_creating_process = serializers.BooleanField()
    pool_size = serializers.IntegerField()
    max_pool_size = serializers.IntegerField()


class RoomPoolStatsSerializer(serializers.Serializer[Any]):
    available_rooms = serializers.IntegerField()
    active_rooms = serializers.IntegerField()
    is_creating_room = serializers.BooleanField()
    pool_size = serializers.IntegerField()
    max_pool_size = serializers.IntegerField()
    max_session_limit = serializers.IntegerField(help_text="Seconds.")
    recording_enabled = serializers.BooleanField()


class PoolStatusSerializer(CountsSerializer):
    status = serializers.ChoiceField(choices=["healthy", "degraded"])
    reasons = serializers.ListField(child=serializers.CharField(), help_text="Why the status is degraded.")
    voice_pool_stats = VoicePoolStatsSerializer(help_text="Older names of the same counts.")
    room_pool_stats = RoomPoolStatsSerializer(help_text="Older names of the same counts.")
    waiting_sessions = serializers.IntegerField(
        required=False, help_text="Admins only: sessions that wait for a process."
    )
    oldest_transaction_seconds = serializers.FloatField(
        required=False,
        allow_null=True,
        help_text="Admins only: age of the database's oldest open transaction; 0: none is open, null: unknown.",
    )
    pods = PodSerializer(many=True, required=False, help_text="Admins only.")
    orders = OrderSerializer(
        many=True, required=False, help_text="Admins only: operators' overrides, in force now or later."
    )
    rollout = RolloutSerializer(
        required=False,
        allow_null=True,
        help_text="Admins only: which version of the bot gets which share of the calls.",
    )
