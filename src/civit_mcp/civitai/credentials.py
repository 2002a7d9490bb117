"""What tells CivitAI who asks: in headers, and nowhere else."""

import hashlib
from typing import Final

from civit_mcp.config import Settings
from civit_mcp.errors import NotConfigured

SESSION_COOKIE: Final = "__Secure-civ-token"
#: where a key comes from, unless a caller brings one
KEY_SETTING: Final = "CIVITAI_API_KEY"


def credentials(settings: Settings, key_name: str = KEY_SETTING) -> dict[str, str]:
    """Give the headers that say who asks. A key wins: CivitAI ignores cookies beside one.

    Raises `NotConfigured` for a key that no header can carry.
    """
    key = settings.civitai_api_key
    token = settings.civitai_session_token
    if key is not None and key.get_secret_value().strip():
        return {"Authorization": f"Bearer {_portable(key.get_secret_value(), key_name)}"}
    if token is not None and token.get_secret_value().strip():
        value = _portable(token.get_secret_value(), "CIVITAI_SESSION_TOKEN", forbidden='";,')
        return {"Cookie": f"{SESSION_COOKIE}={value}"}
    return {}


def fingerprint(headers: dict[str, str]) -> str:
    """Tell one account's answers from another's without telling whose they are."""
    return hashlib.sha256(repr(sorted(headers.items())).encode()).hexdigest()


def _portable(secret: str, name: str, *, forbidden: str = "") -> str:
    """Check what the HTTP library would refuse with an error that quotes the secret."""
    value = secret.strip()
    if not all("!" <= char <= "~" and char not in forbidden for char in value):
        raise NotConfigured(
            f"the value of '{name}' holds a blank or a character that no header can carry",
            f"copy it again, without quotes or line breaks, set '{name}' and restart civit-mcp",
        )
    return value
