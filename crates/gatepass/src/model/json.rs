//! JSON in which no object has a member twice.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// The JSON object in `json`, in which no object has a member twice.
///
/// This reads the JSON twice, so that serde_json makes the values itself. How it makes numbers
/// depends on features that another crate of the build may turn on.
pub(crate) fn strict_object(json: &[u8]) -> Option<Map<String, Value>> {
    let json = str::from_utf8(json).ok()?;
    is_strict(json).then(|| serde_json::from_str(json).ok())?
}

/// Whether `json` is JSON of any kind in which no object has a member twice.
pub(crate) fn is_strict(json: &str) -> bool {
    serde_json::from_str::<NoTwins>(json).is_ok()
}

/// Whether `json` is an object in which no object has a member twice, and `may_have` allows the
/// names of all its own members.
pub(crate) fn is_strict_object(json: &str, may_have: impl FnMut(&str) -> bool) -> bool {
    let mut json = serde_json::Deserializer::from_str(json);
    let object = json.deserialize_map(Members(may_have));
    object.and_then(|()| json.end()).is_ok()
}

/// The name of a member whose text serde_json takes for the JSON of the whole object.
const RAW: &str = "$serde_json::private::RawValue";
/// The name of a member by which serde_json hands a number on, if a crate of the build turns on its
/// feature `arbitrary_precision`. Some readers would take an object with this member for a number.
const NUMBER: &str = "$serde_json::private::Number";

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
            if name == NUMBER {
                map.next_value::<HandedOn>()?;
            } else {
                map.next_value::<NoTwins>()?;
            }
            if name == RAW || !(self.0)(&name) {
                return Err(de::Error::custom("a name that no member may have"));
            }
            if !names.insert(name) {
                return Err(de::Error::custom("a member twice"));
            }
        }
        Ok(())
    }
}

/// The text of a number as serde_json hands it on. It is an owned `String`, which text in JSON
/// never is.
struct HandedOn;

impl<'de> Deserialize<'de> for HandedOn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_string(Self)
    }
}

impl Visitor<'_> for HandedOn {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Self, E> {
        Err(E::custom("a name that serde_json keeps for itself"))
    }

    fn visit_string<E>(self, _: String) -> Result<Self, E> {
        Ok(self)
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

/// The names of an object's members that have been read so far.
#[derive(Default)]
pub(crate) struct Names<'a> {
    /// Most objects have few members, so this needs no allocation.
    first: [Cow<'a, str>; 8],
    count: usize,
    others: Option<HashSet<Cow<'a, str>>>,
}

impl<'a> Names<'a> {
    /// Adds `name`, and returns whether it is new.
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
            "$serde_json::private::Number",
            r"\u0024serde_json::private::Number",
        ] {
            for text in [r#""{\"b\":1,\"b\":1}""#, r#""12""#, r#""\u0031""#, "12"] {
                let json = format!(r#"{{"{name}":{text}}}"#);
                assert!(!is_strict(&json), "{json}");
                assert!(!is_strict(&format!(r#"[{{"a":{json}}}]"#)), "{json}");
                assert!(!is_strict_object(&json, |_| true), "{json}");
            }
        }
        assert!(is_strict(r#"["{\"a\":1,\"a\":1}"]"#));
    }
}
