"""The browser of the tests works, and its absence is seen."""

import pytest
from playwright.sync_api import expect

from tests.support import browser


def test_the_login_page_is_shown_in_a_real_browser(open_page):
    page = open_page("/admin/")
    expect(page.get_by_label("Username")).to_be_editable()


def test_without_chromium_the_test_is_skipped_unless_one_is_required(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("REQUIRE_BROWSER", "1")
    with pytest.raises(pytest.fail.Exception, match="no Chromium on this machine"):
        browser.chromium()
    monkeypatch.delenv("REQUIRE_BROWSER")
    with pytest.raises(pytest.skip.Exception, match="apt install chromium"):
        browser.chromium()
