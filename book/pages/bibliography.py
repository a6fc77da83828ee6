"""The bibliography in the order in which a reader looks for a work: by letters, whatever their accents and braces."""

import unicodedata

from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.richtext import Text
from pybtex.style.formatting.plain import Style
from pybtex.style.sorting.author_year_title import SortingStyle
from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer the style that _config.yml names."""
    register_plugin("pybtex.style.sorting", "by_letters", ByLetters)
    register_plugin("pybtex.style.formatting", "by_letters", Bibliography)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def plain_letters(text: str) -> str:
    """Return text without the commands of LaTeX, without accents and in small letters."""
    decomposed = unicodedata.normalize("NFKD", str(Text.from_latex(text)))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold()


class ByLetters(SortingStyle):  # type: ignore[misc]
    """By authors, year and title in plain letters."""

    def sorting_key(self, entry: Entry) -> tuple[str, ...]:
        """Return the usual key in plain letters."""
        decomposed = (unicodedata.normalize("NFKD", str(Text.from_latex(text))) for text in super().sorting_key(entry))
        return tuple(
            "".join(each for each in text if not unicodedata.combining(each)).casefold() for text in decomposed
        )


class Bibliography(Style):  # type: ignore[misc]
    """The usual style in that order."""

    default_sorting_style = "by_letters"
