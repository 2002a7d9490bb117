"""HTML descriptions as plain text."""

import html
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from civit_mcp.text.prose import clean_prose, one_line

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from bs4.element import Tag


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


#: what a reader never sees on the page
_DROPPED: Final = _names(
    "script style template noscript iframe object embed svg math head title canvas audio video "
    "select textarea"
)
_BLOCKS: Final = _names(
    "address article aside blockquote body center dd details div dl dt fieldset figcaption figure "
    "footer form h1 h2 h3 h4 h5 h6 header html main nav ol p pre section summary table tbody "
    "tfoot thead tr ul"
)
_LINE_BREAKS: Final = frozenset({"br", "hr"})
_CELLS: Final = frozenset({"td", "th"})
#: a whole tag; anything else that starts with `<` is text
_TAG: Final = re.compile(r"""</?[a-zA-Z][^\s<>/"']*+(?:[^<>"']|"[^"<]*+"|'[^'<]*+')*+>""")
#: the parser turns the digits into a number before it asks whether that is a character
_ABSURD_ENTITY: Final = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{7,});?")
_SPACES: Final = re.compile(r"[ \t\r\n\f\xa0]+")
#: stands for a list item until its first words are known; no text that we show holds it
_BULLET: Final = "\x02"
_BULLET_OVER: Final = "\x03"
_MARKS: Final = _BULLET + _BULLET_OVER
#: pieces of a link's text that are compared with its address; a longer text differs from it
_LINK_PIECES: Final = 8
_MAX_URL: Final = 500
#: longer than any description that people write; what follows is not read
_MAX_HTML: Final = 1_000_000


def clean_html(markup: str | None) -> str:
    """Turn a description in HTML into plain text.

    Blocks and line breaks become newlines, list items start with `- `, a link is followed by
    its address where that is http(s) and says more than the text. Scripts, styles and
    comments go; broken and deeply nested markup is read as far as it makes sense. Never for
    prompts, which must stay exact.
    """
    if not markup:
        return ""
    safe = _only_whole_tags(_ABSURD_ENTITY.sub("", _without_comments(markup[:_MAX_HTML])))
    if "<" not in safe:
        return _tidy(html.unescape(safe))
    # importing it takes longer than the rest of the package, and most runs never need it
    from bs4 import BeautifulSoup  # noqa: PLC0415 - see above

    return _tidy(_Walk().over(BeautifulSoup(safe, "html.parser")))


def _without_comments(markup: str) -> str:
    if "<!--" not in markup:
        return markup
    first, *parts = markup.split("<!--")
    # `<!-->` and `<!--->` are whole comments, and close one that is open
    ends = (">" if part.startswith((">", "->")) else "-->" for part in parts)
    after = (part.partition(end)[2] for part, end in zip(parts, ends, strict=True))
    return first + "".join(after)


def _only_whole_tags(markup: str) -> str:
    """Escape each `<` that opens no whole tag: half tags cost the parser quadratic time."""
    kept: list[str] = []
    position = 0
    for found in _TAG.finditer(markup):
        kept += (markup[position : found.start()].replace("<", "&lt;"), found.group())
        position = found.end()
    kept.append(markup[position:].replace("<", "&lt;"))
    return "".join(kept)


class _Walk:
    """Writes down a tree, with a stack of its own: depth is the writer's choice, not ours."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._pre_depth = 0
        #: number of pieces when each open link began
        self._links: list[int] = []

    def over(self, soup: "BeautifulSoup") -> str:
        from bs4.element import NavigableString, Tag  # noqa: PLC0415 - see `clean_html`

        # a tag alone is entered, a tag in a tuple is left
        stack: list[object] = list(reversed(soup.contents))
        while stack:
            node = stack.pop()
            if isinstance(node, tuple):
                self._leave(node[0])
            elif isinstance(node, Tag):
                if node.name not in _DROPPED:
                    self._enter(node)
                    stack.append((node,))
                    stack.extend(reversed(node.contents))
            elif type(node) is NavigableString:  # comments and the like are subclasses
                self._write(str(node))
        return "".join(self.pieces)

    def _write(self, text: str) -> None:
        if not self._pre_depth:
            text = _SPACES.sub(" ", text)
            if self.pieces and self.pieces[-1].endswith((" ", "\n", *_MARKS)):
                text = text.lstrip(" ")
        if text:
            self.pieces.append(text)

    def _end_line(self) -> None:
        if self.pieces and not self.pieces[-1].endswith(("\n", *_MARKS)):
            self.pieces.append("\n")

    def _enter(self, tag: "Tag") -> None:
        if tag.name == "li":
            self._end_line()
            self.pieces.append(_BULLET)
        elif tag.name in _BLOCKS:
            self._end_line()
        elif tag.name in _LINE_BREAKS:
            self.pieces.append("\n")
        elif tag.name == "a":
            self._links.append(len(self.pieces))
        self._pre_depth += tag.name == "pre"

    def _leave(self, tag: "Tag") -> None:
        self._pre_depth -= tag.name == "pre"
        if tag.name == "li":
            self._end_line()
            self.pieces.append(_BULLET_OVER)
        elif tag.name in _BLOCKS:
            self._end_line()
        elif tag.name in _CELLS:
            self.pieces.append(" ")
        elif tag.name == "a":
            text = self.pieces[(start := self._links.pop()) : start + _LINK_PIECES]
            self.pieces.append(_address(str(tag.get("href") or ""), "".join(text)))


def _address(href: str, text: str) -> str:
    """Say where a link leads, unless its text already does."""
    url = href.strip()
    if len(url) > _MAX_URL or one_line(url, _MAX_URL) != url or " " in url:
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return ""
    return "" if _bare(one_line(text, _MAX_URL)) == _bare(url) else f" ({url})"


def _bare(url: str) -> str:
    return re.sub(r"^(?:https?://)?(?:www\.)?", "", url.strip().rstrip("/"), flags=re.IGNORECASE)


def _tidy(text: str) -> str:
    """Strip the lines, keep at most one empty line between two, put bullets before words."""
    kept: list[str] = []
    bullet = ""
    for line in text.split("\n"):
        # what decides is the last mark before the words: items begin and end around them
        marks = line[: len(line) - len(line.lstrip(_MARKS))]
        if marks:
            bullet = "- " if marks.endswith(_BULLET) else ""
        words = clean_prose(line.replace("\xa0", " ")).strip()
        if words:
            kept.append(bullet + words)
            bullet = ""
        elif not bullet and kept and kept[-1]:
            kept.append("")
    return "\n".join(kept).strip("\n")
