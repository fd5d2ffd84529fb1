//! JSON Web Keys (RFC 7517), read strictly.
//!
//! Each value has one valid form: base64url without padding, numbers without leading zeros, each
//! coordinate as long as its field, no member twice. The members `use`, `key_ops` and `alg` must
//! allow the purpose of the key. This module ignores certificates and URLs in a key.

use std::str::FromStr;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    keys::{
        algorithm::{Algorithm, Kind},
        der,
        error::KeyError,
        material::{Private, Public},
    },
    model::json::strict_object,
};

/// The purpose of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Sign,
    Verify,
}

impl FromStr for Algorithm {
    type Err = KeyError;

    /// By its exact name: `ES256`, not `es256`.
    fn from_str(name: &str) -> Result<Self, KeyError> {
        let known = Self::ALL.into_iter().find(|known| known.name() == name);
        known.ok_or_else(|| KeyError::Unsupported(name.to_owned()))
    }
}

/// A JWK. Some of its members have not been read yet.
pub(super) struct Jwk {
    members: Map<String, Value>,
    kind: Kind,
}

impl Jwk {
    /// The key in this text, if it is one that gatepass could use for `purpose`.
    pub(super) fn parse(json: &str, purpose: Purpose) -> Result<Self, KeyError> {
        let members = strict_object(json.as_bytes()).ok_or(KeyError::Jwk("{…}"))?;
        // From here on, `Drop` wipes the members, also on an early return.
        let kind = Kind::Secret;
        let mut jwk = Self { members, kind };
        jwk.check_purpose(purpose)?;
        jwk.kind = jwk.read_kind()?;
        let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        let has = |name: &&str| jwk.members.contains_key(*name);
        match (jwk.kind, purpose) {
            (Kind::Secret, Purpose::Verify) => Err(KeyError::Secret),
            (_, Purpose::Verify) if private.iter().any(has) => Err(KeyError::PrivateKey),
            (Kind::Secret, Purpose::Sign) => Ok(jwk),
            (_, Purpose::Sign) if !has(&"d") => Err(KeyError::PublicKey),
            _ => Ok(jwk),
        }
    }

    fn check_purpose(&self, purpose: Purpose) -> Result<(), KeyError> {
        if self.text("use")?.is_some_and(|purpose| purpose != "sig") {
            return Err(KeyError::WrongUse("use"));
        }
        let operation = match purpose {
            Purpose::Sign => "sign",
            Purpose::Verify => "verify",
        };
        match self.members.get("key_ops") {
            None => Ok(()),
            Some(Value::Array(operations)) if operations.iter().all(Value::is_string) => {
                let allowed = operations.iter().any(|allowed| allowed == operation);
                allowed.then_some(()).ok_or(KeyError::WrongUse("key_ops"))
            }
            Some(_) => Err(KeyError::Jwk("key_ops")),
        }
    }

    fn read_kind(&self) -> Result<Kind, KeyError> {
        let unsupported = |what: &str| Err(KeyError::Unsupported(what.to_owned()));
        match self.text("kty")?.ok_or(KeyError::Jwk("kty"))? {
            "oct" => Ok(Kind::Secret),
            "RSA" => Ok(Kind::Rsa),
            kty @ ("EC" | "OKP") => match (kty, self.text("crv")?.ok_or(KeyError::Jwk("crv"))?) {
                ("EC", "P-256") => Ok(Kind::P256),
                ("EC", "P-384") => Ok(Kind::P384),
                ("OKP", "Ed25519") => Ok(Kind::Ed25519),
                (_, curve) => unsupported(curve),
            },
            kty => unsupported(kty),
        }
    }

    /// Whether the key may be used with `algorithm`.
    pub(super) fn check_algorithm(&self, algorithm: Algorithm) -> Result<(), KeyError> {
        algorithm.check_kind(self.kind)?;
        match self.text("alg")? {
            Some(says) if says != algorithm.name() => Err(KeyError::WrongAlgorithm {
                algorithm,
                says: says.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// The algorithm that the key names, or else the usual one of its kind.
    pub(super) fn algorithm(&self) -> Result<Algorithm, KeyError> {
        match self.text("alg")? {
            Some(name) => name.parse(),
            None => Ok(self.kind.usual_algorithm()),
        }
    }

    /// The algorithm that the key names, if it is allowed, or else the first allowed one of its
    /// kind.
    pub(super) fn algorithm_among(&self, allowed: &[Algorithm]) -> Result<Algorithm, KeyError> {
        let named = self.text("alg")?;
        let fits = |one: &&Algorithm| match named {
            Some(name) => one.name() == name,
            None => one.kind() == self.kind,
        };
        let unsupported = || {
            let usual = self.kind.usual_algorithm().name();
            KeyError::Unsupported(named.unwrap_or(usual).to_owned())
        };
        allowed.iter().find(fits).copied().ok_or_else(unsupported)
    }

    pub(super) fn id(&self) -> Result<Option<&str>, KeyError> {
        self.text("kid")
    }

    pub(super) fn public(&self) -> Result<Public, KeyError> {
        Ok(match self.kind {
            Kind::Secret => return Err(KeyError::Secret),
            Kind::Rsa => Public::Rsa {
                n: self.number("n")?.to_vec(),
                e: self.number("e")?.to_vec(),
            },
            Kind::P256 => Public::P256(self.point(32)?),
            Kind::P384 => Public::P384(self.point(48)?),
            Kind::Ed25519 => {
                let x = self.fixed("x", 32)?;
                Public::Ed25519(x.as_slice().try_into().map_err(|_| KeyError::Jwk("x"))?)
            }
        })
    }

    fn point<const N: usize>(&self, field: usize) -> Result<[u8; N], KeyError> {
        let (x, y) = (self.fixed("x", field)?, self.fixed("y", field)?);
        let point = [&[4], x.as_slice(), y.as_slice()].concat();
        point.try_into().map_err(|_| KeyError::Jwk("x"))
    }

    /// The secret, where the key is one.
    pub(super) fn secret(&self) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
        match self.kind {
            Kind::Secret => self.bytes("k").map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn private(&self) -> Result<Private, KeyError> {
        let public = self.public()?;
        let der = match &public {
            Public::Rsa { n, e } => {
                let [d, p, q, dp, dq, qi] =
                    ["d", "p", "q", "dp", "dq", "qi"].map(|name| self.number(name));
                let (d, p, q, dp, dq, qi) = (d?, p?, q?, dp?, dq?, qi?);
                if self.members.contains_key("oth") {
                    return Err(KeyError::Unsupported("oth".to_owned()));
                }
                der::rsa_private([n, e, &d, &p, &q, &dp, &dq, &qi])
            }
            Public::P256(point) => der::ec_private(der::P256, &self.fixed("d", 32)?, point),
            Public::P384(point) => der::ec_private(der::P384, &self.fixed("d", 48)?, point),
            Public::Ed25519(_) => der::ed25519_private(&self.fixed("d", 32)?),
        };
        // Encoding fails only if the key is too long for DER.
        let der = der.map_err(|_| KeyError::Der)?;
        let key = match self.kind {
            Kind::Rsa => EncodingKey::from_rsa_der(&der),
            Kind::Ed25519 => EncodingKey::from_ed_der(&der),
            _ => EncodingKey::from_ec_der(&der),
        };
        Ok(Private {
            kind: self.kind,
            key,
            public: Some(public),
        })
    }

    fn text(&self, name: &'static str) -> Result<Option<&str>, KeyError> {
        match self.members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(KeyError::Jwk(name)),
        }
    }

    fn bytes(&self, name: &'static str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let text = self.text(name)?.ok_or(KeyError::Jwk(name))?;
        let bytes = URL_SAFE_NO_PAD.decode(text);
        bytes.map(Zeroizing::new).map_err(|_| KeyError::Jwk(name))
    }

    fn fixed(&self, name: &'static str, length: usize) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let bytes = self.bytes(name)?;
        let fits = bytes.len() == length;
        fits.then_some(bytes).ok_or(KeyError::Jwk(name))
    }

    /// A number (`Base64urlUInt`, RFC 7518 §2) that is not zero.
    fn number(&self, name: &'static str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let bytes = self.bytes(name)?;
        let fits = bytes.first().is_some_and(|first| *first != 0);
        fits.then_some(bytes).ok_or(KeyError::Jwk(name))
    }
}

impl Drop for Jwk {
    fn drop(&mut self) {
        for value in self.members.values_mut() {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
    }
}
