//! Tells the store which services use it, so that two services don't share one by mistake.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{
    config::BuildError,
    store::{SessionStore, answer, service::ServiceIdentity},
};

/// Makes the store remember this service, and fails if the store knows only other services.
pub(crate) async fn introduce(
    store: &dyn SessionStore,
    own: &[ServiceIdentity],
    shares: bool,
    timeout: Duration,
) -> Result<(), BuildError> {
    let ask = async |join| {
        let known = answer::in_time(timeout, store.introduce(own, join)).await;
        known.map_err(BuildError::Store)
    };
    let known = ask(shares).await?;
    let Some(other) = known.first() else {
        return Ok(());
    };
    let is_known = |identity: &&ServiceIdentity| known.contains(identity);
    let matching = own.iter().filter(is_known).count();
    if matching == 0 && !shares {
        let same_name = |one: &&ServiceIdentity| {
            own.iter()
                .any(|own| own.issuer == one.issuer && own.audience == one.audience)
        };
        return Err(match known.iter().find(same_name) {
            Some(_) => BuildError::OtherSecret,
            None => BuildError::SharedStore {
                issuer: other.issuer.clone(),
                audience: other.audience.clone(),
            },
        });
    }
    if matching < own.len() && !shares {
        // A secret is announced, or has just become active. Other nodes may soon have only that
        // one.
        ask(true).await?;
    }
    Ok(())
}

/// The identities of an authority, and whether its store knows them.
pub(crate) struct Identities(Mutex<Introduction>);

struct Introduction {
    identities: Vec<ServiceIdentity>,
    /// Whether the store knows them.
    done: bool,
}

impl Identities {
    pub(crate) fn known(identities: Vec<ServiceIdentity>) -> Self {
        Self(Mutex::new(Introduction {
            identities,
            done: true,
        }))
    }

    pub(crate) fn replace(&self, identities: Vec<ServiceIdentity>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Introduction {
            identities,
            done: false,
        };
    }

    /// The identities that the store doesn't know yet.
    pub(crate) fn unknown(&self) -> Option<Vec<ServiceIdentity>> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!state.done).then(|| state.identities.clone())
    }

    /// Notes that the store knows `identities`.
    pub(crate) fn introduced(&self, identities: &[ServiceIdentity]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.done |= state.identities == identities;
    }
}
