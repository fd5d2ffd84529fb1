use gatepass::{KeySet, Verifier};
use gatepass_postgres::PostgresLog;

async fn verifier(jwks: &str, database: &str) -> Result<Verifier, Box<dyn std::error::Error>> {
    let (keys, _skipped) = KeySet::from_jwks_file(jwks)?; // what the issuer publishes
    let log = PostgresLog::connect(database).await?; // as a role that can only read
    let builder = Verifier::builder("https://shop.example", "shop-api", keys, log);
    Ok(builder.build().await?)
}
