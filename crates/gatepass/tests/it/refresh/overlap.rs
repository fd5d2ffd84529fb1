//! No false alarm: within `overlap` of being spent, no authentic refresh token of a session is
//! answered as reuse. This holds after any other events of the session.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use gatepass::{
    AuthenticationError, Authenticator, Authority, Clock, Credentials, Device, Error, Identity,
    Issued, Pass, Refusal, Resumed, ReusePolicy, Session, Timestamp, UserUpdate, async_trait,
};
use gatepass_testkit::ManualClock;
use proptest::{collection::vec, prelude::*, sample::Index, test_runner::TestRunner};
use test_support::world::{World, builder, login, subject, verify};
use tokio::runtime::Runtime;

const OVERLAP: Duration = Duration::from_secs(30);

/// A step of the clients of a session, or of the clock.
#[derive(Clone, Debug)]
enum Step {
    /// One of all refresh tokens that the session ever had is presented to a node.
    Refresh(Index, Node),
    /// Two of them are, at the same time, to both nodes.
    Both(Index, Index),
    /// One of them is, along with an access token.
    Resume(Index, Node),
    /// The user proves again who they are.
    Authenticate,
    Pass(Duration),
    /// The store's clock is set back, by less than it may differ.
    Back(Duration),
}

/// One reloads the user at each refresh, and the other doesn't.
#[derive(Clone, Copy, Debug)]
enum Node {
    Reading,
    Plain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = || prop_oneof![Just(Node::Reading), Just(Node::Plain)];
    // Old tokens are as likely as new ones; most are presented within a few overlaps.
    let token = any::<Index>;
    let millis = |most: u64| (0..=most).prop_map(Duration::from_millis);
    let step = prop_oneof![
        6 => (token(), node()).prop_map(|(token, node)| Step::Refresh(token, node)),
        2 => (token(), token()).prop_map(|(one, other)| Step::Both(one, other)),
        1 => (token(), node()).prop_map(|(token, node)| Step::Resume(token, node)),
        2 => Just(Step::Authenticate),
        4 => millis(12_000).prop_map(Step::Pass),
        2 => prop_oneof![Just(OVERLAP), Just(OVERLAP + Duration::from_millis(1))]
            .prop_map(Step::Pass),
        1 => millis(4_000).prop_map(Step::Back),
    ];
    vec(step, 1..60)
}

/// Knows each user, and takes any password.
struct Users;

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        Ok(Identity::of(subject(credentials.username())))
    }

    async fn reload_user(&self, _: &Session) -> Result<UserUpdate, AuthenticationError> {
        tokio::task::yield_now().await;
        Ok(UserUpdate::Unchanged)
    }
}

/// How often what was asked came out, so that the histories go where they should.
#[derive(Default)]
struct Reached {
    rotated: AtomicU32,
    replayed: AtomicU32,
    reused: AtomicU32,
    stepped_up: AtomicU32,
}

impl Reached {
    fn count(&self) -> HashMap<&str, u32> {
        [
            ("rotated", &self.rotated),
            ("replayed", &self.replayed),
            ("reused", &self.reused),
            ("stepped up", &self.stepped_up),
        ]
        .map(|(what, count)| (what, count.load(Ordering::Relaxed)))
        .into()
    }
}

struct Bench {
    clock: ManualClock,
    reading: Authority,
    plain: Authority,
    reached: Reached,
}

/// A session, as its clients know it.
struct Held {
    /// All refresh tokens that it ever had, oldest first, and when each was spent.
    tokens: Vec<(String, Option<Duration>)>,
    access: String,
    pass: Pass,
    /// The greatest time that the clock has shown since. It is set back by less than a session
    /// believes.
    latest: Timestamp,
    /// The time that has passed since, by a clock that is never set back.
    passed: Duration,
}

impl Held {
    fn knows(&self, issued: &Issued) -> bool {
        let token = issued.refresh_token.as_str();
        self.tokens.iter().any(|(known, _)| known == token)
    }
}

impl Bench {
    async fn new() -> Self {
        let World { store, clock, .. } = World::memory();
        let reuse = ReusePolicy {
            overlap: OVERLAP,
            ..ReusePolicy::default()
        };
        let node = || {
            // Short, so that a client has something to resume.
            builder(store.clone(), &clock)
                .access_ttl(2 * OVERLAP)
                .reuse(reuse)
        };
        Self {
            reading: node().authenticator(Users).build().await.unwrap(),
            plain: node().build().await.unwrap(),
            clock,
            reached: Reached::default(),
        }
    }

    fn node(&self, node: Node) -> &Authority {
        match node {
            Node::Reading => &self.reading,
            Node::Plain => &self.plain,
        }
    }

    async fn begin(&self) -> Held {
        let issued = login(&self.plain, "alice").await;
        Held {
            tokens: vec![(issued.refresh_token.as_str().to_owned(), None)],
            pass: verify(&self.plain, &issued).await.unwrap(),
            access: issued.access_token.as_str().to_owned(),
            latest: self.clock.now(),
            passed: Duration::ZERO,
        }
    }

    async fn run(&self, steps: &[Step]) {
        self.clock.set_wall(ManualClock::START);
        let mut held = self.begin().await;
        for step in steps {
            let goes_on = match step {
                Step::Refresh(token, node) => {
                    let presented = token.index(held.tokens.len());
                    let token = &held.tokens[presented].0;
                    let answer = self.node(*node).refresh(token).await;
                    self.answered(&mut held, presented, answer)
                }
                Step::Both(one, other) => {
                    let len = held.tokens.len();
                    let (one, other) = (one.index(len), other.index(len));
                    let (first, second) = tokio::join!(
                        self.reading.refresh(&held.tokens[one].0),
                        self.plain.refresh(&held.tokens[other].0),
                    );
                    let over = |answer: &Result<Issued, Error>| {
                        matches!(answer, Err(Error::Refused(Refusal::SessionEnded)))
                    };
                    // A reuse by one of them ends the session for the other.
                    let ended = over(&first) || over(&second);
                    let mut goes_on = true;
                    let mut answers = [(one, first), (other, second)];
                    // The one that rotated may have been the later one.
                    if let Ok(issued) = &answers[0].1
                        && !held.knows(issued)
                    {
                        answers.reverse();
                    }
                    for (presented, answer) in answers {
                        if !(ended && over(&answer)) {
                            goes_on &= self.answered(&mut held, presented, answer);
                        }
                    }
                    assert!(!(ended && goes_on));
                    goes_on
                }
                Step::Resume(token, node) => {
                    let presented = token.index(held.tokens.len());
                    let token = &held.tokens[presented].0;
                    match self.node(*node).resume(&held.access, token).await {
                        Ok(Resumed::Valid(_)) => true,
                        Ok(Resumed::Issued(issued)) => {
                            self.answered(&mut held, presented, Ok(issued))
                        }
                        Err(error) => self.answered(&mut held, presented, Err(error)),
                    }
                }
                Step::Authenticate => {
                    let credentials = Credentials::new("alice", "secret");
                    let device = Device::default();
                    let stepped = self
                        .reading
                        .reauthenticate(&held.pass, &credentials, &device);
                    let issued = stepped.await.unwrap();
                    self.reached.stepped_up.fetch_add(1, Ordering::Relaxed);
                    self.issued(&mut held, &issued);
                    true
                }
                Step::Pass(time) => {
                    self.clock.advance(*time);
                    held.passed += *time;
                    true
                }
                Step::Back(time) => {
                    let back = self.clock.now() + Session::CLOCK_JITTER;
                    if back.since(held.latest) > *time {
                        self.clock.step_wall_back(*time);
                    }
                    true
                }
            };
            held.latest = held.latest.max(self.clock.now());
            if !goes_on {
                held = self.begin().await;
            }
        }
    }

    /// Looks whether `answer` is right for the token that was presented; says whether the session
    /// goes on.
    fn answered(&self, held: &mut Held, presented: usize, answer: Result<Issued, Error>) -> bool {
        match answer {
            Ok(issued) => {
                self.issued(held, &issued);
                true
            }
            Err(error) => {
                let refusal = match error {
                    Error::Refused(refusal) => refusal,
                    other => unreachable!("{other:?}"),
                };
                let spent = held.tokens[presented].1;
                assert_eq!(refusal, Refusal::Reused, "token {presented}: {spent:?}");
                // None would be the token that is current.
                let age = held.passed - spent.unwrap();
                assert!(age > OVERLAP, "reuse {age:?} after it was spent");
                self.reached.reused.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    /// Takes note of the pair that was issued.
    fn issued(&self, held: &mut Held, issued: &Issued) {
        let token = issued.refresh_token.as_str();
        issued.access_token.as_str().clone_into(&mut held.access);
        if held.knows(issued) {
            let (current, _) = held.tokens.last().unwrap();
            assert_eq!(current, token, "a token that is spent");
            self.reached.replayed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if let Some((_, spent)) = held.tokens.last_mut() {
            *spent = Some(held.passed);
        }
        held.tokens.push((token.to_owned(), None));
        self.reached.rotated.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_token_that_was_spent_within_the_overlap_is_never_reuse() {
    let runtime = Runtime::new().unwrap();
    let bench = runtime.block_on(Bench::new());
    let config = ProptestConfig {
        cases: 1024,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let result = TestRunner::new(config).run(&steps(), |steps| {
        runtime.block_on(bench.run(&steps));
        Ok(())
    });
    result.unwrap();
    for (what, count) in bench.reached.count() {
        assert!(count > 100, "{what}: {count}");
    }
}
