"""The client of CivitAI.

client      one method per endpoint, records out
├── endpoints/  the methods, by subject
├── wire/       pure readers: any JSON in, records out
├── envelope, devalue, jsontext   what is wrapped around the data
└── transport   questions in, JSON out
    ├── cache, flights     what is known, and who already asks
    ├── keeper, store      what is known across restarts; observed tells its age
    ├── faults, redaction, credentials   what an error says, and what nothing ever says
    └── line               one question to the host
        ├── retry, pace, breaker, clock   when, when again, and when not
        └── network        the one place that opens a connection
"""

from civit_mcp.civitai.client import CivitaiClient
from civit_mcp.civitai.clock import Clock
from civit_mcp.civitai.observed import Seen, answers_observed
from civit_mcp.civitai.queries import Account, Enums, FeedQuery, ImageQuery, ModelQuery
from civit_mcp.civitai.retry import RetryPolicy
from civit_mcp.civitai.seam import Timeouts

__all__ = [
    "Account",
    "CivitaiClient",
    "Clock",
    "Enums",
    "FeedQuery",
    "ImageQuery",
    "ModelQuery",
    "RetryPolicy",
    "Seen",
    "Timeouts",
    "answers_observed",
]
