//! The trusted issuers of a verifier that runs.

use std::{collections::HashMap, sync::Arc};

use tokio::task::JoinHandle;

use crate::{
    issuers::remote::Remote,
    model::{health::IssuerHealth, ids::Issuer},
    token::foreign::OwnStart,
};

/// The trusted issuers of a verifier that runs, and the tasks that keep their keys current. The
/// tasks end when this is dropped.
pub(crate) struct KnownIssuers {
    own: OwnStart,
    remotes: Vec<Arc<Remote>>,
    by_name: HashMap<Issuer, Arc<Remote>>,
    tasks: Vec<JoinHandle<()>>,
}

impl KnownIssuers {
    /// Fetches the keys of all issuers. The service also starts if an issuer's keys can't be
    /// fetched now.
    pub(super) async fn start(own: &Issuer, remotes: Vec<Remote>) -> Self {
        let remotes: Vec<_> = remotes.into_iter().map(Arc::new).collect();
        let follow = |remote: &Arc<Remote>| {
            let remote = Arc::clone(remote);
            tokio::spawn(async move { remote.follow().await })
        };
        let known = Self {
            own: OwnStart::new(own),
            tasks: remotes.iter().map(follow).collect(),
            by_name: (remotes.iter())
                .flat_map(|remote| {
                    let names = remote.names().iter();
                    names.map(|name| (name.clone(), Arc::clone(remote)))
                })
                .collect(),
            remotes,
        };
        for remote in &known.remotes {
            remote.first_fetch().await;
        }
        known
    }

    /// Whether the payload of `token` begins as in this service's own tokens.
    pub(crate) fn is_own(&self, token: &str) -> bool {
        self.own.begins(token)
    }

    pub(crate) fn find(&self, issuer: &str) -> Option<(&Issuer, &Arc<Remote>)> {
        // The map has no invalid names.
        let name = Issuer::new(issuer).ok()?;
        self.by_name.get_key_value(&name)
    }

    pub(crate) fn health(&self) -> Vec<IssuerHealth> {
        self.remotes.iter().map(|remote| remote.health()).collect()
    }
}

impl Drop for KnownIssuers {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
