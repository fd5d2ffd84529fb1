//! The application's own format of errors.

use std::{fmt, sync::Arc};

use crate::http::{head::RequestHead, problem::Problem, reply::Reply};

type Respond = dyn Fn(&RequestHead<'_>, &Problem, Reply) -> Reply + Send + Sync;

/// The application's function that writes errors in its own format, if it has one.
#[derive(Clone, Default)]
pub(crate) struct ErrorResponse(Option<Arc<Respond>>);

impl ErrorResponse {
    pub(crate) fn new(
        respond: impl Fn(&RequestHead<'_>, &Problem, Reply) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(respond)))
    }

    /// Whether the application has such a function.
    pub(crate) fn is_custom(&self) -> bool {
        self.0.is_some()
    }

    /// The reply as the application writes it, if it reports a problem.
    pub(crate) fn apply(&self, head: &RequestHead<'_>, mut reply: Reply) -> Reply {
        match &self.0 {
            Some(respond) => match reply.take_problem() {
                Some(problem) => respond(head, &problem, reply),
                None => reply,
            },
            None => reply,
        }
    }
}

impl fmt::Debug for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ErrorResponse")
            .field(&self.is_custom())
            .finish()
    }
}
