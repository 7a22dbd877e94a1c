"""The few pages for people, in one style."""

from __future__ import annotations

from typing import Any

import flask


def page(title: str, body: str, **values: Any) -> str:
    """Return a page; `body` is a Jinja template for the `values`."""
    return flask.render_template_string(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{{ title }}</title>"
        "<style>body{font:1rem/1.5 sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}"
        "button,input{font:inherit;padding:.4rem .8rem;margin:.2rem 0}</style>"
        "<h1>{{ title }}</h1>" + body,
        title=title,
        **values,
    )
