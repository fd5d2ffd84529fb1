//! The table that is printed in the end.

use std::fmt;

use crate::measure::Quartiles;

/// The goal of a figure.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// None: the figure is for information.
    Known,
}

/// A row for each thing that was measured.
#[derive(Default)]
pub(crate) struct Table(Vec<[String; 4]>);

impl Table {
    /// Adds a ratio.
    pub(crate) fn ratio(&mut self, what: &str, ratio: Quartiles, goal: Goal) {
        self.add(what, ratio.to_string(), ratio.median, "", goal);
    }

    /// Adds a figure in `unit`.
    pub(crate) fn figure(&mut self, what: &str, value: f64, unit: &str, goal: Goal) {
        self.add(what, format!("{value:.1}{unit}"), value, unit, goal);
    }

    fn add(&mut self, what: &str, shown: String, value: f64, unit: &str, goal: Goal) {
        let (goal, reached) = match goal {
            Goal::AtMost(most) => (format!("at most {most}{unit}"), Some(value <= most)),
            Goal::AtLeast(least) => (format!("at least {least}{unit}"), Some(value >= least)),
            Goal::Known => (String::new(), None),
        };
        let reached = match reached {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        let row = [what.to_owned(), shown, goal, reached.to_owned()];
        println!("{}", row.join("  "));
        self.0.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["what", "median (quartiles)", "goal", "reached"].map(ToOwned::to_owned);
        let rows = || std::iter::once(&head).chain(&self.0);
        for row in rows() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let cells = rows().filter_map(|row| row.get(column));
                let width = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                line.push_str(&format!("{cell:width$}  "));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
