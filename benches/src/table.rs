//! The measured rows of a part.

use std::fmt;

use crate::{
    load::Load,
    measure::{Quartiles, Size},
};

/// A row isn't trustworthy if its quartiles are farther than this from the median.
const SPREAD: f64 = 0.10;

/// The goal of a figure.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// No goal: the figure is for information.
    Known,
}

/// A figure, and what it is compared with.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) value: Quartiles,
    /// Empty for a ratio.
    unit: &'static str,
    pub(crate) goal: Goal,
    /// The reason not to trust the figure.
    pub(crate) doubt: Option<String>,
}

/// A row for each measurement, and the other content of a report.
pub(crate) struct Table {
    /// The amount of measurement.
    pub(crate) size: Size,
    pub(crate) rows: Vec<Row>,
    /// Paragraphs and tables in Markdown for the report, below the rows.
    pub(crate) notes: Vec<String>,
    /// Named charts for the report, above the rows.
    pub(crate) charts: Vec<(&'static str, String)>,
    load: Load,
    doubt: Option<String>,
}

impl Table {
    pub(crate) fn new(size: Size) -> Self {
        Self {
            size,
            rows: Vec::new(),
            notes: Vec::new(),
            charts: Vec::new(),
            load: Load::now(),
            doubt: None,
        }
    }

    /// Adds a ratio.
    pub(crate) fn ratio(&mut self, what: &str, ratio: Quartiles, goal: Goal) {
        self.add(what, ratio, "", goal);
    }

    /// Adds a figure in `unit` with quartiles.
    pub(crate) fn spread(&mut self, what: &str, value: Quartiles, unit: &'static str, goal: Goal) {
        self.add(what, value, unit, goal);
    }

    /// Adds a single measurement in `unit`.
    pub(crate) fn figure(&mut self, what: &str, value: f64, unit: &'static str, goal: Goal) {
        let value = Quartiles {
            lower: value,
            median: value,
            upper: value,
        };
        self.add(what, value, unit, goal);
    }

    fn add(&mut self, what: &str, value: Quartiles, unit: &'static str, goal: Goal) {
        // The rows of one measurement are added together, and share its load.
        let load = Load::now();
        if let Some(doubt) = load.doubt_since(&self.load) {
            (self.load, self.doubt) = (load, doubt);
        }
        let spread = value.spread();
        let wide = (spread > SPREAD).then(|| format!("a quartile is {:.0} % off", spread * 100.0));
        let doubts: Vec<_> = [wide, self.doubt.clone()].into_iter().flatten().collect();
        let row = Row {
            what: what.to_owned(),
            value,
            unit,
            goal,
            doubt: (!doubts.is_empty()).then(|| doubts.join("; ")),
        };
        println!("{}", row.cells().join("  "));
        self.rows.push(row);
    }
}

impl Row {
    pub(crate) const HEAD: [&'static str; 4] =
        ["measured", "median (quartiles)", "goal", "reached"];

    /// Its text, column by column.
    pub(crate) fn cells(&self) -> [String; 4] {
        let Quartiles {
            lower,
            median,
            upper,
        } = self.value;
        let unit = self.unit;
        let value = if lower == upper {
            format!("{}{unit}", short(median))
        } else {
            let (lower, median, upper) = (short(lower), short(median), short(upper));
            format!("{median}{unit} ({lower} to {upper})")
        };
        let (goal, reached) = match self.goal {
            Goal::AtMost(most) => (
                format!("at most {}{unit}", short(most)),
                Some(median <= most),
            ),
            Goal::AtLeast(least) => (
                format!("at least {}{unit}", short(least)),
                Some(median >= least),
            ),
            Goal::Known => (String::new(), None),
        };
        let reached = reached.map(|reached| if reached { "yes" } else { "no" });
        let doubt = self.doubt.as_ref();
        let doubt = doubt.map(|doubt| format!("not to be trusted: {doubt}"));
        let verdict: Vec<_> = reached
            .map(ToOwned::to_owned)
            .into_iter()
            .chain(doubt)
            .collect();
        [self.what.clone(), value, goal, verdict.join(", ")]
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = Row::HEAD.map(ToOwned::to_owned);
        let rows: Vec<_> = std::iter::once(head)
            .chain(self.rows.iter().map(Row::cells))
            .collect();
        for row in &rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let cells = rows.iter().filter_map(|row| row.get(column));
                let width = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                line.push_str(&format!("{cell:width$}  "));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Three significant digits, and all digits before the point.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    let digits = match size {
        0.0 => 0,
        _ if size >= 100.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ => (2.0 - size.log10().floor()).min(6.0) as usize,
    };
    format!("{value:.digits$}")
}
