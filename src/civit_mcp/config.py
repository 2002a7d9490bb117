"""Settings: read once, frozen, secrets hidden.

A flag of the command line wins over the environment; the environment wins over the
defaults. Directories default to the places that the user's system keeps for such data.
"""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from platformdirs import user_cache_path, user_data_path
from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from civit_mcp.models.levels import Level

APP_NAME: Final = "civit-mcp"
CIVITAI_URL: Final = "https://civitai.com"
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


class Settings(BaseSettings):
    """Everything an operator can set. Field descriptions are the README's table."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        populate_by_name=True,
        # a value may be a secret
        hide_input_in_errors=True,
    )

    civitai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("CIVITAI_API_KEY", "CIVITAI_API_TOKEN", "CIVITAI_TOKEN"),
        description="CivitAI API key; without one only public data",
    )
    civitai_session_token: SecretStr | None = Field(
        default=None,
        validation_alias="CIVITAI_SESSION_TOKEN",
        description="CivitAI session cookie, for what a key cannot do",
    )
    civitai_url: str = Field(
        default=CIVITAI_URL,
        validation_alias="CIVITAI_API_URL",
        description="where CivitAI is; plain http on loopback only",
    )
    catalog_dir: Path = Field(
        default_factory=lambda: user_data_path(APP_NAME, appauthor=False),
        validation_alias="CIVIT_MCP_CATALOG_DIR",
        description="folder of models.json and loras.json",
    )
    models_root: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("CIVIT_MCP_MODELS_ROOT", "COMFYUI_MODELS_PATH"),
        description="ComfyUI's models folder; COMFYUI_PATH/models when only that is set",
    )
    max_level: Level | None = Field(
        default=None,
        validation_alias="CIVIT_MCP_MAX_LEVEL",
        description="cap on every answer: pg, pg13, r, x or xxx",
    )
    read_only: bool = Field(
        default=False,
        validation_alias="CIVIT_MCP_READ_ONLY",
        description="hide and refuse every tool that writes",
    )
    toolsets: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("default",),
        validation_alias="CIVIT_MCP_TOOLSETS",
        description="default, all, or a comma list of set names",
    )
    offline: bool = Field(
        default=False,
        validation_alias="CIVIT_MCP_OFFLINE",
        description="answer only from cache and catalog",
    )
    cache_dir: Path = Field(
        default_factory=lambda: user_cache_path(APP_NAME, appauthor=False),
        validation_alias="CIVIT_MCP_CACHE_DIR",
        description="folder of the answer cache",
    )
    token: SecretStr | None = Field(
        default=None,
        validation_alias="CIVIT_MCP_TOKEN",
        description="access token for HTTP, or several; without any, one is made at start",
    )
    token_file: Path | None = Field(
        default=None,
        validation_alias="CIVIT_MCP_TOKEN_FILE",
        description="file of access tokens, one a line, each with its limits",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        validation_alias="CIVIT_MCP_ALLOWED_HOSTS",
        description="names that an HTTP server beyond loopback goes by, comma list",
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        validation_alias="CIVIT_MCP_ALLOWED_ORIGINS",
        description="origins of web pages that may call over HTTP, comma list",
    )
    metrics: bool = Field(
        default=False,
        validation_alias="CIVIT_MCP_METRICS",
        description="count calls and tell the figures at /metrics (http)",
    )
    log_level: LogLevel = Field(
        default="WARNING",
        validation_alias="CIVIT_MCP_LOG_LEVEL",
        description="what goes to stderr",
    )

    @field_validator("civitai_api_key", "civitai_session_token")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value().strip() if value is not None else ""
        if not all("!" <= letter <= "~" for letter in text):
            raise ValueError("has characters that no HTTP header can carry; copy it again")
        return SecretStr(text) if text else None

    @field_validator("civitai_url")
    @classmethod
    def _safe_base(cls, value: str) -> str:
        parts = urlsplit(value.strip().rstrip("/"))
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must be a plain base address without credentials or query")
        if parts.scheme == "https" and parts.hostname:
            return parts.geturl()
        if parts.scheme == "http" and is_loopback(parts.hostname):
            return parts.geturl()
        raise ValueError("must be https (http is allowed on loopback only)")

    @field_validator("max_level", "log_level", mode="before")
    @classmethod
    def _any_case(cls, value: Any, info: Any) -> Any:
        if isinstance(value, str):
            text = value.strip()
            return text.upper() if info.field_name == "log_level" else _level_name(text)
        return value

    @field_validator("toolsets", "allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _comma_list(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip().lower() for part in value.split(",") if part.strip())
        return value

    @field_validator("catalog_dir", "cache_dir", "models_root", "token_file")
    @classmethod
    def _at_home(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value is not None else None

    @model_validator(mode="before")
    @classmethod
    def _comfyui_folder(cls, data: Any) -> Any:
        """COMFYUI_PATH names the folder above; it counts when nothing names the root itself."""
        names = ("models_root", "CIVIT_MCP_MODELS_ROOT", "COMFYUI_MODELS_PATH")
        home = os.environ.get("COMFYUI_PATH", "").strip()
        if isinstance(data, dict) and home and not any(data.get(name) for name in names):
            return {**data, "models_root": str(Path(home) / "models")}
        return data

    def secrets(self) -> tuple[str, ...]:
        """Every secret value, for redaction."""
        found = (self.civitai_api_key, self.civitai_session_token)
        return tuple(secret.get_secret_value() for secret in found if secret is not None)


def _level_name(text: str) -> str:
    return text.lower().replace("-", "").replace(" ", "")


def is_loopback(host: str | None) -> bool:
    """Whether `host` can only be this machine."""
    if not host:
        return False
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
