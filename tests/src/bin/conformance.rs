//! Plays every scenario in every framework, and prints a table of the results.
//!
//! `conformance [FILTER]` plays only the scenarios whose names contain the filter.

use std::{io::Write, process::ExitCode};

use futures_util::{StreamExt, stream};
use gatepass_testkit::scenario;
use gatepass_tests::conformance::{Framework, NOT_COMPARED, Outcome, Row, Way, play};

/// How many scenarios to play at once. They wait for processes and sockets as much as they compute.
const AT_ONCE: usize = 3;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let scenarios = scenario::all().into_iter();
    let scenarios = scenarios.filter(|scenario| scenario.name().contains(&filter));
    let scenarios: Vec<_> = scenarios.collect();
    if scenarios.is_empty() {
        line(&format!("no scenario has {filter:?} in its name"));
        return ExitCode::FAILURE;
    }
    let mut rows = stream::iter(scenarios)
        .map(|scenario| async move {
            let name = scenario.name();
            let played = tokio::spawn(async move { play(&scenario).await }).await;
            played.map_err(|panic| format!("{name}: {panic}"))
        })
        .buffered(AT_ONCE);

    let mut table = Table::default();
    table.head();
    while let Some(row) = rows.next().await {
        match row {
            Ok(row) => table.row(&row),
            Err(panicked) => table.wrong.push(panicked),
        }
    }
    if table.foot() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The totals of the printed rows, and the faults to print below them.
#[derive(Default)]
struct Table {
    scenarios: usize,
    replies: usize,
    reasons: Vec<&'static str>,
    wrong: Vec<String>,
}

impl Table {
    const NAMES: usize = 72;

    fn head(&self) {
        let names: String = Framework::ALL
            .map(|framework| format!("{:<8}", framework.name()))
            .concat();
        line(&format!(
            "{:1$} {names}",
            "replies, in process and program",
            Self::NAMES
        ));
    }

    fn row(&mut self, row: &Row) {
        self.scenarios += 1;
        let mut cells = String::new();
        for framework in Framework::ALL {
            let cell = Way::ALL.map(|way| self.cell(row, framework, way)).join("+");
            cells.push_str(&format!("{cell:<8}"));
        }
        line(&format!("{:1$} {cells}", row.scenario, Self::NAMES));
    }

    fn cell(&mut self, row: &Row, framework: Framework, way: Way) -> String {
        let mut outcomes = row.outcomes.iter();
        let outcome = outcomes.find(|outcome| (outcome.0, outcome.1) == (framework, way));
        let wrong = |what: &str| format!("{}, {}, {way}: {what}", row.scenario, framework.name());
        match outcome {
            Some((.., Outcome::Same(replies))) if *replies > 0 => {
                self.replies += replies;
                replies.to_string()
            }
            Some((.., Outcome::Excepted(reason))) => {
                let known = self.reasons.iter().position(|known| known == reason);
                let number = known.unwrap_or_else(|| {
                    self.reasons.push(reason);
                    self.reasons.len() - 1
                });
                format!("({})", number + 1)
            }
            Some((.., Outcome::Differs(what))) => {
                self.wrong.push(wrong(what));
                "WRONG".to_owned()
            }
            None | Some(_) => {
                self.wrong.push(wrong("nothing was played"));
                "WRONG".to_owned()
            }
        }
    }

    /// Prints the totals. Returns whether all replies were the same.
    fn foot(&self) -> bool {
        line("");
        for (number, reason) in self.reasons.iter().enumerate() {
            line(&format!("({}) not played: {reason}", number + 1));
        }
        for (name, reason) in NOT_COMPARED {
            line(&format!("not compared: {name}: {reason}"));
        }
        for wrong in &self.wrong {
            line(&format!("\nWRONG: {wrong}"));
        }
        let (scenarios, replies, wrong) = (self.scenarios, self.replies, self.wrong.len());
        line(&format!(
            "{scenarios} scenarios, {replies} replies compared, {wrong} wrong"
        ));
        wrong == 0 && scenarios > 0
    }
}

fn line(text: &str) {
    // There is no place to report this failure.
    let _ = writeln!(std::io::stdout(), "{text}");
}
