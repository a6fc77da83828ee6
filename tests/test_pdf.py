"""make pdf refuses a book that is not right: each fault that its checks are for is made here and found."""

import re
from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.utils import new_document
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import Link
from pypdf.generic import DictionaryObject, Fit, NameObject, TextStringObject
from sphinx import addnodes

from book.paper import checks
from book.paper.latex import NamesList, page_reference, remove_code_for_screens, sort_key
from book.shared import records
from logitkit import conventions

# As LaTeX writes them.
FAULTS = {
    "! Undefined control sequence.": "LaTeX stopped: Undefined control sequence.",
    "Missing character: There is no ∎ (U+220E) in font TeX Gyre Pagella/OT!": "that its font does not have: ∎ (U+220E)",
    "LaTeX Warning: Reference `a:b' on page 3 undefined on input line 9.": "to nothing: Reference `a:b'",
    "LaTeX Warning: Hyper reference `a:b' on page 3 undefined on input line 9.": "to nothing: Hyper reference `a:b'",
    "LaTeX Warning: Citation `Cox58' on page 3 undefined on input line 9.": "to nothing: Citation `Cox58'",
    "LaTeX Warning: Label `a:b' multiply defined.": "given twice: Label `a:b'",
    "LaTeX Font Warning: Font shape `TU/X(0)/m/n' undefined": "replaced by another: Font shape `TU/X(0)/m/n'",
    r"Overfull \hbox (32.64497pt too wide) in paragraph at lines 7--9": "too wide by 32.64497 points in paragraph",
    r"Overfull \hbox (144.5pt too wide) in alignment at lines 7--9": "too wide by 144.5 points in alignment",
    r"Overfull \vbox (122.9pt too high) has occurred while \output is active []": "too full by 122.9 points",
}


@pytest.mark.parametrize(("line", "said"), FAULTS.items())
def test_a_fault_in_the_log_is_found_with_its_page(line, said):
    problems = list(checks.log_problems(f"[1\n\n{{config}}] [2] (./a.ind [3]\n\n{line}\n\n[4]"))
    assert len(problems) == 1
    assert problems[0].startswith("page 4: ")
    assert said in problems[0]


@pytest.mark.parametrize(
    "line",
    [
        r"Overfull \hbox (0.9pt too wide) in paragraph at lines 7--9",
        r"Underfull \hbox (badness 10000) in paragraph at lines 7--9",
        "Package hyperref Info: Option `undefined' ignored.",
    ],
)
def test_what_nobody_sees_is_let_pass(line):
    assert not list(checks.log_problems(line))


def test_a_number_that_differs_from_the_site_is_found():
    numbers = {"chapters/a": {"figure": {"fig-x": (1, 2)}, "displaymath": {"equation-eq-x": (1, 3)}}}
    right = "\\newlabel{chapters/a:fig-x}{{1.2}{7}{}{}{}}\n\\newlabel{equation:chapters/a:eq-x}{{1.3}{7}{}{}{}}"
    env = SimpleNamespace(toc_fignumbers=numbers)
    assert not list(checks.number_problems(env, right))
    assert list(checks.number_problems(env, right.replace("1.3", "1.4"))) == [
        "equation:chapters/a:eq-x is number 1.4, on the site 1.3"
    ]
    assert list(checks.number_problems(env, right.partition("\n")[0])) == ["equation:chapters/a:eq-x has no number"]


@pytest.fixture
def book():
    """Return a file of two pages to which nothing can be objected, still to be written."""
    writer = PdfWriter()
    page = writer.add_blank_page(595.28, 841.89)
    writer.add_blank_page(595.28, 841.89)
    writer.add_metadata({"/Title": "A title", "/Author": "An author"})
    writer.root_object[NameObject("/Lang")] = TextStringObject("en-GB")
    writer.add_outline_item(title="What is the logit function?", page_number=1)
    writer.add_named_destination("there", 1)
    link(writer, "/GoTo", "/D", "there")
    link(writer, "/URI", "/URI", "https://example.org/")
    return writer, page


def link(writer, action, key, target):
    annotation = Link(rect=(0, 0, 9, 9), target_page_index=1, fit=Fit("/Fit"))
    annotation.pop("/Dest", None)
    fact = {NameObject("/S"): NameObject(action), NameObject(key): TextStringObject(target)}
    annotation[NameObject("/A")] = DictionaryObject(fact)
    writer.add_annotation(0, annotation)


def problems(writer, tmp_path, code=()):
    writer.write(tmp_path / "book.pdf")
    return list(checks.file_problems(PdfReader(tmp_path / "book.pdf"), ["What is the logit function?"], code))


def test_a_file_without_faults_passes(book, tmp_path):
    assert not problems(book[0], tmp_path)


def test_a_link_that_leads_nowhere_is_found(book, tmp_path):
    link(book[0], "/GoTo", "/D", "elsewhere")
    link(book[0], "/URI", "/URI", "chapters/traps.html")
    assert problems(book[0], tmp_path) == [
        "page 1: a link to elsewhere, which is not there",
        "page 1: a link to chapters/traps.html, which is no address",
    ]


def test_a_font_that_is_left_out_is_found(book, tmp_path):
    font = DictionaryObject({NameObject("/BaseFont"): NameObject("/Helvetica")})
    fonts = DictionaryObject({NameObject("/F1"): font})
    book[1][NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    assert problems(book[0], tmp_path) == ["page 1: the font /Helvetica is not in the file"]


def test_a_chapter_without_a_bookmark_is_found(tmp_path, book):
    book[0].root_object.pop("/Outlines")
    assert problems(book[0], tmp_path) == ["no bookmark for the chapter 'What is the logit function?'"]


def test_code_that_is_cut_off_is_found(book, tmp_path):
    assert problems(book[0], tmp_path, ["first = 1\nmiddle = 2\nlast = 3\n"]) == [
        "a line of code is cut or missing: first = 1",
        "a line of code is cut or missing: last = 3",
    ]


def test_a_page_of_another_size_and_missing_facts_are_found(book, tmp_path):
    book[1].mediabox.upper_right = (612, 792)
    book[0].add_metadata({"/Author": ""})
    assert problems(book[0], tmp_path) == ["the title, the author or the language is missing", "page 1: not A4"]


def test_a_heading_that_ends_a_page_is_found():
    pages = ["Text\nMasks\n1", "Masks\ntext\n2", "Text\nReturns\n3", "", "5"]
    assert list(checks.stranded_headings(pages, ["Masks"])) == [
        "page 1: ends with the heading 'Masks'",
        "page 3: ends with the heading 'Returns'",
    ]


def test_an_anchor_that_stays_behind_on_the_page_before_is_found():
    aux = "\\newlabel{chapters/api:logitkit.expit}{{}{%d}{The binary scale}{section*.9}{}}"
    pages = ["The binary scale", "logitkit.expit(x)"]
    assert not list(checks.misplaced_anchors(pages, aux % 2))
    assert list(checks.misplaced_anchors(pages, aux % 1)) == [
        "page 1: the anchor of logitkit.expit, which is not there"
    ]


def test_an_entry_that_the_index_has_twice_is_found():
    once = "  \\item \\spxentry{odds}, \\hyperpage{9}\n    \\subitem \\spxentry{ratio}, \\hyperpage{7}\n"
    other = "  \\item \\spxentry{logit()}\\spxextra{in logitkit}, \n\t\t\\hyperpage{8}\n"
    assert not list(checks.repeated_index_entries(once + other + other.replace("logitkit", "logitkit.torch")))
    assert list(checks.repeated_index_entries(once + "  \\item \\spxentry {odds}\n")) == [
        "the index has \\spxentry{odds} twice"
    ]


@pytest.mark.parametrize(
    ("before", "after", "page"),
    [
        ("", " shows that.", "{ (}{)}"),
        ("This (a note) is in ", ".", "{ (}{)}"),
        ("This follows (", ").", "{, }{}"),
        ("This follows (", " proves it).", "{, }{,}"),
    ],
)
def test_a_page_is_told_without_parentheses_in_parentheses(before, after, page):
    reference = nodes.reference("", "Masks")
    nodes.paragraph("", "", nodes.Text(before), reference, nodes.Text(after))
    assert page_reference("a:b", reference) == rf"\bookpage{{a:b}}{page}"


def test_the_index_sorts_numbers_as_numbers_and_words_without_latex():
    numbers = ["0.2320", "2.303", "10.8249", "100"]
    assert sorted(numbers, key=lambda number: int(sort_key(number))) == numbers
    assert sort_key(r"log\sphinxhyphen{}odds of logit\_bias") == "log-odds of logit_bias"


def test_code_that_only_draws_or_only_checks_is_left_out_and_no_other():
    def cell(code, *outputs):
        parts = [nodes.container("", nodes.literal_block(code, code))]
        if outputs:
            parts.append(nodes.container("", *outputs))
        return nodes.container("", *parts, nb_element="cell_code")

    said = nodes.literal_block("0.7", "0.7", classes=["output"])
    document = new_document("")
    document += [
        cell("plt.show()", nodes.figure()),
        cell("for p in probs:\n    assert p <= 1"),
        cell("print(loss)\nplt.show()", said, nodes.figure()),
        cell("loss = 0.7\nassert loss > 0"),
    ]
    remove_code_for_screens(document)
    code = [block.astext() for block in document.findall(nodes.literal_block) if block is not said]
    assert code == ["print(loss)\nplt.show()", "loss = 0.7\nassert loss > 0"]


def test_the_list_of_names_says_what_the_table_says():
    for record in conventions.table():
        entry = records.entry(record)
        text, said = "".join(entry.findall(nodes.Text)), records.facts(record)
        assert not [fact for fact in said.values() if fact.replace("`", "") not in text], record.symbol
        assert next(entry.findall(nodes.reference))["refuri"] == record.case.docs


def test_code_in_the_list_of_names_is_not_set_as_text_whose_quotes_and_dashes_are_changed():
    for record in conventions.table():
        entry = records.entry(record)
        literals = [literal.astext() for literal in entry.findall(nodes.literal)]
        for fact in records.facts(record).values():
            assert set(fact.split("`")[1::2]) <= set(literals), record.symbol
        for text in entry.findall(nodes.Text):
            assert isinstance(text.parent, nodes.literal) or "`" not in text, record.symbol


def test_the_list_of_names_is_from_a_to_z_with_a_page_and_an_index_entry_for_each_framework():
    contents, found = NamesList.run(None)
    frameworks = [rubric.astext() for rubric in found.findall(nodes.rubric)]
    assert set(frameworks) == {record.framework for record in conventions.table()}
    assert frameworks == sorted(frameworks, key=str.lower)
    listed = re.findall(r"\\bookframeworkpage\{(.*)\}\{(.*)\}", contents.astext())
    heads = "\n".join(each.astext() for each in found.findall(nodes.raw))
    marked = re.findall(r"\\bookframework\{(.*)\}\{(.*)\}", heads)
    assert [name for name, _ in listed] == frameworks
    assert listed == marked
    entries = [entry[1] for node in found.findall(addnodes.index) for entry in node["entries"]]
    assert entries == [f"{framework}; its functions" for framework in frameworks]
