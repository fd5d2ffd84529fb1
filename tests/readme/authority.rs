use gatepass_axum::{
    AuthenticationError, Authenticator, Authority, Credentials, Device, Identity, MasterSecret, Session,
    UserUpdate, async_trait,
};
use gatepass_sqlite::SqliteStore;

struct Users; // yours: a table with argon2id hashes, see examples/recipes/src/bin/users

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(&self, login: &Credentials, _: &Device) -> Result<Identity, AuthenticationError> {
        match (login.username(), login.password()) {
            ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
            _ => Err(AuthenticationError::BadCredentials),
        }
    }

    async fn reload_user(&self, _: &Session) -> Result<UserUpdate, AuthenticationError> {
        Ok(UserUpdate::Unchanged) // or Changed(identity), or Deleted: asked before each refresh
    }
}

async fn authority(secret: &str, file: &str) -> Result<Authority, Box<dyn std::error::Error>> {
    let secret = MasterSecret::from_file(secret)?; // (umask 077; openssl rand -hex 64 > secret)
    let store = SqliteStore::open(file)?;
    Ok(Authority::builder("https://shop.example", "shop-api", secret, store)
        .authenticator(Users)
        .build()
        .await?)
}
