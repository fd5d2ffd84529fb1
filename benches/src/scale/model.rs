//! The model: it computes costs from the work of a service.
//!
//! Each node has a replica of all live revocations and follows the log of the store. So memory, the
//! stream and the store's load don't depend on the number of requests.

use crate::table::short;

/// The seconds that a store keeps an entry after the last token that it concerns has expired.
const MARGIN: f64 = gatepass::store::Revocation::RETENTION_MARGIN.as_secs() as f64;
/// The fewest seconds that a node keeps an entry, in case its clock is wrong.
const KEPT: f64 = 3600.0;
/// The further seconds that it keeps each entry.
const SPARE: f64 = 60.0;
/// The pulls per second of a node while nothing is revoked. It pulls once per 0.75 to 1
/// `poll_interval`, which is 0.5 s by default.
const IDLE: f64 = 2.3;
/// The average seconds between a notification and the pull for it. The pause is 50 to 100 ms.
const GATHERED: f64 = 0.075;

/// The work of a service.
pub(super) struct Service {
    pub(super) nodes: f64,
    /// Logins per second, over all nodes.
    pub(super) logins: f64,
    /// The lifetime of an access token in seconds.
    pub(super) lifetime: f64,
    /// The share of logins that end by a revocation, such as a logout.
    pub(super) revoked: f64,
}

impl Service {
    /// The default lifetime. A logout ends every second login.
    pub(super) const USUAL: Self = Self {
        nodes: 1.0,
        logins: 1.0,
        lifetime: 900.0,
        revoked: 0.5,
    };

    pub(super) fn revocations(&self) -> f64 {
        self.logins * self.revoked
    }

    /// The revocations in the store's log.
    fn live(&self) -> f64 {
        self.revocations() * (self.lifetime + MARGIN)
    }

    /// The revocations in a node, including expired ones that it hasn't removed yet.
    fn in_node(&self) -> f64 {
        self.revocations() * ((self.lifetime + MARGIN).max(KEPT) + SPARE) * 4.0 / 3.0
    }
}

/// The measured costs of one entry and of one pull.
#[derive(Clone, Copy)]
pub(super) struct Costs {
    /// Bytes of a live revocation in a node.
    pub(super) bytes: f64,
    /// Seconds to load one revocation.
    pub(super) load: f64,
    /// Bytes of an entry on the wire.
    pub(super) entry: f64,
    /// Bytes of a pull that brings nothing.
    pub(super) pull: f64,
    /// CPU seconds of the store for a pull.
    pub(super) busy: f64,
}

impl Costs {
    /// Bytes of this many live revocations in a node.
    pub(super) fn memory(&self, live: f64) -> f64 {
        live * self.bytes
    }

    /// Bytes per second between a node and the store at this rate of revocations.
    pub(super) fn stream(&self, revocations: f64) -> f64 {
        revocations * self.entry + pulls(revocations) * self.pull
    }

    /// CPU seconds per second of the store for a node.
    pub(super) fn store(&self, revocations: f64) -> f64 {
        pulls(revocations) * self.busy
    }
}

/// The most pulls per second of a node: its polls, and one pull for each revocation. Many
/// revocations share a pull, since a node waits a moment for more before each.
pub(super) fn pulls(revocations: f64) -> f64 {
    (IDLE + revocations).min(1.0 / GATHERED)
}

const FORMULA: &str = "\
## The model

A service has *N* nodes and *L* logins per second over all nodes. The share *q* of the logins ends
in a revocation, and an access token lives for *T* seconds.

* revocations per second: *r* = *L* · *q*
* entries in the store's log: *R* = *r* · (*T* + 600)
* entries in a node: *K* = 4/3 · *r* · (max(*T* + 600, 3,600) + 60)
* memory of a node: *M* = *K* · *b*
* pulls per second of a node, at most: *p* = min(2.3 + *r*, 13.3)
* bytes per second to and from a node: *S* = *r* · *e* + *p* · *o*
* work of the store: *N* · *p* pulls and *N* · *S* bytes per second, *N* · *p* · *c* of a core
* start of a node: *R* · *l* seconds, and *R* · *e* bytes
";

/// The formulas with the costs in them, and the services in a table.
pub(super) fn table(costs: &Costs, services: impl Iterator<Item = Service>) -> String {
    let usual = Service::USUAL;
    let mut text = format!(
        "{FORMULA}\n\
         Measured in this run: *b* = {} bytes, *l* = {} µs;\n\
         with PostgreSQL *e* = {} bytes, *o* = {} bytes, *c* = {} µs.\n\n\
         With *T* = {} s and *q* = {}:\n\n\
         | nodes | logins/s | entries in a node | memory of a node | pulls/s of the store | cores of the \
         store | stream to all nodes | start of a node |\n\
         |---|---|---|---|---|---|---|---|\n",
        short(costs.bytes),
        short(costs.load * 1e6),
        short(costs.entry),
        short(costs.pull),
        short(costs.busy * 1e6),
        usual.lifetime,
        usual.revoked,
    );
    for service in services {
        let (revocations, live) = (service.revocations(), service.live());
        let in_node = service.in_node();
        text.push_str(&format!(
            "| {} | {} | {in_node:.0} | {} MB | {} | {} | {} MB/s | {} s |\n",
            service.nodes,
            service.logins,
            short(costs.memory(in_node) / 1e6),
            short(service.nodes * pulls(revocations)),
            short(service.nodes * costs.store(revocations)),
            short(service.nodes * costs.stream(revocations) / 1e6),
            short(live * costs.load),
        ));
    }
    text
}
