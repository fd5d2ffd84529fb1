//! A gRPC method behind a login. Users log in over HTTP, on the same port.
//!
//! ```sh
//! cargo run -p hello-tonic
//! curl localhost:3000/auth/login -H "Content-Type: application/json" -d '{"username":"alice","password":"wonderland"}'
//! grpcurl -plaintext -import-path examples/hello-tonic/proto -proto shop.proto \
//!   -H "Authorization: Bearer $access_token" localhost:3000 shop.Shop/Me
//! ```

use gatepass_tonic::{
    AuthenticationError, Authority, Credentials, Endpoints, Identity, MasterSecret, MemoryStore,
    PeerAddrLayer, RequestAuth, gate,
};
use shop::shop_server::{Shop, ShopServer};
use tonic::{
    Request, Response, Status,
    service::{LayerExt, Routes},
    transport::Server,
};

mod shop {
    #![expect(
        unreachable_pub,
        unused_qualifications,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    tonic::include_proto!("shop"); // rpc Me(google.protobuf.Empty) returns (google.protobuf.StringValue)
}

struct Methods;

#[tonic::async_trait]
impl Shop for Methods {
    async fn me(&self, request: Request<()>) -> Result<Response<String>, Status> {
        let user = request.pass()?.subject();
        Ok(Response::new(format!("you are {user}")))
    }
}

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let authority = Authority::builder(
        "https://shop.example",    // the issuer, which signs tokens
        "shop-api",                // the audience, which accepts them
        MasterSecret::generate()?, // in production: MasterSecret::from_file("gatepass.secret")?
        MemoryStore::new(),        // in production: SqliteStore::open("sessions.db")?
    );
    let authority = authority.authenticator(login).build().await?;
    let shop = gate(&authority).named_layer(ShopServer::new(Methods));
    let logins = gatepass_axum::routes(Endpoints::new(authority)); // POST /auth/login, …
    let routes = Routes::from(logins).add_service(shop);
    let address = std::env::var("LISTEN").unwrap_or("127.0.0.1:3000".to_owned());
    let server = Server::builder()
        .accept_http1(true) // for logins
        .layer(PeerAddrLayer) // limits attempts to log in by address
        .add_routes(routes);
    Ok(server.serve(address.parse()?).await?)
}
