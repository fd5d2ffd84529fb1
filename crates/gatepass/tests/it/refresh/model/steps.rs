//! Random sequences of steps in the lives of sessions.

use proptest::{collection::vec, prelude::*, sample::select};

use crate::refresh::model::session::{Allowed, SECRETS, Scopes, UserState};

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Login {
        client: usize,
        plain: bool,
        allowed: Allowed,
        limit: Option<Scopes>,
    },
    Refresh {
        which: usize,
        token: Which,
        by: By,
        asked: Option<Scopes>,
    },
    /// The number of an access token, and the token that is shown along with it.
    Resume(usize, Beside, By),
    Renew(usize, By),
    /// Whether the password is right.
    Reauthenticate(usize, bool, By),
    LogoutByRefreshToken(usize, Which, By),
    LogoutByAccessToken(usize),
    LogoutAll,
    LogoutOthers(usize),
    EndSessionOf(usize, bool),
    RevokeToken(usize),
    ChangeUser(Allowed, UserState),
    /// The secret that becomes the active one, and for how long the others are accepted.
    ReplaceSecrets(usize, Option<i64>),
    Pass(u64),
    /// Until so many milliseconds after an instant of a session.
    PassTo(usize, Edge, i64),
    SetBack(u64),
}

/// An instant at which something changes by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edge {
    Overlap,
    Recovery,
    Access,
    Idle,
    Absolute,
}

/// A refresh token of a session: how many generations before the current one, and of which secret
/// if it is not the one that it was last made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Which {
    pub(crate) back: isize,
    pub(crate) secret: Option<usize>,
}

/// A token that is shown beside an access token.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Beside {
    Own(Which),
    AnotherSessions(Which),
    AccessToken,
    Garbage,
}

/// By whom something is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct By {
    /// For another client than the session's.
    pub(crate) foreign: bool,
    /// At a node of another client, where it can be asked there.
    pub(crate) elsewhere: bool,
    /// At a node that does not read the user again.
    pub(crate) plain: bool,
}

/// A sequence.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = step().prop_map(|step| vec![step]);
    let some = prop_oneof![24 => one, 2 => lost_answer(), 1 => last_moment(), 2 => in_a_hurry()];
    vec(some, 1..50).prop_map(|steps| steps.concat())
}

/// A client that never hears of its refresh, and comes back later with the tokens that it has.
fn lost_answer() -> impl Strategy<Value = Vec<Step>> {
    const NEWEST: usize = 1;
    const ONE_BEFORE: usize = 4;
    let which = |back| Which { back, secret: None };
    let later = select(vec![1, 30_000, 300_000, 600_001]);
    (select(vec![61_000, 930_000]), by(), later, by()).prop_map(move |(idle, by, later, again)| {
        let refresh = Step::Refresh {
            which: NEWEST,
            token: which(0),
            by,
            asked: None,
        };
        let resume = Step::Resume(ONE_BEFORE, Beside::Own(which(1)), again);
        vec![Step::Pass(idle), refresh, Step::Pass(later), resume]
    })
}

/// Tabs that refresh one right after the other, and a step-up between them. Then a request arrives
/// that was on its way with an older token.
fn in_a_hurry() -> impl Strategy<Value = Vec<Step>> {
    const NEWEST: usize = 1;
    let refresh = |back| {
        by().prop_map(move |by| Step::Refresh {
            which: NEWEST,
            token: Which { back, secret: None },
            by: By {
                foreign: false,
                ..by
            },
            asked: None,
        })
    };
    let step_up = by().prop_map(|by| Step::Reauthenticate(NEWEST, true, by));
    let quick = prop_oneof![4 => refresh(0), 1 => step_up];
    let quick =
        (quick, select(vec![1, 999, 5000])).prop_map(|(act, wait)| vec![act, Step::Pass(wait)]);
    let late = (1..=6_isize).prop_flat_map(refresh);
    (vec(quick, 1..6), late).prop_map(|(quick, late)| {
        let mut steps = quick.concat();
        steps.push(late);
        steps
    })
}

/// A client that comes back when its session is about to end, or has just ended, by itself, with an
/// access token that would live for longer.
fn last_moment() -> impl Strategy<Value = Vec<Step>> {
    let allowed = Allowed {
        scopes: 0b0011,
        ttl: Some(2 * 3_600_000),
    };
    let current = Which {
        back: 0,
        secret: None,
    };
    let by = By {
        foreign: false,
        elsewhere: false,
        plain: true,
    };
    let login = Step::Login {
        client: 0,
        plain: true,
        allowed,
        limit: None,
    };
    let refresh = Step::Refresh {
        which: 1,
        token: current,
        by,
        asked: None,
    };
    // The last token, or the one before it.
    let token = select(vec![0_usize, 3]);
    let edge = select(vec![Edge::Idle, Edge::Absolute]);
    (edge, -1..=1_i64, token).prop_map(move |(edge, after, token)| {
        vec![
            login.clone(),
            Step::Pass(3_540_000),
            refresh.clone(),
            Step::PassTo(1, edge, after),
            Step::Resume(token, Beside::Own(current), by),
        ]
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => going_on(),
        3 => ending(),
        11 => time(),
        2 => (allowed(), select(vec![
            UserState::Unchanged, UserState::Changed, UserState::Changed, UserState::Deleted, UserState::Deleted,
        ])).prop_map(|(allowed, state)| Step::ChangeUser(allowed, state)),
        1 => (0..SECRETS, select(vec![None, Some(0), Some(60_000), Some(1_800_000), Some(7_200_000), Some(7_200_000)]))
            .prop_map(|(active, kept)| Step::ReplaceSecrets(active, kept)),
    ]
}

fn going_on() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..2_usize, any::<bool>(), allowed(), limit())
            .prop_map(|(client, plain, allowed, limit)| Step::Login { client, plain, allowed, limit }),
        12 => (number(), which(), by(), limit())
            .prop_map(|(which, token, by, asked)| Step::Refresh { which, token, by, asked }),
        7 => (number(), beside(), by()).prop_map(|(access, beside, by)| Step::Resume(access, beside, by)),
        5 => (number(), by()).prop_map(|(access, by)| Step::Renew(access, by)),
        4 => (number(), prop::bool::weighted(0.8), by())
            .prop_map(|(access, right, by)| Step::Reauthenticate(access, right, by)),
    ]
}

fn ending() -> impl Strategy<Value = Step> {
    prop_oneof![
        (number(), which(), by()).prop_map(|(s, w, by)| Step::LogoutByRefreshToken(s, w, by)),
        number().prop_map(Step::LogoutByAccessToken),
        Just(Step::LogoutAll),
        number().prop_map(Step::LogoutOthers),
        (number(), any::<bool>()).prop_map(|(s, own)| Step::EndSessionOf(s, own)),
        number().prop_map(Step::RevokeToken),
    ]
}

fn time() -> impl Strategy<Value = Step> {
    const HOUR: u64 = 3_600_000;
    prop_oneof![
        8 => select(vec![1, 999, 29_999, 30_000, 30_001, 61_000, 300_000]).prop_map(Step::Pass),
        2 => select(vec![570_000, 600_000, 600_001, 899_000, 930_000]).prop_map(Step::Pass),
        2 => select(vec![HOUR - 40_000, HOUR, HOUR + 1, 3 * HOUR]).prop_map(Step::Pass),
        3 => (number(), edge(), -1..=1_i64).prop_map(|(which, edge, by)| Step::PassTo(which, edge, by)),
        1 => select(vec![1, 5000, 900_000, 48 * HOUR]).prop_map(Step::SetBack),
    ]
}

fn edge() -> impl Strategy<Value = Edge> {
    select(vec![
        Edge::Overlap,
        Edge::Recovery,
        Edge::Access,
        Edge::Idle,
        Edge::Absolute,
    ])
}

fn which() -> impl Strategy<Value = Which> {
    let back = prop_oneof![
        6 => Just(0_isize),
        5 => Just(1_isize),
        3 => 2..=6_isize,
        1 => -3..=-1_isize
    ];
    let secret = prop_oneof![12 => Just(None), 1 => (0..SECRETS).prop_map(Some)];
    (back, secret).prop_map(|(back, secret)| Which { back, secret })
}

fn beside() -> impl Strategy<Value = Beside> {
    prop_oneof![
        10 => which().prop_map(Beside::Own),
        2 => which().prop_map(Beside::AnotherSessions),
        1 => Just(Beside::AccessToken),
        1 => Just(Beside::Garbage),
    ]
}

fn by() -> impl Strategy<Value = By> {
    let rarely = || prop::bool::weighted(0.1);
    (rarely(), rarely(), any::<bool>()).prop_map(|(foreign, elsewhere, plain)| By {
        foreign,
        elsewhere,
        plain,
    })
}

fn allowed() -> impl Strategy<Value = Allowed> {
    let scopes = select(vec![0b0000, 0b0001, 0b0011, 0b0111, 0b1110]);
    let ttl = select(vec![None, Some(30_000), Some(2 * 3_600_000)]);
    (scopes, ttl).prop_map(|(scopes, ttl)| Allowed { scopes, ttl })
}

fn limit() -> impl Strategy<Value = Option<Scopes>> {
    let some = select(vec![0b0000, 0b0001, 0b0010, 0b0110, 0b1000]);
    prop_oneof![Just(None), some.prop_map(Some)]
}

/// Which one of those that there are at the time.
fn number() -> impl Strategy<Value = usize> {
    any::<u8>().prop_map(usize::from)
}
