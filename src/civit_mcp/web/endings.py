"""What is under way when the server stops ends in good form: whole, and without a fault in the log.

A stream that was cut off ends as a stream; a request that nobody has answered yet is answered
503. The SDK's endpoint for the older SSE transport answers once more when its stream is over:
after a stream that was cut off that would be an answer inside an answer.
"""

from collections.abc import Awaitable

import anyio
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class OneAnswer:
    """Sends the first answer and no other."""

    def __init__(self, send: Send) -> None:
        """Take what really sends."""
        self._send = send
        self._begun = False
        self._over = False

    @property
    def begun(self) -> bool:
        """Whether the caller has heard anything yet."""
        return self._begun

    async def __call__(self, message: Message) -> None:
        """Send a part of the first answer; where another one begins, the first ends."""
        if self._over:
            return
        if message["type"] == "http.response.start" and self._begun:
            await self.end()
            return
        self._begun = True
        if message["type"] == "http.response.body":
            self._over = not message.get("more_body", False)
        await self._send(message)

    async def end(self) -> None:
        """End the answer that has begun."""
        if self._begun and not self._over:
            self._over = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


class UnderWay:
    """What is being answered, so that it can be ended."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._ends: set[anyio.CancelScope] = set()

    def end(self) -> None:
        """End all of it now. Nobody else would: a listener may listen for ever."""
        for end in list(self._ends):
            end.cancel()

    async def serve(self, answering: Awaitable[None]) -> bool:
        """Answer something; whether it was ended before its time."""
        with anyio.CancelScope() as end:
            self._ends.add(end)
            try:
                await answering
            finally:
                self._ends.discard(end)
        # not whether the cancellation got here: a transport may end quietly when it is cancelled
        return end.cancel_called


class Endings:
    """ASGI middleware around everything that may take a while."""

    def __init__(self, app: ASGIApp, *, under_way: UnderWay) -> None:
        """Take the app behind it, and where to note what it answers."""
        self._app = app
        self._under_way = under_way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered, if need be with the news that the server stops."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = OneAnswer(send)
        ended = await self._under_way.serve(self._app(scope, receive, answer))
        if answer.begun:
            # event streams leave off by themselves when the server stops, without an end
            await answer.end()
        elif ended:
            stopping = JSONResponse({"detail": "The server is stopping"}, 503, {"Retry-After": "5"})
            await stopping(scope, receive, answer)
