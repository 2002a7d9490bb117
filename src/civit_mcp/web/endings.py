"""A stream that was cut off ends as a stream, not as a second answer or as a fault.

The SDK's endpoint for the older SSE transport answers once more when its stream is over. After
a stream that the stop of the server cut off, that is an answer inside an answer.
"""

from starlette.types import Message, Send


class OneAnswer:
    """Sends the first answer and no other."""

    def __init__(self, send: Send) -> None:
        """Take what really sends."""
        self._send = send
        self._begun = False
        self._over = False

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
