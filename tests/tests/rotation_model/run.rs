//! One sequence of steps, done by the nodes and by the model.

use std::{collections::HashSet, ops::Range, time::Duration};

use gatepass::{
    AccessToken, Clock, Credentials, Demand, Device, Error, Issued, Pass, Refusal, Renewed,
    Resumed, Staleness, Subject, Timestamp, TokenId,
};

use crate::{
    bench::{Bench, PASSWORD, client, grant, node_of, reads_users, scopes},
    model::{
        Asking, FOR_EVER, Granted, LEEWAY, Modelled, NEVER, Outcome, SECRETS, Scopes, Secrets,
        User, UserState,
    },
    steps::{Beside, By, Step, Which},
    world::subject,
};

pub(crate) struct Run<'a> {
    bench: &'a Bench,
    subject: Subject,
    user: User,
    secrets: Secrets,
    sessions: Vec<Held>,
    access: Vec<Access>,
    ids: HashSet<TokenId>,
}

/// A session, and its refresh tokens.
struct Held {
    model: Modelled,
    /// Of each generation, the secret that its token was last made with, if there was one.
    made_with: Vec<Option<usize>>,
    /// Of each secret, the tokens of the first generations.
    tokens: [Vec<String>; SECRETS],
}

struct Access {
    text: String,
    pass: Pass,
    session: usize,
    secret: usize,
    scopes: Scopes,
    expires_at: i64,
    issued_at: i64,
    revoked: bool,
}

/// A refresh token, or what is shown instead of one.
enum Presented {
    Token {
        session: usize,
        generation: usize,
        secret: usize,
        text: String,
    },
    Other(String, Refusal),
}

/// What a node gave.
enum Answer {
    Pair(Issued),
    Renewed(Renewed),
    Valid(Pass),
}

impl<'a> Run<'a> {
    pub(crate) fn new(bench: &'a Bench, number: u64) -> Self {
        let subject = subject(&format!("user {number}"));
        let user = User {
            granted: Granted {
                scopes: 0b0111,
                ttl: None,
            },
            state: UserState::Unchanged,
        };
        bench.users.set(&subject, user);
        bench.replace_secrets(&Secrets::FIRST);
        Self {
            bench,
            subject,
            user,
            secrets: Secrets::FIRST,
            sessions: Vec::new(),
            access: Vec::new(),
            ids: HashSet::new(),
        }
    }

    fn now(&self) -> i64 {
        self.bench.world.clock.now().unix_millis()
    }

    /// Whether a session of the user's does.
    pub(crate) fn goes_on(&self) -> bool {
        (0..self.sessions.len()).any(|session| self.is_live(session))
    }

    pub(crate) async fn step(&mut self, step: &Step) {
        let bench = self.bench;
        match *step {
            Step::Login {
                client,
                plain,
                granted,
                limit,
            } => self.login(client, plain, granted, limit).await,
            Step::Refresh {
                which,
                token,
                by,
                asked,
            } => {
                let which = self.recent(which);
                self.refresh(which, token, by, asked).await;
            }
            Step::Resume(which, beside, by) => {
                let which = self.recent_access(which);
                self.resume(which, beside, by).await;
            }
            Step::Renew(which, by) => self.renew(self.recent_access(which), by).await,
            Step::Reauthenticate(which, right, by) => {
                let which = self.recent_access(which);
                self.reauthenticate(which, right, by).await;
            }
            Step::LogoutByRefreshToken(which, token, by) => {
                let which = self.recent(which);
                let Presented::Token { secret, text, .. } = self.token(which, token).await else {
                    unreachable!("a session has tokens");
                };
                let node = node_of(0, by.plain);
                let answer = bench.nodes[node].logout(&text).await;
                self.logged_out(answer, which, secret, node);
            }
            Step::LogoutByAccessToken(which) => {
                let token = &self.access[self.recent_access(which)];
                let answer = bench.nodes[0].logout(&token.text).await;
                self.logged_out(answer, token.session, token.secret, 0);
            }
            Step::LogoutAll => {
                let ended = bench.nodes[0].logout_all(&self.subject).await.unwrap();
                assert_eq!(ended, self.end_all_but(None));
            }
            Step::LogoutOthers(which) => {
                let kept = &self.access[self.recent_access(which)];
                let ended = bench.nodes[0].logout_others(&kept.pass).await.unwrap();
                assert_eq!(ended, self.end_all_but(Some(kept.session)));
            }
            Step::EndSessionOf(which, own) => {
                let session = self.recent(which);
                let session = &mut self.sessions[session].model;
                let stranger = subject("a stranger");
                let owner = if own { &self.subject } else { &stranger };
                let found = bench.nodes[0].end_session_of(owner, session.id);
                assert_eq!(found.await.unwrap(), own);
                if own {
                    session.end(0);
                }
            }
            Step::RevokeToken(which) => {
                let which = self.recent_access(which);
                let token = &mut self.access[which];
                bench.nodes[0].revoke_token(&token.pass).await.unwrap();
                token.revoked = true;
            }
            Step::ChangeUser(granted, state) => {
                self.user = User { granted, state };
                bench.users.set(&self.subject, self.user);
            }
            Step::ReplaceSecrets(active, kept) => self.replace_secrets(active, kept),
            Step::Pass(millis) => bench.world.clock.advance(Duration::from_millis(millis)),
            Step::SetBack(millis) => {
                let back = Duration::from_millis(millis);
                bench.world.clock.step_wall_back(back);
            }
        }
    }

    /// A login that the application has done itself, or at a node that reads users, one with a password.
    async fn login(&mut self, number: usize, plain: bool, granted: Granted, limit: Option<Scopes>) {
        let node = node_of(0, plain);
        let authority = &self.bench.nodes[node];
        let (client, device) = (client(number), Device::default());
        let (granted, limit, answer) = if plain {
            let grant = grant(self.subject.clone(), granted);
            let issued = authority.issue_as(&client, grant, device).await;
            (granted, None, issued)
        } else {
            let (credentials, asked) = (self.credentials(true), limit.map(scopes));
            let issued = authority.login_as(&client, &credentials, device, asked.as_ref());
            (self.user.granted, limit, issued.await)
        };
        let gone = !plain && self.user.state == UserState::Gone;
        let outcome = if gone {
            Outcome::Refused(Refusal::BadCredentials)
        } else if limit.is_some_and(|limit| limit & !granted.scopes != 0) {
            Outcome::Refused(Refusal::ScopeNotGranted)
        } else {
            Outcome::Advanced
        };
        if let Ok(issued) = &answer {
            let granted = Granted {
                scopes: limit.unwrap_or(granted.scopes),
                ..granted
            };
            let id = issued.session_id;
            let mut tokens = [const { Vec::new() }; SECRETS];
            for (mint, tokens) in self.bench.mints.iter().zip(&mut tokens) {
                mint.begin(id, &self.subject, number).await;
                // Of the first generation there is but the one.
                tokens.push(issued.refresh_token.as_str().to_owned());
            }
            self.sessions.push(Held {
                model: Modelled::begun(id, number, granted, limit, self.now()),
                made_with: vec![Some(self.secrets.active)],
                tokens,
            });
        }
        let session = self.sessions.len().saturating_sub(1);
        let answer = answer.map(Answer::Pair);
        self.check("login", &outcome, answer, session, None, node)
            .await;
    }

    async fn refresh(&mut self, which: usize, token: Which, by: By, asked: Option<Scopes>) {
        let Presented::Token {
            generation,
            secret,
            text,
            ..
        } = self.token(which, token).await
        else {
            unreachable!("a session has tokens");
        };
        let asks = self.sessions[which].model.client ^ usize::from(by.foreign);
        let node = node_of(asks ^ usize::from(by.elsewhere), by.plain);
        let asking = self.asking(node, asks);
        let outcome = self.refreshed(which, generation, secret, asked, asking);
        let authority = &self.bench.nodes[node];
        let answer = if by.elsewhere || asked.is_some() {
            let scopes = asked.map(scopes);
            let client = client(asks);
            authority.refresh_as(&client, &text, scopes.as_ref()).await
        } else {
            authority.refresh(&text).await
        };
        let answer = answer.map(Answer::Pair);
        self.check("refresh", &outcome, answer, which, asked, node)
            .await;
    }

    fn refreshed(
        &mut self,
        session: usize,
        generation: usize,
        secret: usize,
        asked: Option<Scopes>,
        by: Asking,
    ) -> Outcome {
        if !self.secrets.accept(secret, by.now) {
            return Outcome::Refused(Refusal::UnknownKey);
        }
        let session = &mut self.sessions[session].model;
        session.refresh(generation, asked, by)
    }

    async fn resume(&mut self, which: usize, beside: Beside, by: By) {
        let session = self.access[which].session;
        let presented = match beside {
            Beside::Own(token) => self.token(session, token).await,
            Beside::AnotherSessions(token) => {
                let another = (session + 1) % self.sessions.len();
                self.token(another, token).await
            }
            Beside::AccessToken => {
                Presented::Other(self.access[which].text.clone(), Refusal::WrongType)
            }
            Beside::Garbage => Presented::Other("gpr_AAAA".to_owned(), Refusal::Malformed),
        };
        let (node, asking) = self.asked_by_application(session, by);
        let refusal = self.refusal_of(&self.access[which]);
        let outcome = match (refusal, &presented) {
            (Some(Refusal::Expired), Presented::Other(_, refusal)) => {
                Outcome::Refused(refusal.clone())
            }
            (Some(Refusal::Expired), &Presented::Token { secret, .. })
                if !self.secrets.accept(secret, asking.now) =>
            {
                Outcome::Refused(Refusal::UnknownKey)
            }
            (
                Some(Refusal::Expired),
                &Presented::Token {
                    session: of,
                    generation,
                    secret,
                    ..
                },
            ) => {
                if of == session {
                    self.refreshed(session, generation, secret, None, asking)
                } else {
                    Outcome::Refused(Refusal::Ambiguous)
                }
            }
            (Some(refusal), _) => Outcome::Refused(refusal),
            (
                None,
                &Presented::Token {
                    session: of,
                    generation,
                    secret,
                    ..
                },
            ) if of == session && self.secrets.accept(secret, asking.now) => {
                let session = &mut self.sessions[session].model;
                session.resume(generation, asking)
            }
            (None, _) => Outcome::Valid,
        };
        let (Presented::Token { text, .. } | Presented::Other(text, _)) = &presented;
        let answer = self.bench.nodes[node].resume(&self.access[which].text, text);
        let answer = answer.await.map(|resumed| match resumed {
            Resumed::Issued(issued) => Answer::Pair(issued),
            Resumed::Valid(pass) => Answer::Valid(pass),
        });
        self.check("resume", &outcome, answer, session, None, node)
            .await;
    }

    async fn renew(&mut self, which: usize, by: By) {
        let token = &self.access[which];
        let (session, former) = (token.session, token.scopes);
        let (node, asking) = self.asked_by_application(session, by);
        let outcome = match self.refusal_of(token) {
            Some(refusal) => Outcome::Refused(refusal),
            None => self.sessions[session].model.renew(asking),
        };
        let answer = self.bench.nodes[node].renew(&self.access[which].text).await;
        let asked = self.sessions[session].model.granted.scopes & former;
        let answer = answer.map(Answer::Renewed);
        self.check("renew", &outcome, answer, session, Some(asked), node)
            .await;
    }

    async fn reauthenticate(&mut self, which: usize, right: bool, by: By) {
        let token = &self.access[which];
        let session = token.session;
        let by = By { plain: false, ..by };
        let (node, asking) = self.asked_by_application(session, by);
        let pass = match self.refusal_of(token) {
            None => token.pass.clone(),
            // It was verified right before the session ended.
            Some(Refusal::Revoked) if self.sessions[session].model.ended => token.pass.clone(),
            // Nobody has a pass.
            Some(_) => return,
        };
        let session_now = &mut self.sessions[session].model;
        let outcome = session_now.reauthenticate(right, self.user, asking);
        let (credentials, device) = (self.credentials(right), Device::default());
        let authority = &self.bench.nodes[node];
        let answer = authority.reauthenticate(&pass, &credentials, &device);
        let answer = answer.await.map(Answer::Pair);
        self.check("reauthenticate", &outcome, answer, session, None, node)
            .await;
    }

    fn logged_out(
        &mut self,
        answer: Result<(), Error>,
        session: usize,
        secret: usize,
        node: usize,
    ) {
        match answer {
            Ok(()) => {
                assert!(self.secrets.accept(secret, self.now()));
                self.sessions[session].model.end(node);
            }
            Err(Error::Refused(Refusal::UnknownKey)) => {
                assert!(!self.secrets.accept(secret, self.now()));
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    /// How many there were to be ended.
    fn end_all_but(&mut self, kept: Option<usize>) -> usize {
        let sessions = self.sessions.iter_mut().enumerate();
        let ended = sessions.filter(|(number, _)| Some(*number) != kept);
        let ended = ended.map(|(_, session)| session.model.end(0));
        ended.filter(|ended| *ended).count()
    }

    fn replace_secrets(&mut self, active: usize, kept: Option<i64>) {
        let now = self.now();
        for secret in 0..SECRETS {
            let until = &mut self.secrets.until[secret];
            *until = match kept {
                _ if secret == active => FOR_EVER,
                // Not at once, nor for longer than it was to be.
                Some(kept) if secret == self.secrets.active => now + kept,
                Some(_) => *until,
                None => NEVER,
            };
        }
        self.secrets.active = active;
        self.bench.replace_secrets(&self.secrets);
    }

    /// Holds what a node answered to what the model says.
    async fn check(
        &mut self,
        step: &str,
        outcome: &Outcome,
        answer: Result<Answer, Error>,
        session: usize,
        asked: Option<Scopes>,
        node: usize,
    ) {
        self.bench.reached.lock().unwrap().note(step, outcome);
        match (outcome, answer) {
            (Outcome::Refused(expected), Err(Error::Refused(refusal))) => {
                assert_eq!(refusal, *expected, "{step}");
            }
            (Outcome::Valid, Ok(Answer::Valid(pass))) => {
                assert_eq!(pass.session_id(), self.sessions[session].model.id);
            }
            (Outcome::Renewed, Ok(Answer::Renewed(renewed))) => {
                assert!(renewed.refresh_at >= renewed.server_time);
                let (access, expires_at) = (&renewed.access_token, renewed.expires_at);
                self.note(access, expires_at, &renewed.scopes, session, asked, node)
                    .await;
            }
            (
                Outcome::Advanced | Outcome::Jumped | Outcome::Replayed | Outcome::Recovered,
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
                self.note(access, expires_at, &issued.scopes, session, asked, node)
                    .await;
            }
            (_, Ok(_)) => panic!("{step}: something else was issued than {outcome:?}"),
            (_, Err(error)) => panic!("{step}: {error:?} instead of {outcome:?}"),
        }
    }

    /// Notes an access token and checks what can be said of it by itself.
    async fn note(
        &mut self,
        access: &AccessToken,
        expires_at: Timestamp,
        issued_scopes: &gatepass::Scopes,
        session: usize,
        asked: Option<Scopes>,
        node: usize,
    ) {
        let now = self.now();
        let modelled = &self.sessions[session].model;
        assert!(modelled.live(now), "a session that is over yields nothing");
        let until = (now - now % 1000 + modelled.ttl()).min(modelled.access_until);
        let until = until - until % 1000;
        assert_eq!(expires_at.unix_millis(), until);

        let strict = Demand::new().staleness(Staleness::Strict);
        let verifier = self.bench.nodes[node].verifier();
        let pass = verifier.verify(access.as_str(), &strict).await.unwrap();
        let expected = asked.unwrap_or(modelled.granted.scopes);
        assert_eq!(*issued_scopes, scopes(expected));
        assert_eq!(*pass.scopes(), scopes(expected));
        assert_eq!(*pass.subject(), self.subject);
        assert_eq!(pass.session_id(), modelled.id);
        assert_eq!(*pass.client_id(), client(modelled.client));
        assert_eq!(pass.expires_at(), expires_at);
        assert!(pass.expires_at() >= pass.issued_at());
        let authenticated_at = modelled.authenticated_at - modelled.authenticated_at % 1000;
        assert_eq!(pass.authenticated_at().unix_millis(), authenticated_at);
        assert!(self.ids.insert(pass.token_id()), "an id twice");
        self.access.push(Access {
            text: access.as_str().to_owned(),
            pass,
            session,
            secret: self.secrets.active,
            scopes: expected,
            expires_at: until,
            issued_at: now - now % 1000,
            revoked: false,
        });
    }

    /// What the stores and the nodes say is what the model says.
    pub(crate) async fn compare(&self, newest: usize) {
        let now = self.now();
        let listed = self.bench.nodes[0].sessions(&self.subject).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|session| session.id).collect();
        let sessions = self.sessions.iter().map(|held| &held.model);
        let mut expected: Vec<_> = sessions.clone().filter(|s| s.refreshable(now)).collect();
        expected.sort_by_key(|session| (session.created_at, session.id));
        let expected: Vec<_> = expected.iter().rev().map(|session| session.id).collect();
        assert_eq!(listed, expected);

        for modelled in sessions {
            let (session, _) = self.bench.world.store.load(modelled.id).await.unwrap();
            let session = session.unwrap();
            assert_eq!(session.ended.is_some(), modelled.ended);
            assert_eq!(session.generation.get() as usize, modelled.current());
            let granted = session.grant.granted_scopes();
            assert_eq!(*granted, scopes(modelled.granted.scopes));
            let times = [
                session.authenticated_at,
                session.idle_expires_at,
                session.access_until,
            ];
            let expected = [
                modelled.authenticated_at,
                modelled.idle_until,
                modelled.access_until,
            ];
            assert_eq!(times.map(Timestamp::unix_millis), expected);
        }
        for token in self.access.iter().rev().take(newest) {
            self.compare_token(token).await;
        }
    }

    async fn compare_token(&self, token: &Access) {
        let session = &self.sessions[token.session].model;
        assert!(token.expires_at <= session.access_until);
        let expected = self.refusal_of(token);
        let verifier = self.bench.nodes[0].verifier();
        let verdict = async |demand| {
            let verified = verifier.verify(&token.text, &demand).await;
            match verified {
                Ok(_) => None,
                Err(Error::Refused(refusal)) => Some(refusal),
                Err(error) => panic!("{error:?}"),
            }
        };
        let strict = verdict(Demand::new().staleness(Staleness::Strict)).await;
        assert_eq!(strict, expected);

        // Another node's ends may arrive a little later, but nothing else may differ.
        let bounded = verdict(Demand::new()).await;
        let elsewhere = session.ended_by.is_some_and(|node| node != 0);
        let late = elsewhere && expected == Some(Refusal::Revoked) && bounded.is_none();
        assert!(
            bounded == expected || (late && !token.revoked),
            "{bounded:?} instead of {expected:?}"
        );
    }

    /// By now every node knows of every end.
    pub(crate) fn all_know(&mut self) {
        for held in &mut self.sessions {
            held.model.ended_by = None;
        }
    }

    /// Why an access token is refused, if it is.
    fn refusal_of(&self, token: &Access) -> Option<Refusal> {
        let now = self.now();
        if !self.secrets.accept(token.secret, now) {
            Some(Refusal::UnknownKey)
        } else if now >= token.expires_at + LEEWAY {
            Some(Refusal::Expired)
        } else if now + LEEWAY < token.issued_at {
            Some(Refusal::NotYetValid)
        } else {
            let dead = self.sessions[token.session].model.ended || token.revoked;
            dead.then_some(Refusal::Revoked)
        }
    }

    async fn token(&mut self, session: usize, which: Which) -> Presented {
        let held = &self.sessions[session];
        let generation = held.model.current().saturating_add_signed(-which.back);
        let made_with = held.made_with.get(generation).copied().flatten();
        let secret = match which.secret {
            // There is one of the first generation, whichever is asked for.
            Some(secret) if generation > 0 => secret,
            _ => made_with.unwrap_or(self.secrets.active),
        };
        Presented::Token {
            session,
            generation,
            secret,
            text: self.token_of(session, generation, secret).await,
        }
    }

    async fn token_of(&mut self, session: usize, generation: usize, secret: usize) -> String {
        let mint = &self.bench.mints[secret];
        let held = &mut self.sessions[session];
        let tokens = &mut held.tokens[secret];
        while tokens.len() <= generation {
            let next = mint.after(tokens.last().unwrap(), held.model.client).await;
            tokens.push(next);
        }
        tokens[generation].clone()
    }

    /// A call that only the client can make that the node's application is.
    fn asked_by_application(&self, session: usize, by: By) -> (usize, Asking) {
        let client = self.sessions[session].model.client ^ usize::from(by.foreign);
        let node = node_of(client, by.plain);
        (node, self.asking(node, client))
    }

    fn asking(&self, node: usize, client: usize) -> Asking {
        Asking {
            node,
            client,
            user: reads_users(node).then_some(self.user),
            now: self.now(),
        }
    }

    fn credentials(&self, right: bool) -> Credentials {
        let password = if right { PASSWORD } else { "looking glass" };
        Credentials::new(self.subject.as_str(), password)
    }

    /// One of the last few sessions, mostly one that goes on.
    fn recent(&self, which: usize) -> usize {
        let numbers = 0..self.sessions.len();
        one_of_the_last(3, which, numbers, |number| self.is_live(number))
    }

    /// One of the last few access tokens, mostly one of a session that goes on.
    fn recent_access(&self, which: usize) -> usize {
        let numbers = 0..self.access.len();
        let is_live = |number: usize| self.is_live(self.access[number].session);
        one_of_the_last(8, which, numbers, is_live)
    }

    fn is_live(&self, session: usize) -> bool {
        self.sessions[session].model.live(self.now())
    }
}

fn one_of_the_last(
    last: usize,
    which: usize,
    numbers: Range<usize>,
    preferred: impl Fn(usize) -> bool,
) -> usize {
    let some = Vec::from_iter(numbers.clone().filter(|number| preferred(*number)));
    let any = which.is_multiple_of(3) || some.is_empty();
    let numbers = if any { numbers.collect() } else { some };
    numbers[numbers.len() - 1 - which / 3 % numbers.len().min(last)]
}
