"""Settings: read once, frozen, secrets hidden.

A flag of the command line wins over the environment; the environment wins over the
defaults. Directories default to the places that the user's system keeps for such data.
"""

import os
import re
import socket
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from platformdirs import user_cache_path, user_data_path
from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from civit_mcp.errors import NotConfigured
from civit_mcp.models.levels import Level

APP_NAME: Final = "civit-mcp"
CIVITAI_URL: Final = "https://civitai.com"
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
#: where an access token stands, and the words of its line: the token, then what narrows it
PlacedToken = tuple[str, list[str]]
#: a host, alone or with what people write around it
_ADDRESS: Final = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?"
    r"(?P<user>[^/@]*@)?"
    r"(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?P<port>:\d{1,5})?"
    r"(?P<rest>[/?#].*)?"
)
#: ports that a browser leaves out of an origin
_OF_SCHEME: Final = {"http": ":80", "https": ":443"}


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

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_host_name(word.lower()) for word in value)

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_origin(word.lower()) for word in value)

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


def _host_name(word: str) -> str:
    """A name as requests are compared with it: the port does not matter, brackets are no part."""
    if _is_ipv6(word):
        return word
    found = _ADDRESS.fullmatch(word)
    if found is None or (found["host"][0] == "[" and not _is_ipv6(found["host"][1:-1])):
        raise ValueError(
            "has a word that no request can ask for; write each name in full, such as "
            "'mcp.example.com': there are no wildcards"
        )
    name = found["host"].strip("[]")
    if found["scheme"] or found["user"] or found["rest"]:
        raise ValueError(f"holds names, not addresses; write '{name}'")
    return name


def _origin(word: str) -> str:
    """An origin as browsers send it: no slash at the end, and no port that goes without saying."""
    found = _ADDRESS.fullmatch(word.rstrip("/"))
    # null is what pages of anybody can be made to say
    if found is None or word == "null":
        raise ValueError(
            "has a word that is no origin of a page; write each as scheme://host[:port], such as "
            "'https://studio.example.com': there are no wildcards"
        )
    scheme, place, port = found["scheme"], found["host"], found["port"] or ""
    if not scheme:
        raise ValueError(
            f"has an origin without its scheme; write 'https://{place}{port}' "
            f"or 'http://{place}{port}'"
        )
    origin = f"{scheme}://{place}" + ("" if port == _OF_SCHEME.get(scheme) else port)
    if found["user"] or found["rest"]:
        raise ValueError(f"has more than an origin; write '{origin}'")
    return origin


def _is_ipv6(text: str) -> bool:
    try:
        # a zone is a matter of one machine and never in a request
        return IPv6Address(text).scope_id is None
    except ValueError:
        return False


def tokens_of(settings: Settings) -> Iterator[PlacedToken]:
    """The access tokens; whoever wants only the first has no file read that is not needed.

    Raises:
        NotConfigured: the token file cannot be read or holds none.
    """
    if settings.token is not None:
        words = settings.token.get_secret_value().replace(",", " ").split()
        for number, token in enumerate(words, 1):
            of_several = f"token {number} of " if len(words) > 1 else ""
            yield f"{of_several}CIVIT_MCP_TOKEN", [token]
    path = settings.token_file
    if path is None:
        return
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise NotConfigured(
            f"the token file '{path}' cannot be read ({type(error).__name__})",
            "correct CIVIT_MCP_TOKEN_FILE, --token-file or the file's permissions",
        ) from None
    of_file = [(number, line.split()) for number, line in enumerate(lines, 1)]
    told = [(number, words) for number, words in of_file if words and words[0][0] != "#"]
    if not told:
        raise NotConfigured(f"the token file '{path}' holds no token", "put one token a line in it")
    for number, words in told:
        yield f"line {number} of '{path}'", words


def is_every_address(host: str) -> bool:
    """Whether to listen on `host` is to listen everywhere, however that is spelled.

    Raises:
        ValueError: it is no name at all.
    """
    if not host.strip():
        raise ValueError
    try:
        # asked as it will be asked to listen; who has brackets around it means what is inside
        found = socket.getaddrinfo(
            host.removeprefix("[").removesuffix("]"),
            0,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
    except OSError:
        # nobody's name: the start says so
        return False
    return any(_is_unspecified(str(address[0])) for *_, address in found)


def _is_unspecified(text: str) -> bool:
    address = ip_address(text)
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (inner or address).is_unspecified


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
