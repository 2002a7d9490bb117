"""Images, the feed, posts and tags."""

from civit_mcp.civitai.endpoints.asking import Endpoints, named, page_params, same
from civit_mcp.civitai.queries import FeedQuery, ImageQuery
from civit_mcp.civitai.wire.fields import expect
from civit_mcp.civitai.wire.gallery import (
    post_from,
    read_tag,
    tag_from,
    votable_tags_from,
)
from civit_mcp.civitai.wire.generation import generation_from
from civit_mcp.civitai.wire.images import read_image, read_listed_image
from civit_mcp.civitai.wire.listings import page_from
from civit_mcp.civitai.wire.numbered import numbered_from
from civit_mcp.errors import UpstreamChanged
from civit_mcp.models.gallery import PostRecord, TagRecord, VotableTag
from civit_mcp.models.levels import ALL_BITS
from civit_mcp.models.records import GenerationRecord, ImageRecord, Page, PagedList


class GalleryEndpoints(Endpoints):
    """REST images and tags; tRPC image, post and tag procedures."""

    async def images(self, query: ImageQuery) -> Page[ImageRecord]:
        """One page of `GET images`. Auth: none, and a key changes nothing.

        Errors: `BadReference` for a filter or cursor that CivitAI refuses.
        """
        page = page_from(
            await self._get("images", "images", query.params()),
            read_listed_image,
            identity=lambda image: image.id,
            asked_cursor=query.cursor,
            about="images",
        )
        wanted = {*query.types, None}
        if len(query.types) < 2:
            return page
        kept = tuple(image for image in page.items if image.type in wanted)
        return Page(items=kept, next_cursor=page.next_cursor)

    async def image_from_rest(self, image_id: int) -> ImageRecord | None:
        """One image with its stored metadata, from `GET images`; None when it is not shown.

        Auth: none. Errors: `BadReference` for an impossible id.
        """
        named("image", image_id)
        query = ImageQuery(image_id=image_id, with_meta=True, browsing_level=ALL_BITS, limit=1)
        page = await self.images(query)
        # an unknown id has been seen to give other images
        return next((image for image in page.items if image.id == image_id), None)

    async def tags(
        self, query: str = "", *, limit: int = 20, page: int = 1
    ) -> PagedList[TagRecord]:
        """One page of `GET tags`: names that begin with `query`.

        CivitAI does not count them, so a page with anything on it has a next page, and the
        last page is empty. Auth: none. Errors: `BadReference` for an impossible page.
        """
        params = page_params(limit, page, query=query)
        payload = await self._get("tags", "tags", params)
        return numbered_from(payload, read_tag, page=page, uncounted=True, about="tags")

    async def image(self, image_id: int) -> ImageRecord:
        """One image as the site shows it, without its generation data: `image.get`.

        Auth: none. Errors: `BadReference` for an impossible id; `NotFound` also when it is
        private, blocked or under review.
        """
        about = named("image", image_id)
        opened = await self._procedure("image.get", {"id": image_id}, about)
        image = read_image(expect(opened.value, about=about))
        if image.id is None:
            raise UpstreamChanged(f"CivitAI answered an object without an id for {about}")
        same(image.id, image_id, about)
        return image

    async def generation_data(self, image_id: int) -> GenerationRecord:
        """How an image was made: `image.getGenerationData`.

        Hidden metadata is an answer, not an error. Auth: none. Errors: `BadReference` for an
        impossible id, `NotFound`.
        """
        about = f"generation data of {named('image', image_id)}"
        opened = await self._procedure("image.getGenerationData", {"id": image_id}, about)
        return generation_from(opened.value, raw=opened.raw, about=about)

    async def image_feed(self, feed: FeedQuery) -> Page[ImageRecord]:
        """One page of the site's feed, of a collection or a post: `image.getInfinite`.

        A collection that may not be read is an empty page. A cursor that comes back again is
        the end. Auth: none for PG, a key for more. Errors: `BadReference` for a filter or
        cursor that CivitAI refuses; `RateLimited` is common, the procedure is heavy.
        """
        opened = await self._procedure("image.getInfinite", feed.asked(), "the image feed")
        return page_from(
            opened.value,
            read_listed_image,
            identity=lambda image: image.id,
            asked_cursor=feed.cursor,
            about="the image feed",
        )

    async def image_tags(self, image_id: int) -> list[VotableTag]:
        """The tags of an image with their votes: `tag.getVotableTags`.

        An unknown image has none. Auth: none. Errors: `BadReference` for an impossible id.
        """
        about = f"tags of {named('image', image_id)}"
        opened = await self._procedure(
            "tag.getVotableTags", {"type": "image", "id": image_id}, about
        )
        return votable_tags_from(opened.value, about=about)

    async def tag(self, tag_id: int) -> TagRecord | None:
        """One tag by its id: `tag.getById`; None when there is none.

        Auth: none. Errors: `BadReference` for an impossible id.
        """
        about = named("tag", tag_id)
        opened = await self._query("tag.getById", {"id": tag_id}, about)
        if opened.value is None:
            return None
        tag = tag_from(opened.value, about=about)
        same(tag_id if tag.id is None else tag.id, tag_id, about)
        return tag

    async def post(self, post_id: int) -> PostRecord:
        """One post without its pictures: `post.get`.

        Auth: none. Errors: `BadReference` for an impossible id; `NotFound` also when it is not
        published.
        """
        about = named("post", post_id)
        opened = await self._procedure("post.get", {"id": post_id}, about)
        post = post_from(opened.value, about=about)
        same(post.id, post_id, about)
        return post
