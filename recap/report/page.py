"""One self-contained HTML page of one iteration."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from recap.report import calibration, figures, pictures, words
from recap.report.content import LearningCurve, ReportContent


def render_page(content: ReportContent) -> str:
    """Write the report of one iteration as one HTML page.

    The page asks nothing of the network and contains no script: pictures and films are inside it,
    and its content security policy forbids everything else. All text is escaped.

    Args:
        content: What there is to say; empty fields leave their section out.

    Returns:
        The whole page.
    """
    stages: dict[str, list[LearningCurve]] = {}
    for curve in content.learning_curves:
        stages.setdefault(curve.stage, []).append(curve)
    return _template().render(
        content=content, stages=stages, lowest=figures.lowest_value(content.value_curves)
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("recap.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        calibration=calibration, figures=figures, pictures=pictures, words=words
    )
    return environment.get_template("report.html")
