//! Forms that browsers send.

use std::{pin::Pin, time::Duration};

use actix_web::{Error, FromRequest, HttpRequest, dev::Payload, rt::time::timeout, web};
use serde::de::DeserializeOwned;

use crate::failed::Failed;

/// How long a browser may take to send a form. actix-web itself has no limit.
const PATIENCE: Duration = Duration::from_secs(10);

/// The fields of a form.
pub(crate) struct Form<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Form<T> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = timeout(PATIENCE, web::Form::<T>::from_request(request, payload));
        Box::pin(async {
            let form = form.await.map_err(|_| Failed::TooSlow)?;
            Ok(Self(form?.into_inner()))
        })
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{http::StatusCode, test::TestRequest};
    use futures_util::stream;
    use serde::Deserialize;
    use tokio::time::Instant;

    use super::*;

    #[derive(Deserialize)]
    struct Nothing {}

    #[tokio::test(start_paused = true)]
    async fn a_form_that_never_ends_is_refused_after_ten_seconds() {
        let request = TestRequest::default()
            .insert_header(("content-type", "application/x-www-form-urlencoded"))
            .insert_header(("content-length", "10"))
            .to_http_request();
        let mut payload: Payload = Payload::Stream {
            payload: Box::pin(stream::pending()),
        };
        let begun = Instant::now();
        let refused = Form::<Nothing>::from_request(&request, &mut payload).await;
        let answer = refused.err().unwrap().error_response();
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(begun.elapsed().as_secs(), 10);
    }
}
