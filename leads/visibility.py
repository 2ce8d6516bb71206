"""Selects the leads and templates that the holder of a token may see or change."""

from django.db.models import Q, QuerySet

from access.scope import Scope
from leads.models import Lead, Template
from pools.models import VoiceSession


def leads_of(scope: Scope) -> QuerySet[Lead]:
    """Return the leads that a scope sees."""
    return Lead.objects.filter(scope.visible(shared=False))


def templates_of(scope: Scope) -> QuerySet[Template]:
    """Return the templates that a scope sees, including those that a reseller shares with all of its merchants."""
    return Template.objects.filter(scope.visible(shared=True))


def own_templates_of(scope: Scope) -> QuerySet[Template]:
    """Return the templates that a scope may change."""
    return Template.objects.filter(scope.visible(shared=False)) if scope.may_change else Template.objects.none()


def may_see_session(scope: Scope, session: VoiceSession) -> bool:
    """Return whether the scope sees the lead of a voice session."""
    return leads_of(scope).filter(Q(voice_session=session) | Q(uuid=session.reference)).exists()
