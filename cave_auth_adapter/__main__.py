"""``python -m cave_auth_adapter`` is the command ``cave-auth``."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="cave-auth")
