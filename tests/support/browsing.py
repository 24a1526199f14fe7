"""A real browser for the tests of pages: the system's Chromium, without a window and without a network."""

import os
import shutil
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import pytest

from tests.support.constants import HANG

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars"),
    "--force-prefers-reduced-motion",
]


@contextmanager
def chromium(width=1280, height=900):
    """A browser with an empty profile; without one installed, the test is skipped."""
    if not (BROWSER and DRIVER):
        pytest.skip("no browser: install chromium and chromedriver (Debian: chromium, chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install selenium")
    from selenium.webdriver.chrome.service import Service

    with TemporaryDirectory(prefix="sgdbench-profile-", ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        for flag in [*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        # Selenium would look for a driver in the network; it is given one.
        service = Service(DRIVER, env=os.environ | {"SE_OFFLINE": "true"})
        driver = webdriver.Chrome(options=options, service=service)
        try:
            yield driver
        finally:
            driver.quit()


def opened(driver, page):
    """Open a file and wait until all its charts are drawn."""
    from selenium.webdriver.support.wait import WebDriverWait

    driver.get(page.as_uri())
    WebDriverWait(driver, HANG, 0.05).until(
        lambda d: d.execute_script("return document.documentElement.dataset.drawn === 'all'")
    )
    return driver


def complaints(driver):
    """What the console says."""
    return [entry["message"] for entry in driver.get_log("browser")]
