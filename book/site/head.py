"""What a page carries beside its text, and the files of the site that are no pages of the book."""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.environment.adapters.toctree import TocTree
from sphinx.errors import ConfigError
from sphinx.util.osutil import ensuredir, relative_uri
from sphinx_design.tabs import sd_tab_input

import logitkit
from book.shared import origin
from book.site import cards

NUMBER = re.compile(r"\d+(\.\d+)?")
NOTEBOOKS = "notebooks"  # in the site, and the name of the branch that Colab opens them from
WITHOUT_TEXT = ("404", "search", "_modules/")  # what search engines need not list
ON_SOME_PAGES = {  # what a page loads for its elements; what its directives ask for is in its metadata
    "katex/": lambda node: isinstance(node, nodes.math | nodes.math_block),
    "design-tabs.js": lambda node: isinstance(node, sd_tab_input),
}


def setup(app: Sphinx) -> None:
    app.setup_extension("sphinx_last_updated_by_git")
    app.add_config_value("redirects", {}, "html", dict)
    app.connect("config-inited", configure)
    app.connect("doctree-read", note_description)
    app.connect("env-check-consistency", forget_pages_that_are_not_built)
    app.connect("env-get-updated", also_written)
    app.connect("html-collect-pages", pages_without_a_document)
    app.connect("html-page-context", complete_page, priority=100)
    app.connect("html-page-context", load_little, priority=950)  # after all that add a style or a script
    app.connect("build-finished", write_site_files)


def configure(app: Sphinx, config: Config) -> None:
    """Set what follows from other settings."""
    config.html_baseurl = origin.site(config)
    options = config.html_theme_options  # Jupyter Book passes a dozen, meant for its own theme
    config.html_theme_options = {name: options[name] for name in ("repository_url", "repository_branch")}
    config.version = config.release = logitkit.__version__


def forget_pages_that_are_not_built(app: Sphinx, env: BuildEnvironment) -> None:
    """Take out of the inventory the lists of modules and theorems, which Sphinx names there though they are off."""
    standard = env.get_domain("std")
    for labels in (standard.labels, standard.anonlabels):
        for name in [name for name, (docname, *_) in labels.items() if docname not in {*env.found_docs, "search"}]:
            del labels[name]


def also_written(app: Sphinx, env: BuildEnvironment) -> Collection[str]:
    """Write every page anew if the contents have changed or the places of the sources, and else one.

    The contents stand on each page and links to sources on many. Sphinx copies no changed style or script when it has
    no page to write.
    """
    sources = [(each.key, each.citation_id) for each in env.get_domain("cite").citations]
    before, env.on_all_pages = getattr(env, "on_all_pages", None), (contents(app), sources)
    return [app.config.root_doc] if env.on_all_pages == before else env.found_docs


def pages_without_a_document(app: Sphinx) -> list[tuple[str, dict[str, Any], str]]:
    """Return the page of the search, and what a host shows where no page is, with the folder of the site on it."""
    missing = {"title": "Page not found", "base": urlsplit(app.config.html_baseurl).path}
    return [("search", {"title": "Search"}, "search.html"), ("404", missing, "404.html")]


def complete_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give a page its head, its contents, its version, and the links to its notebook and its source."""
    name = app.env.titles[pagename].astext() if pagename in app.env.titles else context["title"]
    number = number_of(app, pagename)
    context["contents"] = contents(app)
    context["page"] = page = {
        "name": name,
        "title": f"{number}. {name}" if number else name,
        "url": page_url(app, pagename),
        "description": app.env.metadata.get(pagename, {}).get("description") or f"{name}: {app.config.project}",
        "author": app.config.author,
        "version": origin.version(app.config).words,
        "repository": origin.repository(app.config),
    }
    if doctree:
        page |= source_links(app, pagename) | {"toc": page_toc(app, pagename), "updated": last_updated(app, pagename)}
    if not pagename.startswith(WITHOUT_TEXT):
        page["card"] = draw_card(app, pagename, name)
        page["data"] = structured_data(app, pagename, page)
    for _, entries in context.get("genindexentries", []):  # numbers by size, which Sphinx sorts as words
        entries.sort(key=lambda entry: float(entry[0]) if NUMBER.fullmatch(entry[0]) else float("inf"))


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
    toc = TocTree(app.env).get_toc_for(pagename, app.builder)
    return "".join(app.builder.render_partial(each)["fragment"] for page in toc for each in page[1:])


def load_little(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load the theme and what the page uses of the rest: the theme has the styles of the extensions' elements."""
    asked = dict.fromkeys(app.env.metadata.get(pagename, {}).get("files", ()))
    for file in asked:
        (app.add_css_file if file.endswith(".css") else app.add_js_file)(file)
    used = [file for file, is_used in ON_SOME_PAGES.items() if doctree and any(doctree.findall(is_used))]
    wanted = tuple(f"_static/{file}" for file in ("logits.css", "page.js", *asked, *used))
    for kind in ("css_files", "script_files"):
        context[kind] = [each for each in context[kind] if str(each.filename).startswith(wanted)]
    for script in context["script_files"]:
        script.attributes.setdefault("defer", "defer")


def page_url(app: Sphinx, pagename: str) -> str:
    """Return the one address of a page; that of the front page is the site's."""
    return app.config.html_baseurl + ("" if pagename == app.config.root_doc else app.builder.get_target_uri(pagename))


def note_description(app: Sphinx, doctree: nodes.document) -> None:
    """Keep what the author says of a page: the index is written without its document."""
    said = {meta.get("name"): meta["content"] for meta in doctree.findall(nodes.meta)}
    app.env.metadata[app.env.docname]["description"] = said.get("description")


def source_links(app: Sphinx, pagename: str) -> dict[str, str]:
    """Return where a page can be run, changed and discussed."""
    repository, revision = origin.repository(app.config), origin.version(app.config).revision
    source = app.env.doc2path(pagename, base=False)
    form = {"template": "unclear-text.yml", "page": page_url(app, pagename)}
    links = {
        "edit": f"{repository}/edit/{app.config.html_theme_options['repository_branch']}/{source}",
        "issue": f"{repository}/issues/new?{urlencode(form)}",
    }
    if source.endswith(".ipynb"):
        file = f"{NOTEBOOKS}/{Path(source).name}"
        owner = repository.removeprefix("https://github.com/")
        links |= {
            "notebook": relative_uri(app.builder.get_target_uri(pagename), file),
            "colab": f"https://colab.research.google.com/github/{owner}/blob/{file}",
            "binder": f"https://mybinder.org/v2/gh/{owner}/{revision}?urlpath=lab/tree/{source}",
        }
    return links


def last_updated(app: Sphinx, pagename: str) -> str:
    """Return the day on which anything that a page is made of was last changed, or nothing where it is not known."""
    seconds, _ = app.env.git_last_updated[pagename] or (None, None)
    return datetime.fromtimestamp(int(seconds), UTC).date().isoformat() if seconds else ""


def draw_card(app: Sphinx, pagename: str, name: str) -> str:
    """Draw the picture that goes with a link to the page, and return its address."""
    file = f"_static/cards/{pagename.rpartition('/')[2]}.png"
    ensuredir(Path(app.outdir, file).parent)
    parts = app.env.external_site_map.root.subtrees
    part = next((part.caption for part in parts if pagename in part.items), app.config.author)
    cards.draw(name, part, app.config.project).save(Path(app.outdir, file), optimize=True)
    return app.config.html_baseurl + file


def structured_data(app: Sphinx, pagename: str, page: dict[str, Any]) -> dict[str, Any]:
    """Return what a page is, in the words of schema.org."""
    book = {"@type": "Book", "name": app.config.project, "url": app.config.html_baseurl}
    article = {"@type": "TechArticle", "headline": page["name"], "isPartOf": book}
    return {
        "@context": "https://schema.org",
        **(book if pagename == app.config.root_doc else article),
        "description": page["description"],
        "url": page["url"],
        "image": page["card"],
        "inLanguage": "en-US",
        "author": {"@type": "Organization", "name": app.config.author, "url": page["repository"]},
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "version": logitkit.__version__,
        **({"dateModified": page["updated"]} if page.get("updated") else {}),
    }


def write_site_files(app: Sphinx, error: Exception | None) -> None:
    """Write what search engines, hosts and lost readers need."""
    if error or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = [str(page) for page in app.env.external_site_map]
    render = app.builder.templates.render
    (out / "_modules" / "index.html").unlink(missing_ok=True)  # viewcode's list of modules, to which nothing leads
    (out / ".nojekyll").touch()  # GitHub would leave out the folders that begin with an underscore
    (out / "robots.txt").write_text(f"User-agent: *\nAllow: /\nSitemap: {app.config.html_baseurl}sitemap.xml\n")
    dated = [(page_url(app, page), last_updated(app, page)) for page in pages]
    (out / "sitemap.xml").write_text(render("sitemap.xml", {"pages": dated}), "utf-8")
    for old, new in app.config.redirects.items():
        if new not in pages or old in pages:
            raise ConfigError(f"redirects: {old!r} must be a page that is gone, and {new!r} one that is there")
        old_uri, new_uri = map(app.builder.get_target_uri, (old, new))
        address = {"relative": relative_uri(old_uri, new_uri), "url": page_url(app, new)}
        ensuredir((out / old_uri).parent)
        (out / old_uri).write_text(render("redirect.html", address), "utf-8")
