//! An existing site that has moved to gatepass: a notebook with pages, forms and redirects and
//! without JavaScript, in actix-web over SQLite.
//!
//! | page | form |
//! |---|---|
//! | `GET /` is for all | |
//! | `GET /login`, `GET /register` | `POST /login`, `POST /register` |
//! | `GET /notes` | `POST /notes` |
//! | `GET /password` | `POST /password`: the other devices are logged out |
//! | `GET /devices` lists the user's devices | `POST /devices/{id}/end`, `POST /devices/end-all` |
//! | | `POST /logout` |
//!
//! A page that needs a user sends the browser to `/login`, and the login brings it back. A login
//! with "remember me" lasts for months. Any other login lasts until the browser is closed. A page
//! stays logged in while it is used (`auto_refresh`). gatepass checks that a form comes from the
//! site's own pages (CSRF), so the forms have no hidden token.
//!
//! | file | the part that gatepass replaced |
//! |---|---|
//! | `site.rs` | the session middleware with its cookie key, and the CSRF middleware |
//! | `users.rs` | the table of sessions, and the "remember me" tokens |
//! | `account.rs` | the handlers of the login and logout forms. The pages are the same |
//! | `devices.rs` | nothing: the site had no list of devices |
//!
//! ```sh
//! export SECRET=$(openssl rand -hex 64)
//! cargo run -p example-notebook
//! ```
//!
//! Keep the value of `SECRET`, for example in a file that you make under `umask 077`. The next
//! start needs the same one.
//!
//! Then open <http://localhost:3000>. Run the tests with `cargo nextest run -p example-notebook`.

mod account;
mod database;
mod devices;
mod failed;
mod form;
mod html;
mod notes;
mod site;
mod state;
mod users;

pub use self::site::Site;
