"""The client of CivitAI.

client      one method per endpoint, records out
├── endpoints/  the methods, by subject
├── wire/       pure readers: any JSON in, records out
├── envelope, devalue, jsontext   what is wrapped around the data
└── transport   questions in, JSON out
    ├── cache, flights     what is known, and who already asks; held through a question
    ├── keeper, store      what is known across restarts, shared too; observed tells its age
    ├── faults, redaction, credentials   what an error says, and what nothing ever says
    ├── line               one question to the host
    │   ├── retry, clock   when again
    │   └── network        the one place that opens a connection
    └── shared             what the clients of all callers have in common
        └── turns, pace, breaker  whose turn, when, and when not
"""

from civit_mcp.civitai.client import CivitaiClient
from civit_mcp.civitai.clock import Clock
from civit_mcp.civitai.held import answers_held
from civit_mcp.civitai.observed import Seen, answers_observed
from civit_mcp.civitai.queries import Account, Enums, FeedQuery, ImageQuery, ModelQuery
from civit_mcp.civitai.retry import RetryPolicy
from civit_mcp.civitai.seam import Timeouts
from civit_mcp.civitai.shared import Listener
from civit_mcp.civitai.turns import asking_for

__all__ = [
    "Account",
    "CivitaiClient",
    "Clock",
    "Enums",
    "FeedQuery",
    "ImageQuery",
    "Listener",
    "ModelQuery",
    "RetryPolicy",
    "Seen",
    "Timeouts",
    "answers_held",
    "answers_observed",
    "asking_for",
]
