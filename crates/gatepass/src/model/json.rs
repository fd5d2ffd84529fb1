//! JSON in which no object has a member twice.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// The JSON object in `json`, in which no object has a member twice.
///
/// Read twice, so that serde_json makes the values itself: how it makes numbers depends on features
/// that another crate of the build may turn on.
pub(crate) fn strict_object(json: &[u8]) -> Option<Map<String, Value>> {
    let json = str::from_utf8(json).ok()?;
    is_strict(json).then(|| serde_json::from_str(json).ok())?
}

/// Whether `json` is JSON of any kind in which no object has a member twice.
pub(crate) fn is_strict(json: &str) -> bool {
    serde_json::from_str::<NoTwins>(json).is_ok()
}

/// Whether `json` is an object in which no object has a member twice, and all of whose own members
/// have names that `may_have` allows.
pub(crate) fn is_strict_object(json: &str, may_have: impl FnMut(&str) -> bool) -> bool {
    let mut json = serde_json::Deserializer::from_str(json);
    let object = json.deserialize_map(Members(may_have));
    object.and_then(|()| json.end()).is_ok()
}

/// The name of a member whose text serde_json takes for the JSON of the whole object.
const RESERVED: &str = "$serde_json::private::RawValue";

/// An object in which no object has a member twice, with names that a function allows.
struct Members<F>(F);

impl<'de, F: FnMut(&str) -> bool> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut names = Names::default();
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            map.next_value::<NoTwins>()?;
            if name == RESERVED || !(self.0)(&name) {
                return Err(de::Error::custom("a name that no member may have"));
            }
            if !names.insert(name) {
                return Err(de::Error::custom("a member twice"));
            }
        }
        Ok(())
    }
}

/// JSON of any kind in which no object has a member twice.
struct NoTwins;

impl<'de> Deserialize<'de> for NoTwins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for NoTwins {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self, A::Error> {
        Members(|_: &str| true).visit_map(map)?;
        Ok(self)
    }
}

/// Text, borrowed where the JSON needs no unescaping.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// The names of an object's members, as far as it has been read.
#[derive(Default)]
pub(crate) struct Names<'a> {
    /// Most objects have few, for which nothing is allocated.
    first: [Cow<'a, str>; 8],
    count: usize,
    others: Option<HashSet<Cow<'a, str>>>,
}

impl<'a> Names<'a> {
    /// Whether `name` is a new one.
    pub(crate) fn insert(&mut self, name: Cow<'a, str>) -> bool {
        if self.first.iter().take(self.count).any(|one| *one == name) {
            return false;
        }
        self.count += 1;
        match self.first.get_mut(self.count - 1) {
            Some(place) => {
                *place = name;
                true
            }
            None => self.others.get_or_insert_default().insert(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_comes_twice_is_found_wherever_it_is() {
        for members in 1..30 {
            for (one, other) in (0..members).flat_map(|one| (0..one).map(move |other| (one, other)))
            {
                let named = |place: usize| if place == one { other } else { place };
                let members = (0..members).map(|place| format!(r#""n{}":[{{}}]"#, named(place)));
                let json = format!(r#"[{{"a":{{{}}}}}]"#, Vec::from_iter(members).join(","));
                assert!(!is_strict(&json), "{json}");
            }
            let members = (0..members).map(|place| format!(r#""n{place}":{place}"#));
            let json = format!("{{{}}}", Vec::from_iter(members).join(","));
            assert!(is_strict(&json), "{json}");
        }
        assert!(!is_strict(r#"{"a":1,"\u0061":1}"#));
        for name in [
            "$serde_json::private::RawValue",
            r"\u0024serde_json::private::RawValue",
        ] {
            let json = format!(r#"{{"a":{{"{name}":"{{\"b\":1,\"b\":1}}"}}}}"#);
            assert!(!is_strict(&json), "{json}");
        }
        assert!(is_strict(r#"["{\"a\":1,\"a\":1}"]"#));
    }
}
