from html.parser import HTMLParser

import torch
from markupsafe import Markup

from seg_training.results.html_page import (
    Command,
    Figure,
    Noted,
    Section,
    Table,
    Text,
    page_html,
    picture_figure,
)
from seg_training.results.plots import Bar, bars_plot, svg


class Elements(HTMLParser):
    """Every opening tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attrs)))


def whole_page() -> str:
    plot = bars_plot(["2"], {"one": [Bar(40.0, (38.0, 43.0), 63.2)]})
    assert plot is not None
    return page_html(
        "A <title>",
        "What & why.",
        [
            Section(
                "First", [Text("1 < 2"), None, Table(["a", "b"], [["x", Noted("y", "z > 1")]])]
            ),
            Section("Empty", [None]),
            Section(
                "The last one",
                [
                    Figure(svg(plot), "bars"),
                    picture_figure(torch.zeros(3, 8, 20, dtype=torch.uint8), 'a "picture"'),
                    Command("Run", "python x.py 'a b' && true"),
                    Table([], [["no", "header"]]),
                    Command("More", "python y.py", folded=True),
                ],
                short="Last",
            ),
        ],
    )


def test_text_is_escaped_and_parts_stand_in_order() -> None:
    html = whole_page()
    places = [
        html.index(text)
        for text in (
            "<title>A &lt;title&gt;</title>",
            "<h1>A &lt;title&gt;</h1>",
            "<p>What &amp; why.</p>",
            "<h2>First</h2>",
            "<p>1 &lt; 2</p>",
            "<th>a</th><th>b</th>",
            "<td>x</td><td>y<small>z &gt; 1</small></td>",
            "<h2>The last one</h2>",
            "<svg",
            "<figcaption>bars</figcaption>",
            '<img src="data:image/jpeg;base64,',
            "<h3>Run</h3>\n<pre>python x.py &#39;a b&#39; &amp;&amp; true</pre>",
            "<table>\n<tbody>\n<tr><td>no</td><td>header</td></tr>",
            "<details><summary>More</summary><pre>python y.py</pre></details>",
        )
    ]
    assert places == sorted(places)


def test_sections_without_parts_are_left_out() -> None:
    html = whole_page()
    assert "Empty" not in html
    assert '<a href="#section-1">First</a>' in html
    assert '<a href="#section-2">Last</a>' in html
    assert html.count("<section") == 2


def test_a_page_needs_nothing_from_outside() -> None:
    elements = Elements(whole_page()).all
    references = [
        value or ""
        for _, attributes in elements
        for key, value in attributes.items()
        if key.split(":")[-1] in ("src", "href", "srcset", "action")
    ]
    assert references
    assert all(reference.startswith(("#", "data:")) for reference in references)
    assert not {"script", "iframe", "object", "embed"} & {tag for tag, _ in elements}
    assert "@import" not in whole_page()
    assert "url(http" not in whole_page()


def test_every_anchor_is_there() -> None:
    elements = Elements(whole_page()).all
    ids = {attributes.get("id") for _, attributes in elements}
    anchors = {attributes["href"] for tag, attributes in elements if tag == "a"}
    assert anchors == {"#section-1", "#section-2"}
    assert {anchor[1:] for anchor in anchors if anchor} <= ids


def test_no_picture_is_no_figure() -> None:
    assert picture_figure(None, "nothing") is None
    figure = picture_figure(torch.zeros(3, 8, 20, dtype=torch.uint8), '"quoted"')
    assert figure is not None
    assert isinstance(figure.content, Markup)
    [(tag, attributes)] = Elements(figure.content).all
    assert (tag, attributes["width"], attributes["alt"]) == ("img", "20", '"quoted"')
