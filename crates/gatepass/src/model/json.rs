//! JSON in which no object has a member twice.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// The JSON object in `json`, in which no object has a member twice.
pub(crate) fn strict_object(json: &[u8]) -> Option<Map<String, Value>> {
    strict(str::from_utf8(json).ok()?)
}

/// The JSON value in `json`, in which no object has a member twice.
///
/// Read twice, so that serde_json makes the value itself: how it makes numbers depends on features
/// that another crate of the build may turn on.
pub(crate) fn strict_value(json: &str) -> Option<Value> {
    strict(json)
}

fn strict<T: DeserializeOwned>(json: &str) -> Option<T> {
    // Only an object has members.
    if json.contains('{') {
        let _: NoTwins = serde_json::from_str(json).ok()?;
    }
    serde_json::from_str(json).ok()
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

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = Names::default();
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            map.next_value::<Self>()?;
            // serde_json would take the text in this member for the JSON of the whole object.
            if name == "$serde_json::private::RawValue" {
                return Err(de::Error::custom("a name that serde_json keeps for itself"));
            }
            if !names.insert(name) {
                return Err(de::Error::custom("a member twice"));
            }
        }
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
    /// Most objects have few.
    first: Vec<Cow<'a, str>>,
    others: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    /// Whether `name` is a new one.
    pub(crate) fn insert(&mut self, name: Cow<'a, str>) -> bool {
        if self.first.contains(&name) {
            return false;
        }
        if self.first.len() < 8 {
            self.first.push(name);
            return true;
        }
        self.others.insert(name)
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
                assert_eq!(strict_value(&json), None, "{json}");
            }
            let members = (0..members).map(|place| format!(r#""n{place}":{place}"#));
            let json = format!("{{{}}}", Vec::from_iter(members).join(","));
            assert!(strict_value(&json).is_some(), "{json}");
        }
        assert_eq!(strict_value(r#"{"a":1,"\u0061":1}"#), None);
        for name in [
            "$serde_json::private::RawValue",
            r"\u0024serde_json::private::RawValue",
        ] {
            let json = format!(r#"{{"a":{{"{name}":"{{\"b\":1,\"b\":1}}"}}}}"#);
            assert_eq!(strict_value(&json), None, "{json}");
        }
        assert!(strict_value(r#"["{\"a\":1,\"a\":1}"]"#).is_some());
    }
}
