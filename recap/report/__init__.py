"""The page of one iteration: what it holds, how it is drawn, how it is written.

Numbers and pixels come in as the dataclasses of :mod:`recap.report.content`; one HTML string goes
out of :func:`recap.report.page.render_page`. Nothing here reads or writes a project.
"""
