//! Charts in SVG.
//!
//! This module writes them itself: two kinds of charts take fewer lines than the dependencies of a
//! drawing crate.

use crate::table::{Goal, Row};

const WIDTH: f64 = 900.0;
/// The width of the names on the left.
const NAMES: f64 = 430.0;
const ROW: f64 = 22.0;
const HEIGHT: f64 = 320.0;
const MARGIN: f64 = 60.0;

const GOOD: &str = "#2f7d4f";
const BAD: &str = "#b3452c";
const COLORS: [&str; 3] = ["#2b6cb0", "#b3452c", "#2f7d4f"];

/// A bar for each row with a goal, as a share of what the goal allows. A bar that ends before the
/// line at 1 has reached its goal. `None` if no row has a goal.
pub(crate) fn goals(rows: &[Row]) -> Option<String> {
    /// The chart cuts longer bars off.
    const MOST: f64 = 2.0;
    let judged: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((row, used(row, row.value.median)?)))
        .collect();
    if judged.is_empty() {
        return None;
    }
    let height = ROW * (judged.len() + 2) as f64;
    let scale = (WIDTH - NAMES - MARGIN) / MOST;
    let mut marks = String::new();
    for (number, (row, part)) in judged.iter().enumerate() {
        let top = ROW * (number + 1) as f64;
        let color = if *part <= 1.0 { GOOD } else { BAD };
        let opacity = if row.doubt.is_some() { 0.35 } else { 1.0 };
        let (length, middle) = (part.min(MOST) * scale, top + ROW / 2.0);
        marks.push_str(&text(NAMES - 8.0, middle + 4.0, "end", &row.what));
        marks.push_str(&format!(
            "<rect x=\"{NAMES}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" fill=\"{color}\" \
             fill-opacity=\"{opacity}\"/>\n",
            top + 3.0,
            ROW - 6.0
        ));
        let edge = |value| used(row, value).unwrap_or(0.0).min(MOST) * scale + NAMES;
        let (from, to) = (edge(row.value.lower), edge(row.value.upper));
        marks.push_str(&line((from, middle), (to, middle), "#222", 1.5));
        marks.push_str(&text(
            NAMES + length + 5.0,
            middle + 4.0,
            "start",
            &format!("{part:.2}"),
        ));
    }
    let goal = NAMES + scale;
    marks.push_str(&line(
        (goal, ROW * 0.8),
        (goal, height - ROW * 0.8),
        "#222",
        1.0,
    ));
    let title = "used of what the goal allows; up to 1 is reached, pale is not to be trusted";
    marks.push_str(&text(WIDTH / 2.0, 14.0, "middle", title));
    Some(svg(height, &marks))
}

/// The share of its goal that a row uses at this value.
fn used(row: &Row, value: f64) -> Option<f64> {
    match row.goal {
        Goal::AtMost(most) => Some((value / most).max(0.0)),
        Goal::AtLeast(least) => Some(least / value),
        Goal::Known => None,
    }
}

/// A line of a chart.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A line chart with logarithmic axes. It marks whole powers of ten.
pub(crate) fn lines(title: &str, below: &str, all: &[Line]) -> String {
    let points = || all.iter().flat_map(|line| &line.points);
    let range = |values: Vec<f64>| {
        let log = values
            .iter()
            .filter(|value| **value > 0.0)
            .map(|value| value.log10());
        let (low, high) = log.fold((f64::MAX, f64::MIN), |(low, high), log| {
            (low.min(log.floor()), high.max(log.ceil()))
        });
        if low > high {
            (0.0, 1.0)
        } else {
            (low, high.max(low + 1.0))
        }
    };
    let (left, right) = range(points().map(|point| point.0).collect());
    let (bottom, top) = range(points().map(|point| point.1).collect());
    let across =
        |value: f64| MARGIN + (value.log10() - left) / (right - left) * (WIDTH - 2.0 * MARGIN);
    let up = |value: f64| {
        HEIGHT - MARGIN - (value.log10() - bottom) / (top - bottom) * (HEIGHT - 2.0 * MARGIN)
    };
    let mut marks = text(WIDTH / 2.0, 18.0, "middle", title);
    marks.push_str(&text(WIDTH / 2.0, HEIGHT - 12.0, "middle", below));
    for power in left as i32..=right as i32 {
        let x = across(10_f64.powi(power));
        marks.push_str(&line((x, MARGIN), (x, HEIGHT - MARGIN), "#ccc", 1.0));
        marks.push_str(&text(
            x,
            HEIGHT - MARGIN + 18.0,
            "middle",
            &power_of_ten(power),
        ));
    }
    for power in bottom as i32..=top as i32 {
        let y = up(10_f64.powi(power));
        marks.push_str(&line((MARGIN, y), (WIDTH - MARGIN, y), "#ccc", 1.0));
        marks.push_str(&text(MARGIN - 6.0, y + 4.0, "end", &power_of_ten(power)));
    }
    for (number, (one, color)) in all.iter().zip(COLORS.iter().cycle()).enumerate() {
        let drawn = one
            .points
            .iter()
            .filter(|point| point.0 > 0.0 && point.1 > 0.0);
        let at: Vec<_> = drawn.map(|point| (across(point.0), up(point.1))).collect();
        let path: Vec<_> = at.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        marks.push_str(&format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>\n",
            path.join(" ")
        ));
        for (x, y) in at {
            marks.push_str(&format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{color}\"/>\n"
            ));
        }
        let y = 36.0 + 16.0 * number as f64;
        marks.push_str(&text(WIDTH - MARGIN, y, "end", &one.name));
    }
    svg(HEIGHT, &marks)
}

fn power_of_ten(power: i32) -> String {
    crate::table::short(10_f64.powi(power))
}

fn line(from: (f64, f64), to: (f64, f64), color: &str, width: f64) -> String {
    format!(
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{color}\" \
         stroke-width=\"{width}\"/>\n",
        from.0, from.1, to.0, to.1
    )
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{escaped}</text>\n")
}

fn svg(height: f64, marks: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n{marks}</svg>\n"
    )
}
