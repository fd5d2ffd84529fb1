//! jsonwebtoken's names for algorithms.

use jsonwebtoken::Algorithm as Jwa;

use crate::keys::algorithm::Algorithm;

pub(super) const fn jwa(algorithm: Algorithm) -> Jwa {
    match algorithm {
        Algorithm::Hs256 => Jwa::HS256,
        Algorithm::Hs384 => Jwa::HS384,
        Algorithm::Hs512 => Jwa::HS512,
        Algorithm::Rs256 => Jwa::RS256,
        Algorithm::Rs384 => Jwa::RS384,
        Algorithm::Rs512 => Jwa::RS512,
        Algorithm::Ps256 => Jwa::PS256,
        Algorithm::Ps384 => Jwa::PS384,
        Algorithm::Ps512 => Jwa::PS512,
        Algorithm::Es256 => Jwa::ES256,
        Algorithm::Es384 => Jwa::ES384,
        Algorithm::EdDsa => Jwa::EdDSA,
    }
}
