"""The client of CivitAI.

client      one method per endpoint, records out
├── wire/       pure readers: any JSON in, records out
├── envelope, devalue, jsontext   what is wrapped around the data
└── transport   questions in, JSON out
    ├── cache, flights, retry, clock   when to ask at all, and when again
    ├── faults, redaction              what an error says, and what nothing ever says
    └── network                        the one place that opens a connection
"""

from civit_mcp.civitai.client import CivitaiClient
from civit_mcp.civitai.clock import Clock
from civit_mcp.civitai.queries import Account, Enums, ImageQuery, ModelQuery
from civit_mcp.civitai.retry import RetryPolicy
from civit_mcp.civitai.seam import Timeouts

__all__ = [
    "Account",
    "CivitaiClient",
    "Clock",
    "Enums",
    "ImageQuery",
    "ModelQuery",
    "RetryPolicy",
    "Timeouts",
]
