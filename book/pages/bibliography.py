"""The bibliography in the order in which a reader looks for a work: by letters, whatever their accents and braces."""

import unicodedata

from pybtex.backends import plaintext
from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.richtext import Text
from pybtex.style.formatting.plain import Style
from pybtex.style.sorting.author_year_title import SortingStyle
from sphinx.application import Sphinx


def setup(app: Sphinx) -> None:
    register_plugin("pybtex.style.sorting", "by_letters", ByLetters)
    register_plugin("pybtex.style.formatting", "by_letters", Bibliography)
    # Each citation asks for this one. If it's registered, not all installed packages are searched for it each time.
    register_plugin("pybtex.backends", "plaintext", plaintext.Backend, force=True)


def plain_letters(text: str) -> str:
    """Return text without the commands of LaTeX, without accents and in small letters."""
    decomposed = unicodedata.normalize("NFKD", str(Text.from_latex(text)))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold()


class ByLetters(SortingStyle):  # type: ignore[misc]
    """By authors, year and title in plain letters."""

    def sorting_key(self, entry: Entry) -> tuple[str, ...]:
        """Return the usual key in plain letters."""
        return tuple(map(plain_letters, super().sorting_key(entry)))


class Bibliography(Style):  # type: ignore[misc]
    """The usual style in that order."""

    default_sorting_style = "by_letters"
