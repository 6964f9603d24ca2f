//! Figures, drawn as SVG by hand. What they show is told apart by shape, fill and dash, so that they read in black and white; their axes are labelled with the report's own
//! numbers, so that none is printed that stands nowhere else.

use minijinja::HtmlEscape;

use super::number::Number;
use super::shape::{Account, Accounts, Decoys, Path, Role, Timeline};
use super::text;

/// Narrow enough that the letters stay legible on a telephone.
const WIDTH: f64 = 400.0;
/// The plot area's left and right.
const LEFT: f64 = 54.0;
const RIGHT: f64 = 386.0;
/// More accounts than this would be a smear; the table has all.
const MOST_ACCOUNTS: usize = 200;
/// More points than this cannot be told apart.
const MOST_POINTS: usize = 200;

/// A figure.
pub(super) struct Figure {
    pub(super) svg: String,
    pub(super) caption: String,
}

struct Drawing {
    body: String,
    height: f64,
}

impl Drawing {
    fn new(height: f64) -> Self {
        Self {
            body: String::new(),
            height,
        }
    }

    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.path(
            class,
            &format!("M{:.1} {:.1}L{:.1} {:.1}", from.0, from.1, to.0, to.1),
        );
    }

    fn path(&mut self, class: &str, path: &str) {
        self.body
            .push_str(&format!("<path class=\"{class}\" d=\"{path}\"/>\n"));
    }

    fn circle(&mut self, class: &str, (x, y): (f64, f64)) {
        self.body.push_str(&format!(
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>\n"
        ));
    }

    fn triangle(&mut self, class: &str, (x, y): (f64, f64)) {
        let (left, right) = (x - 4.5, x + 4.5);
        let (top, foot) = (y - 4.5, y + 4.0);
        self.path(
            class,
            &format!("M{left:.1} {foot:.1}L{right:.1} {foot:.1}L{x:.1} {top:.1}Z"),
        );
    }

    /// `anchor` is `start`, `middle` or `end`.
    fn text(&mut self, anchor: &str, (x, y): (f64, f64), text: &str) {
        self.body.push_str(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>\n",
            HtmlEscape(text)
        ));
    }

    /// Axes of a plot between `top` and `foot`.
    fn axes(&mut self, top: f64, foot: f64) {
        self.path(
            "axis",
            &format!("M{LEFT} {top}L{LEFT} {foot}L{RIGHT} {foot}"),
        );
    }

    /// The figure; `name` is unique in the page.
    fn finish(self, name: &str, title: &str, description: &str) -> String {
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-labelledby=\"{name}-title {name}-desc\">\n<title id=\"{name}-title\">{}</title>\n<desc id=\"{name}-desc\">{}</desc>\n{}</svg>",
            self.height,
            HtmlEscape(title),
            HtmlEscape(description),
            self.body
        )
    }
}

/// Counts are drawn, not computed with.
fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Where a value of `domain` lies in `range`.
fn scale(value: f64, domain: (f64, f64), range: (f64, f64)) -> f64 {
    let span = domain.1 - domain.0;
    let share = if span > 0.0 {
        (value - domain.0) / span
    } else {
        0.5
    };
    range.0 + share * (range.1 - range.0)
}

/// The order on which the argument rests.
pub(super) fn timeline(timeline: &Timeline) -> Figure {
    const STEP: f64 = 34.0;
    let moments = timeline.moments();
    let y = |index: usize| 22.0 + STEP * float(index);
    let mut drawing = Drawing::new(y(moments.len() - 1) + 22.0);
    drawing.line("axis", (16.0, y(0)), (16.0, y(moments.len() - 1)));
    for (index, (name, moment)) in moments.into_iter().enumerate() {
        let at = (16.0, y(index));
        drawing.circle(
            if moment.at.is_some() {
                "full"
            } else {
                "hollow"
            },
            at,
        );
        drawing.text("start", (34.0, at.1 + 4.5), name);
        let when = moment
            .at
            .map_or("not shown".to_owned(), |time| text::when(&time.to_string()));
        drawing.text("end", (WIDTH - 6.0, at.1 + 4.5), &when);
    }
    let missing = moments_missing(timeline);
    Figure {
        svg: drawing.finish(
            "timeline",
            "Time line of the case",
            &format!("Seven moments from top to bottom, each before the next: key committed, first marked answer, plan sealed, beacon round, first query, last query, key disclosed. {missing} of them without a time."),
        ),
        caption: "Each moment comes before the next. Not to scale. A hollow circle marks a moment whose time has not been shown.".to_owned(),
    }
}

fn moments_missing(timeline: &Timeline) -> usize {
    let moments = timeline.moments();
    moments
        .iter()
        .filter(|(_, moment)| moment.at.is_none())
        .count()
}

/// Where the tested key's score falls among those of control keys.
pub(super) fn decoys(decoys: &Decoys) -> Option<Figure> {
    const TOP: f64 = 46.0;
    const FOOT: f64 = 206.0;
    let (first, last) = (decoys.bins.first()?, decoys.bins.last()?);
    let tested = decoys.tested.value();
    // Where the tested key is far beyond all bars, the axis is broken before it, so that bars can be told apart.
    let span = last.to.value() - first.from.value();
    let far = tested > last.to.value() + span;
    let end = if far {
        last.to.value() + span / 3.0
    } else {
        last.to.value().max(tested)
    };
    let domain = (first.from.value().min(tested), end);
    let x = |value: f64| scale(value.min(end), domain, (LEFT + 6.0, RIGHT - 6.0));
    let most = decoys.bins.iter().map(|bin| bin.keys).max()?;
    let mut drawing = Drawing::new(256.0);
    drawing.body.push_str("<defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><path class=\"thin\" d=\"M0 0L0 6\"/></pattern></defs>\n");
    for bin in &decoys.bins {
        let (left, right) = (x(bin.from.value()), x(bin.to.value()));
        let top = scale(
            f64::from(bin.keys),
            (0.0, f64::from(most).max(1.0)),
            (FOOT, TOP),
        );
        drawing.path(
            "bar",
            &format!("M{left:.1} {FOOT}L{left:.1} {top:.1}L{right:.1} {top:.1}L{right:.1} {FOOT}Z"),
        );
    }
    drawing.axes(TOP, FOOT);
    if far {
        let middle = f64::midpoint(x(last.to.value()), x(tested));
        for stroke in [middle - 4.0, middle + 4.0] {
            drawing.line(
                "strong",
                (stroke - 3.0, FOOT + 6.0),
                (stroke + 3.0, FOOT - 6.0),
            );
        }
    }
    drawing.text("end", (LEFT - 6.0, TOP + 4.0), &most.to_string());
    drawing.text("end", (LEFT - 6.0, FOOT + 4.0), "0");
    drawing.text("start", (4.0, 16.0), "control keys");
    drawing.text(
        "start",
        (x(first.from.value()), FOOT + 18.0),
        &first.from.to_string(),
    );
    drawing.text(
        "middle",
        (x(last.to.value()).min(RIGHT - 20.0), FOOT + 18.0),
        &last.to.to_string(),
    );
    drawing.text(
        "middle",
        (f64::midpoint(LEFT, RIGHT), FOOT + 40.0),
        &decoys.score,
    );
    drawing.line("strong", (x(tested), FOOT), (x(tested), TOP - 10.0));
    drawing.triangle("full", (x(tested), TOP - 12.0));
    let anchor = if x(tested) > WIDTH / 2.0 {
        "end"
    } else {
        "start"
    };
    drawing.text(
        anchor,
        (x(tested), TOP - 22.0),
        &format!("tested key: {}", decoys.tested),
    );
    Some(Figure {
        svg: drawing.finish(
            "decoys",
            "Scores of the control keys, and of the tested key",
            &format!("A histogram of the scores of control keys on the same text, from {} to {}. The tested key's score is {}.", first.from, last.to, decoys.tested),
        ),
        caption: format!(
            "Hatched bars: how many control keys scored in each range on the very same text. Solid line with a triangle: the tested key.{}",
            if far { " The axis is broken before it: it is far beyond." } else { "" }
        ),
    })
}

/// How evidence grew.
pub(super) fn path(path: &Path, alpha: f64) -> Option<Figure> {
    const TOP: f64 = 40.0;
    const FOOT: f64 = 206.0;
    let (first, last) = (path.points.first()?, path.points.last()?);
    let threshold = -alpha.log10();
    let higher = |a: &&Number, b: &&Number| a.value().total_cmp(&b.value());
    let values = || path.points.iter().map(|point| &point.log10_e);
    let (lowest, highest) = (values().min_by(higher)?, values().max_by(higher)?);
    let domain = (lowest.value().min(0.0), highest.value().max(threshold));
    let x = |answers: u32| {
        scale(
            f64::from(answers),
            (0.0, f64::from(last.answers)),
            (LEFT, RIGHT - 6.0),
        )
    };
    let y = |value: f64| scale(value, domain, (FOOT, TOP));
    let mut drawing = Drawing::new(256.0);
    drawing.axes(TOP, FOOT);
    drawing.line("dashed", (LEFT, y(threshold)), (RIGHT, y(threshold)));
    drawing.text("end", (RIGHT, y(threshold) - 6.0), "enough: 1/alpha");
    let every = path.points.len().div_ceil(MOST_POINTS);
    let mut line = format!("M{LEFT} {:.1}", y(0.0));
    for (index, point) in path.points.iter().enumerate() {
        if index % every == 0 || point == last {
            line.push_str(&format!(
                "L{:.1} {:.1}",
                x(point.answers),
                y(point.log10_e.value())
            ));
        }
    }
    drawing.path("curve", &line);
    drawing.circle("full", (x(last.answers), y(last.log10_e.value())));
    drawing.text("start", (4.0, 16.0), "log10 of the e-value");
    drawing.text("end", (LEFT - 6.0, y(0.0) + 4.0), "0");
    if (y(highest.value()) - y(0.0)).abs() > 14.0 {
        drawing.text(
            "end",
            (LEFT - 6.0, y(highest.value()) + 4.0),
            &highest.to_string(),
        );
    }
    drawing.text("end", (RIGHT, FOOT + 18.0), &last.answers.to_string());
    drawing.text(
        "middle",
        (f64::midpoint(LEFT, RIGHT), FOOT + 40.0),
        "answers so far",
    );
    Some(Figure {
        svg: drawing.finish(
            "path",
            "Growth of the e-value with the answers",
            &format!("A curve of log10 of the e-value, {} after {} answers and {} after {}.", first.log10_e, first.answers, last.log10_e, last.answers),
        ),
        caption: "Solid line: evidence after each answer; the dot is where asking stopped. Dashed line: where the plan says that it is enough.".to_owned(),
    })
}

/// Accounts from strong to weak.
pub(super) fn accounts(accounts: &Accounts) -> Option<Figure> {
    const TOP: f64 = 62.0;
    const FOOT: f64 = 222.0;
    let mut ranked: Vec<&Account> = accounts.rows.iter().collect();
    let key = |account: &Account| (account.log10_p.value(), account.pseudonym);
    ranked.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
    });
    ranked.truncate(MOST_ACCOUNTS);
    let lowest = &ranked.first()?.log10_p;
    let x = |index: usize| {
        scale(
            float(index),
            (0.0, float(ranked.len() - 1)),
            (LEFT + 10.0, RIGHT - 8.0),
        )
    };
    let y = |value: f64| scale(value, (lowest.value().min(-1e-9), 0.0), (TOP, FOOT));
    let mut drawing = Drawing::new(272.0);
    drawing.axes(TOP - 8.0, FOOT);
    let mark = |drawing: &mut Drawing, role: Role, at: (f64, f64)| match role {
        Role::Supported => drawing.circle("full", at),
        Role::NotSupported => drawing.circle("hollow", at),
        Role::Control => drawing.triangle("hollow", at),
    };
    let legend = [
        (Role::Supported, 14.0, "supported"),
        (Role::NotSupported, 110.0, "not supported"),
        (Role::Control, 230.0, "innocent control"),
    ];
    for (role, at, name) in legend {
        mark(&mut drawing, role, (at, 34.0));
        drawing.text("start", (at + 10.0, 38.5), name);
    }
    for (index, account) in ranked.iter().enumerate() {
        mark(
            &mut drawing,
            account.role,
            (x(index), y(account.log10_p.value())),
        );
    }
    drawing.text("start", (4.0, 14.0), "log10 p: higher up is rarer");
    drawing.text("end", (LEFT - 6.0, TOP + 4.0), &lowest.to_string());
    drawing.text("end", (LEFT - 6.0, FOOT + 4.0), "0");
    drawing.text(
        "middle",
        (f64::midpoint(LEFT, RIGHT), FOOT + 26.0),
        "accounts, from small p to large",
    );
    let shown = ranked.len();
    let all = accounts.rows.len();
    let caption = if shown < all {
        format!(
            "The {shown} accounts with the smallest p out of {all}; the table below has all {all}."
        )
    } else {
        format!("All {all} accounts, from small p to large.")
    };
    Some(Figure {
        svg: drawing.finish(
            "accounts",
            "Results by account",
            &format!("Accounts by log10 p, from {lowest} upwards. Filled circles are supported, hollow circles are not, triangles are innocent control accounts."),
        ),
        caption,
    })
}
