"""A CivitAI on loopback: the real contract, invented data, faults on demand.

It is a test double for programs that talk to CivitAI. `running_sandbox` runs it in a thread
of a test, `serve_forever` as a program; `SCENARIOS` lists what can be made to go wrong.
Other processes steer it over HTTP: `PUT /__sandbox/scenarios` with a JSON list of names,
`GET` and `DELETE /__sandbox/seen`.
"""

from civit_mcp.sandbox.call import SANDBOX_KEY
from civit_mcp.sandbox.running import Sandbox, running_sandbox, serve_forever
from civit_mcp.sandbox.scenarios import SCENARIOS
from civit_mcp.sandbox.wire import SeenRequest

__all__ = [
    "SANDBOX_KEY",
    "SCENARIOS",
    "Sandbox",
    "SeenRequest",
    "running_sandbox",
    "serve_forever",
]
