//! One sequence of steps, done by the nodes and by the model.

use std::{collections::HashSet, ops::Range, time::Duration};

use gatepass::{
    Clock, Credentials, Device, Ending, Error, Issued, Pass, Refusal, Renewed, Resumed, Subject,
    store::{EndReason, Revocation, RevokeToken, TokenId},
};
use test_support::world::subject;

use crate::refresh::model::{
    bench::{Bench, PASSWORD, client, identity, node_of, reads_users, scopes},
    checking::Within,
    session::{
        Allowed, Asking, End, FOR_EVER, LEEWAY, MAX_SESSIONS, Modelled, NEVER, Outcome, SECRETS,
        Scopes, Secrets, User, UserState,
    },
    steps::{Beside, By, Step, Which},
};

pub(crate) struct Run<'a> {
    pub(crate) bench: &'a Bench,
    pub(crate) subject: Subject,
    user: User,
    pub(crate) secrets: Secrets,
    /// The user's sessions, in the order in which they began.
    pub(crate) sessions: Vec<Held>,
    together: Option<Together>,
    pub(crate) access: Vec<Access>,
    pub(crate) ids: HashSet<TokenId>,
}

/// Sessions that ended together, and the last time that this was said.
struct Together {
    /// The first so many.
    first: usize,
    /// The one of them that goes on.
    except: Option<usize>,
    end: End,
}

/// A session, and its refresh tokens.
pub(crate) struct Held {
    pub(crate) model: Modelled,
    /// The secret that the token of each generation was last made with, if there was one.
    pub(crate) made_with: Vec<Option<usize>>,
    /// The tokens of the first generations, by secret.
    tokens: [Vec<String>; SECRETS],
}

pub(crate) struct Access {
    pub(crate) text: String,
    pub(crate) pass: Pass,
    pub(crate) session: usize,
    /// That of the session's rights when it was issued.
    pub(crate) version: usize,
    pub(crate) secret: usize,
    pub(crate) scopes: Scopes,
    pub(crate) expires_at: i64,
    pub(crate) issued_at: i64,
    pub(crate) revoked: bool,
    /// Whether the log has an entry of it alone.
    pub(crate) logged: bool,
}

/// A refresh token, or something else that is shown instead of one.
enum Presented {
    Token {
        session: usize,
        generation: usize,
        secret: usize,
        text: String,
    },
    Other(String, Refusal),
}

/// The answer of a node.
pub(crate) enum Answer {
    Pair(Issued),
    Renewed(Renewed),
    Valid(Pass),
}

impl<'a> Run<'a> {
    pub(crate) fn new(bench: &'a Bench, number: u64) -> Self {
        let subject = subject(&format!("user {number}"));
        let user = User {
            allowed: Allowed {
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
            together: None,
            access: Vec::new(),
            ids: HashSet::new(),
        }
    }

    pub(crate) fn now(&self) -> i64 {
        self.bench.world.clock.now().unix_millis()
    }

    fn steady(&self) -> i64 {
        let monotonic = self.bench.world.clock.monotonic();
        monotonic.as_millis().try_into().unwrap()
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
                allowed,
                limit,
            } => self.login(client, plain, allowed, limit).await,
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
                bench.nodes[0].logout_all(&self.subject).await.unwrap();
                self.end_together(self.sessions.len(), None, EndReason::LogoutAll, 0);
            }
            Step::LogoutOthers(which) => {
                let kept = &self.access[self.recent_access(which)];
                bench.nodes[0].logout_others(&kept.pass).await.unwrap();
                let kept = Some(kept.session);
                self.end_together(self.sessions.len(), kept, EndReason::LogoutAll, 0);
            }
            Step::EndSessionOf(which, own) => {
                let (session, now) = (self.recent(which), self.now());
                let session = &mut self.sessions[session].model;
                let stranger = subject("a stranger");
                let owner = if own { &self.subject } else { &stranger };
                let found = bench.nodes[0].end_session_of(owner, session.id);
                assert_eq!(found.await.unwrap().is_some(), own);
                if own {
                    session.end(0, EndReason::EndedByUser, now);
                }
            }
            Step::RevokeToken(which) => {
                let which = self.recent_access(which);
                let pass = &self.access[which].pass;
                bench.nodes[0].revoke_token(pass).await.unwrap();
                self.revoked(which);
            }
            Step::ChangeUser(allowed, state) => {
                self.user = User { allowed, state };
                bench.users.set(&self.subject, self.user);
            }
            Step::ReplaceSecrets(active, kept) => self.replace_secrets(active, kept),
            Step::Pass(millis) => bench.world.clock.advance(Duration::from_millis(millis)),
            Step::PassTo(which, edge, after) => {
                let session = &self.sessions[self.recent(which)].model;
                // It may have passed.
                let left = u64::try_from(session.edge(edge) + after - self.now());
                let left = Duration::from_millis(left.unwrap_or(0));
                bench.world.clock.advance(left);
            }
            Step::SetBack(millis) => {
                let back = Duration::from_millis(millis);
                bench.world.clock.step_wall_back(back);
                let now = self.now();
                for held in &mut self.sessions {
                    held.model.set_back(now);
                }
            }
        }
    }

    /// A login that the application has done itself, or at a node that reads users, one with a
    /// password.
    async fn login(&mut self, number: usize, plain: bool, allowed: Allowed, limit: Option<Scopes>) {
        let node = node_of(0, plain);
        let authority = &self.bench.nodes[node];
        let (client, device) = (client(number), Device::default());
        let (allowed, limit, answer) = if plain {
            let identity = identity(self.subject.clone(), allowed);
            let issued = authority.issue_as(&client, identity, device).await;
            (allowed, None, issued)
        } else {
            let (credentials, asked) = (self.credentials(true), limit.map(scopes));
            let issued = authority.login_as(&client, &credentials, device, asked.as_ref());
            (self.user.allowed, limit, issued.await)
        };
        let deleted = !plain && self.user.state == UserState::Deleted;
        let outcome = if deleted {
            Outcome::Refused(Refusal::BadCredentials)
        } else if limit.is_some_and(|limit| limit & !allowed.scopes != 0) {
            Outcome::Refused(Refusal::ScopeNotGranted)
        } else if self.make_room(node) {
            Outcome::MadeRoom
        } else {
            Outcome::Advanced
        };
        if let Ok(issued) = &answer {
            let allowed = Allowed {
                scopes: limit.unwrap_or(allowed.scopes),
                ..allowed
            };
            let id = issued.session_id;
            let mut tokens = [const { Vec::new() }; SECRETS];
            for (mint, tokens) in self.bench.mints.iter().zip(&mut tokens) {
                mint.begin(id, &self.subject, number).await;
                // The first generation has but this one token.
                tokens.push(issued.refresh_token.as_str().to_owned());
            }
            self.sessions.push(Held {
                model: Modelled::begun(id, number, allowed, limit, self.now()),
                made_with: vec![Some(self.secrets.active)],
                tokens,
            });
        }
        let session = self.sessions.len().saturating_sub(1);
        let answer = answer.map(Answer::Pair);
        self.check("login", &outcome, answer, session, Within::default(), node)
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
        let outcome = if self.secrets.accept(secret, asking.now) {
            let model = &mut self.sessions[which].model;
            model.refresh(generation, asked, asking)
        } else {
            Outcome::Refused(Refusal::UnknownKey)
        };
        let authority = &self.bench.nodes[node];
        let answer = if by.elsewhere || asked.is_some() {
            let scopes = asked.map(scopes);
            let client = client(asks);
            authority
                .refresh_as(&client, &text, scopes.as_ref(), None)
                .await
        } else {
            authority.refresh(&text).await
        };
        let answer = answer.map(Answer::Pair);
        let within = Within {
            scopes: asked,
            ..Within::default()
        };
        self.check("refresh", &outcome, answer, which, within, node)
            .await;
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
        let opened = match &presented {
            Presented::Other(_, refusal) => Err(refusal.clone()),
            Presented::Token { secret, .. } if !self.secrets.accept(*secret, asking.now) => {
                Err(Refusal::UnknownKey)
            }
            Presented::Token {
                session,
                generation,
                ..
            } => Ok((*session, *generation)),
        };
        let model = &mut self.sessions[session].model;
        let outcome = match (refusal, opened) {
            (None | Some(Refusal::Expired | Refusal::StaleGrant), _)
                if model.client != asking.client =>
            {
                Outcome::Refused(Refusal::WrongClient)
            }
            (Some(Refusal::Expired | Refusal::StaleGrant), Err(refusal)) => {
                Outcome::Refused(refusal)
            }
            (Some(Refusal::Expired | Refusal::StaleGrant), Ok((of, _))) if of != session => {
                Outcome::Refused(Refusal::Ambiguous)
            }
            (Some(Refusal::Expired | Refusal::StaleGrant), Ok((_, generation))) => {
                model.refresh(generation, None, asking)
            }
            (Some(refusal), _) => Outcome::Refused(refusal),
            (None, Ok((of, generation))) if of == session => model.resume(generation, asking),
            (None, _) => Outcome::Valid,
        };
        let (Presented::Token { text, .. } | Presented::Other(text, _)) = &presented;
        let answer = self.bench.nodes[node].resume(&self.access[which].text, text);
        let answer = answer.await.map(|resumed| match resumed {
            Resumed::Issued(issued) => Answer::Pair(issued),
            Resumed::Valid(pass) => Answer::Valid(pass),
        });
        self.check("resume", &outcome, answer, session, Within::default(), node)
            .await;
    }

    async fn renew(&mut self, which: usize, by: By) {
        let token = &self.access[which];
        let (session, former) = (token.session, token.scopes);
        // The user may have authenticated again since, while the clock was set back.
        let of_session = self.sessions[session].model.authenticated_at;
        let of_token = token.pass.authenticated_at().unwrap().unix_millis();
        let authenticated_at = Some(of_token.min(of_session - of_session % 1000));
        let (node, asking) = self.asked_by_application(session, by);
        let outcome = match self.refusal_of(token) {
            None | Some(Refusal::StaleGrant) => self.sessions[session].model.renew(asking),
            Some(refusal) => Outcome::Refused(refusal),
        };
        let answer = self.bench.nodes[node].renew(&self.access[which].text).await;
        let scopes = Some(self.sessions[session].model.allowed.scopes & former);
        let within = Within {
            scopes,
            authenticated_at,
        };
        let answer = answer.map(Answer::Renewed);
        self.check("renew", &outcome, answer, session, within, node)
            .await;
    }

    async fn reauthenticate(&mut self, which: usize, right: bool, by: By) {
        let token = &self.access[which];
        let session = token.session;
        let by = By { plain: false, ..by };
        let (node, asking) = self.asked_by_application(session, by);
        let pass = match self.refusal_of(token) {
            None | Some(Refusal::StaleGrant) => token.pass.clone(),
            // It was verified right before the session ended.
            Some(Refusal::Revoked) if self.sessions[session].model.has_ended() => {
                token.pass.clone()
            }
            // There is no pass for it.
            Some(_) => return,
        };
        let session_now = &mut self.sessions[session].model;
        let outcome = session_now.reauthenticate(right, self.user, asking);
        let (credentials, device) = (self.credentials(right), Device::default());
        let authority = &self.bench.nodes[node];
        let answer = authority.reauthenticate(&pass, &credentials, &device);
        let answer = answer.await.map(Answer::Pair);
        self.check(
            "reauthenticate",
            &outcome,
            answer,
            session,
            Within::default(),
            node,
        )
        .await;
    }

    fn logged_out(
        &mut self,
        answer: Result<Ending, Error>,
        session: usize,
        secret: usize,
        node: usize,
    ) {
        match answer {
            Ok(_) => {
                let now = self.now();
                assert!(self.secrets.accept(secret, now));
                let session = &mut self.sessions[session].model;
                session.end(node, EndReason::Logout, now);
            }
            Err(Error::Refused(Refusal::UnknownKey)) => {
                assert!(!self.secrets.accept(secret, self.now()));
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Makes room for one more session, at a node. Says whether others ended for it.
    fn make_room(&mut self, node: usize) -> bool {
        let now = self.now();
        let usable = (0..self.sessions.len()).rev();
        let mut usable = usable.filter(|number| self.sessions[*number].model.usable(now));
        let newest_too_many = usable.nth(MAX_SESSIONS - 1);
        if let Some(number) = newest_too_many {
            self.end_together(number + 1, None, EndReason::TooManySessions, node);
        }
        newest_too_many.is_some()
    }

    /// Ends the first so many sessions, except one if that goes on, at a node.
    fn end_together(&mut self, first: usize, kept: Option<usize>, reason: EndReason, node: usize) {
        let kept = kept.filter(|kept| !self.sessions[*kept].model.has_ended());
        let before = self
            .together
            .as_ref()
            .map(|before| (before.first, before.except));
        let covered = |number: usize| {
            let before =
                before.is_some_and(|(first, except)| number < first && except != Some(number));
            before || (number < first && kept != Some(number))
        };
        let first = before.map_or(first, |before| before.0.max(first));
        let except = (0..first).find(|number| !covered(*number));
        if before == Some((first, except)) {
            return;
        }
        let sessions = self.sessions.iter_mut().take(first).enumerate();
        for (_, held) in sessions.filter(|(number, _)| Some(*number) != except) {
            held.model.end_with_others(node);
        }
        let end = End {
            at: self.now(),
            reason,
        };
        self.together = Some(Together { first, except, end });
    }

    /// When and why a session ended, if it did.
    pub(crate) fn end_of(&self, number: usize) -> Option<End> {
        let model = &self.sessions[number].model;
        let together = self.together.as_ref().filter(|_| model.ended_with_others);
        model.own_end.or(together.map(|together| together.end))
    }

    /// Notes that an access token was revoked: alone, or with its session where too many were.
    fn revoked(&mut self, which: usize) {
        let now = self.now();
        let margin = Revocation::RETENTION_MARGIN.as_millis() as i64;
        let session = self.access[which].session;
        let live = self.access.iter().filter(|token| {
            token.session == session && token.logged && token.expires_at + margin > now
        });
        let too_many = live.count() >= RevokeToken::MAX_PER_SESSION;
        let token = &mut self.access[which];
        let before = token.revoked || self.sessions[session].model.has_ended();
        token.revoked = true;
        token.logged |= !before && !too_many;
        if !before && too_many {
            let session = &mut self.sessions[session].model;
            session.end(0, EndReason::TooManyRevocations, now);
        }
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

    /// By now every node knows of every end.
    pub(crate) fn all_know(&mut self) {
        for held in &mut self.sessions {
            held.model.ended_by = None;
            held.model.changed_by = None;
        }
    }

    /// Why an access token is refused, if it is.
    pub(crate) fn refusal_of(&self, token: &Access) -> Option<Refusal> {
        let now = self.now();
        if !self.secrets.accept(token.secret, now) {
            Some(Refusal::UnknownKey)
        } else if now >= token.expires_at + LEEWAY {
            Some(Refusal::Expired)
        } else if now + LEEWAY < token.issued_at {
            Some(Refusal::NotYetValid)
        } else {
            let session = &self.sessions[token.session].model;
            let stale = (token.version < session.version).then_some(Refusal::StaleGrant);
            let dead = session.has_ended() || token.revoked;
            dead.then_some(Refusal::Revoked).or(stale)
        }
    }

    async fn token(&mut self, session: usize, which: Which) -> Presented {
        let held = &self.sessions[session];
        let generation = held.model.current().saturating_add_signed(-which.back);
        let made_with = held.made_with.get(generation).copied().flatten();
        let secret = match which.secret {
            // The first generation has one token, for every secret that a step asks for.
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

    pub(crate) async fn token_of(
        &mut self,
        session: usize,
        generation: usize,
        secret: usize,
    ) -> String {
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
            steady: self.steady(),
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
