//! Scenarios of the description of the endpoints (OpenAPI 3.1).

use serde_json::json;

use super::{Request, Scenario};

const DESCRIPTION: &str = "/openapi.json";

/// The description lists only the mounted endpoints, each under its path in the application. It has
/// the password flow, which Swagger UI logs in by. It omits cookies, because this application sets
/// none.
#[must_use]
pub fn the_endpoints_are_described() -> Scenario {
    let token = "/auth/token";
    Scenario::new("the_endpoints_are_described")
        .send(Request::get(DESCRIPTION), 200)
        .header("content-type", "application/json")
        .json("/openapi", "3.1.0")
        .json("/paths/~1auth~1login/post/operationId", "login")
        .json("/paths/~1auth~1resume/post/operationId", "resume")
        .json("/paths/~1auth~1introspect/post/operationId", "introspect")
        .json("/paths/~1auth~1sessions/get/operationId", "sessions")
        .no_json("/paths/~1login")
        .json(
            "/components/securitySchemes/password/flows/password",
            json!({ "tokenUrl": token, "refreshUrl": token, "scopes": {} }),
        )
        .no_json("/components/securitySchemes/accessCookie")
}
