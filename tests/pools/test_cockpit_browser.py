"""The cockpit in a real browser: what an operator sees, and each thing that can be done, with the mouse, on a phone and
by keyboard. `make screenshots` runs these too and keeps the pictures (SCREENSHOTS=directory)."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.contrib.admin.models import LogEntry
from playwright.sync_api import Page, expect

from pools.models import AgentProcess, DailyAccount, Pod, Room, VoiceSession
from tests.support.make import make_agent_process, make_daily_account, make_pod, make_room, make_session
from tests.support.pools_scene import make_operator, make_scene
from tests.support.service import call_in_progress, is_full, run_until

pytestmark = pytest.mark.usefixtures("transactional_db")
DESK = {"width": 1360, "height": 860}
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def ann():
    return make_operator("ann")


def make_warm_pod(name="pool-a") -> Pod:
    make_daily_account()
    pod = make_pod(name, agent_target=2, room_target=2)
    for _ in range(2):
        make_agent_process(pod), make_room(pod=pod)
    return pod


def picture(page: Page, name: str, *, full: bool = False) -> None:
    """For the documentation, if somebody asks."""
    if directory := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(directory) / f"{name}.png", full_page=full)


def confirm(page: Page, button: str, why: str = "") -> None:
    page.get_by_label("Why").fill(why)
    page.get_by_role("button", name=button).click()


def choose(page: Page, action: str) -> None:
    """All rows of a list, and one of its actions."""
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option(label=action)
    page.get_by_role("button", name="Run").click()


def logged() -> list[tuple[str, str, str]]:
    entries = LogEntry.objects.order_by("id").select_related("user")
    return [(entry.user.get_username(), entry.object_repr, entry.get_change_message()) for entry in entries]


def test_the_dashboard_changes_by_itself_and_asks_nobody_else(open_page, ann):
    make_warm_pod()
    page = open_page("/admin/", user=ann, viewport=DESK)
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    expect(page.get_by_role("heading", name="Warm", exact=True)).to_be_visible()
    expect(page).to_have_title(re.compile("^Warm"))
    AgentProcess.objects.all().delete()
    expect(page.get_by_role("heading", name="Cold", exact=True)).to_be_visible()
    expect(page.get_by_text("No agent process in stock")).to_be_visible()
    Pod.objects.all().delete()
    expect(page.get_by_role("heading", name="Down", exact=True)).to_be_visible()
    page.reload()
    DailyAccount.objects.all().delete()
    make_warm_pod("pool-b")
    expect(page.get_by_role("heading", name="Warm", exact=True)).to_be_visible()
    page.route("**/live.json*", lambda route: route.abort())
    expect(page.get_by_role("heading", name="Unknown", exact=True)).to_be_visible(timeout=30_000)
    expect(page.get_by_text("the pools were: Warm")).to_be_visible()
    page.unroute("**/live.json*")
    expect(page.get_by_role("heading", name="Warm", exact=True)).to_be_visible(timeout=30_000)
    assert hosts == {urlsplit(page.url).netloc}, "fonts, scripts and data are all our own"


def test_the_dashboard_answers_at_a_glance(open_page, ann):
    make_scene()
    page = open_page("/admin/", user=ann, viewport=DESK)
    verdict = page.get_by_label("State of the pools")
    expect(verdict).to_contain_text("Degraded")
    expect(verdict).to_contain_text("pod pool-c: warm-up failed")
    first = page.locator("[data-part=pods] tbody tr").first
    expect(first).to_contain_text("pool-c")
    expect(page.locator("[data-part=hour]")).to_contain_text("92.6 %")
    expect(page.locator("[data-part=connect]")).to_contain_text("25 ms")
    expect(page.locator("[data-part=agents]")).to_contain_text("empty for")
    expect(page.get_by_role("img", name=re.compile("^Agent processes in stock: available"))).to_be_visible()
    picture(page, "dashboard", full=True)
    page.get_by_role("button", name="24 h").click()
    expect(page.locator("[data-chart=agents]")).to_contain_text("-12 h")
    page.get_by_role("link", name="agent processes taken faster than replaced").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(7)
    page.locator("#result_list tbody a").first.click()
    expect(page.get_by_label("The way to the first audio, in proportion")).to_be_visible()
    expect(page.get_by_text("process pool empty")).to_be_visible()
    picture(page, "session")


def test_on_a_phone_in_the_dark_everything_fits(open_page, ann):
    make_scene()
    page = open_page("/admin/", user=ann, viewport=PHONE, color_scheme="dark", has_touch=True, is_mobile=True)
    expect(page.get_by_role("heading", name="Degraded")).to_be_visible()
    expect(page.locator("[data-chart=daily] svg")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    red, green, blue = luminance(page, "body")
    assert max(red, green, blue) < 80
    picture(page, "dashboard-phone", full=True)
    page.get_by_role("link", name="Drain").first.click()
    expect(page.get_by_role("button", name="Drain")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def luminance(page: Page, selector: str) -> list[int]:
    """Of the background, as a browser paints it."""
    return page.evaluate(
        """(selector) => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
            const context = canvas.getContext("2d");
            context.fillStyle = getComputedStyle(document.querySelector(selector)).backgroundColor;
            context.fillRect(0, 0, 1, 1);
            return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
        }""",
        selector,
    )


def test_a_pod_is_drained_and_brought_back_by_keyboard_alone(open_page, ann):
    pod = make_warm_pod()
    page = open_page("/admin/", user=ann, viewport=DESK)
    chart = page.locator("[data-chart=agents]")
    chart.focus()
    page.keyboard.press("Tab")
    expect(page.locator("[data-chart=rooms]")).to_be_focused()
    press_until_focused(page, page.get_by_role("link", name="Drain"))
    page.keyboard.press("Enter")
    why = page.get_by_label("Why")
    why.wait_for()
    press_until_focused(page, why)
    page.keyboard.type("new kernel")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 pod drained.")).to_be_visible()
    expect(page.locator("[data-part=pods]")).to_contain_text("out of service")
    assert Pod.objects.get(pk=pod.pk).drained_by == "ann"
    press_until_focused(page, page.get_by_role("link", name="Uncordon"))
    page.keyboard.press("Enter")
    press_until_focused(page, page.get_by_role("button", name="Uncordon"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 pod uncordoned.")).to_be_visible()
    assert Pod.objects.taking().exists()
    assert logged() == [("ann", "pool-a", "drained: new kernel"), ("ann", "pool-a", "uncordoned")]


def press_until_focused(page: Page, target) -> None:
    target.wait_for()
    for _ in range(80):
        if target.evaluate("(node) => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("not to be reached by the Tab key")


def test_a_pod_that_is_drained_in_the_browser_lets_its_call_finish(open_page, ann, pods, sandbox):
    pod = pods.start_full()
    call = call_in_progress(pod, sandbox)
    run_until(pod, lambda: is_full(pod))
    page = open_page("/admin/", user=ann, viewport=DESK)
    page.get_by_role("link", name="Drain").click()
    confirm(page, "Drain", "a rolling update")
    run_until(pod, lambda: AgentProcess.objects.current().count() == 1)
    out = page.get_by_text("out of service")
    run_until(pod, lambda: page.evaluate("true") and out.is_visible())
    assert call.is_active() and call.people() == ["Bot", "Caller"]
    call.hang_up()
    run_until(pod, call.is_over)
    assert call.session.end_reason == "caller_left"
    page.get_by_role("link", name="Uncordon").click()
    page.get_by_role("button", name="Uncordon").click()
    run_until(pod, lambda: is_full(pod))
    run_until(pod, lambda: page.evaluate("true") and page.get_by_role("heading", name="Warm", exact=True).is_visible())


def test_rooms_processes_and_sessions_are_steered_from_their_lists(open_page, ann):
    pod = make_warm_pod()
    session = make_session(pod=pod)
    page = open_page("/admin/pools/room/?status__exact=available", user=ann, viewport=DESK)
    choose(page, "Retire the selected rooms")
    expect(page.get_by_text("replaced by new ones, a few at a time")).to_be_visible()
    picture(page, "confirm")
    confirm(page, "Retire")
    expect(page.get_by_text("2 rooms retired.")).to_be_visible()
    page.goto("/admin/pools/agentprocess/?status__exact=available")
    choose(page, "Recycle the selected agent processes")
    confirm(page, "Recycle", "a new model")
    expect(page.get_by_text("2 agent processes recycled.")).to_be_visible()
    page.goto(f"/admin/pools/voicesession/{session.pk}/change/")
    page.get_by_role("link", name="End", exact=True).click()
    confirm(page, "End", "asked by phone")
    expect(page.get_by_text("1 voice session ended.")).to_be_visible()
    assert Room.objects.filter(retiring=True).count() == AgentProcess.objects.filter(retiring=True).count() == 2
    assert VoiceSession.objects.get().stop_reason == "ended_by_operator"
    assert [what for _, _, what in logged()] == ["retired"] * 2 + ["recycled: a new model"] * 2 + [
        "ended: asked by phone"
    ]
    page.goto("/admin/admin/logentry/")
    expect(page.get_by_text("ended: asked by phone")).to_be_visible()
