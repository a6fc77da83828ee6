"""How the bibliography is sorted, and how works are told apart that have the authors and the year in common."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.richtext import Text
from pybtex.style.formatting.plain import Style
from pybtex.style.sorting.author_year_title import SortingStyle
from sphinx.application import Sphinx

NAMES_WITHOUT_ET_AL = 2


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer the style that _config.yml names, and mend what is read before it is cited."""
    register_plugin("pybtex.style.sorting", "by_letters", ByLetters)
    register_plugin("pybtex.style.formatting", "by_letters", Bibliography)
    app.connect("builder-inited", mend, priority=900)  # after the sources have been read
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class ByLetters(SortingStyle):  # type: ignore[misc]
    """By authors, year and title, as a reader looks for them: braces and accents count for nothing."""

    def sorting_key(self, entry: Entry) -> tuple[str, ...]:
        """Return the key of the usual order in plain letters."""
        return tuple(map(letters, super().sorting_key(entry)))


class Bibliography(Style):  # type: ignore[misc]
    """The usual style in that order."""

    default_sorting_style = "by_letters"


def letters(text: str) -> str:
    """Return text without the commands of LaTeX, without accents and in small letters."""
    decomposed = unicodedata.normalize("NFKD", str(Text.from_latex(text)))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold()


def mend(app: Sphinx) -> None:
    """Change the sources that Sphinx has read. What an earlier build has kept is mended already and stays as it is."""
    entries = app.env.get_domain("cite").bibdata.data.entries.values()  # type: ignore[attr-defined]
    tell_apart(entries)
    for entry in entries:
        for field in entry.fields.keys() & {"title", "booktitle", "note"}:
            entry.fields[field] = re.sub(r"(?<=\w)'(?=\w)", "’", entry.fields[field])


def tell_apart(entries: Iterable[Entry]) -> None:
    """Write a letter behind the year of works that would be cited by the same words: 2026a and 2026b."""
    works = defaultdict(list)
    for entry in ByLetters().sort(entries):
        people = [
            " ".join(person.last_names) for person in entry.persons.get("author", entry.persons.get("editor", ()))
        ]
        if len(people) > NAMES_WITHOUT_ET_AL:
            people[1:] = ["et al."]
        works[*people, entry.fields.get("year")].append(entry)
    for same in works.values():
        if len(same) > 1:
            for entry, letter in zip(same, "abcdefgh", strict=False):
                entry.fields["year"] += letter
