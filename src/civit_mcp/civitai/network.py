"""The one seam to the network: one request in, one reply out, every bound held.

Credentials go to the configured origin and nowhere else: redirects are followed by hand,
and only within it.
"""

import ssl
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import httpx

from civit_mcp.civitai.queries import Params
from civit_mcp.civitai.redaction import RedactingFilter, Redactor
from civit_mcp.civitai.seam import Reply, Timeouts, Unanswered
from civit_mcp.config import is_loopback
from civit_mcp.errors import (
    BadReference,
    NotConfigured,
    TooLarge,
    UpstreamChanged,
    UpstreamUnavailable,
)

MAX_BODY: Final = 64 * 1024 * 1024
_MOST_REDIRECTS: Final = 3
_KEPT_HEADERS: Final = ("cache-control", "age", "retry-after", "content-type")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Network:
    """An HTTP client for one origin."""

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        max_connections: int,
        redactor: Redactor,
    ) -> None:
        """Read the system's certificates, which takes tens of milliseconds."""
        self._base = base_url
        self._url = httpx.URL(base_url)
        self.host: Final = self._url.netloc.decode("ascii")
        self._headers = {"Accept-Encoding": "gzip, deflate", **headers}
        self._timeouts = timeouts
        self._limits_of_time = httpx.Timeout(
            timeouts.read, connect=timeouts.connect, pool=timeouts.connect
        ).as_dict()
        self._most = max_connections
        self._redactor = redactor
        self._filter = RedactingFilter(redactor)
        try:
            self._transport: Final = self._build()
        except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
            # the text is left out: it may quote the address of a proxy with its password
            raise Unanswered(
                NotConfigured(
                    f"the connection to '{self.host}' cannot be prepared ({type(error).__name__})",
                    "check SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY and ALL_PROXY",
                ),
                retryable=False,
            ) from None
        self._filter.attach()

    async def send(
        self,
        path: str,
        *,
        about: str,
        params: Params = (),
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Ask once; a body makes it a POST. Raises `Unanswered` when no reply came back."""
        url = self._address(path, params, about)
        try:
            for _ in range(_MOST_REDIRECTS + 1):
                method = "GET" if body is None else "POST"
                async with self._exchange(method, url, body, headers or {}) as response:
                    target = self._redirect(response, about, posted=body is not None)
                    if target is None:
                        return await self._read(response, about)
                    url = target
        except httpx.TransportError as error:
            raise self._unanswered(error) from None
        except httpx.DecodingError:
            raise Unanswered(
                UpstreamChanged(f"'{self.host}' sent a damaged answer about {about}"),
                garbled=True,
            ) from None
        raise Unanswered(
            UpstreamChanged(f"'{self.host}' redirects in circles when asked for {about}"),
            retryable=False,
        )

    @asynccontextmanager
    async def _exchange(
        self, method: str, url: httpx.URL, body: bytes | None, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """One request and its answer, straight through the transport.

        Cookies, redirects and sign-in are what a client adds around a transport; here they are
        not wanted, and together they take longer than the rest of the request.
        """
        request = httpx.Request(
            method,
            url,
            headers={**self._headers, **headers},
            content=body,
            extensions={"timeout": self._limits_of_time},
        )
        response = await self._transport.handle_async_request(request)
        response.request = request
        try:
            yield response
        finally:
            await response.aclose()

    def _address(self, path: str, params: Params, about: str) -> httpx.URL:
        try:
            return httpx.URL(self._base + path, params=list(params))
        except (httpx.InvalidURL, UnicodeError):
            # too long, or with half characters: nothing that a person typed on purpose
            what = f"the question about {about} cannot be written as an address"
            error = BadReference(what, "shorten the arguments and call again")
            raise Unanswered(error, retryable=False) from None

    def _redirect(self, response: httpx.Response, about: str, *, posted: bool) -> httpx.URL | None:
        location = response.headers.get("location")
        if response.status_code not in _REDIRECTS or not location:
            return None
        try:
            target = response.url.join(location)
        except (httpx.InvalidURL, ValueError):
            target = None
        if target is not None and _origin(target) == _origin(self._url):
            if posted and response.status_code < 307:
                # following would turn the question into another one
                what = f"'{self.host}' moved the address for {about}"
                raise Unanswered(UpstreamChanged(what), retryable=False)
            return target.copy_with(fragment=None)
        # the address itself may hold a signature, so only the host is told
        where = f"'{target.scheme}://{target.host}'" if target is not None else "no valid address"
        raise Unanswered(
            UpstreamChanged(
                f"'{self.host}' redirected the question about {about} to {where};"
                " it was not followed, to keep credentials where they belong",
                "check CIVITAI_API_URL",
            ),
            retryable=False,
        )

    async def _read(self, response: httpx.Response, about: str) -> Reply:
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > MAX_BODY:
                what = f"the answer about {about} exceeds {MAX_BODY // 1024 // 1024} MiB"
                raise Unanswered(TooLarge(what), retryable=False)
        return Reply(
            status=response.status_code,
            headers={
                name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers
            },
            body=self._redactor.body(bytes(body)),
        )

    def _unanswered(self, error: httpx.TransportError) -> Unanswered:
        retryable = True
        match error:
            case httpx.ConnectTimeout() | httpx.PoolTimeout():
                what = f"no connection to '{self.host}' within {self._timeouts.connect:g} seconds"
            case httpx.TimeoutException():
                what = f"'{self.host}' stayed silent for {self._timeouts.read:g} seconds"
            case httpx.ConnectError() | httpx.ProxyError():
                what = f"no connection to '{self.host}'{self._detail(error)}"
            case httpx.LocalProtocolError() | httpx.UnsupportedProtocol():
                what = f"the request to '{self.host}' could not be sent{self._detail(error)}"
                retryable = False
            case _:
                what = f"the connection to '{self.host}' broke{self._detail(error)}"
        step = "check the network and CIVITAI_API_URL, then try again in a few minutes"
        return Unanswered(UpstreamUnavailable(what, step), retryable=retryable)

    def _detail(self, error: Exception) -> str:
        text = self._redactor.text(str(error))[:120].strip(". ")
        return f" ({text})" if text else ""

    def _build(self) -> httpx.AsyncHTTPTransport:
        plain = self._url.scheme == "http"
        # plain http is loopback only: no certificates, and no proxy on the way
        near = plain or is_loopback(self._url.host)
        return httpx.AsyncHTTPTransport(
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else httpx.create_ssl_context(),
            proxy=None if near else _proxy_for(self._url),
            limits=httpx.Limits(max_connections=self._most, max_keepalive_connections=self._most),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        self._filter.detach()
        await self._transport.aclose()


def _proxy_for(url: httpx.URL) -> httpx.Proxy | None:
    """The proxy that the system names for an address, as for any other program."""
    named = urllib.request.getproxies()
    address = named.get(url.scheme) or named.get("all")
    if not address or urllib.request.proxy_bypass(url.host):
        return None
    return httpx.Proxy(address if "://" in address else f"http://{address}")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
