"""A login reports tokens in older files that other tools would still use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.login import login
from cave_auth_adapter.sandbox import Sandbox

from ..support.deployments import two_deployments
from .conftest import Answers

GLOBAL, MINNIE, ZETTA = "global.daf-apis.com", "minnie.microns-daf.com", "proofreading.zetta.ai"
OLD = "0123456789abcdef"


@pytest.fixture(scope="module")
def deployments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Sandbox]]:
    with two_deployments(tmp_path_factory.mktemp("deployments")) as found:
        yield found


@pytest.fixture
def bundle(
    deployments: dict[str, Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("".join(Path(each.ca_bundle).read_text() for each in deployments.values()))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))


@pytest.mark.usefixtures("bundle")
class TestOtherFiles:
    @pytest.fixture(params=["logged in", "logs in"])
    def token(self, request: pytest.FixtureRequest, deployments: dict[str, Sandbox]) -> str:
        token = deployments[GLOBAL].create_token()
        if request.param == "logged in":
            TokenStore().save(token, GLOBAL)
        return token

    @pytest.mark.parametrize("yes", [True, False])
    def test_a_stale_default_file_is_replaced_after_a_yes(self, token: str, yes: bool) -> None:
        TokenStore().save(OLD)
        TokenStore().save(OLD, ZETTA)
        talk = Answers(yes=yes)
        login(GLOBAL, token=token, dialogue=talk)
        (question,) = [each for each in talk.asked if "Replace it" in each]
        assert f"also in the file of {ZETTA}" in question
        assert "CloudVolume uses it" in "".join(talk.told)
        assert TokenStore().load() == (token if yes else OLD)
        assert TokenStore().load(ZETTA) == OLD
        assert yes or "cave-auth login global.daf-apis.com --overwrite" in "".join(talk.told)

    def test_overwrite_replaces_the_default_file(self, token: str) -> None:
        TokenStore().save(OLD)
        login(GLOBAL, token=token, overwrite=True, dialogue=Answers())
        assert TokenStore().load() == TokenStore().load(GLOBAL) == token

    @pytest.mark.parametrize("yes", [True, False])
    def test_a_stale_data_server_file_is_replaced_after_a_yes(self, token: str, yes: bool) -> None:
        TokenStore().save(OLD, MINNIE)
        talk = Answers(yes=yes)
        login(GLOBAL, token=token, dialogue=talk)
        assert TokenStore().load(MINNIE) == (token if yes else OLD)
        assert yes or f"cave-auth trust {MINNIE}" in "".join(talk.told)

    def test_nothing_is_asked_where_nothing_differs(self, token: str) -> None:
        talk = Answers(yes=True)
        login(GLOBAL, token=token, dialogue=talk)
        TokenStore().save(OLD, ZETTA)
        login(GLOBAL, token=token, dialogue=talk)
        assert not any("Replace it" in each for each in talk.asked)

    def test_nothing_is_asked_about_another_deployment(
        self, deployments: dict[str, Sandbox]
    ) -> None:
        TokenStore().save(OLD)
        TokenStore().save(OLD, GLOBAL)
        talk = Answers(yes=True)
        token = deployments[ZETTA].create_token()
        login(ZETTA, token=token, default=True, dialogue=talk)
        assert TokenStore().load() == TokenStore().load(GLOBAL) == OLD
        assert TokenStore().load(ZETTA) == token
        assert "has another token, which was not changed" in "".join(talk.told)
        # The server did not see the other deployment's token, either.
        assert OLD not in repr(deployments[ZETTA].requests())
