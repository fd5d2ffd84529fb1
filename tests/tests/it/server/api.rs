//! The requests of a client to a server that may die, or whose store may fail.

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// A client of one server.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    url: String,
}

/// The connection broke, because the server is dead.
#[derive(Debug)]
pub(crate) struct Died;

/// The status and the body.
pub(crate) type Answer = Result<(u16, Value), Died>;

impl Api {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            client: Client::new(),
            url: url.to_owned(),
        }
    }

    pub(crate) async fn login(&self) -> Answer {
        let credentials = json!({ "username": "alice", "password": "a password" });
        self.post("/auth/login", &credentials).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.post("/auth/refresh", &json!({ "refresh_token": token }))
            .await
    }

    pub(crate) async fn logout(&self, token: &str) -> Answer {
        self.post("/auth/logout", &json!({ "refresh_token": token }))
            .await
    }

    pub(crate) async fn me(&self, access: &str) -> Answer {
        let request = self.client.get(format!("{}/me", self.url));
        answer(request.bearer_auth(access)).await
    }

    /// As [`me`](Self::me), on a route that asks the store each time.
    pub(crate) async fn strict(&self, access: &str) -> Answer {
        let request = self.client.get(format!("{}/strict", self.url));
        answer(request.bearer_auth(access)).await
    }

    pub(crate) async fn jwks(&self) -> Answer {
        let url = format!("{}/.well-known/jwks.json", self.url);
        answer(self.client.get(url)).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        answer(self.client.post(format!("{}{path}", self.url)).json(body)).await
    }
}

async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.map_err(|_| Died)?;
    let status = response.status().as_u16();
    let body = response.bytes().await.map_err(|_| Died)?;
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}
