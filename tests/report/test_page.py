import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from recap.core.intervals import Interval
from recap.report.content import AdvantageHistogram, Comparison, ReportContent, SourceShare
from recap.report.page import render_page

SCRIPT = "<script>alert('task')</script>"
SECTIONS = ("conditioning", "values", "advantages", "rollouts", "training", "provenance")


class Elements(HTMLParser):
    """Names, attributes and nesting of a page's elements."""

    VOID = frozenset({"meta", "img", "br", "link", "input"})

    def __init__(self):
        super().__init__()
        self.names, self.attributes, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes.extend((tag, name, value) for name, value in attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def elements(page):
    parser = Elements()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_every_section_is_on_the_page_and_every_link_leads_to_one(content):
    page = render_page(content)
    found = elements(page)
    ids = {value for _, name, value in found.attributes if name == "id"}
    links = [value for tag, name, value in found.attributes if (tag, name) == ("a", "href")]
    assert ids == {"headline", *SECTIONS}
    assert links == [f"#{section}" for section in SECTIONS]


def test_the_headline_shows_each_number_with_its_interval(content):
    page = render_page(content)
    for text in ("2.40×", "1.90–3.10", "0.33×", "0.20–0.50", "p &lt; 0.001", "33–47", "52.5"):
        assert text in page
    assert "Compared with SFT, at 95\u202f% confidence: more successes per hour" in page


def test_the_value_model_is_judged_compared_and_drawn(content):
    page = render_page(content)
    for text in ("The value model is weak.", "<li>It is too sure of itself.</li>", "2.31–2.55"):
        assert text in page
    assert re.search(r"8\.34 <small>−1\.5 to \+0\.25</small>", page)
    assert re.search(r"<td>7\.12</td>", page)
    assert page.count('class="bar pit"') == 2
    older = render_page(replace(content, value_quality=None))
    assert "2.31–2.55" in older
    assert "What it must beat" not in older


def test_the_page_asks_nothing_of_the_network_and_runs_no_script(content):
    page = render_page(content)
    found = elements(page)
    assert "script" not in found.names
    assert "link" not in found.names
    assert "default-src 'none'" in page
    assert "://" not in page
    assert "url(" not in page
    assert "@import" not in page
    for _, name, value in found.attributes:
        if name in {"src", "poster"}:
            assert value.startswith("data:")
        assert not name.startswith("on")


def test_a_script_in_any_text_stays_text(content):
    curve = replace(content.value_curves[0], task=SCRIPT, title=SCRIPT)
    hostile = replace(
        content,
        project=SCRIPT,
        made_at=SCRIPT,
        notes=(SCRIPT,),
        policies=tuple(replace(row, name=SCRIPT) for row in content.policies),
        conditioning=tuple(replace(row, name=SCRIPT) for row in content.conditioning),
        value_curves=(curve,),
        advantage_histograms=tuple(
            replace(histogram, task=SCRIPT) for histogram in content.advantage_histograms
        ),
        source_shares=(SourceShare(source=SCRIPT, frames=1, positive=1),),
        learning_curves=tuple(
            replace(learning, stage=SCRIPT, metric=SCRIPT) for learning in content.learning_curves
        ),
        value_metrics=tuple(
            replace(metric, name=SCRIPT, meaning=SCRIPT) for metric in content.value_metrics
        ),
        value_quality=replace(
            content.value_quality,
            verdict=SCRIPT,
            reasons=(SCRIPT,),
            baselines=tuple(
                replace(row, name=SCRIPT, meaning=SCRIPT) for row in content.value_quality.baselines
            ),
        ),
        videos=tuple(replace(film, task=SCRIPT, title=SCRIPT) for film in content.videos),
        provenance={SCRIPT: {SCRIPT: SCRIPT}},
    )
    page = render_page(hostile)
    assert "<script" not in page
    assert "script" not in elements(page).names
    assert page.count("&lt;script&gt;") > 20


def test_a_quote_in_a_task_cannot_leave_its_attribute(content):
    curve = replace(content.value_curves[0], task='" onload="alert(1)')
    found = elements(render_page(replace(content, value_curves=(curve,))))
    assert "onload" not in {name for _, name, _ in found.attributes}


def test_what_was_not_measured_has_no_section(content):
    bare = ReportContent(
        project="tabletop", iteration=0, made_at="today", policies=content.policies[:1]
    )
    page = render_page(bare)
    ids = {value for _, name, value in elements(page).attributes if name == "id"}
    assert ids == {"headline"}
    assert "Compared with" not in page


def test_a_policy_that_never_succeeds_is_reported_without_inventing_numbers(content):
    never = replace(
        content.policies[0],
        success=Interval(0.0, 0.0, 0.02),
        successes_per_hour=Interval(0.0, 0.0, 0.0),
        median_steps_to_success=None,
    )
    endless = Comparison(
        throughput_ratio=Interval(5.0, np.inf, np.inf),
        failure_ratio=Interval(np.nan, np.nan, np.nan),
        mcnemar_p=0.2,
    )
    page = render_page(replace(content, policies=(never, never), comparison=endless))
    assert "∞×" in page
    assert "<td>–</td>" in page
    assert not re.search(r"\bnan\b", re.sub(r'(src|poster)="[^"]*"', "", page))


def test_a_single_value_of_everything_still_draws(content):
    histogram = AdvantageHistogram(task="one", advantages=np.array([0.5]), threshold=0.5)
    empty = AdvantageHistogram(task="none", advantages=np.array([]), threshold=0.0)
    page = render_page(replace(content, advantage_histograms=(histogram, empty)))
    assert "0\u202f% above the threshold of 0.500" in page
    assert "– above the threshold of 0" in page


def test_the_same_content_gives_the_same_page(content):
    assert render_page(content) == render_page(content)


@pytest.mark.parametrize("scheme", ["prefers-color-scheme: dark", "max-width: 640px"])
def test_the_page_has_styles_for_dark_rooms_and_for_phones(content, scheme):
    assert f"@media ({scheme})" in render_page(content)
