//! JSON objects with any content.

use std::fmt;

/// A JSON object as text. Names and values are raw JSON.
#[derive(Clone, Debug)]
pub struct Members(Vec<(String, String)>);

impl Members {
    pub fn parse(json: &[u8]) -> Self {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(json).unwrap();
        Self(
            object
                .into_iter()
                .map(|(name, value)| (name, value.to_string()))
                .collect(),
        )
    }

    pub fn raw(&self, name: &str) -> &str {
        &self.0.iter().find(|(own, _)| own == name).unwrap().1
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub fn without(&self, name: &str) -> Self {
        let mut members = self.clone();
        members.0.retain(|(own, _)| own != name);
        members
    }

    /// The same object, in which `name` has only the value `raw`.
    pub fn with(&self, name: &str, raw: impl fmt::Display) -> Self {
        self.without(name).and(name, raw)
    }

    /// The same object with one more member at the end. The name may already exist.
    pub fn and(&self, name: &str, raw: impl fmt::Display) -> Self {
        let mut members = self.clone();
        members.0.push((name.to_owned(), raw.to_string()));
        members
    }

    /// The same object with one more member at the beginning.
    pub fn after(&self, name: &str, raw: impl fmt::Display) -> Self {
        let mut members = self.clone();
        members.0.insert(0, (name.to_owned(), raw.to_string()));
        members
    }

    pub fn reversed(&self) -> Self {
        Self(self.0.iter().rev().cloned().collect())
    }
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = self
            .0
            .iter()
            .map(|(name, raw)| format!(r#""{name}":{raw}"#));
        write!(f, "{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}
