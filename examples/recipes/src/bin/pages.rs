//! Pages with a login form, without JavaScript. A page that needs a login sends the browser to the
//! form and brings it back afterwards. `cargo run -p example-recipes --bin pages`, then open
//! `http://localhost:3000/orders`, and log in as `alice` with `wonderland`.

use std::error::Error;

use axum::{Router, extract::Query, response::Html, routing::get};
use gatepass::wire::Endpoints;
use gatepass_axum::{
    Auth, AuthenticationError, Authority, Credentials, GateLayer, Identity, LocalPath,
    MasterSecret, MemoryStore, Transport, routes,
};
use serde::Deserialize;

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

/// A text for a page. Its characters are never markup.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

#[derive(Deserialize)]
struct Asked {
    return_to: Option<LocalPath>,
    reason: Option<String>,
}

/// The login page. The type of `return_to` refuses a way to another host.
async fn form(Query(asked): Query<Asked>) -> Html<String> {
    let note = match asked.reason.as_deref() {
        Some("bad_credentials") => "<p>The name or the password is wrong.</p>",
        _ => "",
    };
    let back = asked.return_to.map(|path| path.to_string());
    Html(format!(
        r#"{note}<form method="post" action="/auth/login">
        <input name="username"><input name="password" type="password">
        <input name="return_to" type="hidden" value="{}"><button>Log in</button></form>"#,
        escaped(back.as_deref().unwrap_or("/orders"))
    ))
}

async fn orders(Auth(pass): Auth) -> Html<String> {
    let log_out = r#"<form method="post" action="/auth/logout"><button>Log out</button></form>"#;
    let user = escaped(pass.subject().as_str());
    Html(format!("<p>The orders of {user}</p>{log_out}"))
}

async fn app() -> Result<Router, Box<dyn Error>> {
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("http://localhost:3000", "shop", secret, MemoryStore::new())
        .authenticator(login)
        .transport(Transport::Cookie)
        .danger_insecure_cookies_on_localhost() // no HTTPS on this machine
        .build()
        .await?;
    let (page, home) = ("/login".parse::<LocalPath>()?, "/orders".parse()?);
    let endpoints = Endpoints::builder(authority.clone())
        .forms(page.clone(), home)
        .build()?;
    let gate = GateLayer::new(&authority)
        .auto_refresh(&authority)
        .login_page(page);
    Ok(Router::new()
        .route("/orders", get(orders).route_layer(gate))
        .route("/login", get(form))
        .merge(routes(endpoints)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    example_recipes::serve(app().await?).await
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        http::{HeaderMap, Request},
    };
    use gatepass_testkit::TestService;
    use tower::ServiceExt;

    use super::*;

    async fn send(
        app: &Router,
        request: axum::http::request::Builder,
        body: &'static str,
    ) -> (u16, HeaderMap) {
        let request = request
            .header("host", "localhost:3000")
            .header("accept", "text/html");
        let response = app
            .clone()
            .oneshot(request.body(Body::from(body)).unwrap())
            .await
            .unwrap();
        (response.status().as_u16(), response.headers().clone())
    }

    #[tokio::test]
    async fn a_name_is_never_markup() {
        let service = TestService::start().await;
        let user = service.logged_in("<b>Tom & \"Jerry\"</b>").await;
        let Html(page) = orders(Auth(user.pass())).await;
        let shown = "<p>The orders of &lt;b>Tom &amp; &quot;Jerry&quot;&lt;/b></p>";
        assert!(page.starts_with(shown), "{page}");
    }

    #[tokio::test]
    async fn a_browser_comes_back_to_the_page_that_it_asked_for() {
        let app = app().await.unwrap();
        let (status, headers) = send(&app, Request::get("/orders?page=2"), "").await;
        assert_eq!(
            (status, &headers["location"]),
            (
                303,
                &"/login?return_to=/orders%3Fpage%3D2&reason=missing"
                    .parse()
                    .unwrap()
            )
        );

        let form = "application/x-www-form-urlencoded";
        let login = Request::post("/auth/login").header("content-type", form);
        let fields = "username=alice&password=wonderland&return_to=%2Forders%3Fpage%3D2";
        let (status, headers) = send(&app, login, fields).await;
        assert_eq!(
            (status, headers["location"].to_str().unwrap()),
            (303, "/orders?page=2")
        );
        let cookies = headers.get_all("set-cookie").iter();
        let cookies = cookies.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap());
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        let orders = Request::get("/orders?page=2").header("cookie", &cookies);
        assert_eq!(send(&app, orders, "").await.0, 200);

        let logout = Request::post("/auth/logout").header("content-type", form);
        let (status, headers) = send(&app, logout.header("cookie", &cookies), "").await;
        assert_eq!(
            (status, headers["location"].to_str().unwrap()),
            (303, "/login")
        );
        let orders = Request::get("/orders").header("cookie", &cookies);
        assert_eq!(send(&app, orders, "").await.0, 303);
    }
}
