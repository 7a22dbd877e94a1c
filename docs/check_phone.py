"""Checks each page of the site in Chromium, as wide as a phone: `python docs/check_phone.py site`.

No page, table or picture is wider than the screen, but for charts, which are scrolled in their own
box. No page sends a request to another host. The
site is read from the disk. Without Chromium and Selenium the check is left out, and says so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chromium import open_chromium

WIDTH = 390  # CSS pixels
# Code may be scrolled within its box; other things that stick out are found by the width of what
# scrolls, which is the page itself or the box that the theme puts around a table.
_TOO_WIDE = """
return [...document.querySelectorAll("html, .md-typeset__scrollwrap")]
    .filter((each) => each.scrollWidth > Math.min(each.clientWidth, arguments[0]))
    .map((each) => `${each.innerText.trim().slice(0, 40)}: ${each.scrollWidth} pixels`);
"""


def main(site: Path) -> int:
    browser = open_chromium()
    if browser is None:
        print("No page was looked at: that needs chromium, chromedriver and selenium.")
        return 0
    screen = {"width": WIDTH, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    pages = sorted(site.rglob("*.html"))
    try:
        problems = [f"{page}: {wrong}" for page in pages for wrong in look(browser, page)]
    finally:
        browser.quit()
    print(f"{len(pages)} pages on a phone, {len(problems)} problems", *problems, sep="\n")
    return 1 if problems else 0


def look(browser: Any, page: Path) -> Iterator[str]:
    """What is wrong with a page."""
    browser.get(page.resolve().as_uri())
    for wide in browser.execute_script(_TOO_WIDE, WIDTH):
        yield f"too wide for a phone: {wide!r}"
    asked = [*requests_of(browser)]
    if not asked:
        yield "Chromium has logged no request, not even that for the page"
    for url in asked:
        if not url.startswith(("file:", "data:", "blob:")):
            yield f"asks another host: {url}"


def requests_of(browser: Any) -> Iterator[str]:
    """The addresses of all requests since this was called last."""
    for entry in browser.get_log("performance"):
        event = json.loads(entry["message"])["message"]
        if event["method"] == "Network.requestWillBeSent":
            yield event["params"]["request"]["url"]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
