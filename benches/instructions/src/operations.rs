//! The operations, by name.

use std::{convert::Infallible, time::Duration, vec::IntoIter};

use anyhow::Context;
use gatepass::{
    Clock, Device, Error, Identity, Issued, Refusal, Requirements, Transport, Verifier,
    keys::Algorithm,
    store::{Revocation, RevocationTarget},
    wire::{Gate, RequestHead},
};
use gatepass_tower::GateLayer;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use tokio::runtime::Runtime;
use tower::{Layer, Service, service_fn};

use crate::given::{self, StoppedClock, at_once};

/// Does its work once. Fails if the work has another outcome than the counted one.
pub(crate) type Operation = Box<dyn FnMut() -> anyhow::Result<()>>;

/// An operation to count.
pub(crate) struct Counted {
    pub(crate) name: &'static str,
    /// How often it runs while callgrind counts. It runs often enough that each figure has its
    /// share of rare events, such as the growth of a map.
    pub(crate) times: usize,
    /// Prepares this many operations.
    pub(crate) make: fn(&Runtime, usize) -> anyhow::Result<Operation>,
}

/// Sorted by name, as the counts are.
pub(crate) const OPERATIONS: &[Counted] = &[
    counted("gate-layer", 512, gate_layer),
    counted("judge-bearer", 512, judge_bearer),
    counted("judge-cookie", 512, judge_cookie),
    counted("login-eddsa", 256, login_eddsa),
    counted("login-hs256", 512, login_hs256),
    counted("refresh", 512, refresh),
    counted("refuse-forged", 512, refuse_forged),
    counted("refuse-malformed", 512, refuse_malformed),
    counted("refuse-revoked", 512, refuse_revoked),
    counted("verify-eddsa", 128, verify_eddsa),
    counted("verify-eddsa-repeated", 512, verify_eddsa_repeated),
    counted("verify-es256", 128, verify_es256),
    counted("verify-hs256", 512, verify_hs256),
    counted("verify-hs256-claims", 512, verify_hs256_claims),
    counted("verify-rs256", 128, verify_rs256),
];

const fn counted(
    name: &'static str,
    times: usize,
    make: fn(&Runtime, usize) -> anyhow::Result<Operation>,
) -> Counted {
    Counted { name, times, make }
}

fn verify_hs256(runtime: &Runtime, times: usize) -> anyhow::Result<Operation> {
    verify_new(runtime, times, Algorithm::Hs256)
}

fn verify_rs256(runtime: &Runtime, times: usize) -> anyhow::Result<Operation> {
    verify_new(runtime, times, Algorithm::Rs256)
}

fn verify_es256(runtime: &Runtime, times: usize) -> anyhow::Result<Operation> {
    verify_new(runtime, times, Algorithm::Es256)
}

fn verify_eddsa(runtime: &Runtime, times: usize) -> anyhow::Result<Operation> {
    verify_new(runtime, times, Algorithm::EdDsa)
}

fn verify_hs256_claims(runtime: &Runtime, times: usize) -> anyhow::Result<Operation> {
    let tenant = serde_json::json!({ "tenant": { "id": 7, "name": "a customer" } });
    let custom = |identity: Identity| Ok(identity.claims(&tenant)?);
    let tokens = tokens_of(runtime, times, Algorithm::Hs256, custom)?;
    verify_each(plain(runtime, Algorithm::Hs256)?, tokens)
}

/// Verifies one token again and again, with a cache of verified tokens.
fn verify_eddsa_repeated(runtime: &Runtime, times: usize) -> anyhow::Result<Operation> {
    let token = tokens(runtime, 1, Algorithm::EdDsa)?.pop();
    let token = token.context("no token")?;
    verify_each(plain(runtime, Algorithm::EdDsa)?, vec![token; times])
}

/// Verifies tokens for the first time, so no cache knows them.
fn verify_new(runtime: &Runtime, times: usize, algorithm: Algorithm) -> anyhow::Result<Operation> {
    let tokens = tokens(runtime, times, algorithm)?;
    verify_each(plain(runtime, algorithm)?, tokens)
}

fn verify_each(verifier: Verifier, tokens: Vec<String>) -> anyhow::Result<Operation> {
    let requirements = Requirements::new();
    Ok(each(tokens, move |token| {
        at_once(verifier.verify(&token, &requirements))??;
        Ok(())
    }))
}

fn refuse_malformed(runtime: &Runtime, times: usize) -> anyhow::Result<Operation> {
    let mut tokens = tokens(runtime, times, Algorithm::Hs256)?;
    for token in &mut tokens {
        // This cuts the claims.
        token.truncate(token.len() / 2);
    }
    refuse_each(plain(runtime, Algorithm::Hs256)?, tokens, |refusal| {
        matches!(refusal, Refusal::Malformed)
    })
}

fn refuse_forged(runtime: &Runtime, times: usize) -> anyhow::Result<Operation> {
    let tokens = tokens(runtime, times, Algorithm::Hs256)?.into_iter();
    let forged = tokens.map(|token| forged(&token)).collect();
    refuse_each(plain(runtime, Algorithm::Hs256)?, forged, |refusal| {
        matches!(refusal, Refusal::BadSignature)
    })
}

/// The same token with another signature.
fn forged(token: &str) -> String {
    let signature = token.rfind('.').map_or(0, |dot| dot + 1);
    let (signed, signature) = token.split_at(signature);
    let first = if signature.starts_with('A') { "B" } else { "A" };
    let rest = signature.get(1..).unwrap_or_default();
    format!("{signed}{first}{rest}")
}

/// Refuses tokens of revoked sessions among 100,000 live revocations.
fn refuse_revoked(runtime: &Runtime, times: usize) -> anyhow::Result<Operation> {
    const REVOCATIONS: usize = 100_000;

    let tokens = tokens(runtime, times, Algorithm::Hs256)?;
    let (live, requirements) = (plain(runtime, Algorithm::Hs256)?, Requirements::new());
    let until = StoppedClock::new().now() + Duration::from_secs(900);
    let mut revocations = Vec::with_capacity(REVOCATIONS);
    for token in &tokens {
        let pass = at_once(live.verify(token, &requirements))??;
        let session = pass.session_id().context("a token of another service")?;
        let target = RevocationTarget::Session(session);
        revocations.push(Revocation { target, until });
    }
    for id in given::ids(REVOCATIONS - times)? {
        let target = RevocationTarget::Session(gatepass::SessionId::from_bytes(id));
        revocations.push(Revocation { target, until });
    }
    let (algorithm, transport) = (Algorithm::Hs256, Transport::Bearer);
    let verifier = given::verifier(runtime, algorithm, transport, revocations)?;
    refuse_each(verifier, tokens, |refusal| {
        matches!(refusal, Refusal::Revoked)
    })
}

fn refuse_each(
    verifier: Verifier,
    tokens: Vec<String>,
    is_expected: fn(&Refusal) -> bool,
) -> anyhow::Result<Operation> {
    let requirements = Requirements::new();
    Ok(each(tokens, move |token| {
        match at_once(verifier.verify(&token, &requirements))? {
            Err(Error::Refused(refusal)) if is_expected(&refusal) => Ok(()),
            other => anyhow::bail!("not the expected refusal: {other:?}"),
        }
    }))
}

fn login_hs256(runtime: &Runtime, times: usize) -> anyhow::Result<Operation> {
    login(runtime, times, Algorithm::Hs256)
}

/// No call only signs, so compare this count with the one of `login-hs256`.
fn login_eddsa(runtime: &Runtime, times: usize) -> anyhow::Result<Operation> {
    login(runtime, times, Algorithm::EdDsa)
}

fn login(runtime: &Runtime, times: usize, algorithm: Algorithm) -> anyhow::Result<Operation> {
    let authority = given::authority(runtime, algorithm, &StoppedClock::new())?;
    let identities: anyhow::Result<Vec<_>> = (0..times).map(given::identity).collect();
    Ok(each(identities?, move |identity| {
        at_once(authority.issue(identity, Device::default()))??;
        Ok(())
    }))
}

/// Refreshes each session for the first time.
fn refresh(runtime: &Runtime, times: usize) -> anyhow::Result<Operation> {
    let clock = StoppedClock::new();
    let authority = given::authority(runtime, Algorithm::Hs256, &clock)?;
    let issued = |number| -> anyhow::Result<Issued> {
        Ok(at_once(
            authority.issue(given::identity(number)?, Device::default()),
        )??)
    };
    let issued: anyhow::Result<Vec<_>> = (0..times).map(issued).collect();
    // A session rotates once per overlap.
    clock.advance(60);
    Ok(each(issued?, move |issued| {
        at_once(authority.refresh(issued.refresh_token.as_str()))??;
        Ok(())
    }))
}

fn judge_bearer(runtime: &Runtime, times: usize) -> anyhow::Result<Operation> {
    judge(runtime, times, Transport::Bearer)
}

fn judge_cookie(runtime: &Runtime, times: usize) -> anyhow::Result<Operation> {
    judge(runtime, times, Transport::Cookie)
}

fn judge(runtime: &Runtime, times: usize, transport: Transport) -> anyhow::Result<Operation> {
    let gate = Gate::new(given::verifier(
        runtime,
        Algorithm::Hs256,
        transport,
        Vec::new(),
    )?);
    let requests = requests(runtime, times, transport)?;
    Ok(each(requests, move |headers| {
        let values = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes);
        let head = RequestHead::new("GET", "/orders", values);
        drop(at_once(gate.judge(&head))??);
        Ok(())
    }))
}

/// A guarded request, from the layer's call to the answer of the inner service.
fn gate_layer(runtime: &Runtime, times: usize) -> anyhow::Result<Operation> {
    let transport = Transport::Bearer;
    let verifier = given::verifier(runtime, Algorithm::Hs256, transport, Vec::new())?;
    let handler = service_fn(|request: Request<Vec<u8>>| async move {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let mut service = GateLayer::new(verifier).layer(handler);
    let mut made = Vec::new();
    for headers in requests(runtime, times, transport)? {
        let mut request = Request::new(Vec::new());
        *request.headers_mut() = headers;
        made.push(request);
    }
    Ok(each(made, move |request| {
        let response = at_once(service.call(request))??;
        anyhow::ensure!(response.status().is_success(), "refused");
        Ok(())
    }))
}

/// The headers of usual requests with a token each.
fn requests(
    runtime: &Runtime,
    times: usize,
    transport: Transport,
) -> anyhow::Result<Vec<HeaderMap>> {
    let with = |token: String| {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("shop.example"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static("Mozilla/5.0"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        let (name, value) = match transport {
            Transport::Cookie => (
                header::COOKIE,
                format!("theme=dark; __Host-gatepass={token}"),
            ),
            _ => (header::AUTHORIZATION, format!("Bearer {token}")),
        };
        headers.insert(name, HeaderValue::try_from(value)?);
        Ok(headers)
    };
    let tokens = tokens(runtime, times, Algorithm::Hs256)?;
    tokens.into_iter().map(with).collect()
}

/// Runs `operation` with the next of `inputs` each time.
fn each<T: 'static>(
    inputs: Vec<T>,
    mut operation: impl FnMut(T) -> anyhow::Result<()> + 'static,
) -> Operation {
    let mut inputs: IntoIter<T> = inputs.into_iter();
    Box::new(move || operation(inputs.next().context("it runs too often")?))
}

fn plain(runtime: &Runtime, algorithm: Algorithm) -> anyhow::Result<Verifier> {
    given::verifier(runtime, algorithm, Transport::Bearer, Vec::new())
}

fn tokens(runtime: &Runtime, count: usize, algorithm: Algorithm) -> anyhow::Result<Vec<String>> {
    tokens_of(runtime, count, algorithm, Ok)
}

/// Access tokens of this many logins. `change` completes their identities.
fn tokens_of(
    runtime: &Runtime,
    count: usize,
    algorithm: Algorithm,
    change: impl Fn(Identity) -> anyhow::Result<Identity>,
) -> anyhow::Result<Vec<String>> {
    let authority = given::authority(runtime, algorithm, &StoppedClock::new())?;
    let token = |number| {
        let identity = change(given::identity(number)?)?;
        // RSA signs on a blocking thread.
        let issued = runtime.block_on(authority.issue(identity, Device::default()))?;
        Ok(issued.access_token.as_str().to_owned())
    };
    (0..count).map(token).collect()
}
