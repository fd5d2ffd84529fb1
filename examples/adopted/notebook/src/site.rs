//! The routes with their gates.

use std::{error::Error, fmt, io, net::TcpListener, path::Path, sync::Arc};

use actix_web::{
    App, HttpServer, ResponseError,
    dev::Server,
    middleware::DefaultHeaders,
    web::{self, ServiceConfig},
};
use example_passwords::Passwords;
use gatepass::{
    Authority, Clock, LocalPath, MasterSecret, Requirements, Transport,
    wire::{Endpoint, Endpoints},
};
use gatepass_actix::{Gate, Users as Accounts, configure};
use gatepass_sqlite::SqliteStore;

use crate::{
    account,
    database::Database,
    devices,
    failed::{Failed, of_gatepass},
    notes,
    state::State,
    users::{Account, Users},
};

/// Pages load nothing, are in no frame, and send their forms to this site.
const POLICY: &str = "default-src 'none'; form-action 'self'; frame-ancestors 'none'";

/// The site, over its database. Cheap to clone.
#[derive(Clone)]
pub struct Site {
    state: State,
    accounts: Accounts<Account>,
    login: LocalPath,
}

impl Site {
    /// Opens the database, which also stores the sessions. Browsers find the site at `url`. If it
    /// begins with `http:`, for example on your own machine, the cookies work without TLS.
    ///
    /// ```no_run
    /// use example_notebook::Site;
    /// use gatepass::{MasterSecret, SystemClock};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// let (path, url) = ("notebook.db".as_ref(), "https://notebook.example");
    /// let site = Site::open(path, url, MasterSecret::generate()?, SystemClock).await?;
    /// let listener = std::net::TcpListener::bind("127.0.0.1:3000")?;
    /// site.serve(listener)?.await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of the database.
    pub async fn open(
        path: &Path,
        url: &str,
        secret: MasterSecret,
        clock: impl Clock,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let sessions = SqliteStore::builder(path)
            .clock(Arc::clone(&clock))
            .open()?;
        let database = Database::open(path)?;
        let users = Users::new(database.clone(), Passwords::new()?);
        let authority = Authority::builder(url, "notebook", secret, sessions.clone())
            .authenticator(users.clone())
            .transport(Transport::Cookie)
            .error_response(of_gatepass)
            .clock(Arc::clone(&clock));
        let authority = if url.starts_with("http:") {
            authority.danger_insecure_cookies_on_localhost()
        } else {
            authority
        };
        let authority = authority.build().await?;
        let loaded = users.clone();
        let accounts = Accounts::new(move |pass| {
            let users = loaded.clone();
            async move { users.find(pass.subject()).await }
        });
        let state = State {
            database,
            users,
            sessions,
            endpoints: endpoints(authority.clone())?,
            authority,
            clock,
        };
        Ok(Self {
            state,
            accounts,
            login: LOGIN.parse()?,
        })
    }

    /// The server. Await it to answer the connections of `listener`.
    ///
    /// # Errors
    ///
    /// An error if the listener can't be used.
    pub fn serve(self, listener: TcpListener) -> io::Result<Server> {
        let server = HttpServer::new(move || {
            let headers = DefaultHeaders::new()
                .add(("content-security-policy", POLICY))
                .add(("x-content-type-options", "nosniff"));
            let site = self.clone();
            App::new()
                .wrap(headers)
                .configure(|config| site.configure(config))
        });
        // If a browser hangs up while its password waits to be hashed, another login gets its
        // place.
        let server = server.h1_allow_half_closed(false).shutdown_timeout(1);
        Ok(server.listen(listener)?.run())
    }

    fn configure(&self, config: &mut ServiceConfig) {
        let authority = &self.state.authority;
        let stranger = Gate::new(authority).require(Requirements::new().open());
        let pages = Gate::new(authority).auto_refresh(authority);
        let visitor = pages.clone().require(Requirements::new().optional());
        let user = pages.login_page(self.login.clone()).users(&self.accounts);
        config
            .app_data(web::Data::new(self.state.clone()))
            .route("/", web::get().to(notes::home).wrap(visitor))
            // Before the endpoints, because the form has the same path.
            .route(LOGIN, web::get().to(account::login_page))
            .route("/register", web::get().to(account::register_page))
            .route(
                "/register",
                web::post().to(account::register).wrap(stranger),
            )
            .route("/notes", web::get().to(notes::page).wrap(user.clone()))
            .route("/notes", web::post().to(notes::post).wrap(user.clone()))
            .route(
                "/password",
                web::get().to(account::password_page).wrap(user.clone()),
            )
            .route(
                "/password",
                web::post().to(account::change_password).wrap(user.clone()),
            )
            .route("/devices", web::get().to(devices::page).wrap(user.clone()))
            .route(
                "/devices/end-all",
                web::post().to(devices::end_all).wrap(user.clone()),
            )
            .route("/devices/{id}/end", web::post().to(devices::end).wrap(user))
            .configure(configure(self.state.endpoints.clone()))
            .default_service(web::to(async || Failed::NotFound.error_response()));
    }
}

const LOGIN: &str = "/login";

/// The endpoints for the forms of login and logout. All other routes are pages.
fn endpoints(authority: Authority) -> Result<Endpoints, Box<dyn Error + Send + Sync>> {
    let endpoints = Endpoints::builder(authority)
        .mount("/")
        .only([Endpoint::Login, Endpoint::Logout])
        .forms(LOGIN.parse()?, "/notes".parse()?);
    Ok(endpoints.build()?)
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").finish_non_exhaustive()
    }
}
