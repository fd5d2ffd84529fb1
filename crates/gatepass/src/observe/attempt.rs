//! The known facts of a request whose token or credentials were refused.

use std::net::IpAddr;

use crate::model::{
    device::Device,
    ids::{SessionId, Subject},
};

/// A refresh as far as it is known: of which session and subject, and where it came from.
#[derive(Clone, Copy, Default)]
pub(crate) struct Attempt<'a> {
    pub(crate) session: Option<SessionId>,
    pub(crate) subject: Option<&'a Subject>,
    /// The hash of the subject, to be compared with those of user names.
    pub(crate) name_hash: Option<&'a str>,
    pub(crate) device: Option<&'a Device>,
}

impl Attempt<'_> {
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.device?.address
    }

    pub(super) fn user_agent(&self) -> Option<&str> {
        self.device?.user_agent.as_deref()
    }
}
