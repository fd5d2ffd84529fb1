//! Browsers that visit the site. Each has its own cookies, and follows redirects.

use std::{collections::BTreeMap, net::TcpListener, sync::Mutex, time::Duration};

use example_notebook::Site;
use gatepass::MasterSecret;
use gatepass_testkit::ManualClock;
use reqwest::{Client, Response, header::HeaderMap, redirect::Policy};
use rusqlite::Connection;
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "looking-glass";

/// The site on its own port, with its own file and clock.
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    url: String,
    directory: TempDir,
}

impl World {
    pub(crate) async fn open() -> Self {
        let directory = TempDir::new().unwrap();
        let clock = ManualClock::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let path = directory.path().join("notebook.db");
        let secret = MasterSecret::generate().unwrap();
        let site = Site::open(&path, &url, secret, clock.clone())
            .await
            .unwrap();
        tokio::spawn(site.serve(listener).unwrap());
        Self {
            clock,
            url,
            directory,
        }
    }

    /// A browser without cookies.
    pub(crate) fn browser(&self, name: &'static str) -> Browser<'_> {
        let client = Client::builder().redirect(Policy::none()).user_agent(name);
        Browser {
            world: self,
            client: client.build().unwrap(),
            cookies: Mutex::default(),
        }
    }

    /// A browser in which the user has just registered.
    pub(crate) async fn registered(&self, user: &str) -> Browser<'_> {
        let browser = self.browser("laptop");
        let page = browser
            .post("/register", &[("username", user), ("password", PASSWORD)])
            .await;
        assert_eq!(
            (page.status, page.path.as_str()),
            (200, "/notes"),
            "{page:?}"
        );
        browser
    }

    /// Another browser in which the user has just logged in.
    pub(crate) async fn logged_in(&self, user: &str, remember: bool) -> Browser<'_> {
        let browser = self.browser("phone");
        let page = browser.log_in(user, PASSWORD, remember).await;
        assert_eq!(
            (page.status, page.path.as_str()),
            (200, "/notes"),
            "{page:?}"
        );
        browser
    }

    /// Breaks the page that shows notes.
    pub(crate) fn drop_notes(&self) {
        let database = Connection::open(self.directory.path().join("notebook.db")).unwrap();
        database.execute_batch("DROP TABLE notes").unwrap();
    }

    /// Takes the table of the users away, or brings it back.
    pub(crate) fn rename_users(&self, from: &str, to: &str) {
        let database = Connection::open(self.directory.path().join("notebook.db")).unwrap();
        let rename = format!("ALTER TABLE {from} RENAME TO {to}");
        database.execute_batch(&rename).unwrap();
    }

    pub(crate) fn minutes(&self, minutes: u64) {
        self.clock.advance(Duration::from_secs(60 * minutes));
    }
}

/// A cookie, and whether it survives the end of the browser.
type Cookie = (String, bool);

pub(crate) struct Browser<'w> {
    world: &'w World,
    client: Client,
    cookies: Mutex<BTreeMap<String, Cookie>>,
}

/// The page on which a browser ends up.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    /// The path with its query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) html: String,
}

impl Browser<'_> {
    /// Opens a page.
    pub(crate) async fn visit(&self, path: &str) -> Page {
        self.go("GET", path, &[], "same-origin").await
    }

    /// Sends a form of the site.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        self.go("POST", path, form, "same-origin").await
    }

    /// Sends a form from a page of another site, with the cookies. Browsers without support for
    /// `SameSite` did this.
    pub(crate) async fn post_from_elsewhere(&self, path: &str, form: &[(&str, &str)]) -> Page {
        self.go("POST", path, form, "cross-site").await
    }

    pub(crate) async fn log_in(&self, user: &str, password: &str, remember: bool) -> Page {
        let mut form = vec![("username", user), ("password", password)];
        if remember {
            form.push(("remember_me", "yes"));
        }
        self.post("/login", &form).await
    }

    /// Whether the user may see their notes.
    pub(crate) async fn is_logged_in(&self) -> bool {
        let page = self.visit("/notes").await;
        assert_eq!(page.status, 200, "{page:?}");
        page.path == "/notes"
    }

    /// Closes the browser and opens it again.
    pub(crate) fn restart(&self) {
        self.cookies.lock().unwrap().retain(|_, (_, stays)| *stays);
    }

    async fn go(&self, method: &str, path: &str, form: &[(&str, &str)], site: &str) -> Page {
        let mut path = path.to_owned();
        let mut method = method.to_owned();
        for _ in 0..5 {
            let response = self.send(&method, &path, form, site).await;
            self.keep_cookies(response.headers());
            let location = response.headers().get("location");
            let location = location.map(|location| location.to_str().unwrap().to_owned());
            match location {
                Some(location) => {
                    assert_eq!(response.status(), 303);
                    (method, path) = ("GET".to_owned(), location);
                }
                None => {
                    return Page {
                        status: response.status().as_u16(),
                        path,
                        headers: response.headers().clone(),
                        html: response.text().await.unwrap(),
                    };
                }
            }
        }
        panic!("redirected again and again, at last to {path}");
    }

    async fn send(&self, method: &str, path: &str, form: &[(&str, &str)], site: &str) -> Response {
        let url = format!("{}{path}", self.world.url);
        let origin = match site {
            "cross-site" => "https://evil.example",
            _ => &self.world.url,
        };
        let request = match method {
            "POST" => self.client.post(url).header("origin", origin).form(form),
            _ => self.client.get(url),
        };
        let cookies = self.cookie_header();
        let request = request
            .header("accept", "text/html")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-site", site)
            .header("cookie", cookies);
        request.send().await.unwrap()
    }

    fn cookie_header(&self) -> String {
        let cookies = self.cookies.lock().unwrap();
        let cookies = cookies.iter();
        let cookies = cookies.map(|(name, (value, _))| format!("{name}={value}"));
        Vec::from_iter(cookies).join("; ")
    }

    fn keep_cookies(&self, headers: &HeaderMap) {
        let mut cookies = self.cookies.lock().unwrap();
        for set in headers.get_all("set-cookie") {
            let (cookie, attributes) = set.to_str().unwrap().split_once("; ").unwrap();
            let (name, value) = cookie.split_once('=').unwrap();
            assert!(
                attributes.contains("HttpOnly; SameSite=Lax; Path=/"),
                "{set:?}"
            );
            if attributes.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                let stays = attributes.contains("Max-Age");
                cookies.insert(name.to_owned(), (value.to_owned(), stays));
            }
        }
    }
}
