"""What a page carries beside its text, and the files of the site that are no pages of the book."""

import json
import re
from collections.abc import Collection
from pathlib import Path
from textwrap import shorten
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.environment.adapters.toctree import TocTree
from sphinx.errors import ConfigError
from sphinx.util.osutil import relative_uri
from sphinx_design.tabs import sd_tab_input

import logitkit
from book.shared import origin
from book.site import cards

NUMBER = re.compile(r"\d+(\.\d+)?")
NOTEBOOKS = "notebooks"  # in the site, and the name of the branch that Colab opens them from
CARDS = "_static/cards"
FORMULAS = (nodes.math, nodes.math_block)
WITHOUT_TEXT = ("404", "search", "_modules/")  # what search engines need not list


def setup(app: Sphinx) -> None:
    """Connect the functions below to the moments of the build that they are for."""
    app.add_config_value("redirects", {}, "html", dict)
    app.connect("config-inited", configure)
    app.connect("doctree-read", note_description)
    app.connect("env-check-consistency", forget_pages_that_are_not_built)
    app.connect("env-get-updated", also_written)
    app.connect("html-collect-pages", page_of_what_is_not_found)
    app.connect("html-page-context", complete_page, priority=100)
    app.connect("html-page-context", order_numbers)
    app.connect("html-page-context", load_little, priority=950)  # after all that add a style or a script
    app.connect("build-finished", write_site_files)


def configure(app: Sphinx, config: Config) -> None:
    """Set what follows from other settings."""
    config.html_baseurl = origin.site(config)
    config.version = config.release = logitkit.__version__


def forget_pages_that_are_not_built(app: Sphinx, env: BuildEnvironment) -> None:
    """Take out of the inventory the lists of modules and theorems, which Sphinx names there though they are off."""
    standard = env.get_domain("std")
    for labels in (standard.labels, standard.anonlabels):
        for name in [name for name, (docname, *_) in labels.items() if docname not in {*env.found_docs, "search"}]:
            del labels[name]


def also_written(app: Sphinx, env: BuildEnvironment) -> Collection[str]:
    """Write every page anew if the contents have changed, which stand on each, and else one.

    Sphinx copies no changed style or script when it has no page to write.
    """
    before, env.contents = getattr(env, "contents", None), contents(app)
    return [app.config.root_doc] if env.contents == before else env.found_docs


def page_of_what_is_not_found(app: Sphinx) -> list[tuple[str, dict[str, Any], str]]:
    """Return the page that a host shows where there is none, with the folder of the site on it."""
    return [("404", {"title": "Page not found", "base": urlsplit(app.config.html_baseurl).path}, "404.html")]


def complete_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give a page its head, its contents, its version, and the links to its notebook and its source."""
    name = app.env.titles[pagename].astext() if pagename in app.env.titles else context["title"]
    number = number_of(app, pagename)
    listed = not pagename.startswith(WITHOUT_TEXT)
    context["contents"] = contents(app)
    context["page"] = page = {
        "name": name,
        "title": f"{number}. {name}" if number else name,
        "url": page_url(app, pagename),
        "description": app.env.metadata.get(pagename, {}).get("description") or f"{name}: {app.config.project}",
        "listed": listed,
        "author": app.config.author,
        "version": origin.version(app.config).words,
        "repository": origin.repository(app.config),
    }
    if doctree:
        page |= source_links(app, pagename) | {"toc": page_toc(app, pagename)}
    if listed:
        page["card"] = draw_card(app, pagename, page["name"])
        page["data"] = structured_data(app, pagename, page)


def contents(app: Sphinx) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Return the parts of the book, each with the address, the number and the name of its pages."""
    return [
        (part.caption, [(page, number_of(app, page), app.env.titles[page].astext()) for page in part.items])
        for part in app.env.external_site_map.root.subtrees
    ]


def number_of(app: Sphinx, pagename: str) -> str:
    """Return the number of a chapter, and nothing for other pages."""
    return ".".join(map(str, app.env.toc_secnumbers.get(pagename, {}).get("", ())))


def page_toc(app: Sphinx, pagename: str) -> str:
    """Return the sections of a page as a list; Sphinx's own begins with the page itself."""
    page = next(iter(TocTree(app.env).get_toc_for(pagename, app.builder).children), None)
    sections = page.children[1:] if page else []
    return "".join(app.builder.render_partial(each)["fragment"] for each in sections)


def load_little(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load the theme and what the page uses of the rest: the theme has the styles of the extensions' elements."""
    files = ["logits.css", "names.css", "explorables/", "checker/", "page.js", "names.js", "diagnose.js"]
    files += ["katex/"] * bool(doctree and any(doctree.findall(lambda node: isinstance(node, FORMULAS))))
    files += ["design-tabs.js"] * bool(doctree and any(doctree.findall(sd_tab_input)))
    wanted = tuple(f"_static/{file}" for file in files)
    for kind in ("css_files", "script_files"):
        context[kind] = [each for each in context[kind] if str(each.filename).startswith(wanted)]
    for script in context["script_files"]:
        script.attributes.setdefault("defer", "defer")


def order_numbers(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Sort the numbers of the index, the losses to look up, by size: Sphinx sorts them as words."""
    for _, entries in context.get("genindexentries", []):
        entries.sort(key=lambda entry: float(entry[0]) if NUMBER.fullmatch(entry[0]) else float("inf"))


def page_url(app: Sphinx, pagename: str) -> str:
    """Return the one address of a page; that of the front page is the site's."""
    return app.config.html_baseurl + ("" if pagename == app.config.root_doc else app.builder.get_target_uri(pagename))


def note_description(app: Sphinx, doctree: nodes.document) -> None:
    """Keep what the author says of a page, and give one without a word its first paragraph without mathematics."""
    stated = next((each for each in doctree.findall(nodes.meta) if each.get("name") == "description"), None)
    if stated is None:
        texts = (each.astext() for each in doctree.findall(nodes.paragraph) if not each.next_node(nodes.math))
        stated = nodes.meta("", name="description", content=shorten(next(texts, ""), 160, placeholder=" …"))
        doctree.insert(0, stated)
    app.env.metadata[app.env.docname]["description"] = stated["content"]


def source_links(app: Sphinx, pagename: str) -> dict[str, str]:
    """Return where a page can be run, changed and discussed, and when it last was changed."""
    repository, branch = origin.repository(app.config), origin.branch(app.config)
    source = app.env.doc2path(pagename, base=False)
    form = {"template": "unclear-text.yml", "page": page_url(app, pagename)}
    links = {
        "edit": f"{repository}/edit/{branch}/{source}",
        "issue": f"{repository}/issues/new?{urlencode(form)}",
        "updated": last_updated(app, pagename),
    }
    if source.endswith(".ipynb"):
        name = Path(source).name
        owner = repository.removeprefix("https://github.com/")
        revision = origin.version(app.config).revision
        links |= {
            "notebook": relative_uri(app.builder.get_target_uri(pagename), f"{NOTEBOOKS}/{name}"),
            "colab": f"https://colab.research.google.com/github/{owner}/blob/{NOTEBOOKS}/{name}",
            "binder": f"https://mybinder.org/v2/gh/{owner}/{revision}?urlpath=lab/tree/{source}",
        }
    return links


def last_updated(app: Sphinx, pagename: str) -> str:
    """Return the day on which anything that a page is made of was last changed, or nothing where it is not known."""
    source = app.env.doc2path(pagename, base=False)
    return origin.last_updated({Path(app.srcdir, name) for name in (source, *app.env.dependencies[pagename])})


def draw_card(app: Sphinx, pagename: str, name: str) -> str:
    """Draw the picture that goes with a link to the page, and return its address."""
    file = f"{CARDS}/{pagename.rpartition('/')[2]}.png"
    path = Path(app.outdir, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    cards.draw(name, part_of(app, pagename), app.config.project).save(path, optimize=True)
    return app.config.html_baseurl + file


def part_of(app: Sphinx, pagename: str) -> str:
    """Return the part of the book that a page belongs to; over all parts are the authors."""
    parts = app.env.external_site_map.root.subtrees
    return next((part.caption for part in parts if pagename in part.items), app.config.author)


def structured_data(app: Sphinx, pagename: str, page: dict[str, Any]) -> str:
    """Return what a page is, in the words of schema.org."""
    book = {"@type": "Book", "name": app.config.project, "url": app.config.html_baseurl}
    is_book = pagename == app.config.root_doc
    data = {
        "@context": "https://schema.org",
        **(book if is_book else {"@type": "TechArticle", "headline": page["name"], "isPartOf": book}),
        "description": page["description"],
        "url": page["url"],
        "image": page["card"],
        "inLanguage": "en-US",
        "author": {"@type": "Organization", "name": app.config.author, "url": page["repository"]},
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "version": logitkit.__version__,
        **({"dateModified": page["updated"]} if page.get("updated") else {}),
    }
    return in_script(data)


def in_script(data: dict[str, Any]) -> str:
    """Return data as JSON that cannot end the element that holds it."""
    return json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")


def write_site_files(app: Sphinx, error: Exception | None) -> None:
    """Write what search engines, hosts and lost readers need."""
    if error or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = [str(page) for page in app.env.external_site_map]
    (out / "_modules" / "index.html").unlink(missing_ok=True)  # viewcode's list of modules, to which nothing leads
    (out / ".nojekyll").touch()  # GitHub would leave out the folders that begin with an underscore
    (out / "robots.txt").write_text(f"User-agent: *\nAllow: /\nSitemap: {app.config.html_baseurl}sitemap.xml\n")
    (out / "sitemap.xml").write_bytes(sitemap(app, pages))
    cards.icon().save(out / "_static" / "apple-touch-icon.png", optimize=True)
    for old, new in app.config.redirects.items():
        if new not in pages or old in pages:
            raise ConfigError(f"redirects: {old!r} must be a page that is gone, and {new!r} one that is there")
        old_uri, new_uri = map(app.builder.get_target_uri, (old, new))
        context = {"relative": relative_uri(old_uri, new_uri), "url": page_url(app, new)}
        path = out / old_uri
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(app.builder.templates.render("redirect.html", context), "utf-8")


def sitemap(app: Sphinx, pages: list[str]) -> bytes:
    """Return the list of all pages, each with the day of its last change where that is known."""
    root = ElementTree.Element("urlset", xmlns="http://www.sitemaps.org/schemas/sitemap/0.9")
    for page in pages:
        url = ElementTree.SubElement(root, "url")
        ElementTree.SubElement(url, "loc").text = page_url(app, page)
        if updated := last_updated(app, page):
            ElementTree.SubElement(url, "lastmod").text = updated
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
