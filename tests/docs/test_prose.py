"""`make lint` reads the English of the pages and of the code, and fails for a bad sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import prose


def test_the_prose_of_this_project(capsys: pytest.CaptureFixture[str]) -> None:
    status = prose.main()
    assert status == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('raise ValueError("Log in anew, please.")', "'anew'"),
        ('warn_once(f"{path}: mend it by hand.")', "'mend'"),
        ("pass  # a token of ours goes there", "'of ours'"),
        ('def f():\n    """Whoever reads it sees the old file."""', "'Whoever'"),
        (f'print("{"It is very long, " * 12}and ends here.")', "a sentence of"),
    ],
)
def test_a_bad_sentence_in_code_fails(
    line: str,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = tmp_path / "module.py"
    module.write_text(line, "utf-8")
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    monkeypatch.setattr(prose, "PAGES", [])
    monkeypatch.setattr(prose, "CODE", [module])
    assert prose.main() == 1
    assert problem in capsys.readouterr().out
