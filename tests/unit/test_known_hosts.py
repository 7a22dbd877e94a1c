"""Which hosts a ``CaveAuth`` trusts when none are named in code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from cave_auth_adapter import (
    CaveAuth,
    TokenStore,
)
from cave_auth_adapter.watch import LOOK_INTERVAL

from ..support.credentials import AUTH_SERVER
from ..support.stub import OTHER_TOKEN, TOKEN, Clock, Write
from ..support.systems import home_at


class TestKnownHosts:
    """The hosts that are trusted without being named in code."""

    @pytest.mark.parametrize(
        "url",
        [
            "https://global.daf-apis.com/auth",
            "https://minnie.microns-daf.com/x",
            "https://prodv1.flywire-daf.com/x",
            "https://cave.fanc-fly.com/x",
            "https://globalv1.em.brain.allentech.org/x",
            "https://proofreading.zetta.ai/x",
        ],
    )
    def test_known_deployments_are_trusted(self, url: str) -> None:
        assert CaveAuth().trusts(url)

    @pytest.mark.parametrize(
        "url",
        [
            "http://global.daf-apis.com/auth",
            "https://global.daf-apis.com:8443/auth",
            "https://global.daf-apis.com.evil.example/auth",
            "https://daf-apis.com.evil.example/",
            "https://evil-daf-apis.com/",
            "https://evil.fanc-fly.com/",
            "https://accounts.google.com/",
            "https://global.dynamicannotationframework.com/auth",
            "https://localhost/",
        ],
    )
    def test_other_hosts_are_not_trusted(self, url: str) -> None:
        assert not CaveAuth().trusts(url)

    def test_a_server_with_a_secret_file_is_trusted(self, store: TokenStore) -> None:
        auth = CaveAuth()
        assert not auth.trusts("https://localhost:8443/")
        store.save(TOKEN, "localhost:8443")
        assert auth.trusts("https://localhost:8443/")
        assert not auth.trusts("https://localhost/")
        assert not auth.trusts("http://localhost:8443/")
        store.delete("localhost:8443")
        assert not auth.trusts("https://localhost:8443/")

    def test_a_file_written_by_another_process_is_noticed(self, write: Write, clock: Clock) -> None:
        auth = CaveAuth()
        assert not auth.trusts("https://cave.example.org/")
        write("cave.example.org-cave-secret.json", token=TOKEN)
        clock.advance(LOOK_INTERVAL)
        assert auth.trusts("https://cave.example.org/")

    def test_a_left_over_file_does_not_revive_the_retired_domain(self, write: Write) -> None:
        write("global.dynamicannotationframework.com-cave-secret.json", token=TOKEN)
        assert not CaveAuth().trusts("https://global.dynamicannotationframework.com/")

    def test_the_retired_domain_can_be_trusted_by_variable(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CAVE_AUTH_HOSTS", "*.dynamicannotationframework.com")
        assert CaveAuth().trusts("https://global.dynamicannotationframework.com/")

    def test_the_variable_adds_hosts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CAVE_AUTH_HOSTS", " a.example.org,*.b.example.org ,, localhost:8443,")
        auth = CaveAuth()
        urls = ["a.example.org", "x.b.example.org", "localhost:8443", "global.daf-apis.com"]
        assert all(auth.trusts(f"https://{url}/") for url in urls)
        assert not auth.trusts("https://b.example.org/")

    def test_the_variable_is_read_each_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        auth = CaveAuth()
        answers = []
        for hosts in ("a.example.org", "b.example.org", "a.example.org"):
            monkeypatch.setenv("CAVE_AUTH_HOSTS", hosts)
            answers.append(auth.trusts("https://a.example.org/"))
        assert answers == [True, False, True]

    @pytest.mark.parametrize("bad", ["https://", "a b", "http://cave.example.org", "*"])
    def test_a_bad_entry_is_left_out_with_one_warning(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, bad: str
    ) -> None:
        monkeypatch.setenv("CAVE_AUTH_HOSTS", f"a.example.org,{bad},b.example.org")
        trusted = [
            auth.trusts(f"https://{host}.example.org/")
            for auth in (CaveAuth(), CaveAuth())
            for host in ("a", "b", "cave")
        ]
        assert trusted == [True, True, False] * 2
        (message,) = caplog.messages
        assert message.startswith(f"The variable CAVE_AUTH_HOSTS: {bad!r}")
        assert "https" in message  # the forms that are allowed

    @pytest.mark.parametrize("environ", ["changed", "cleared", "replaced", "replaced by a copy"])
    def test_a_change_of_the_environment_is_noticed_at_once(
        self, monkeypatch: pytest.MonkeyPatch, write: Write, environ: str
    ) -> None:
        write("cave-secret.json", token=TOKEN)
        auth, url = CaveAuth(), "https://a.example.org/"
        assert not auth.trusts(url)
        new = {**home_at(os.environ["HOME"]), "CAVE_AUTH_HOSTS": "a.example.org"}
        new["CAVE_TOKEN"] = OTHER_TOKEN
        if environ == "changed":
            patch: Any = mock.patch.dict(os.environ, new)
        elif environ == "cleared":
            patch = mock.patch.dict(os.environ, new, clear=True)
        elif environ == "replaced":
            patch = mock.patch("os.environ", new)
        else:
            patch = mock.patch("os.environ", {**os.environ, **new})
        for _ in range(2):
            with patch:
                assert auth.token_for(url) == OTHER_TOKEN
            assert auth.token_for(url) is None
            assert auth.token_for(f"https://{AUTH_SERVER}/") == TOKEN

    def test_another_home_is_noticed_at_once(
        self, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        write("cave-secret.json", token=TOKEN)
        auth, url = CaveAuth(), f"https://{AUTH_SERVER}/"
        assert auth.token_for(url) == TOKEN

        monkeypatch.setattr(os, "environ", dict(os.environ))  # as other people's tests do
        for name in ("HOME", "USERPROFILE"):
            monkeypatch.setitem(os.environ, name, str(tmp_path / "another"))
        assert auth.token_for(url) is None
        TokenStore().save(OTHER_TOKEN, "saved.example.org")
        assert auth.token_for("https://saved.example.org/") == OTHER_TOKEN

    def test_the_package_can_be_imported_while_environ_is_replaced(self) -> None:
        code = """if True:
            import os

            kept, os.environ = os.environ, dict(os.environ)
            from cave_auth_adapter import CaveAuth

            os.environ, auth, url = kept, CaveAuth(), "https://named.example.org/"
            print(auth.trusts(url))
            os.environ["CAVE_AUTH_HOSTS"] = "named.example.org"
            print(auth.trusts(url))
        """
        command = [sys.executable, "-c", code]
        assert subprocess.run(command, capture_output=True, text=True).stdout == "False\nTrue\n"

    def test_hosts_in_code_are_exactly_those(
        self, store: TokenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.save(TOKEN, "saved.example.org")
        monkeypatch.setenv("CAVE_AUTH_HOSTS", "named.example.org")
        auth = CaveAuth(hosts=["given.example.org"])
        hosts = ["given.example.org", "saved.example.org", "named.example.org", AUTH_SERVER]
        assert [auth.trusts(f"https://{host}/") for host in hosts] == [True, False, False, False]
