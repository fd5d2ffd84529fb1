//! Captures log events for a test.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Level, Subscriber,
    field::Field,
    span::{Attributes, Id},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};

/// The log of all crates, at every level.
#[derive(Clone, Default)]
pub struct Log(pub Arc<Mutex<Vec<Logged>>>);

/// One event or span.
pub struct Logged {
    level: Level,
    target: String,
    fields: BTreeMap<String, String>,
}

impl Logged {
    pub fn name(&self) -> &str {
        let message = self.fields.get("message").map_or("", String::as_str);
        message.split(':').next().unwrap_or_default()
    }
}

impl tracing::field::Visit for Logged {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields
            .insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields
            .insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let mut logged = Logged {
            level: *span.metadata().level(),
            target: span.metadata().target().to_owned(),
            fields: BTreeMap::new(),
        };
        span.record(&mut logged);
        self.0.lock().unwrap().push(logged);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut logged = Logged {
            level: *event.metadata().level(),
            target: event.metadata().target().to_owned(),
            fields: BTreeMap::new(),
        };
        event.record(&mut logged);
        self.0.lock().unwrap().push(logged);
    }
}

impl Log {
    /// Captures the log of this thread. A test needs a thread of its own for that.
    pub fn listen() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::registry().with(log.clone());
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// Asserts that the last event with this name and these fields has this level, and no other
    /// fields.
    #[track_caller]
    pub fn has(&self, level: Level, name: &str, fields: &[(&str, &str)]) {
        let log = self.0.lock().unwrap();
        let found = log.iter().rev().find(|logged| {
            let same = |(key, value): &(&str, &str)| {
                logged
                    .fields
                    .get(*key)
                    .is_some_and(|is| *value == "*" || is == value)
            };
            logged.name() == name && fields.iter().all(same)
        });
        let Some(found) = found else {
            panic!("no {name} with {fields:?}:\n{}", text(&log));
        };
        assert_eq!(
            (found.level, found.target.as_str()),
            (level, "gatepass"),
            "{name}"
        );
        let keys: Vec<_> = found
            .fields
            .keys()
            .filter(|key| *key != "message")
            .collect();
        let mut expected: Vec<_> = fields.iter().map(|(key, _)| *key).collect();
        expected.sort_unstable();
        assert_eq!(keys, expected, "{name}");
    }

    /// The number of events with this name.
    pub fn count(&self, name: &str) -> usize {
        let log = self.0.lock().unwrap();
        log.iter().filter(|logged| logged.name() == name).count()
    }

    /// The values of a field in the events with this name.
    pub fn values(&self, name: &str, field: &str) -> BTreeSet<String> {
        let log = self.0.lock().unwrap();
        let named = log.iter().filter(|logged| logged.name() == name);
        let values = named.filter_map(|logged| logged.fields.get(field));
        values.cloned().collect()
    }

    pub fn text(&self) -> String {
        text(&self.0.lock().unwrap())
    }
}

fn text(log: &[Logged]) -> String {
    let mut text = String::new();
    for logged in log {
        let Logged {
            level,
            target,
            fields,
        } = logged;
        writeln!(text, "{level} {target} {fields:?}").unwrap();
    }
    text
}
