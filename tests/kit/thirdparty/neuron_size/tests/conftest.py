import json

import pytest

pytest_plugins = ["cave_auth_adapter.testing"]


@pytest.fixture
def save_token(cave_secrets_dir):
    """Save a token as CAVEclient does."""

    def save_token(token):
        cave_secrets_dir.mkdir(parents=True, exist_ok=True)
        (cave_secrets_dir / "cave-secret.json").write_text(json.dumps({"token": token}))

    return save_token
