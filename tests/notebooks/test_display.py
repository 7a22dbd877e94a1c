"""What a notebook shows of our objects: no token, no markup of others, legible in any theme."""

from __future__ import annotations

from pathlib import Path

import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.sandbox import Sandbox

from .lab import Notebook, jupyterlab, set_theme, write_notebook

# The contrast of each text that we show with what is behind it: https://www.w3.org/TR/WCAG21/,
# "contrast ratio". Behind a text is the nearest element with a background.
_CONTRASTS = """
const numbers = colour => colour.match(/[0-9.]+/g).map(Number);
const behind = element => {
    for (; element; element = element.parentElement) {
        const colour = numbers(getComputedStyle(element).backgroundColor);
        if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
};
const luminance = colour => {
    const [r, g, b] = colour.slice(0, 3).map(c => c / 255).map(
        c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const shown = document.querySelectorAll('.jp-RenderedHTMLCommon :is(td, th, strong, p, a)');
return [...shown].map(element => {
    const [dark, light] = [numbers(getComputedStyle(element).color), behind(element)]
        .map(luminance).sort((a, b) => a - b);
    return [element.textContent, (light + 0.05) / (dark + 0.05)];
});
"""
_CELL = """
from cave_auth_adapter import AuthClient, explain, login, status
from IPython.display import display

display(status(), AuthClient(server_address={server!r}))
display(explain(status=403, url={server!r}, body='{{"error": "missing_permission", "data": '
    '{{"auth_dataset": "<b>Eve</b>", "required_permission": "view"}}}}'))
login({server!r}, overwrite=True)
"""


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_what_is_shown_is_legible_and_holds_no_token(
    notebook: Notebook, sandbox: Sandbox, tmp_path: Path, theme: str
) -> None:
    TokenStore().save(sandbox.token, sandbox.auth_server)
    write_notebook(tmp_path, _CELL.format(server=sandbox.auth_server))
    set_theme(tmp_path, theme)
    with jupyterlab(tmp_path) as address:
        notebook.open(address)
        notebook.run()
        notebook.link()
        contrasts = notebook.browser.execute_script(_CONTRASTS)
        page = notebook.browser.page_source
        made_bold = notebook.all(".jp-RenderedHTMLCommon b")
    texts = [text for text, _ in contrasts]
    assert "Log in to CAVE" in texts
    assert "AuthClient" in texts
    assert any("<b>Eve</b>" in text for text in texts)
    assert not made_bold
    assert sandbox.token not in page
    for text, contrast in contrasts:
        assert contrast >= 4.5, text
