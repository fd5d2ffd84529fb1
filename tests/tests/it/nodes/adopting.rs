//! Exchanges of an old system's tokens on several nodes at once.

use std::sync::Arc;

use gatepass::{
    Adopt, AuthenticationError, Authority, Device, Error, Identity, OldToken, OldTokens, Refusal,
    Timestamp, async_trait,
};
use gatepass_tests::nodes::{Backend, Site, Timing, builder, subject};
use tokio::sync::Barrier;

use super::on;

on! {
    Sqlite: sqlite {
        an_old_token_becomes_one_session
        no_exchange_survives_a_logout_everywhere_at_the_same_moment
    }
    Postgres: postgres {
        an_old_token_becomes_one_session
        no_exchange_survives_a_logout_everywhere_at_the_same_moment
    }
    PgBouncer: pgbouncer {
        an_old_token_becomes_one_session
        no_exchange_survives_a_logout_everywhere_at_the_same_moment
    }
    Redis: redis {
        an_old_token_becomes_one_session
        no_exchange_survives_a_logout_everywhere_at_the_same_moment
    }
    RedisCluster: redis_cluster {
        an_old_token_becomes_one_session
        no_exchange_survives_a_logout_everywhere_at_the_same_moment
    }
}

/// The old system. Its tokens are the names of its users.
struct Names;

#[async_trait]
impl OldTokens for Names {
    async fn identify(&self, name: &str) -> Result<Option<OldToken>, AuthenticationError> {
        Ok(Some(OldToken::new(Identity::new(name)?)))
    }
}

/// Two nodes over one store.
async fn nodes(site: &Site) -> [Authority; 2] {
    let start = async || {
        let builder = builder(site.open(None).await, Timing::DEFAULT);
        let adopt = Adopt::new("old:names", Timestamp::MAX, Names);
        builder.adopt(adopt).build().await.unwrap()
    };
    [start().await, start().await]
}

/// Many tabs exchange one token on two nodes. All get the session that one of the exchanges has
/// begun.
async fn an_old_token_becomes_one_session(backend: Backend) {
    let site = backend.site();
    let nodes = nodes(&site).await;
    for round in 0..10 {
        let name = format!("user-{round}");
        let together = Arc::new(Barrier::new(8));
        let tabs = (0..8).map(|tab| {
            let (node, name, together) = (nodes[tab % 2].clone(), name.clone(), &together);
            let together = Arc::clone(together);
            tokio::spawn(async move {
                together.wait().await;
                node.adopt(&name, Device::default()).await
            })
        });
        let mut issued = Vec::new();
        for tab in Vec::from_iter(tabs) {
            issued.push(tab.await.unwrap().unwrap());
        }
        let listed = nodes[0].sessions(&subject(&name), None).await.unwrap();
        assert_eq!(listed.sessions.len(), 1, "{name}");
        for one in issued {
            assert_eq!(one.session_id, listed.sessions[0].id);
            let token = one.refresh_token.as_str();
            assert!(nodes[1].refresh(token).await.is_ok(), "{name}");
        }
    }
}

/// Either may be first. In both orders, the user is logged out.
async fn no_exchange_survives_a_logout_everywhere_at_the_same_moment(backend: Backend) {
    let site = backend.site();
    let [one, other] = nodes(&site).await;
    for round in 0..30 {
        let name = format!("user-{round}");
        let exchange = tokio::spawn({
            let (one, name) = (one.clone(), name.clone());
            async move { one.adopt(&name, Device::default()).await }
        });
        if round % 3 > 0 {
            tokio::task::yield_now().await;
        }
        other.logout_all(&subject(&name)).await.unwrap();
        match exchange.await.unwrap() {
            Ok(issued) => {
                let refreshed = one.refresh(issued.refresh_token.as_str()).await;
                let ended = matches!(refreshed, Err(Error::Refused(Refusal::SessionEnded)));
                assert!(ended, "{name}: {refreshed:?}");
            }
            Err(Error::Refused(Refusal::Revoked | Refusal::SessionEnded)) => {}
            Err(error) => panic!("{name}: {error:?}"),
        }
        let listed = one.sessions(&subject(&name), None).await.unwrap();
        assert_eq!(listed.sessions, [], "{name}");
        let again = other.adopt(&name, Device::default()).await;
        assert!(matches!(again, Err(Error::Refused(_))), "{name}");
    }
}
