"""The dashboard as a test sees it, and those who may only look."""

from django.contrib.auth.models import Permission, User

LIVE = "/admin/live.json"


def make_user(*permissions: str) -> User:
    user = User.objects.create_user("viewer", password=None, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def looking() -> User:
    """May see everything, and change nothing."""
    user = User.objects.create_user("viewer", password=None, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return user


def live(client, **query):
    response = client.get(LIVE, query)
    assert response.status_code == 200
    return response.json()
