"""Checks the search of the site in headless Chromium: `python docs/check_search.py site`.

The site is read from the disk. Each query is in the words that people use, and names the page that
must be first. Without Chromium and Selenium the check is left out, and says so.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from chromium import open_chromium

#: What people type -> the page that is first.
FIRST = {
    "token from a colleague": "colleague",
    "share tokens": "colleague",
    "token expired cluster": "clusters",
    "slurm": "clusters",
    "docker": "clusters",
    "kubernetes": "clusters",
    "ci secrets": "clusters",
    "github actions": "clusters",
    "jupyter": "notebooks",
    "notebook": "notebooks",
    "jupyterhub": "notebooks",
    "colab": "notebooks",
    "vs code remote": "remote",
    "wsl": "remote",
    "windows": "windows",
    "reticulate": "other-clients",
    "matlab": "other-clients",
    "only curl": "other-clients",
    "snakemake": "snakemake",
    "my lab": "my-lab",
    "two accounts": "several-servers",
    "which token": "tokens-and-hosts",
    "undo": "undo",
    "remove everything": "undo",
    "leaked": "leaked-token",
    "proxy": "proxies",
}
_RESULTS = """
const host = [...document.querySelectorAll("*")].find((each) => each.shadowRoot);
return [...host.shadowRoot.querySelectorAll("a[href]")].map((each) => each.href);
"""


def main(site: Path) -> int:
    browser = open_chromium()
    if browser is None:
        print("The search was not checked: it needs chromium, chromedriver and selenium.")
        return 0
    try:
        problems = [*wrong(browser, site)]
    finally:
        browser.quit()
    print(f"{len(FIRST)} searches, {len(problems)} problems", *problems, sep="\n")
    return 1 if problems else 0


def wrong(browser: Any, site: Path) -> Any:
    """Each search whose first result is another page."""
    for query, page in FIRST.items():
        found = search(browser, site, query)
        first = found[0].rpartition("/")[2].partition("#")[0] if found else "nothing"
        if first != f"{page}.html":
            yield f"{query!r} finds {first} first, not {page}.html"


def search(browser: Any, site: Path, query: str) -> list[str]:
    """The addresses that a search finds, best first; waits up to 5 seconds for the first."""
    browser.get("about:blank")
    browser.get((site / "index.html").resolve().as_uri())
    browser.execute_script("document.querySelector('.md-search__button').click()")
    time.sleep(0.3)
    browser.switch_to.active_element.send_keys(query)
    deadline, found = time.monotonic() + 5, list[str]()
    while not found and time.monotonic() < deadline:
        time.sleep(0.3)
        found = browser.execute_script(_RESULTS)
    return found


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
