"""The headless Chromium with which the site is checked."""

from __future__ import annotations

import os
import shutil
from typing import Any


def open_chromium() -> Any:
    """A headless Chromium that logs its requests, or None where there is none."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    try:
        from selenium import webdriver
    except ImportError:
        return None
    if not program or not driver:
        return None
    os.environ["SE_OFFLINE"] = "true"  # Selenium looks for drivers to download otherwise
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    for argument in ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    return webdriver.Chrome(options, webdriver.ChromeService(driver))
