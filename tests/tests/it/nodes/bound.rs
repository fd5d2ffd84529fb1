//! A revocation is enforced by every node from its bound on: for requests and for connections that
//! are open.

use std::time::Duration;

use gatepass_tests::nodes::{
    Backend, Timing,
    bound::{Measurement, measure},
};

use crate::nodes::on;

on! {
    Sqlite: sqlite {
        none_of_1000_revocations_is_honoured_later_than_the_bound
        nor_where_nodes_are_not_told_of_them
    }
    Postgres: postgres {
        none_of_1000_revocations_is_honoured_later_than_the_bound
        nor_where_nodes_are_not_told_of_them
    }
    PgBouncer: pgbouncer {
        none_of_1000_revocations_is_honoured_later_than_the_bound
    }
    Redis: redis {
        none_of_1000_revocations_is_honoured_later_than_the_bound
        nor_where_nodes_are_not_told_of_them
    }
    RedisCluster: redis_cluster {
        none_of_1000_revocations_is_honoured_later_than_the_bound
        nor_where_nodes_are_not_told_of_them
    }
}

const REVOCATIONS: usize = 1000;

async fn none_of_1000_revocations_is_honoured_later_than_the_bound(backend: Backend) {
    holds(backend, true).await;
}

async fn nor_where_nodes_are_not_told_of_them(backend: Backend) {
    holds(backend, false).await;
}

async fn holds(backend: Backend, push: bool) {
    const NODES: usize = 3;
    let asked = Measurement {
        nodes: NODES,
        revocations: REVOCATIONS,
        pause: Duration::from_millis(3),
        clients: 6,
        push,
        timing: Timing {
            // Nothing is broken here; the machine may be busy.
            node: Duration::from_secs(60),
            ..Timing::DEFAULT
        },
    };
    let bound = measure(&backend.site(), asked).await;
    println!("{backend:?}, push {push}: {bound}");
    let violations = &bound.violations[..bound.violations.len().min(10)];
    assert!(violations.is_empty(), "{violations:#?}");
    assert_eq!(bound.delays.count(), REVOCATIONS * (NODES - 1));
    assert!(bound.refreshes > 0);
    let closings = bound.closings.count() + usize::try_from(bound.cut_off).unwrap();
    assert_eq!(closings, REVOCATIONS * NODES);
}
