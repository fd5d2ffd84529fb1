//! Every node enforces a revocation and a change of rights within the bound: for requests and for
//! open connections.

use std::time::Duration;

use gatepass_tests::nodes::{
    Backend, Timing,
    bound::{Act, Measurement, measure},
};

use crate::nodes::on;

on! {
    Sqlite: sqlite {
        none_of_1000_revocations_is_honoured_later_than_the_bound
        nor_where_nodes_are_not_told_of_them
        no_token_from_before_one_of_1000_changes_is_honoured_later_than_the_bound
        nor_is_one_where_nodes_are_not_told_of_changes
    }
    Postgres: postgres {
        none_of_1000_revocations_is_honoured_later_than_the_bound
        nor_where_nodes_are_not_told_of_them
        no_token_from_before_one_of_1000_changes_is_honoured_later_than_the_bound
        nor_is_one_where_nodes_are_not_told_of_changes
    }
    PgBouncer: pgbouncer {
        none_of_1000_revocations_is_honoured_later_than_the_bound
        no_token_from_before_one_of_1000_changes_is_honoured_later_than_the_bound
    }
    Redis: redis {
        none_of_1000_revocations_is_honoured_later_than_the_bound
        nor_where_nodes_are_not_told_of_them
        no_token_from_before_one_of_1000_changes_is_honoured_later_than_the_bound
        nor_is_one_where_nodes_are_not_told_of_changes
    }
    RedisCluster: redis_cluster {
        none_of_1000_revocations_is_honoured_later_than_the_bound
        nor_where_nodes_are_not_told_of_them
        no_token_from_before_one_of_1000_changes_is_honoured_later_than_the_bound
        nor_is_one_where_nodes_are_not_told_of_changes
    }
}

const REVOCATIONS: usize = 1000;

async fn none_of_1000_revocations_is_honoured_later_than_the_bound(backend: Backend) {
    holds(backend, Act::End, true).await;
}

async fn nor_where_nodes_are_not_told_of_them(backend: Backend) {
    holds(backend, Act::End, false).await;
}

async fn no_token_from_before_one_of_1000_changes_is_honoured_later_than_the_bound(
    backend: Backend,
) {
    holds(backend, Act::Change, true).await;
}

async fn nor_is_one_where_nodes_are_not_told_of_changes(backend: Backend) {
    holds(backend, Act::Change, false).await;
}

async fn holds(backend: Backend, act: Act, push: bool) {
    const NODES: usize = 3;
    let asked = Measurement {
        act,
        nodes: NODES,
        revocations: REVOCATIONS,
        pause: Duration::from_millis(3),
        clients: 6,
        push,
        timing: Timing {
            // The nodes are healthy, but the machine may be busy.
            node: Duration::from_secs(60),
            ..Timing::DEFAULT
        },
    };
    let bound = measure(&backend.site(), asked).await;
    println!("{backend:?}, {act:?}, push {push}: {bound}");
    let violations = &bound.violations[..bound.violations.len().min(10)];
    assert!(violations.is_empty(), "{violations:#?}");
    assert_eq!(bound.delays.count(), REVOCATIONS * (NODES - 1));
    assert!(bound.refreshes > 0);
    let closings = bound.closings.count() + usize::try_from(bound.cut_off).unwrap();
    assert_eq!(closings, REVOCATIONS * NODES);
}
