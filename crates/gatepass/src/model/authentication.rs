//! The methods (`amr`) and the context class (`acr`) of an authentication.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The methods by which a user was authenticated (`amr`, RFC 8176), and the class that they belong
/// to (`acr`, OIDC Core §2).
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Authentication {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) amr: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) acr: Option<String>,
}

impl Authentication {
    /// Whether nothing is known.
    pub(crate) fn is_unknown(&self) -> bool {
        self.amr.is_empty() && self.acr.is_none()
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "amr {:?}, acr {:?}", self.amr, self.acr)
    }
}

/// A value of `amr` or `acr` that is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a value of amr or acr is 1 to {MAX_VALUE} characters of printable ASCII without space, quote and \
     backslash"
)]
#[non_exhaustive]
pub struct InvalidAuthenticationValue;

/// Longest value in bytes. Names of classes can be URIs.
const MAX_VALUE: usize = 255;

/// Checks `values` and removes duplicates. A challenge lists them in quotes, separated by spaces
/// (RFC 9470 §3).
pub(crate) fn checked(
    values: impl IntoIterator<Item = impl Into<String>>,
) -> Result<Vec<String>, InvalidAuthenticationValue> {
    let mut checked = Vec::new();
    for value in values {
        let value = value.into();
        let fits = (1..=MAX_VALUE).contains(&value.len());
        if !fits
            || !value
                .bytes()
                .all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
        {
            return Err(InvalidAuthenticationValue);
        }
        if !checked.contains(&value) {
            checked.push(value);
        }
    }
    Ok(checked)
}

/// `values`, separated by spaces.
pub(crate) fn listed(values: &[String]) -> String {
    values.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_there_once_and_in_the_order_that_was_given() {
        let methods = checked(["pwd", "otp", "pwd"]).unwrap();
        assert_eq!(methods, ["pwd", "otp"]);
        assert_eq!(checked(["urn:mace:incommon:iap:silver"]).unwrap().len(), 1);
    }

    #[test]
    fn a_value_that_could_leave_its_place_in_a_challenge_is_refused() {
        let long = "x".repeat(256);
        for value in ["", " ", "a b", "a\"", "a\\", "a\r\nb", "ä", &long] {
            assert_eq!(
                checked([value]),
                Err(InvalidAuthenticationValue),
                "{value:?}"
            );
        }
    }
}
