//! What extractors ask of the guard before them.

use std::{error, fmt};

use serde::de::DeserializeOwned;

use crate::{
    env::internal_error::InternalError,
    error::Error,
    model::{refusal::Refusal, scopes::RequiredScopes},
    observe,
    token::pass::Pass,
    verifier::verifier::Verifier,
    wire::{guard::Admission, reply::Reply},
};

/// Asks who is logged in, in the name of a handler: what an adapter's extractors are made of.
///
/// Every question needs the [`Admission`] that a guard leaves in a request. Where there is none, the
/// handler's guard was forgotten: the answer is a 500, the log says which route that is, and the client
/// learns nothing of it.
///
/// ```
/// use gatepass::{Pass, wire::{Admission, Inquiry, Rejection}};
///
/// fn extract(admission: Option<&Admission>, method: &str, path: &str) -> Result<Pass, Rejection> {
///     let inquiry = Inquiry::new(admission, "my_adapter::Gate").at(method, path);
///     Ok(inquiry.pass()?.clone())
/// }
/// # let rejection = extract(None, "GET", "/me").unwrap_err();
/// # assert_eq!((rejection.reply().status(), rejection.refusal()), (500, None));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Inquiry<'a> {
    admission: Option<&'a Admission>,
    guard: &'static str,
    method: Option<&'a str>,
    path: Option<&'a str>,
}

impl<'a> Inquiry<'a> {
    /// Asks the admission of a request. `guard` is what applications know the guard by that should have
    /// left one.
    #[must_use]
    pub fn new(admission: Option<&'a Admission>, guard: &'static str) -> Self {
        Self {
            admission,
            guard,
            method: None,
            path: None,
        }
    }

    /// Adds where the request went, for the log: the path without its query.
    #[must_use]
    pub fn at(mut self, method: &'a str, path: &'a str) -> Self {
        self.method = Some(method);
        self.path = Some(path);
        self
    }

    /// Who is logged in.
    ///
    /// # Errors
    ///
    /// That nobody is, behind a guard that is optional, or that there is no guard.
    pub fn pass(&self) -> Result<&'a Pass, Rejection> {
        let admission = self.admission()?;
        admission
            .pass()
            .map_err(|refusal| admission.rejection(refusal))
    }

    /// Who is logged in, if anybody is, behind a guard that is [`optional`](crate::Demand::optional).
    ///
    /// # Errors
    ///
    /// That there is no guard.
    pub fn optional_pass(&self) -> Result<Option<&'a Pass>, Rejection> {
        Ok(self.admission()?.pass().ok())
    }

    /// Who is logged in, with all the scopes that `R` stands for.
    ///
    /// # Errors
    ///
    /// As [`pass`](Self::pass), or that a scope is missing.
    pub fn pass_with<R: RequiredScopes>(&self) -> Result<&'a Pass, Rejection> {
        let admission = self.admission()?;
        let pass = admission.pass_with::<R>();
        pass.map_err(|refusal| admission.rejection(refusal))
    }

    /// The custom claims of whoever is logged in, as a type of the application's.
    ///
    /// # Errors
    ///
    /// As [`pass`](Self::pass), or that they do not fit: 500, since the application wrote both.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        self.pass()?.claims().map_err(|error| self.unfit(&error))
    }

    fn admission(&self) -> Result<&'a Admission, Rejection> {
        self.admission.ok_or_else(|| {
            let Self {
                guard,
                method,
                path,
                ..
            } = self;
            observe::guard_missing(guard, *method, *path);
            Rejection::ours("no guard")
        })
    }

    fn unfit(&self, error: &serde_json::Error) -> Rejection {
        observe::claims_unfit(error, self.method, self.path);
        Rejection::ours("custom claims that do not fit")
    }
}

/// Why a handler does not run, and the reply that says so.
#[derive(Clone, Debug)]
#[must_use = "a request that was rejected must be answered with this"]
pub struct Rejection {
    error: Error,
    reply: Reply,
}

impl Rejection {
    /// What went wrong, and whose fault it is.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The refusal. None where nobody was refused: we failed to judge, or it is the application's own
    /// mistake, a guard that is missing or claims that do not fit.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.error {
            Error::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The complete reply.
    #[must_use]
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// The complete reply, without copying it.
    #[must_use]
    pub fn into_reply(self) -> Reply {
        self.reply
    }

    /// The same with what of its reply is sent to a request by `method`: [`Reply::for_method`].
    pub fn for_method(self, method: &str) -> Self {
        Self {
            reply: self.reply.for_method(method),
            error: self.error,
        }
    }

    fn ours(what: &'static str) -> Self {
        Self {
            error: InternalError::new(what).into(),
            reply: Reply::internal(),
        }
    }
}

/// What the client is told.
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error.description())
    }
}

impl error::Error for Rejection {}

impl Verifier {
    /// The rejection of a request that a guard does not let through, for guards whose framework takes a
    /// value for that.
    pub fn rejection(&self, error: Error) -> Rejection {
        Rejection {
            reply: self.refusal(&error),
            error,
        }
    }
}

impl Admission {
    fn rejection(&self, refusal: Refusal) -> Rejection {
        Rejection {
            reply: self.refusal(&refusal),
            error: refusal.into(),
        }
    }
}
