//! A session in cookies, which no script can read, for a page that logs in by `fetch` and JSON.
//! gatepass refuses requests of other sites that change something (CSRF). `cargo run -p
//! example-recipes --bin cookies`, then open `http://localhost:3000`.

use std::error::Error;

use axum::{Router, response::Html, routing::get, routing::post};
use gatepass::AuthorityBuilder;
use gatepass_axum::{
    Auth, AuthenticationError, Authority, Credentials, Endpoints, GateLayer, Identity,
    MasterSecret, MemoryStore, Transport, routes,
};

/// A login form whose script sends JSON. The browser keeps the cookies of the answer.
const PAGE: &str = r##"<form><input name="username"><input name="password" type="password">
<button>Log in</button></form><button id="order">Order tea</button><output></output>
<script>
const output = document.querySelector("output");
async function post(path, body) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  output.textContent = `${answer.status} ${await answer.text()}`;
}
document.querySelector("form").onsubmit = (event) => {
  event.preventDefault();
  post("/auth/login", Object.fromEntries(new FormData(event.target)));
};
document.querySelector("#order").onclick = () => post("/orders", {});
</script>"##;

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

fn in_cookies(builder: AuthorityBuilder) -> AuthorityBuilder {
    builder.authenticator(login).transport(Transport::Cookie)
}

fn app(authority: &Authority) -> Router {
    // When the access cookie has expired, the gate refreshes it, and the page sees nothing of that.
    // If your script refreshes by itself, as `clients/js` does, it needs no `auto_refresh`.
    let gate = GateLayer::new(authority).auto_refresh(authority);
    let order = async |Auth(pass): Auth| format!("tea for {}", pass.subject());
    routes(Endpoints::new(authority.clone()))
        .route("/orders", post(order).route_layer(gate))
        .route("/", get(Html(PAGE)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("http://localhost:3000", "shop", secret, MemoryStore::new());
    let authority = in_cookies(authority).danger_insecure_cookies_on_localhost(); // no HTTPS here
    example_recipes::serve(app(&authority.build().await?)).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{
        body::Body,
        http::{HeaderMap, Request},
    };
    use gatepass_testkit::TestService;
    use tower::ServiceExt;

    use super::*;

    /// A request of a script on a page at `origin`.
    async fn send(
        service: &TestService,
        path: &str,
        origin: &str,
        cookie: &str,
    ) -> (u16, HeaderMap) {
        let site = match origin {
            "https://service.test" => "same-origin",
            _ => "cross-site",
        };
        let request = Request::post(path)
            .header("host", "service.test")
            .header("origin", origin)
            .header("sec-fetch-site", site)
            .header("cookie", cookie)
            .header("content-type", "application/json");
        let body = r#"{"username":"alice","password":"wonderland"}"#;
        let request = request.body(Body::from(body)).unwrap();
        let response = app(service.authority()).oneshot(request).await.unwrap();
        (response.status().as_u16(), response.headers().clone())
    }

    #[tokio::test]
    async fn only_the_own_page_logs_in_and_orders() {
        let service = TestService::configured(in_cookies).await;
        let (own, evil) = ("https://service.test", "https://evil.example");
        assert_eq!(send(&service, "/auth/login", evil, "").await.0, 403);
        let (status, headers) = send(&service, "/auth/login", own, "").await;
        assert_eq!(status, 200);
        let cookies = headers.get_all("set-cookie").iter();
        let cookies = cookies.map(|cookie| cookie.to_str().unwrap());
        let cookies = cookies.map(|cookie| {
            assert!(cookie.contains("; HttpOnly"), "scripts can't read it");
            cookie.split(';').next().unwrap()
        });
        let cookies = Vec::from_iter(cookies).join("; ");

        assert_eq!(send(&service, "/orders", own, &cookies).await.0, 200);
        assert_eq!(send(&service, "/orders", own, "").await.0, 401);
        // The browser sends the cookies, and gatepass sees where the request comes from.
        assert_eq!(send(&service, "/orders", evil, &cookies).await.0, 403);

        service.clock().advance(Duration::from_secs(1000));
        let (status, headers) = send(&service, "/orders", own, &cookies).await;
        assert_eq!(
            status, 200,
            "the gate refreshes the cookie that has expired"
        );
        assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
    }
}
