"""What CivitAI knows, after `civitai.wire` has read it: lenient in, exact inside.

Records hold facts only. A field that CivitAI left out, or sent in a shape that nobody can
read, is None or empty; nothing here is guessed. Sizes are CivitAI's KiB as sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from civit_mcp.models.weights import HASH_LENGTHS

Json = dict[str, Any]
T = TypeVar("T")

#: SHA-256 of nothing, in every length it is cut to: no identity
EMPTY_HASHES = frozenset(
    "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"[:length]
    for length in HASH_LENGTHS
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """One file of a version."""

    id: int | None = None
    name: str = ""
    #: ModelFileType: Model, VAE, Training Data, Diffusion Model, ... (open set)
    type: str = ""
    size_kb: float | None = None
    format: str | None = None
    #: fp16, bf16, fp8, ... as CivitAI spells it
    fp: str | None = None
    #: full or pruned
    size: str | None = None
    quant: str | None = None
    #: canonical type -> upper-case hex; the hash of nothing is left out
    hashes: Mapping[str, str] = field(default_factory=dict)
    primary: bool = False
    pickle_scan: str | None = None
    virus_scan: str | None = None
    scanned_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """One gallery image, from REST or tRPC."""

    id: int | None = None
    #: absolute CDN URL without query
    url: str | None = None
    #: image, video, audio (open set)
    type: str | None = None
    #: browsing bits; 0 unrated, None unknown
    level_bits: int | None = None
    width: int | None = None
    height: int | None = None
    username: str | None = None
    created_at: str | None = None
    post_id: int | None = None
    base_model: str | None = None
    version_ids: tuple[int, ...] = ()
    #: stored metadata exactly as sent, unwrapped; None when absent or hidden
    meta: Json | None = None
    #: True or False when CivitAI says so, else None
    hide_meta: bool | None = None
    #: whether metadata is stored; only the feed and `image.get` say
    has_meta: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRecord:
    """One version of a model. Fields of the parent are there when the answer had them."""

    id: int
    model_id: int | None = None
    name: str = ""
    base_model: str = ""
    base_model_type: str | None = None
    #: CivitAI's own AIR; None in list answers
    air: str | None = None
    trigger_words: tuple[str, ...] = ()
    #: HTML as sent
    description: str | None = None
    status: str | None = None
    published_at: str | None = None
    created_at: str | None = None
    #: Download, Generation, InternalGeneration, ExternalGeneration, other text; None = absent
    usage_control: str | None = None
    #: Public, Unsearchable, Private, EarlyAccess, other text; Private when the model is
    availability: str | None = None
    #: ISO time until which early access holds; None when there is none or no end is known
    early_access_until: str | None = None
    #: a paid gate without an end
    early_access_permanent: bool = False
    files: tuple[FileRecord, ...] = ()
    images: tuple[ImageRecord, ...] = ()
    downloads: int | None = None
    thumbs_up: int | None = None
    level_bits: int | None = None
    model_name: str | None = None
    model_type: str | None = None
    #: Archived or TakenDown
    model_mode: str | None = None
    model_nsfw: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniRecord:
    """One file of a version in the short form that generators read."""

    version_id: int
    model_id: int | None = None
    #: only when one exact file was asked for
    file_id: int | None = None
    air: str | None = None
    version_name: str = ""
    model_name: str | None = None
    base_model: str = ""
    availability: str | None = None
    published_at: str | None = None
    user_id: int | None = None
    file_name: str = ""
    file_type: str = ""
    format: str | None = None
    size_kb: float | None = None
    #: canonical type -> upper-case hex; the hash of nothing is left out
    hashes: Mapping[str, str] = field(default_factory=dict)
    can_generate: bool | None = None
    #: whether a download needs a key
    require_auth: bool | None = None
    #: whether generating needs a grant
    check_permission: bool | None = None
    early_access_until: str | None = None
    free_trial_limit: int | None = None
    featured: bool | None = None
    sfw_only: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceFacts:
    """What the site's generator knows of a version: the creator's advice above all."""

    version_id: int
    version_name: str = ""
    model_id: int | None = None
    model_name: str | None = None
    model_type: str | None = None
    base_model: str = ""
    air: str | None = None
    trigger_words: tuple[str, ...] = ()
    availability: str | None = None
    early_access_until: str | None = None
    early_access_permanent: bool = False
    can_generate: bool | None = None
    #: whether whoever asks may use it
    has_access: bool | None = None
    clip_skip: int | None = None
    #: advised weight; CivitAI fills in 1, -1 and 2 where the creator gave none
    strength: float | None = None
    min_strength: float | None = None
    max_strength: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """One model with its versions in the creator's order."""

    id: int
    name: str = ""
    type: str = ""
    creator: str | None = None
    #: HTML as sent
    description: str | None = None
    tags: tuple[str, ...] = ()
    nsfw: bool | None = None
    level_bits: int | None = None
    mode: str | None = None
    availability: str | None = None
    allow_no_credit: bool | None = None
    allow_derivatives: bool | None = None
    allow_different_license: bool | None = None
    #: Image, RentCivit, Rent, Sell; None when CivitAI did not say
    allow_commercial_use: frozenset[str] | None = None
    downloads: int | None = None
    thumbs_up: int | None = None
    versions: tuple[VersionRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRecord:
    """One entry of `resources` in generation data."""

    version_id: int | None = None
    version_name: str | None = None
    model_id: int | None = None
    model_name: str | None = None
    model_type: str | None = None
    base_model: str | None = None
    #: None means zero, or unknown, or a type that has no strength
    strength: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRecord:
    """What tRPC `image.getGenerationData` says of an image."""

    type: str | None = None
    process: str | None = None
    on_site: bool | None = None
    #: generation metadata as sent; None when hidden, never stored, or rejected by the site
    meta: Json | None = None
    resources: tuple[ResourceRecord, ...] = ()
    tools: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    external: Json | None = None
    can_remix: bool | None = None
    remix_of_id: int | None = None
    #: the whole decoded tRPC envelope, for `include_raw` and the resource
    raw: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HashOwner:
    """One row of the batch hash look-up."""

    hash: str
    version_id: int
    model_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page of a listing. `next_cursor` None means the end."""

    items: tuple[T, ...] = ()
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PagedList(Generic[T]):
    """One page of a listing that is paged by number. `next_page` None means the end."""

    items: tuple[T, ...] = ()
    next_page: int | None = None
    #: how many there are in all; None when CivitAI does not count them
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What stands between a user and a version's files."""

    kind: Literal[
        "usage_control",
        "early_access",
        "archived",
        "taken_down",
        "private",
        "no_public_file",
        "unpublished",
    ]
    reason: str
    until: str | None = None
