"""The learned engine: a scan of a page's bytes, two forests that judge its blocks, and a choice among them."""

from dataclasses import dataclass

from filters.main_text.choose import choose, text_of
from filters.main_text.layout import Page
from filters.main_text.scan import scan
from pipelines.extraction.markdown import markdown_of
from pipelines.extraction.markup import readable
from pipelines.models.main_text.files import load_main_text

# Chosen on pages that the model was not trained on: tests/benchmarks/README.md.
_NOTHING = 0.12  # the best block's answer below which a page has no main text
_UNSURE = 0.3  # the best block's answer below which another engine decides


@dataclass(frozen=True)
class Found:
    """What the model found: the text, whether it is sure, and the share of the page's characters that it took."""

    text: str
    is_sure: bool
    share: float
    is_full: bool  # the page has more blocks than are read


class Learned:
    """The engine with its model. The same page always gives the same text."""

    def __init__(self, model: str = "", content: str = "text", form: str = "text") -> None:
        self._model = load_main_text(model)
        self._whole = content == "page"
        self._write = markdown_of if form == "markdown" else text_of

    def __call__(self, html: str) -> str | None:
        """The main text of a page; None if there is none."""
        return self.read(html).text or None

    def read(self, html: str) -> Found:
        """The main text of a page, and how sure the model is."""
        page = _scan(html)
        if page.is_full or not len(page.blocks):
            return Found("", not page.is_full, 0.0, page.is_full)
        judged = self._model.judge(page)
        best = float(judged.max())
        if best < _NOTHING:
            return Found("", True, 0.0, False)
        choice = choose(page, judged, self._whole)
        return Found(self._write(page, choice.taken), best >= _UNSURE, choice.share, False)

    def blocks(self, html: str) -> list[tuple[str, float, bool]]:
        """All blocks of a page in order: the text, the model's answer from 0 to 1, and whether it is taken."""
        page = _scan(html)
        if page.is_full or not len(page.blocks):
            return []
        judged = self._model.judge(page)
        taken = choose(page, judged, self._whole).taken & (judged.max() >= _NOTHING)
        return [(page.block_text(at), float(judged[at]), bool(taken[at])) for at in range(len(judged))]


def _scan(html: str) -> Page:
    page = scan(html.encode("utf-8", "replace"))
    if page.is_unusual or "katex-html" in html:
        page = scan(readable(html).encode("utf-8", "replace"))
    return page


def prepare() -> None:
    """Compile all passes, or load them: the guard's server calls this before any page is read."""
    Learned().read("<title>text</title><p>text</p><table><tr><td>a<td>b</table>")
