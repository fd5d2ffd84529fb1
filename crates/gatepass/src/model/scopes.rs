//! The scopes of an identity.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

/// A set of scopes: what an access token allows (RFC 6749 §3.3).
///
/// Its text, which `Display` writes, is sorted and has no duplicates.
///
/// ```
/// use gatepass::Scopes;
///
/// let scopes = Scopes::parse("profile admin profile")?;
/// assert_eq!(scopes.to_string(), "admin profile");
/// assert!(scopes.contains("admin"));
/// assert!(scopes.contains_all(&Scopes::parse("profile")?));
/// # Ok::<(), gatepass::InvalidScope>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scopes(String);

/// A scope with a character that RFC 6749 §3.3 does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope is printable ASCII without space, quote and backslash (RFC 6749 section 3.3)")]
#[non_exhaustive]
pub struct InvalidScope;

impl Scopes {
    /// The scopes in a space-separated list. An empty text is the empty set.
    ///
    /// # Errors
    ///
    /// [`InvalidScope`] if a scope has a character that RFC 6749 §3.3 does not allow.
    pub fn parse(list: &str) -> Result<Self, InvalidScope> {
        if is_canonical(list) {
            return Ok(Self(list.to_owned()));
        }
        Self::new(list.split(' ').filter(|scope| !scope.is_empty()))
    }

    /// The set of these scopes.
    ///
    /// # Errors
    ///
    /// [`InvalidScope`] if one is empty or has a character that RFC 6749 §3.3 does not allow.
    pub fn new<S: AsRef<str>>(scopes: impl IntoIterator<Item = S>) -> Result<Self, InvalidScope> {
        let mut set = BTreeSet::new();
        for scope in scopes {
            let scope = scope.as_ref();
            if scope.is_empty() || !scope.bytes().all(is_allowed) {
                return Err(InvalidScope);
            }
            set.insert(scope.to_owned());
        }
        Ok(Self(Vec::from_iter(set).join(" ")))
    }

    /// Whether `scope` is in the set.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.iter().any(|own| own == scope)
    }

    /// Whether every scope of `required` is in the set.
    #[must_use]
    pub fn contains_all(&self, required: &Self) -> bool {
        required.iter().all(|scope| self.contains(scope))
    }

    /// The scopes that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let both: Vec<_> = self.iter().filter(|own| other.contains(own)).collect();
        Self(both.join(" "))
    }

    /// The scopes of this set that are not in `other`.
    ///
    /// ```
    /// use gatepass::Scopes;
    ///
    /// let scopes = Scopes::parse("admin orders profile")?;
    /// let fewer = scopes.without(&Scopes::parse("admin")?);
    /// assert_eq!(fewer.as_str(), "orders profile");
    /// # Ok::<(), gatepass::InvalidScope>(())
    /// ```
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let left: Vec<_> = self.iter().filter(|own| !other.contains(own)).collect();
        Self(left.join(" "))
    }

    /// The scopes that are in at least one of the sets.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        // All of them are scopes already, so none is invalid.
        Self::new(self.iter().chain(other.iter())).unwrap_or_default()
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|scope| !scope.is_empty())
    }

    /// The space-separated list, sorted.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Scopes {
    type Error = InvalidScope;

    fn try_from(list: String) -> Result<Self, InvalidScope> {
        Self::parse(&list)
    }
}

impl From<Scopes> for String {
    fn from(scopes: Scopes) -> Self {
        scopes.0
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The scopes that a handler requires, as a type. Extractors check them.
///
/// ```
/// struct Admin;
///
/// impl gatepass::RequiredScopes for Admin {
///     const SCOPES: &'static [&'static str] = &["admin"];
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which scopes it requires",
    label = "not a set of required scopes",
    note = "write `impl gatepass::RequiredScopes for {Self} {{ const SCOPES: &'static [&'static str] = &[\"…\"]; }}`"
)]
pub trait RequiredScopes: Send + Sync + 'static {
    /// All of these scopes.
    const SCOPES: &'static [&'static str];
}

/// The scopes that `R` requires. A list with an impossible scope does not compile.
pub(crate) fn required<R: RequiredScopes>() -> impl Iterator<Item = &'static str> {
    const {
        assert!(
            all_valid(R::SCOPES),
            "a scope is printable ASCII without space, quote and backslash"
        )
    };
    R::SCOPES.iter().copied()
}

/// Whether `list` is sorted and has no duplicates, as in every token that gatepass issues.
fn is_canonical(list: &str) -> bool {
    let mut scopes = list.as_bytes().split(|byte| *byte == b' ');
    let mut before: &[u8] = &[];
    // The empty scope is not greater than the empty text, so a double, leading or trailing space
    // fails.
    scopes.all(|scope| {
        // Byte by byte, because scopes are short and differ early.
        let ascends = before.iter().lt(scope) && scope.iter().copied().all(is_allowed);
        before = scope;
        ascends
    })
}

const fn is_allowed(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E)
}

#[expect(
    clippy::indexing_slicing,
    reason = "const code has no iterators, and each index is below a checked bound"
)]
const fn all_valid(scopes: &[&str]) -> bool {
    let mut at = 0;
    while at < scopes.len() {
        let scope = scopes[at].as_bytes();
        let mut byte = 0;
        while byte < scope.len() {
            if !is_allowed(scope[byte]) {
                return false;
            }
            byte += 1;
        }
        if scope.is_empty() {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_of_a_scope_is_not_the_scope() {
        let scopes = Scopes::parse("administrate").unwrap();
        assert!(!scopes.contains("admin"));
        assert!(!scopes.contains(""));
        assert!(scopes.contains_all(&Scopes::default()));
    }

    #[test]
    fn a_list_is_taken_as_it_is_only_if_it_is_canonical() {
        for (list, expected) in [
            ("a", "a"),
            ("a b", "a b"),
            ("a ab b", "a ab b"),
            ("", ""),
            (" ", ""),
            (" a", "a"),
            ("a ", "a"),
            ("a  b", "a b"),
            ("b a", "a b"),
            ("a a", "a"),
            ("ab a", "a ab"),
        ] {
            let scopes = Scopes::parse(list).unwrap();
            assert_eq!(scopes.as_str(), expected, "{list:?}");
            assert_eq!(
                is_canonical(list),
                list == expected && !list.is_empty(),
                "{list:?}"
            );
        }
        assert_eq!(Scopes::parse("a b\"c"), Err(InvalidScope));
    }

    #[test]
    fn characters_that_could_leave_a_quoted_string_are_refused() {
        for bad in ["a\"b", "a\\b", "a\tb", "a\r\nb", "ä"] {
            assert_eq!(Scopes::parse(bad), Err(InvalidScope), "{bad:?}");
        }
        assert_eq!(Scopes::new([""]), Err(InvalidScope));
        assert_eq!(Scopes::new(["a b"]), Err(InvalidScope));
    }
}
