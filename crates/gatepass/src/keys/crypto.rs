//! The interface to the cryptography: gatepass signs and verifies every access token through this
//! module.
//!
//! It calls jsonwebtoken through the provider of one backend. The process-wide provider of
//! jsonwebtoken panics when a build has both backends or neither, and a library cannot know what
//! else is in the build.
//!
//! jsonwebtoken prepares the key again for every call. With AWS-LC, this costs more than some
//! signatures, so [`aws_lc`] keeps AWS-LC's own prepared key instead.

#[cfg(feature = "aws_lc_rs")]
mod aws_lc;
mod jwa;
#[cfg(any(not(feature = "aws_lc_rs"), all(test, feature = "rust_crypto")))]
mod rust_crypto;

use jsonwebtoken::{EncodingKey, crypto::CryptoProvider, jwk::EllipticCurve};

#[cfg(feature = "aws_lc_rs")]
use self::aws_lc as backend;
#[cfg(not(feature = "aws_lc_rs"))]
use self::rust_crypto as backend;
use crate::keys::algorithm::Algorithm;

pub(crate) use backend::{MAX_RSA_BITS, Signer, Verifier};

fn provider() -> &'static CryptoProvider {
    &backend::DEFAULT_PROVIDER
}

/// The public half of an Ed25519 private key.
pub(crate) fn ed25519_public_key(key: &EncodingKey) -> Option<[u8; 32]> {
    let components = provider().key_utils.ed_pub_components_from_private_key;
    components(key.as_bytes(), &EllipticCurve::Ed25519)
        .ok()?
        .try_into()
        .ok()
}

/// The public half of an ECDSA private key, as an uncompressed point.
pub(crate) fn ec_public_key(algorithm: Algorithm, key: &EncodingKey) -> Option<Vec<u8>> {
    let components = provider().key_utils.ec_pub_components_from_private_key;
    let (_, x, y) = components(key.as_bytes(), jwa::jwa(algorithm)).ok()?;
    Some([&[4], x.as_slice(), y.as_slice()].concat())
}

#[cfg(test)]
#[cfg(all(feature = "aws_lc_rs", feature = "rust_crypto"))]
mod tests {
    use jsonwebtoken::{DecodingKey, EncodingKey};
    use pkcs8::PrivateKeyInfoRef;

    use super::{Signer, Verifier, rust_crypto};
    use crate::keys::{algorithm::Algorithm, verifying::VerifyingKey};

    /// A private and a public key for an algorithm, as both backends read them.
    fn keys(algorithm: Algorithm) -> (EncodingKey, DecodingKey) {
        macro_rules! pair {
            ($private:ident, $name:literal) => {{
                let private = include_bytes!(concat!("../tests/keys/", $name, ".pem"));
                let public = include_bytes!(concat!("../tests/keys/", $name, ".pub.pem"));
                let public = VerifyingKey::from_pem(algorithm, public).unwrap();
                let der = pem::parse(private).unwrap().into_contents();
                let info = PrivateKeyInfoRef::try_from(der.as_slice()).unwrap();
                ($private(&info, &der), public.decoding_key().unwrap())
            }};
        }
        match algorithm.name() {
            "ES256" => pair!(ec, "p256"),
            "ES384" => pair!(ec, "p384"),
            "EdDSA" => pair!(ed25519, "ed25519"),
            name if name.starts_with("HS") => (
                EncodingKey::from_secret(&[7; 64]).unwrap(),
                DecodingKey::from_secret(&[7; 64]).unwrap(),
            ),
            _ => pair!(rsa, "rsa"),
        }
    }

    fn ec(_: &PrivateKeyInfoRef<'_>, pkcs8: &[u8]) -> EncodingKey {
        EncodingKey::from_ec_der(pkcs8)
    }

    fn ed25519(_: &PrivateKeyInfoRef<'_>, pkcs8: &[u8]) -> EncodingKey {
        EncodingKey::from_ed_der(pkcs8)
    }

    fn rsa(info: &PrivateKeyInfoRef<'_>, _: &[u8]) -> EncodingKey {
        EncodingKey::from_rsa_der(info.private_key.as_bytes())
    }

    #[test]
    fn each_backend_verifies_what_the_other_signs() {
        const MESSAGE: &[u8] = b"the same for both";
        for algorithm in Algorithm::ALL {
            let (private, public) = keys(algorithm);
            let theirs = rust_crypto::Signer::new(algorithm, &private).unwrap();
            let ours = Signer::new(algorithm, &private).unwrap();
            let they = rust_crypto::Verifier::new(algorithm, &public).unwrap();
            let we = Verifier::new(algorithm, &public).unwrap();
            for signature in [theirs.sign(MESSAGE).unwrap(), ours.sign(MESSAGE).unwrap()] {
                assert!(they.verify(MESSAGE, &signature), "{algorithm}");
                assert!(we.verify(MESSAGE, &signature), "{algorithm}");
                let other = b"another for both!";
                assert!(!they.verify(other, &signature), "{algorithm}");
                assert!(!we.verify(other, &signature), "{algorithm}");
            }
        }
    }
}
