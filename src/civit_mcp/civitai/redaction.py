"""Keeps secrets out of everything that leaves this folder: answers, errors, log records."""

import logging
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

MASK: Final = "[secret]"
#: a shorter secret may be part of ordinary words, so answers are not searched for it
_LONG_ENOUGH: Final = 8
_QUERY_VALUE: Final = r"((?:[?&]|\\u0026|\\u003f|&amp;)(?:token|api_?key)=)[^&#\s\"'<>\\]+"
_IN_BYTES: Final = re.compile(_QUERY_VALUE.encode(), re.IGNORECASE)
_IN_TEXT: Final = (
    re.compile(_QUERY_VALUE, re.IGNORECASE),
    re.compile(r"(\b(?:token|api_?key)=)[^&#\s\"'<>\\,;)\]]+", re.IGNORECASE),
    re.compile(r"(\bbearer\s+)[^\s\"'<>,;)\]]+", re.IGNORECASE),
    re.compile(r"(civ(?:itai)?-token=)[^\s\"'<>,;)\]]+", re.IGNORECASE),
)
#: a filter works on the records of its own logger only, not on those of loggers below it
_LOGGERS: Final = (
    "httpx",
    "httpcore",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)


class Redactor:
    """Replaces secrets, and whatever looks like a key in a URL or header."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Take the secrets of the settings; their URL-quoted spellings count too."""
        spellings = {spelling for text in secrets for spelling in (text, quote(text, safe=""))}
        stripped = {text.strip() for text in spellings}
        self._secrets = tuple(sorted(filter(None, stripped), key=len, reverse=True))
        self._long = tuple(s.encode() for s in self._secrets if len(s) >= _LONG_ENOUGH)

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} spellings)"

    def text(self, text: str) -> str:
        """Clean a sentence that a person or a log will see."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        for pattern in _IN_TEXT:
            text = pattern.sub(rf"\g<1>{MASK}", text)
        return text

    def body(self, body: bytes) -> bytes:
        """Clean an answer. JSON stays JSON: what is replaced ends before any quote."""
        for secret in self._long:
            if secret in body:
                body = body.replace(secret, MASK.encode())
        lowered = body.lower()
        if b"token=" not in lowered and b"key=" not in lowered:
            return body  # far quicker than the pattern, and nearly always so
        return _IN_BYTES.sub(rb"\g<1>" + MASK.encode(), body)


class RedactingFilter(logging.Filter):
    """Cleans the records of the HTTP library before any handler sees them."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the message; never drops a record."""
        record.msg = self._redactor.text(record.getMessage())
        record.args = ()
        return True

    def attach(self) -> None:
        """Stand before the loggers that may print headers or addresses."""
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)

    def detach(self) -> None:
        """Leave the loggers as they were."""
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)
