"""For the tests of the store: secret files that are broken, and what is looked at."""

from __future__ import annotations

import os
import stat
import traceback
from pathlib import Path

from .stub import TOKEN

SERVER = "global.daf-apis.com"
# Contents that are not a secret file; each holds the token.
BROKEN = {
    "cut off": f'{{"token": "{TOKEN}"',
    "not JSON": f"token={TOKEN}",
    "only the token": TOKEN,
    "single quotes": f"{{'token': '{TOKEN}'}}",
    "empty": "",
    "white space": " \n",
    "a list": f'["{TOKEN}"]',
    "a string": f'"{TOKEN}"',
    "null": "null",
    "two objects": f'{{"token": "{TOKEN}"}}{{"token": "{TOKEN}"}}',
    "not UTF-8": b'{"token": "\xff\xfe' + TOKEN.encode() + b'"}',
    "deeply nested": f'{{"token": "{TOKEN}", "x": ' + "[" * 200_000,
    "a huge number": f'{{"token": "{TOKEN}", "x": {"1" * 5000}}}',
    "too large": f'{{"token": "{TOKEN}", "x": "{"x" * (1 << 20)}"}}',
}
# Values under the key that are not a token.
NO_TOKENS = {
    "a number": 1234,
    "a list": [TOKEN],
    "an object": {"token": TOKEN},
    "true": True,
    "a space behind": TOKEN + " ",
    "a line break behind": TOKEN + "\n",
    "a header injection": TOKEN + "\r\nX-Evil: 1",
    "quotes around": f'"{TOKEN}"',
    "typographic quotes": f"“{TOKEN}”",
    "the scheme before": f"Bearer {TOKEN}",
    "non-ASCII": TOKEN + "ü",
    "a no-break space": TOKEN + "\xa0",
    "a NUL": TOKEN + "\0",
}


def lines_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def residue(directory: Path) -> list[str]:
    """The files in a directory, without secret files and their locks."""
    kept = ("-secret.json", ".lock")
    return [name for name in os.listdir(directory) if not name.endswith(kept)]
