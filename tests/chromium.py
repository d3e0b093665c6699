"""A headless Chromium that reaches nothing but this machine, for pages that a person would see."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

__all__ = ["needs_chromium", "open_chromium", "requested_hosts"]

needs_chromium = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="needs chromium and chromedriver",
)


@contextmanager
def open_chromium(
    downloads: Path, width: int = 1280, height: int = 900
) -> Iterator[webdriver.Chrome]:
    """Open a browser and close it at the end.

    Args:
        downloads: the folder that files are saved to.
        width: of the window, in pixels.
        height: of the window, in pixels.
    """
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in (
        "--headless=new",
        "--no-sandbox",  # there is none for root
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--window-size={width},{height}",
        # Whatever lies elsewhere fails at once, as it does without internet.
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
    ):
        options.add_argument(argument)
    options.add_experimental_option(
        "prefs",
        {"download.default_directory": str(downloads), "download.prompt_for_download": False},
    )
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def requested_hosts(driver: webdriver.Chrome) -> set[str]:
    """List the hosts that the page has asked for anything since the last call.

    Args:
        driver: from :func:`open_chromium`.
    """
    hosts = set()
    for entry in driver.get_log("performance"):  # type: ignore[no-untyped-call]
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = urlparse(message["params"]["request"]["url"])
            if url.scheme in ("http", "https", "ws", "wss"):
                hosts.add(str(url.hostname))
    return hosts
