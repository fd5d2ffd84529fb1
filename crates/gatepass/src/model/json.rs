//! JSON in which no object has a member twice.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// The JSON object in `json`, in which no object has a member twice.
pub(crate) fn strict_object(json: &[u8]) -> Option<Map<String, Value>> {
    match strict_value(str::from_utf8(json).ok()?)? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// The JSON value in `json`, in which no object has a member twice.
///
/// Read twice, so that serde_json makes the value itself: how it makes numbers depends on features
/// that another crate of the build may turn on.
pub(crate) fn strict_value(json: &str) -> Option<Value> {
    let _: NoTwins = serde_json::from_str(json).ok()?;
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
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value::<Self>()?;
            if !names.insert(name) {
                return Err(de::Error::custom("a member twice"));
            }
        }
        Ok(self)
    }
}
