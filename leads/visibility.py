"""Which leads and templates the holder of a token sees and may change."""

from django.db.models import Q, QuerySet

from access.scope import Scope
from leads.models import Lead, Template
from pools.models import VoiceSession


def leads_of(scope: Scope) -> QuerySet[Lead]:
    return Lead.objects.filter(scope.visible(shared=False))


def templates_of(scope: Scope) -> QuerySet[Template]:
    """Templates that a scope sees, with those that a reseller shares among all of its merchants."""
    return Template.objects.filter(scope.visible(shared=True))


def own_templates_of(scope: Scope) -> QuerySet[Template]:
    """Templates that a scope may change."""
    return Template.objects.filter(scope.visible(shared=False)) if scope.may_change else Template.objects.none()


def may_see_session(scope: Scope, session: VoiceSession) -> bool:
    """Whether the lead of a voice session is one that the scope sees."""
    return leads_of(scope).filter(Q(voice_session=session) | Q(uuid=session.reference)).exists()
