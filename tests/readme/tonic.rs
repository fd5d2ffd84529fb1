use gatepass_tonic::{Endpoints, RequestAuth, gate};
use shop::shop_server::{Shop, ShopServer};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    service::{LayerExt, Routes},
    transport::{Server, server::TcpIncoming},
};

mod shop {
    tonic::include_proto!("shop"); // rpc Me(google.protobuf.Empty) returns (google.protobuf.StringValue)
}

struct Methods;

#[tonic::async_trait]
impl Shop for Methods {
    async fn me(&self, request: Request<()>) -> Result<Response<String>, Status> {
        Ok(Response::new(format!("you are {}", request.pass()?.subject())))
    }
}

async fn serve(
    listener: TcpListener,
    authority: gatepass_tonic::Authority,
) -> Result<(), Box<dyn std::error::Error>> {
    let shop = gate(&authority).named_layer(ShopServer::new(Methods));
    let logins = gatepass_axum::routes(Endpoints::new(authority));
    let server = Server::builder()
        .accept_http1(true) // for those who log in
        .add_routes(Routes::from(logins).add_service(shop));
    Ok(server.serve_with_incoming(TcpIncoming::from(listener)).await?)
}
