//! The known facts about a request whose token or credentials gatepass refused.

use std::net::IpAddr;

use crate::model::{
    device::Device,
    ids::{SessionId, Subject},
};

/// The session, the subject and the device of a refused request, as far as they are known.
#[derive(Clone, Copy, Default)]
pub(crate) struct Attempt<'a> {
    pub(crate) session: Option<SessionId>,
    pub(crate) subject: Option<&'a Subject>,
    /// The hash of the subject, which an operator can compare with the hashes of user names.
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
