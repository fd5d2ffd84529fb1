//! An existing service for machines and people that has moved to gatepass: the stock of a
//! warehouse, in warp over SQLite.
//!
//! Machines send an API key, people send a session's access token. The same handlers answer both:
//!
//! | request | with |
//! |---|---|
//! | `GET /api/parts`, `PUT /api/parts/{name}` | `X-Api-Key` or a session, with the scope `parts:read` or `parts:write` |
//! | `GET /api/whoami` | the same, and any scope |
//! | `GET /keys` | a session |
//! | `POST /keys`, `DELETE /keys/{id}` | a session whose user has logged in within the last five minutes |
//! | `POST /auth/login` and so on | gatepass's own endpoints |
//!
//! The service still has its own keys: a table with their hashes. gatepass doesn't know them.
//! `keys/admission.rs` looks a key up, and tells gatepass's gate who its owner is.
//!
//! | file | the part that gatepass replaced |
//! |---|---|
//! | `users.rs` | a table of sessions, and the filter that looked each token up in it |
//! | `keys/admission.rs` | the filter that judged keys; the query is the same |
//!
//! A filter of warp can't pass data to the filters after it. So the gate itself calls
//! `keys/admission.rs` through `Gate::and_then`, and each route names its gate. The gate judges a
//! request before the service reads its body, and again when the body is complete: a client that
//! sends it slowly may have lost its session or its key meanwhile.
//!
//! ```sh
//! export SECRET=$(openssl rand -hex 64) ADMIN_PASSWORD=looking-glass
//! cargo run -p example-parts
//! curl localhost:3000/auth/login -H 'Content-Type: application/json' \
//!   -d '{"username":"admin","password":"looking-glass"}'
//! curl localhost:3000/keys -H "Authorization: Bearer $access_token" \
//!   -H 'Content-Type: application/json' -d '{"name":"import","scopes":"parts:read parts:write"}'
//! curl -X PUT localhost:3000/api/parts/bolt -H "X-Api-Key: $key" \
//!   -H 'Content-Type: application/json' -d '{"stock":12}'
//! ```
//!
//! Keep the value of `SECRET`, for example in a file that you make under `umask 077`. The next
//! start needs the same one.
//!
//! Run the tests with `cargo nextest run -p example-parts`.

mod caller;
mod database;
mod error;
mod keys;
mod parts;
mod serve;
mod service;
mod users;

pub use self::service::Service;
