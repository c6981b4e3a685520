"""The report is whole, safe and self-contained, whatever the names and numbers."""

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from components.audit.results import Agreement, Audit, Duplicates, Leak, Shuffled, SplitGroups
from components.evaluation.figures import all_figures, confusion_matrix
from components.evaluation.intervals import Stored
from components.evaluation.results import Curve
from components.evaluation.samples import Media
from components.evaluation.style import svg, words
from components.report import tables
from components.report.content import DataSummary, QuarantineRow, Report
from components.report.page import render_report, render_table
from components.results.table import Table, number, text
from components.targets import higher_is_better

EVIL = "<script>alert('x')</script>$\\frac{&\""
PIXEL = Media("image", data=b"\x89PNG", mime="image/png")


def report_of(evaluation, name="demo"):
    media = {
        s.id: {
            "picture": PIXEL,
            "voice": Media("audio", data=b"RIFF", mime="audio/wav", text="first 2 s of 3 s"),
            "note": Media("text", text=f"a note {name}"),
            "table": Media("tabular", values={name: name}),
        }
        for s in evaluation.samples[1:]
    }
    media[evaluation.samples[0].id] = {"picture": PIXEL}
    return Report(
        title=name,
        created="2026-11-23 22:30 UTC",
        evaluation=evaluation.with_media(media),
        data=DataSummary(
            source=name,
            digest="9f31",
            splits={"train": 12000, "val": 200, "test": 200},
            missing={"picture": 20},
            class_rows={c: {"train": 100} for c in evaluation.classes},
            quarantined=70,
            quarantine=tuple(QuarantineRow(f"bad-{i}", "picture", name, "truncated JPEG") for i in range(70)),
        ),
        curves=(
            Curve(name, (2.0, 1.0, 0.5), (0.3, 0.6, 0.5), best_epoch=1),
            Curve("one epoch", (2.0,), (float("nan"),)),
        ),
        config=f"name: {name}\n",
        reproduce={"MLflow run": name},
        promotion=f"promoted {name}",
        audit=audit_of(name),
    )


def audit_of(name):
    """One of each thing that can be wrong, with the name wherever data has one."""
    block = Shuffled(first=name, last=name, rows=30, skill=0.01)
    return Audit(
        target=name,
        rows=500,
        agreements=(Agreement(name, 500, 0.0, -0.1, 0.1, float("nan"), float("nan"), True, (block,)),),
        duplicates=(Duplicates(name, "test", 200, 3, 1, 0.0, True, f"{name} and {name}"),),
        leaks=(Leak(name, f"column {name}", 1.0, 0.5, True),),
        groups=(SplitGroups(name, 6, 5, 0.9, True),),
        seconds=1.0,
    )


class Page(HTMLParser):
    """Collects tags and attributes; fails on tags that do not nest."""

    VOID = frozenset({"meta", "img", "br", "path", "use", "rect"})

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.open, self.text = [], [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize(("inputs", "classes"), [(1, 2), (2, 3), (4, 12), (2, 45)])
def test_it_renders_for_few_and_many_inputs_and_classes(make_evaluation, inputs, classes):
    report = report_of(make_evaluation(inputs=inputs, classes=classes))
    page = Page(render_report(report))
    assert page.tags.count("svg") == (7 if inputs > 1 else 5)
    text = " ".join(" ".join(page.text).split())
    for words_ in ("picture", "Quarantine: 70", "class 1", "truncated JPEG", "promoted demo"):
        assert words_ in text
    assert ("fusion (gated) is better than picture" in text) == (inputs > 1)
    named = " ".join(" ".join(Page(render_report(replace(report, fusion="tensor"))).text).split())
    assert ("fusion (tensor) is better than picture" in named) == (inputs > 1)
    assert ("there was nothing to fuse" in text) == (inputs == 1)
    assert f"bad-{49}" in text
    assert f"bad-{50}" not in text
    assert "nan" not in text.lower().split()


@pytest.mark.parametrize("task", ["ordinal", "multilabel", "regression"])
def test_it_renders_for_every_kind_of_target(make_evaluation_of, task):
    evaluation = make_evaluation_of(task)
    text = " ".join(" ".join(Page(render_report(report_of(evaluation))).text).split())
    shown = {"ordinal": "Classes", "multilabel": "Labels", "regression": "Predicted and true"}[task]
    held = {"ordinal": "Conformal sets", "multilabel": "Conformal sets", "regression": "Conformal intervals"}
    for words_ in (shown, held[task], "90.0 % were promised", "picture × voice"):
        assert words_ in text
    assert "nan" not in text.lower().split()
    figures = all_figures(evaluation)
    assert ("confusion" in figures) == (task == "ordinal")
    assert ("per_class" in figures) == (task != "regression")
    assert ("scatter" in figures) == (task == "regression")


def through_json(report: Report) -> Report:
    """The report of results that were read from their JSON, as tasks read them."""
    parts = {name: part for name, part in vars(report).items() if isinstance(part, Stored)}
    return replace(report, **{name: part.from_json(part.to_json()) for name, part in parts.items()})


def test_several_targets_stand_on_one_page(make_evaluation_of):
    report = replace(report_of(make_evaluation_of("regression")), further=(make_evaluation_of("multilabel"),))
    html = render_report(report)
    page = Page(html)
    text = " ".join(" ".join(page.text).split())
    assert "Predicted and true" in text
    assert "Labels" in text
    ids = [value for tag, name, value in page.attributes if (tag, name) == ("section", "id")]
    assert len(ids) == len(set(ids))
    assert render_report(through_json(report)) == html


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "f1_macro"])
def test_it_renders_for_every_kind_of_metric(make_evaluation, metric):
    assert f"{words(metric)} on test" in render_report(report_of(make_evaluation(metric, inputs=2)))


def test_it_loads_nothing_from_elsewhere_and_runs_nothing(make_evaluation):
    html = render_report(report_of(make_evaluation(inputs=2)))
    page = Page(html)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    for tag, name, value in page.attributes:
        if name in {"src", "srcset", "data", "poster"}:
            assert value.startswith("data:"), (tag, name, value)
        if name in {"href", "xlink:href"}:
            assert value.startswith("#"), (tag, name, value)
        assert not name.startswith("on"), (tag, name, value)
    assert "url(http" not in html


def test_names_and_labels_are_escaped_everywhere(make_evaluation):
    e = make_evaluation(inputs=2)
    evil_classes = tuple(f"{EVIL} {name}" for name in e.classes)
    e = replace(
        e,
        classes=evil_classes,
        per_class=tuple(replace(c, name=f"{EVIL} {c.name}") for c in e.per_class),
        candidates=tuple(replace(c, name=f"{EVIL} {c.name}") for c in e.candidates),
        samples=tuple(replace(s, id=EVIL, label=EVIL, predicted=EVIL) for s in e.samples),
    )
    html = render_report(report_of(e, name=EVIL))
    page = Page(html)
    assert "<script" not in html
    assert "script" not in page.tags
    assert not [a for a in page.attributes if a[1].startswith("on")]
    assert any(EVIL in text for text in page.text)


@pytest.mark.usefixtures("undrawn")
def test_what_the_audit_warns_of_stands_in_head_and_section(make_evaluation):
    report = report_of(make_evaluation(inputs=1))
    html = render_report(report)
    assert "5 things to look at" in html
    assert report.audit.kinds == ("chance", "shuffled", "duplicates", "leak", "groups")
    assert html.count('class="warning"') == 5
    good = replace(report, audit=replace(report.audit, agreements=(), duplicates=(), leaks=(), groups=()))
    html = render_report(good)
    assert "Nothing to object to." in html
    assert "to look at" not in html
    assert 'id="audit"' not in render_report(replace(report, audit=None))


def test_a_table_of_a_result_is_escaped_and_marked_and_its_verdicts_are_chips():
    columns = (text(EVIL), number("roc_auc"), number("gain", "+.3f"), text("passed"))
    rows = ((EVIL, 0.9, -0.1, "no"), ("plain", float("nan"), 0.1, "yes"))
    html = str(render_table(Table("", columns, rows, marked=frozenset({1}))))
    page = Page(html)
    assert "script" not in page.tags
    assert "".join(page.text).count(EVIL) == 2
    assert html.count('<tr class="mark">') == 1
    assert html.index('<tr class="mark">') > html.index("−0.100")
    assert "ROC AUC" in page.text
    assert "–" in page.text
    assert [value for tag, _, value in page.attributes if tag == "span"] == ["chip no", "chip yes"]


@pytest.mark.usefixtures("undrawn")
def test_an_unfused_delivery_is_said_plainly(make_evaluation):
    html = render_report(report_of(replace(make_evaluation(inputs=2), chosen="picture")))
    assert (
        "Fusion was not better on rows that no candidate had learned from, so the best single input" in html
    )


def test_a_report_survives_its_json(make_evaluation):
    report = report_of(make_evaluation(inputs=2))
    assert render_report(through_json(report)) == render_report(report)


@pytest.mark.usefixtures("undrawn")
def test_a_missing_input_is_shown_as_missing(make_evaluation):
    page = Page(render_report(report_of(make_evaluation(inputs=2))))
    assert [text for text in page.text if text.strip() == "missing"]


def test_every_figure_draws_something_at_png_and_svg(make_evaluation):
    figures = all_figures(make_evaluation(inputs=4), [Curve("picture", (2.0, 1.0), (0.3, 0.6), 1)])
    expected = {"candidates", "confusion", "per_class", "reliability", "subsets", "shapley", "training"}
    assert set(figures) == expected
    for name, figure in figures.items():
        png = io.BytesIO()
        figure.savefig(png, format="png")
        pixels = np.asarray(Image.open(png).convert("L"))
        assert (pixels < 200).mean() > 0.005, name
        root = ElementTree.fromstring(svg(figure))
        assert len(list(root.iter())) > 40, name


def test_figures_follow_the_page_into_the_dark_and_leave_settings_alone(make_evaluation):
    before = dict(mpl.rcParams)
    drawn = svg(all_figures(make_evaluation())["shapley"])
    assert dict(mpl.rcParams) == before
    assert "var(--ink, #1f252c)" in drawn
    assert not re.search(r"(?<!, )#1f252c", drawn)


def test_many_classes_are_cut_to_those_with_most_errors():
    counts = np.diag(np.full(60, 10))
    counts[57, 3] = 5
    figure = confusion_matrix(counts.tolist(), [f"c{i}" for i in range(60)])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == 40
    assert {"c3", "c57"} <= set(labels)


@pytest.mark.parametrize(
    ("name", "written"),
    [("roc_auc", "ROC AUC"), ("f1_macro", "F1 (macro)"), ("balanced_accuracy", "balanced accuracy"),
     ("calibration_error_adaptive", "calibration error (adaptive)"), ("brier", "Brier score")],
)  # fmt: skip
def test_metrics_are_written_for_people(name, written):
    assert words(name) == written


def test_the_tables_of_the_report_alone_show_the_results(make_evaluation):
    report = report_of(make_evaluation(inputs=2))
    e = report.evaluation
    assert [row[0] for row in tables.gains(e).rows] == [
        "gated over picture",
        "gated, on the rows that have picture, over picture",
        "delivered over picture",
    ]
    assert tables.gains(e).rows[0][1:] == (e.fusion_gain, e.fusion_gain.p_value, e.fusion_helps)
    complete = replace(e, answerable=e.rows["test"])
    assert len(tables.gains(complete).rows) == 2, "the same rows are not told twice"
    rows = tables.metrics(e, e.delivered.test.items())
    assert [row[0] for row in rows.rows] == [
        words(m) if higher_is_better(m) else f"{words(m)} ↓" for m in e.delivered.test
    ]
    assert [rows.rows[row][0] for row in rows.marked] == [words(e.metric)]
    assert [row[0] for row in tables.balance(e).rows] == list(e.balance)
    assert tables.calibration(e).rows[1][1:] == (e.calibration.log_loss_before, e.calibration.log_loss_after)
    assert tables.training(e, report.curves).texts() == [
        ["demo", "3", "2", "0.600"],
        ["one epoch", "1", "–", "–"],
    ]
    assert tables.splits(report.data).texts()[0] == ["train", "12,000"]
    assert tables.missing(report.data, e.inputs).rows[0] == ("picture", 20)
    assert {row[1:] for row in tables.classes(report.data).rows} == {(100, 0, 0)}
    assert len(tables.quarantine(report.data).rows) == tables.QUARANTINE_ROWS < report.data.quarantined
