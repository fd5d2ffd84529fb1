//! The times of a session that the list of sessions and introspection tell, and those that they
//! don't.

use gatepass::{Clock, Timestamp, wire::Client};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

struct Listing {
    clock: ManualClock,
    authority: Authority,
    endpoints: Endpoints,
}

impl Listing {
    async fn open() -> Self {
        let clock = ManualClock::new();
        let store = MemoryStore::with_clock(clock.clone());
        let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
        let authority = Authority::builder(REALM, "shop-api", secret, store)
            .clock(clock.clone())
            // One test lists more sessions than one user may keep by default.
            .max_sessions(None)
            .build()
            .await
            .unwrap();
        let gateway = Client::confidential("gateway".try_into().unwrap(), &"s".repeat(32));
        let endpoints = Endpoints::builder(authority.clone())
            .client(gateway)
            .introspection()
            .build()
            .unwrap();
        Self {
            clock,
            authority,
            endpoints,
        }
    }

    async fn login(&self) -> Issued {
        self.login_with(Identity::new("alice").unwrap()).await
    }

    async fn login_with(&self, identity: Identity) -> Issued {
        self.authority
            .issue(identity, Device::default())
            .await
            .unwrap()
    }

    async fn refresh(&self, issued: &Issued) -> Issued {
        let token = issued.refresh_token.as_str();
        self.authority.refresh(token).await.unwrap()
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], form: &str) -> Value {
        let reply = self.reply(method, path, headers, form).await;
        assert_eq!(reply.status(), 200, "{path}");
        body(&reply)
    }

    async fn reply(&self, method: &str, path: &str, headers: &[(&str, &str)], form: &str) -> Reply {
        let values = |name| {
            headers
                .iter()
                .filter(move |(own, _)| *own == name)
                .map(|(_, value)| value.as_bytes())
        };
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query)));
        let head = RequestHead::new(method, path, values).query(query);
        let sent = RequestBody::Complete(form.as_bytes());
        self.endpoints.handle(&head, sent).await
    }

    /// The entry for the session of `other` in the list that `asking` gets.
    async fn listed(&self, asking: &Issued, other: &Issued) -> Value {
        let bearer = format!("Bearer {}", asking.access_token.as_str());
        let headers = [("authorization", bearer.as_str())];
        let list = self.send("GET", "/auth/sessions", &headers, "").await;
        let id = other.session_id.to_string();
        let sessions = list["sessions"].as_array().unwrap();
        let mut found = sessions.iter().filter(|one| one["id"] == *id);
        found.next().unwrap().clone()
    }

    async fn introspected(&self, issued: &Issued) -> Value {
        let form = format!(
            "client_id=gateway&client_secret={}&token={}",
            "s".repeat(32),
            issued.refresh_token.as_str()
        );
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send("POST", "/auth/introspect", &headers, &form).await
    }
}

/// An instant on the first day of 2030, when the clock starts.
fn at(hours: u64, minutes: u64) -> Timestamp {
    ManualClock::START + Duration::from_secs(3600 * hours + 60 * minutes)
}

#[tokio::test]
async fn a_list_tells_a_thief_nothing_of_when_the_current_session_is_refreshed() {
    let listing = Listing::open().await;
    let issued = listing.login().await;
    listing.clock.advance(11 * MINUTE);
    let before = listing.listed(&issued, &issued).await;
    assert_eq!(before["current"], true);
    for member in ["last_seen_at", "expires_at"] {
        assert!(before.get(member).is_none(), "{member}");
    }
    listing.refresh(&issued).await;
    assert_eq!(listing.listed(&issued, &issued).await, before);
}

#[tokio::test]
async fn a_refresh_changes_nothing_that_a_list_or_introspection_shows() {
    let listing = Listing::open().await;
    let mut owner = listing.login().await;
    // A day of refreshes at odd instants, each looked at just before and just after.
    let mut told = BTreeSet::new();
    for _ in 0..110 {
        listing
            .clock
            .advance(13 * MINUTE + Duration::from_millis(1_117));
        // The thief has its own session, which the owner's list of sessions would show.
        let thief = listing.login().await;
        let before = listing.listed(&thief, &owner).await;
        let introspected = listing.introspected(&owner).await;
        let next = listing.refresh(&owner).await;
        assert_eq!(listing.listed(&thief, &owner).await, before);
        assert_eq!(
            listing.introspected(&owner).await["exp"],
            introspected["exp"]
        );
        assert_eq!(
            listing.introspected(&next).await["exp"],
            introspected["exp"]
        );
        owner = next;
        told.insert(before["last_seen_at"].as_str().unwrap().to_owned());
        listing
            .authority
            .logout(thief.access_token.as_str())
            .await
            .unwrap();
    }
    // It goes on from hour to hour all the same.
    assert!(told.len() > 20, "{told:?}");
    assert!(
        told.iter().all(|time| time.ends_with(":00:00Z")),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_list_shows_about_when_a_session_was_used_and_when_it_has_surely_expired() {
    let listing = Listing::open().await;
    listing
        .clock
        .advance(10 * HOUR + 5 * MINUTE + Duration::from_millis(7));
    let phone = listing.login().await;
    let shown = async |now: Timestamp| {
        let laptop = listing.login().await;
        assert_eq!(listing.clock.now().truncated_to_secs(), now);
        let listed = listing.listed(&laptop, &phone).await;
        let time = |name: &str| listed[name].as_str().unwrap().to_owned();
        (time("last_seen_at"), time("expires_at"))
    };
    // Not before it began, and not in the hour that it is.
    let (seen, expires) = shown(at(10, 5)).await;
    assert_eq!(seen, at(10, 0).to_string());
    assert_eq!(expires, (at(11, 0) + 14 * DAY).to_string());
    listing.clock.advance(10 * HOUR);
    let (seen, expires) = shown(at(20, 5)).await;
    assert_eq!(seen, at(10, 0).to_string());
    assert_eq!(expires, (at(12, 0) + 14 * DAY).to_string());
    let phone = listing.refresh(&phone).await;
    let laptop = listing.login().await;
    let listed = listing.listed(&laptop, &phone).await;
    assert_eq!(listed["last_seen_at"], at(19, 0).to_string());
    assert_eq!(listed["expires_at"], (at(21, 0) + 14 * DAY).to_string());
    // The application gets the exact times.
    let subject = Subject::new("alice").unwrap();
    let exact = listing.authority.sessions(&subject, None).await.unwrap();
    let exact = exact
        .sessions
        .iter()
        .find(|one| one.id == phone.session_id)
        .unwrap();
    assert_eq!(exact.last_seen_at, listing.clock.now());
    let introspected = listing.introspected(&phone).await;
    assert_eq!(introspected["exp"], (at(21, 0) + 14 * DAY).unix_secs());
}

#[tokio::test]
async fn near_its_absolute_end_a_session_shows_that_end_and_no_refresh() {
    let listing = Listing::open().await;
    listing.clock.advance(7 * MINUTE);
    let mut owner = listing.login().await;
    let end = listing.clock.now() + 90 * DAY;
    for _ in 0..7 {
        listing.clock.advance(12 * DAY);
        owner = listing.refresh(&owner).await;
    }
    // 84 days after the login.
    let thief = listing.login().await;
    let listed = listing.listed(&thief, &owner).await;
    assert_eq!(listed["expires_at"], end.to_string());
    let exp = listing.introspected(&owner).await["exp"].clone();
    assert_eq!(exp, end.unix_secs());
}

#[tokio::test]
async fn where_access_tokens_live_for_hours_the_times_are_as_coarse() {
    let listing = Listing::open().await;
    let identity = Identity::new("alice").unwrap().access_ttl(150 * MINUTE);
    let mut owner = listing.login_with(identity).await;
    let mut told = BTreeSet::new();
    for _ in 0..40 {
        listing.clock.advance(134 * MINUTE + Duration::from_secs(7));
        let thief = listing.login().await;
        let before = listing.listed(&thief, &owner).await;
        owner = listing.refresh(&owner).await;
        assert_eq!(listing.listed(&thief, &owner).await, before);
        told.insert(before["last_seen_at"].as_str().unwrap().to_owned());
    }
    assert!(told.len() > 20, "{told:?}");
}

#[tokio::test]
async fn a_long_list_comes_in_pages_of_a_hundred_newest_first() {
    let listing = Listing::open().await;
    let mut expected = Vec::new();
    for _ in 0..205 {
        expected.insert(0, listing.login().await.session_id.to_string());
    }
    let asking = listing.login().await;
    expected.insert(0, asking.session_id.to_string());
    let bearer = format!("Bearer {}", asking.access_token.as_str());
    let headers = [("authorization", bearer.as_str())];
    let (mut listed, mut sizes) = (Vec::new(), Vec::new());
    let mut path = "/auth/sessions".to_owned();
    loop {
        let page = listing.send("GET", &path, &headers, "").await;
        let sessions = page["sessions"].as_array().unwrap();
        sizes.push(sessions.len());
        listed.extend(
            sessions
                .iter()
                .map(|one| one["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else {
            assert!(page["next"].is_null(), "{page}");
            break;
        };
        path = format!("/auth/sessions?after={next}");
    }
    assert_eq!(sizes, [100, 100, 6]);
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn a_place_that_was_not_given_out_is_refused_after_the_token() {
    let listing = Listing::open().await;
    let issued = listing.login().await;
    let bearer = format!("Bearer {}", issued.access_token.as_str());
    let headers = [("authorization", bearer.as_str())];
    for place in ["x", "-1", "0x10", "9007199254740993"] {
        let path = format!("/auth/sessions?after={place}");
        let refused = listing.reply("GET", &path, &headers, "").await;
        assert_eq!(refused.status(), 400, "{place}");
        assert_eq!(body(&refused)["reason"], "bad_parameter", "{place}");
        let anonymous = listing.reply("GET", &path, &[], "").await;
        assert_eq!(anonymous.status(), 401, "{place}");
    }
}

/// A client that asks to wait where that is not offered would otherwise take 204 for a promise.
#[tokio::test]
async fn a_wait_that_is_not_offered_is_refused_and_ends_nothing() {
    let listing = Listing::open().await;
    let issued = listing.login().await;
    let bearer = format!("Bearer {}", issued.access_token.as_str());
    let headers = [("authorization", bearer.as_str())];
    for query in ["wait=enforced", "wait=true", "wait=enforced&wait=x"] {
        let path = format!("/auth/logout-all?{query}");
        let anonymous = listing.reply("POST", &path, &[], "").await;
        assert_eq!(anonymous.status(), 401, "{query}");
        let refused = listing.reply("POST", &path, &headers, "").await;
        assert_eq!(refused.status(), 400, "{query}");
    }
    let refused = listing.reply("POST", "/auth/logout-all?wait=enforced", &headers, "");
    assert_eq!(body(&refused.await)["reason"], "bad_parameter");
    listing.refresh(&issued).await;
    let path = "/auth/logout-all?wait=&other=x";
    let ended = listing.reply("POST", path, &headers, "").await;
    assert_eq!(ended.status(), 204);
}
