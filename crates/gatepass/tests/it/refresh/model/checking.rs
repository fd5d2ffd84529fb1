//! Comparison of the nodes and the store with the model.

use gatepass::{AccessToken, Error, Refusal, Requirements, Session, Staleness, Timestamp};

use crate::refresh::model::{
    bench::{client, scopes},
    run::{Access, Answer, Run},
    session::{End, Outcome, Scopes},
};

/// The limits of an access token that has less than its session.
#[derive(Clone, Copy, Default)]
pub(crate) struct Within {
    pub(crate) scopes: Option<Scopes>,
    /// In whole seconds.
    pub(crate) authenticated_at: Option<i64>,
}

impl Run<'_> {
    /// Compares the answer of a node with that of the model.
    pub(crate) async fn check(
        &mut self,
        step: &str,
        outcome: &Outcome,
        answer: Result<Answer, Error>,
        session: usize,
        within: Within,
        node: usize,
    ) {
        self.bench.reached.lock().unwrap().note(step, outcome);
        match (outcome, answer) {
            (Outcome::Refused(expected), Err(Error::Refused(refusal))) => {
                assert_eq!(refusal, *expected, "{step}");
            }
            (Outcome::Valid, Ok(Answer::Valid(pass))) => {
                assert_eq!(pass.session_id(), Some(self.sessions[session].model.id));
            }
            (Outcome::Renewed, Ok(Answer::Renewed(renewed))) => {
                assert!(renewed.refresh_at >= renewed.server_time);
                let (access, expires_at) = (&renewed.access_token, renewed.expires_at);
                self.note(access, expires_at, &renewed.scopes, session, within, node)
                    .await;
            }
            (
                Outcome::Advanced
                | Outcome::MadeRoom
                | Outcome::Jumped
                | Outcome::Kept
                | Outcome::Replayed
                | Outcome::Recovered,
                Ok(Answer::Pair(issued)),
            ) => {
                let generation = self.sessions[session].model.current();
                let active = self.secrets.active;
                let current = self.token_of(session, generation, active).await;
                assert_eq!(
                    issued.refresh_token.as_str(),
                    current,
                    "{step}: {outcome:?}"
                );
                let held = &mut self.sessions[session];
                held.made_with.resize(generation + 1, None);
                held.made_with[generation] = Some(active);
                assert_eq!(issued.session_id, held.model.id);
                let idle_until = Timestamp::from_unix_millis(held.model.idle_until);
                assert_eq!(issued.refresh_expires_at, idle_until);
                assert!(issued.refresh_at >= issued.server_time);
                let (access, expires_at) = (&issued.access_token, issued.expires_at);
                self.note(access, expires_at, &issued.scopes, session, within, node)
                    .await;
            }
            (_, Ok(_)) => panic!("{step}: something else was issued than {outcome:?}"),
            (_, Err(error)) => panic!("{step}: {error:?} instead of {outcome:?}"),
        }
    }

    /// Notes an access token, and checks it by itself.
    async fn note(
        &mut self,
        access: &AccessToken,
        expires_at: Timestamp,
        issued_scopes: &gatepass::Scopes,
        session: usize,
        within: Within,
        node: usize,
    ) {
        let now = self.now();
        let modelled = &self.sessions[session].model;
        assert!(modelled.live(now), "a session that is over yields nothing");
        let allowed = modelled.allowed;
        let until = (now - now % 1000 + allowed.ttl()).min(modelled.access_until);
        let until = until - until % 1000;
        assert_eq!(expires_at.unix_millis(), until);

        let strict = Requirements::new().staleness(Staleness::Strict);
        let verifier = self.bench.nodes[node].verifier();
        let pass = verifier.verify(access.as_str(), &strict).await.unwrap();
        let expected = within.scopes.unwrap_or(allowed.scopes);
        assert_eq!(*issued_scopes, scopes(expected));
        assert_eq!(*pass.scopes(), scopes(expected));
        assert_eq!(*pass.subject(), self.subject);
        assert_eq!(pass.session_id(), Some(modelled.id));
        assert_eq!(pass.client_id(), Some(&client(modelled.client)));
        assert_eq!(pass.expires_at(), expires_at);
        assert!(pass.expires_at() >= pass.issued_at());
        let authenticated_at = modelled.authenticated_at - modelled.authenticated_at % 1000;
        let authenticated_at = within.authenticated_at.unwrap_or(authenticated_at);
        assert_eq!(
            pass.authenticated_at().unwrap().unix_millis(),
            authenticated_at
        );
        assert!(self.ids.insert(pass.token_id()), "an id twice");
        self.access.push(Access {
            text: access.as_str().to_owned(),
            pass,
            session,
            version: modelled.version,
            secret: self.secrets.active,
            scopes: expected,
            expires_at: until,
            issued_at: now - now % 1000,
            revoked: false,
            logged: false,
        });
    }

    /// Asserts that the store and the nodes say the same as the model, also of the newest access
    /// tokens.
    pub(crate) async fn compare(&self, newest: usize) {
        let now = self.now();
        let listed = self.bench.nodes[0].sessions(&self.subject, None).await;
        let listed = listed.unwrap();
        assert_eq!(listed.next, None);
        let listed: Vec<_> = listed.sessions.iter().map(|session| session.id).collect();
        let newest_first = self.sessions.iter().rev().map(|held| &held.model);
        let usable = newest_first.filter(|session| session.usable(now));
        let expected: Vec<_> = usable.map(|session| session.id).collect();
        assert_eq!(listed, expected);

        let mut last = None;
        for number in 0..self.sessions.len() {
            let id = self.sessions[number].model.id;
            let (session, _) = self.bench.world.store.load(id).await.unwrap();
            let session = session.unwrap();
            assert!(
                last < Some(session.number),
                "numbers grow, whatever the clock does"
            );
            last = Some(session.number);
            self.compare_session(&session, number);
        }
        for token in self.access.iter().rev().take(newest) {
            self.compare_token(token).await;
        }
    }

    fn compare_session(&self, session: &Session, number: usize) {
        let modelled = &self.sessions[number].model;
        let ended = session.ended.map(|ended| End {
            at: ended.at.unix_millis(),
            reason: ended.reason,
        });
        assert_eq!(ended, self.end_of(number));
        assert_eq!(session.generation.get() as usize, modelled.current());
        let allowed = session.identity.granted_scopes();
        assert_eq!(*allowed, scopes(modelled.allowed.scopes));
        assert_eq!(session.grant.newest.get() as usize, modelled.version);
        assert_eq!(session.grant.valid_from, session.grant.newest);
        let times = [
            session.authenticated_at,
            session.last_seen_at,
            session.idle_expires_at,
            session.access_until,
        ];
        let expected = [
            modelled.authenticated_at,
            modelled.last_seen,
            modelled.idle_until,
            modelled.access_until,
        ];
        assert_eq!(times.map(Timestamp::unix_millis), expected);
    }

    async fn compare_token(&self, token: &Access) {
        let session = &self.sessions[token.session].model;
        assert!(token.expires_at <= session.access_until);
        let expected = self.refusal_of(token);
        let verifier = self.bench.nodes[0].verifier();
        let judged = async |requirements| {
            let verified = verifier.verify(&token.text, &requirements).await;
            match verified {
                Ok(_) => None,
                Err(Error::Refused(refusal)) => Some(refusal),
                Err(error) => panic!("{error:?}"),
            }
        };
        let strict = judged(Requirements::new().staleness(Staleness::Strict)).await;
        assert_eq!(strict, expected);

        // Node 0 may learn a little later that another node ended a session or changed its rights.
        // Nothing else may differ.
        let bounded = judged(Requirements::new()).await;
        let elsewhere = |by: Option<usize>| by.is_some_and(|node| node != 0);
        let is_older = token.version < session.version;
        let unaware = bounded.is_none() && (!is_older || elsewhere(session.changed_by));
        let stale = bounded == Some(Refusal::StaleGrant) && is_older;
        let late = match &expected {
            Some(Refusal::Revoked) => {
                elsewhere(session.ended_by) && !token.revoked && (unaware || stale)
            }
            Some(Refusal::StaleGrant) => unaware,
            _ => false,
        };
        assert!(
            bounded == expected || late,
            "{bounded:?} instead of {expected:?}"
        );
    }
}
