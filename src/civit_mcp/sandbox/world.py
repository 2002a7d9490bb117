"""Ids of the bundled world that tests and the demonstration name.

Everything in it is invented: models, creators, pictures, hashes.
"""

from typing import Final

#: a search that finds the demonstration's LoRAs
DEMO_QUERY: Final = "mist"
#: dawn over a mountain lake; its parts are in resources, a prompt tag and a negative prompt
DEMO_IMAGE: Final = 7100001
#: it holds several pictures, that one first
DEMO_POST: Final = 8100001
#: on that picture
DEMO_TAG: Final = 301
DEMO_CHECKPOINT_MODEL: Final = 4101
DEMO_CHECKPOINT_VERSION: Final = 51001
#: listed in the picture's resources
DEMO_LORA_MODEL: Final = 4102
DEMO_LORA_VERSION: Final = 51002
#: only a tag in the prompt and a hash in the metadata
DEMO_TAG_LORA_MODEL: Final = 4103
DEMO_TAG_LORA_VERSION: Final = 51003
#: only a word in the negative prompt and a hash in the metadata
DEMO_EMBEDDING_MODEL: Final = 4104
DEMO_EMBEDDING_VERSION: Final = 51004

#: ten LoRAs, each known by a short hash alone
TEN_LORAS_IMAGE: Final = 7100002
#: their versions
TEN_LORAS_VERSIONS: Final = tuple(range(51101, 51111))
#: hidden metadata; resources and techniques remain
HIDDEN_META_IMAGE: Final = 7100003
#: video made from a picture with two Wan experts
VIDEO_IMAGE: Final = 7100004
#: video made from text alone
TEXT_VIDEO_IMAGE: Final = 7100005
#: Comfy graph, both forms, loaders name AIRs
COMFY_IMAGE: Final = 7100006
#: an on-site picture whose metadata names versions that resources lack
ON_SITE_IMAGE: Final = 7100007
HIRES_IMAGE: Final = 7100008
INPAINT_IMAGE: Final = 7100009
CONTROLNET_IMAGE: Final = 7100010
IMG2IMG_IMAGE: Final = 7100011
#: a LoRA whose hash CivitAI does not know
UNKNOWN_LORA_IMAGE: Final = 7100012
#: made elsewhere: tools, external details
EXTERNAL_IMAGE: Final = 7100013
#: a seed past 2**53, numbers as texts
BIG_SEED_IMAGE: Final = 7100014
#: one hash is a number, so tRPC shows no metadata while REST does
BAD_META_IMAGE: Final = 7100015
#: `Lora hashes` as text, tags in several spellings, the same LoRA twice
TAG_SOUP_IMAGE: Final = 7100016
#: rated PG-13, R
PG13_IMAGE: Final = 7100017
R_IMAGE: Final = 7100018
#: the creator's name is all digits and comes as a number
NUMBER_NAME_IMAGE: Final = 7100019
#: a resource whose model was deleted
DELETED_RESOURCE_IMAGE: Final = 7100020
NO_META_IMAGE: Final = 7100021
#: pictures in three collections: one, several over all levels up to R, and some that nobody may see
DEMO_COLLECTION: Final = 9100001
LANDSCAPE_COLLECTION: Final = 9100002
PRIVATE_COLLECTION: Final = 9100003
#: on no page of the site
NO_SUCH_IMAGE: Final = 7199999

#: usage control Generation, InternalGeneration, and a word of the future
GENERATION_ONLY_VERSION: Final = 51201
INTERNAL_ONLY_VERSION: Final = 51202
UNKNOWN_USAGE_VERSION: Final = 51203
#: early access until 2099, until 2024, for ever, and in the form of 2023
EARLY_ACCESS_VERSION: Final = 51204
PAST_EARLY_ACCESS_VERSION: Final = 51205
PERMANENT_PAID_VERSION: Final = 51206
OLD_EARLY_ACCESS_VERSION: Final = 51207
ARCHIVED_MODEL: Final = 4208
ARCHIVED_VERSION: Final = 51208
TAKEN_DOWN_MODEL: Final = 4209
TAKEN_DOWN_VERSION: Final = 51209
NO_FILE_VERSION: Final = 51210
#: needs a key to download
LOGIN_VERSION: Final = 51211
#: deleted: only tRPC still answers
DELETED_VERSION: Final = 51212
#: its model is gone: 500
ORPHAN_VERSION: Final = 51213
#: no file is flagged primary
NO_PRIMARY_VERSION: Final = 51214

#: rated PG-13 and R, harmless all the same
PG13_MODEL: Final = 4301
R_MODEL: Final = 4302
#: its first preview is PG-13, its second PG
MIXED_PREVIEWS_MODEL: Final = 4306

NULLS_MODEL: Final = 4401
ODD_NAMES_MODEL: Final = 4402
SAME_NAME_VERSION: Final = 51403
#: the VAE comes first
VAE_FIRST_VERSION: Final = 51404
TRAINING_FIRST_VERSION: Final = 51405
TWO_PRIMARIES_VERSION: Final = 51406
EMPTY_FILE_VERSION: Final = 51407
DANGER_VERSION: Final = 51408
PENDING_SCAN_VERSION: Final = 51409
TRIGGER_WORDS_MODEL: Final = 4410
LICENCE_MODELS: Final = (4411, 4412, 4413, 4414, 4415)
LONG_DESCRIPTION_MODEL: Final = 4416
#: two versions of two models own the same file
SHARED_HASH_VERSIONS: Final = (51417, 51418)
NO_VERSIONS_MODEL: Final = 4419

WAN_PAIR_MODEL: Final = 4501
WAN_HIGH_VERSION: Final = 51501
WAN_LOW_VERSION: Final = 51502
