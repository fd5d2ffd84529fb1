//! Makes access tokens that gatepass itself never makes, with any header and any claims, and a
//! valid signature of any kind of key.
//!
//! The files in `keys` were made for the tests by `openssl genpkey` (`-algorithm ed25519`;
//! `-algorithm RSA -pkeyopt rsa_keygen_bits:2048`; `-algorithm EC -pkeyopt
//! ec_paramgen_curve:P-384`), `openssl pkey -pubout` and `openssl req -x509 -new -key`. They
//! protect nothing.

mod members;

use std::sync::Arc;

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{self as aws, EcdsaKeyPair, Ed25519KeyPair, RsaEncoding, RsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use gatepass::{
    MasterSecret,
    keys::{Algorithm, KeyError, SigningKey},
};

pub use members::Members;

pub const ISSUER: &str = "https://shop.example";
pub const AUDIENCE: &str = "shop-api";
pub const SECRET: &[u8] =
    b"a signing secret of the tests: 64 bytes and more, so that it will do for each hash";
pub const ED25519: &[u8] = include_bytes!("../keys/ed25519.pem");
pub const ED25519_PUBLIC: &[u8] = include_bytes!("../keys/ed25519.pub.pem");
pub const OTHER_ED25519: &[u8] = include_bytes!("../keys/other.pem");
pub const OTHER_ED25519_PUBLIC: &[u8] = include_bytes!("../keys/other.pub.pem");

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn unbase64url(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

pub fn master(byte: u8) -> MasterSecret {
    MasterSecret::from_bytes(&[byte; 32]).unwrap()
}

/// The DER document in a PEM file.
pub fn der_of(pem: &[u8]) -> Vec<u8> {
    let text = str::from_utf8(pem).unwrap();
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(base64).unwrap()
}

/// A key that signs anything.
#[derive(Clone)]
pub struct Forge {
    pub algorithm: Algorithm,
    /// A secret, or a private key in PEM.
    pub material: Vec<u8>,
    pub kid: String,
    signer: Arc<Signer>,
}

enum Signer {
    Hmac(Box<hmac::Key>),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Forge {
    /// The key that verifiers trust.
    pub fn trusted(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::EdDsa => Self::new(algorithm, ED25519),
            Algorithm::Es256 => Self::new(algorithm, include_bytes!("../keys/ec.pem")),
            Algorithm::Es384 => Self::new(algorithm, include_bytes!("../keys/p384.pem")),
            _ if algorithm.is_symmetric() => Self::new(algorithm, SECRET),
            _ => Self::new(algorithm, include_bytes!("../keys/rsa.pem")),
        }
    }

    /// A key of the same kind that no verifier trusts.
    pub fn stranger(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::EdDsa => Self::new(algorithm, OTHER_ED25519),
            Algorithm::Es256 => Self::new(algorithm, include_bytes!("../keys/other-ec.pem")),
            Algorithm::Es384 => Self::new(algorithm, include_bytes!("../keys/other-p384.pem")),
            _ if algorithm.is_symmetric() => {
                let secret = b"the secret of a stranger, of 64 bytes and more, which fits any hash";
                Self::new(algorithm, secret)
            }
            _ => Self::new(algorithm, include_bytes!("../keys/other-rsa.pem")),
        }
    }

    pub fn new(algorithm: Algorithm, material: &[u8]) -> Self {
        let of_rsa = |encoding| {
            let key = RsaKeyPair::from_pkcs8(&der_of(material)).unwrap();
            Signer::Rsa(key, encoding)
        };
        let of_ec =
            |signing| Signer::Ec(EcdsaKeyPair::from_pkcs8(signing, &der_of(material)).unwrap());
        let of_hmac = |hash| Signer::Hmac(Box::new(hmac::Key::new(hash, material)));
        let signer = match algorithm.name() {
            "HS256" => of_hmac(hmac::HMAC_SHA256),
            "HS384" => of_hmac(hmac::HMAC_SHA384),
            "HS512" => of_hmac(hmac::HMAC_SHA512),
            "RS256" => of_rsa(&aws::RSA_PKCS1_SHA256),
            "RS384" => of_rsa(&aws::RSA_PKCS1_SHA384),
            "RS512" => of_rsa(&aws::RSA_PKCS1_SHA512),
            "PS256" => of_rsa(&aws::RSA_PSS_SHA256),
            "PS384" => of_rsa(&aws::RSA_PSS_SHA384),
            "PS512" => of_rsa(&aws::RSA_PSS_SHA512),
            "ES256" => of_ec(&aws::ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => of_ec(&aws::ECDSA_P384_SHA384_FIXED_SIGNING),
            "EdDSA" => Signer::Ed25519(Ed25519KeyPair::from_pkcs8(&der_of(material)).unwrap()),
            name => panic!("the forge has no {name}"),
        };
        let kid = match Self::read(algorithm, material) {
            Ok(key) => key.verifying_key().id().to_owned(),
            // gatepass would refuse this secret.
            Err(_) => "none".to_owned(),
        };
        Self {
            algorithm,
            material: material.to_vec(),
            kid,
            signer: Arc::new(signer),
        }
    }

    fn read(algorithm: Algorithm, material: &[u8]) -> Result<SigningKey, KeyError> {
        if algorithm.is_symmetric() {
            SigningKey::from_secret(algorithm, material)
        } else {
            SigningKey::from_pem(algorithm, material)
        }
    }

    pub fn key(&self) -> SigningKey {
        Self::read(self.algorithm, &self.material).unwrap()
    }

    /// The public key in PEM, if this is a trusted key pair.
    pub fn public_pem(&self) -> Option<&'static [u8]> {
        match self.algorithm {
            Algorithm::EdDsa => Some(ED25519_PUBLIC),
            Algorithm::Es256 => Some(include_bytes!("../keys/ec.pub.pem")),
            Algorithm::Es384 => Some(include_bytes!("../keys/p384.pub.pem")),
            _ if self.algorithm.is_symmetric() => None,
            _ => Some(include_bytes!("../keys/rsa.pub.pem")),
        }
    }

    /// A self-signed certificate of a stranger, in DER.
    pub fn strangers_certificate(&self) -> Vec<u8> {
        der_of(match self.algorithm {
            Algorithm::EdDsa => include_bytes!("../keys/other.crt.pem"),
            Algorithm::Es256 => include_bytes!("../keys/other-ec.crt.pem"),
            Algorithm::Es384 => include_bytes!("../keys/other-p384.crt.pem"),
            _ => include_bytes!("../keys/other-rsa.crt.pem"),
        })
    }

    /// The verifying key as a JSON Web Key, even for a secret.
    pub fn jwk(&self) -> String {
        self.key().verifying_key().to_jwk().unwrap_or_else(|| {
            let (k, kid) = (base64url(&self.material), &self.kid);
            format!(r#"{{"kty":"oct","k":"{k}","kid":"{kid}"}}"#)
        })
    }

    /// The header of a good token.
    pub fn header(&self) -> Members {
        Members::parse(b"{}")
            .and("typ", r#""at+jwt""#)
            .and("alg", format!(r#""{}""#, self.algorithm))
            .and("kid", format!(r#""{}""#, self.kid))
    }

    pub fn signature(&self, message: impl AsRef<[u8]>) -> Vec<u8> {
        let (message, random) = (message.as_ref(), SystemRandom::new());
        match &*self.signer {
            Signer::Hmac(key) => hmac::sign(key, message).as_ref().to_vec(),
            Signer::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Signer::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Signer::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    /// Signs two segments without changing them.
    pub fn sign(&self, header: &str, payload: &str) -> String {
        let message = format!("{header}.{payload}");
        let signature = base64url(self.signature(&message));
        format!("{message}.{signature}")
    }

    /// Signs a header and claims of any content.
    pub fn token(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        self.sign(&base64url(header), &base64url(payload))
    }
}
