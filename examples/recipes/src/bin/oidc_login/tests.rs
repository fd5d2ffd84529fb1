use std::{collections::BTreeMap, time::Duration};

use reqwest::Url;
use test_support::{log::Log, provider::Provider};
use tokio::{net::TcpListener, time};

use super::*;

/// A browser of one user. It keeps the cookies of all ports of this machine together, as
/// browsers do, and follows no redirect by itself.
struct Browser {
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
    /// Whether it doesn't go to the end of a login.
    stops: bool,
}

/// The page at which a browser arrives, and where it was sent on the way.
struct Page {
    status: u16,
    text: String,
    way: Vec<Url>,
}

impl Browser {
    fn new() -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        Self {
            http: http.no_proxy().build().unwrap(),
            cookies: BTreeMap::new(),
            stops: false,
        }
    }

    async fn get(&mut self, url: impl AsRef<str>) -> Page {
        self.go(url.as_ref().parse().unwrap(), None).await
    }

    /// Asks for a page, or posts a form to it, and follows redirects.
    async fn go(&mut self, mut url: Url, mut form: Option<&str>) -> Page {
        let mut way = Vec::new();
        loop {
            way.push(url.clone());
            if self.stops && url.path() == "/callback" {
                let (status, text) = (0, String::new());
                return Page { status, text, way };
            }
            let request = match form.take() {
                None => self.http.get(url.clone()),
                Some(form) => (self.http.post(url.clone()).body(form.to_owned()))
                    .header("content-type", "application/x-www-form-urlencoded"),
            };
            let cookies = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            let request = request.header("cookie", Vec::from_iter(cookies).join("; "));
            let response = request.header("accept", "text/html").send().await.unwrap();
            for cookie in response.headers().get_all("set-cookie") {
                let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = cookie.split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
            let Some(to) = response.headers().get("location") else {
                let status = response.status().as_u16();
                let text = response.text().await.unwrap();
                return Page { status, text, way };
            };
            url = url.join(to.to_str().unwrap()).unwrap();
        }
    }

    /// Asks for the orders, logs in at the provider as alice, and consents.
    async fn log_in(&mut self, shop: &str) -> Page {
        let page = self.get(shop).await;
        let login = page.way.last().unwrap().clone();
        assert!(login.path().starts_with("/interaction/"), "{login}");
        let page = self
            .go(login, Some("prompt=login&login=alice&password=wonderland"))
            .await;
        let consent = page.way.last().unwrap().clone();
        self.go(consent, Some("prompt=consent")).await
    }

    /// Logs out at the provider, on its own page.
    async fn log_out(&mut self, provider: &Provider) {
        let page = self.get(format!("{}/session/end", provider.issuer())).await;
        let (_, token) = page.text.split_once(r#"name="xsrf" value=""#).unwrap();
        let form = format!("logout=yes&xsrf={}", token.split('"').next().unwrap());
        let confirm = format!("{}/session/end/confirm", provider.issuer());
        let page = self.go(confirm.parse().unwrap(), Some(&form)).await;
        assert_eq!(page.status, 200, "{}", page.text);
    }
}

/// The shop and its provider, over real sockets.
async fn open() -> (String, Provider) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let provider = Provider::start(&own, "/callback", "/auth/backchannel-logout").await;
    let app = app(&own, provider.issuer(), Provider::SECRET)
        .await
        .unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (own, provider)
}

#[tokio::test]
async fn a_user_logs_in_at_the_provider_and_a_logout_there_ends_the_session() {
    let (shop, provider) = open().await;
    let (mut laptop, mut phone) = (Browser::new(), Browser::new());
    for browser in [&mut laptop, &mut phone] {
        let page = browser.log_in(&shop).await;
        assert_eq!((page.status, &*page.text), (200, "the orders of sso/alice"));
    }
    laptop.log_out(&provider).await;
    // The provider asks for the password again.
    let page = laptop.get(&shop).await;
    let login = page.way.last().unwrap();
    assert!(login.path().starts_with("/interaction/"), "{login}");
    // It was not a logout of the other device.
    assert_eq!(phone.get(&shop).await.text, "the orders of sso/alice");
}

#[tokio::test]
async fn a_login_is_for_the_browser_that_began_it_and_once() {
    let (shop, _provider) = open().await;
    let (mut alice, mut mallory) = (Browser::new(), Browser::new());
    alice.stops = true;
    let page = alice.log_in(&shop).await;
    let callback = page.way.last().unwrap();
    alice.stops = false;
    let forged = |name: &str| {
        let mut url = callback.clone();
        let pairs = callback.query_pairs();
        let pairs = pairs.map(|(own, value)| match own == name {
            true => (own, "x".into()),
            false => (own, value),
        });
        url.query_pairs_mut().clear().extend_pairs(pairs);
        url
    };
    // Mallory has a login of his own under way.
    mallory.get(&shop).await;
    assert_eq!(mallory.get(callback).await.status, 400);
    assert_eq!(Browser::new().get(callback).await.status, 400);
    for name in ["state", "code"] {
        assert_eq!(alice.get(forged(name)).await.status, 400, "{name}");
    }
    let cancelled = format!("{shop}/callback?error=access_denied");
    assert_eq!(alice.get(cancelled).await.status, 400);
    assert!(!alice.cookies.contains_key("__Host-gatepass"));
    assert_eq!(alice.get(callback).await.text, "the orders of sso/alice");
    // The code is spent.
    assert_eq!(alice.get(callback).await.status, 400);
}

#[tokio::test]
async fn a_code_is_good_with_the_nonce_and_the_verifier_of_its_login_alone() {
    let (shop, _provider) = open().await;
    for at in [1, 2] {
        let mut alice = Browser::new();
        alice.stops = true;
        let page = alice.log_in(&shop).await;
        let kept = alice.cookies.get_mut("__Host-login").unwrap();
        let mut parts = Vec::from_iter(kept.split('.'));
        let other = "x".repeat(parts[at].len());
        parts[at] = &other;
        *kept = parts.join(".");
        alice.stops = false;
        assert_eq!(alice.get(page.way.last().unwrap()).await.status, 400);
        assert!(!alice.cookies.contains_key("__Host-gatepass"));
    }
}

#[tokio::test]
async fn a_login_goes_on_when_the_provider_has_a_new_key() {
    let (shop, mut provider) = open().await;
    provider.rotate_key().await;
    let page = Browser::new().log_in(&shop).await;
    assert_eq!((page.status, &*page.text), (200, "the orders of sso/alice"));
    // The shop asks for keys once a minute.
    provider.rotate_key().await;
    assert_eq!(Browser::new().log_in(&shop).await.status, 502);
    time::pause();
    time::advance(Duration::from_secs(60)).await;
    time::resume();
    assert_eq!(Browser::new().log_in(&shop).await.status, 200);
}

#[tokio::test]
async fn a_failure_of_the_provider_is_not_the_fault_of_its_user_and_the_log_has_no_secret() {
    let (log, _guard) = Log::listen();
    let (shop, provider) = open().await;
    let mut alice = Browser::new();
    alice.stops = true;
    let page = alice.log_in(&shop).await;
    let callback = page.way.last().unwrap();
    alice.stops = false;
    drop(provider);
    let page = alice.get(callback).await;
    assert_eq!((page.status, &*page.text), (502, "Please log in again."));
    let text = log.text();
    assert!(text.contains("the provider failed"), "{text}");
    let code = callback.query_pairs().find(|(name, _)| name == "code");
    let kept = &alice.cookies["__Host-login"];
    for secret in kept.split('.').chain([&*code.unwrap().1, Provider::SECRET]) {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}
