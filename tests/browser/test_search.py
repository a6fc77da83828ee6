"""Search finds a symptom, a symbol and a term, on a host and in a folder."""

import re

import pytest
from playwright.sync_api import Page, expect

from .conftest import reader

# What a reader would type, and the page that answers; it has to be among the first three.
QUERIES = {
    "loss stuck at 1.46": "chapters/symptoms",
    "1.46": "chapters/symptoms",
    "negative loss": "chapters/symptoms",
    "cross entropy negative": "chapters/symptoms",
    "loss is negative": "chapters/symptoms",
    "NaN": "chapters/floating-point",
    "double softmax": "chapters/traps",
    "from_logits": "chapters/what-are-logits",
    "BCEWithLogitsLoss": "chapters/names",
    "logit_bias": "chapters/language-models",
    "cross_entropy": "chapters/api",
    "class_log_odds": "chapters/api",
    "logsumexp": "chapters/stable-softmax",
    "log-odds": "chapters/glossary",
    "temperature": "chapters/language-models",
    "temperature scaling": "chapters/calibration",
    "label smoothing": "chapters/masks-weights-means",
    "calibration": "chapters/calibration",
    "distillation": "chapters/distillation",
    "perplexity": "chapters/glossary",
    "threshold": "chapters/binary-multilabel",
    "Berkson": "chapters/history",
    "what is a logit": "chapters/what-are-logits",
    "why are they called logits": "chapters/history",
    "difference between logits and probabilities": "chapters/what-are-logits",
    "convert probabilities back to logits": "chapters/one-idea",
    "numerically stable sigmoid": "chapters/log-odds",
    "probabilities after undersampling": "chapters/calibration",
    "overconfident neural network": "chapters/calibration",
    "masking logits with -inf": "chapters/masks-weights-means",
    "github action": "chapters/check",
}

# What a reader would ask, and the section that answers; it has to be the first.
ANSWERS = {
    "why does my loss go below zero": "symptoms.html#the-loss-is-zero-or-negative",
    "from_logits true or false": "what-are-logits.html#which-scale-your-function-wants",
    "threshold for bcewithlogits": "binary-multilabel.html#threshold-0-or-0-5",
    "why is it called a logit": "history.html",
    "log(0) in my loss": "traps.html#an-epsilon-inside-the-logarithm",
    "fp16 cross entropy overflow": "floating-point.html#mixed-precision-what-stays-in-float32",
    "top_p vs top_k sampling": "language-models.html#top-k-top-p-and-min-p-are-masks",
    "how to get logits from sklearn": "raw-outputs.html#how-to-get-the-logits-of-a-trained-model",
    "why multiply by T^2 distilation": "distillation.html#from-a-high-temperature-to-logits",
    "multilabel classification loss function pytorch": "binary-multilabel.html#multi-label-or-multi-class",
    "cross entropy loss returns nan with ignore index labels": "masks-weights-means.html#ignored-rows",
    "undersampled negatives, how to fix predicted probabilities": "calibration.html#when-the-class-frequencies-change",
    "should i put softmax in forward()": "raw-outputs.html#why-the-last-layer-has-no-activation",
}


def results(page: Page, base: str, query: str) -> list[str]:
    """Return the pages that a search finds, in order, each once and without its ending."""
    page.goto(f"{base}/search.html?q={query}", wait_until="networkidle")
    page.locator("#search-results li a").first.wait_for()
    found = page.locator("#search-results li").evaluate_all("items => items.map(item => item.querySelector('a').href)")
    return list(dict.fromkeys(address.removeprefix(f"{base}/").partition(".html")[0] for address in found))


@pytest.mark.parametrize("query", QUERIES)
def test_search_finds(page, site, query):
    found = results(page, site, query)
    assert QUERIES[query] in found[:3], found[:8]


@pytest.mark.parametrize("question", ANSWERS)
def test_question_is_answered_by_the_first_result(page, site, question):
    page.goto(f"{site}/search.html", wait_until="networkidle")
    page.locator("article").get_by_label("Words to search for").fill(question)
    expect(page.locator("#search-results li a").first).to_have_attribute("href", f"./chapters/{ANSWERS[question]}")


@pytest.mark.parametrize(
    ("one", "other"),
    [("multilabel", "multi-label"), ("top_k", "top-k"), ("logodds", "log-odds"), ("probability", "probabilities")],
)
def test_spellings_of_a_word_find_the_same(page, site, one, other):
    assert results(page, site, one) == results(page, site, other)


def test_misspelled_word_finds_what_was_meant(page, site):
    assert results(page, site, "temprature scaling") == results(page, site, "temperature scaling")


def test_number_finds_the_chapter_that_has_it_in_its_title(page, site):
    assert "chapters/traps" in results(page, site, "1.46")


def summary(page: Page, base: str, query: str) -> str:
    """Return what is said beside the results of a search."""
    page.goto(f"{base}/search.html?q={query}", wait_until="networkidle")
    page.locator("#search-results [role=status]:not(:empty)").wait_for()
    return page.locator("#search-results").inner_text()


@pytest.mark.parametrize(
    ("query", "near"),
    [
        ("sofmax", "softmax"),
        ("temprature", "temperature"),
        ("temprature scaling", "temperature scaling"),
        ("sofmax xyzzyxyzzy", "softmax"),
    ],
)
def test_search_that_finds_nothing_leads_on(page, site, query, near):
    assert "Did you mean" in summary(page, site, query)
    for name in ("symptoms", "glossary", "index"):
        assert page.locator("#search-results").get_by_role("link", name=name, exact=True).is_visible()
    page.locator("#search-results").get_by_role("link", name=near, exact=True).click()
    page.locator("#search-results li a").first.wait_for()


@pytest.mark.parametrize("query", ["xyzzyxyzzy", "1.47"])
def test_search_for_what_resembles_nothing_suggests_nothing(page, site, query):
    assert "Did you mean" not in summary(page, site, query)


def test_results_are_counted_in_words(page, site):
    said = summary(page, site, "softmax").splitlines()[0]
    assert said == f"{page.locator('#search-results li').count()} results"


def test_spellings_of_two_countries_find_the_same(page, site):
    found = [
        results(page, site, query) for query in ("unnormalized log probabilities", "unnormalised log probabilities")
    ]
    assert found[0] == found[1]


def test_one_unknown_word_hides_no_result(page, site):
    assert "chapters/calibration" in results(page, site, "xyzzyxyzzy temperature scaling")[:3]


def test_rounded_number_is_found(page, site):
    assert "chapters/symptoms" in results(page, site, "0.744")[:3]


def test_result_quotes_the_words_and_leads_to_the_section(page, site):
    results(page, site, "label smoothing")
    first = page.locator("#search-results li").first
    assert first.locator("mark").all_inner_texts()[0].lower() in ("label", "smoothing")
    assert any(
        "#" in link for link in page.locator("#search-results li a").evaluate_all("a => a.map((each) => each.href)")
    )


@pytest.mark.parametrize("query", ["BCEWithLogitsLoss", "loss", "pos_weight", "logits", "softmax"])
def test_every_result_is_named_so_that_it_can_be_understood(page, site, query):
    results(page, site, query)
    links = page.locator("#search-results li a").all_inner_texts()
    parts = [link.partition(" > ") for link in links]
    assert all(name.strip() for name, _, _ in parts)
    places = [place for _, sign, place in parts if sign]
    assert not [place for place in places if place != place.strip() or place.startswith("(")]
    assert not {"or bcewithlogitsloss", "in a loss", "of logits", "applied twice"}.intersection(places)


def test_search_works_from_a_folder(browser, folder):
    with reader(browser, folder.as_uri()) as page:
        assert "chapters/names" in results(page, folder.as_uri(), "from_logits")


def test_search_answers_while_the_reader_types(page, site):
    page.goto(f"{site}/search.html?q=softmax", wait_until="networkidle")
    page.locator("article").get_by_label("Words to search for").fill("Berkson")
    first = page.locator("#search-results li a").first
    expect(first).to_have_text(re.compile("logit"))
    assert page.url == f"{site}/search.html?q=Berkson"
    page.locator("article").get_by_label("Words to search for").fill("")
    expect(page.locator("#search-results li")).to_have_count(0)


def test_search_answers_in_place_of_the_contents(page, site):
    page.goto(f"{site}/chapters/one-idea.html")
    contents = page.locator("#site-contents")
    contents.get_by_label("Words to search for").press_sequentially("temperature scaling")
    answer = contents.get_by_role("link", name="Can I trust softmax(logits)? > Temperature scaling", exact=True)
    answer.wait_for()
    assert not contents.get_by_role("link", name="Symptoms").is_visible()
    answer.click()
    expect(page).to_have_url(re.compile(r"/chapters/calibration\.html#temperature-scaling$"))


def test_search_opens_and_answers_by_keyboard(page, site):
    page.goto(f"{site}/chapters/one-idea.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("from_logits")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=from_logits*")
    page.locator("#search-results li a").first.wait_for()
