//! A fast reader for the layout in which gatepass writes tokens.
//!
//! Nearly every token that a verifier sees has this layout: the members in one order, without white
//! space and without escapes. A reader for only this layout is cheaper than a JSON parser. It
//! leaves every other text to serde_json. If it accepts a text, serde_json reads the same claims
//! from it.

use std::borrow::Cow;

use memchr::memchr2;

use crate::{
    env::clock::Timestamp,
    model::{
        ids::{GrantVersion, SessionNumber},
        json::Text,
    },
    token::{
        claims::{Actor, Audience, CLAIMS, Claims, OPTIONAL_CLAIMS, date, session_number},
        pass::CustomClaims,
    },
};

/// The most digits that a `u64` always has room for.
const MAX_DIGITS: usize = 19;

/// The claims in `json`. `None` if it has another layout, or invalid claims.
pub(super) fn read(json: &str) -> Option<Claims<'_>> {
    // JSON allows control characters only as white space between tokens, and this layout has none.
    // So `text` needn't look for them.
    if json.bytes().fold(false, |any, byte| any | (byte < b' ')) {
        return None;
    }
    let mut rest = Rest(json);
    Some(Claims {
        iss: rest.text(r#"{"iss":""#)?,
        sub: rest.text(r#","sub":""#)?,
        aud: Audience::One(rest.text(r#","aud":""#)?),
        exp: rest.date(r#","exp":"#)?,
        iat: rest.date(r#","iat":"#)?,
        jti: rest.text(r#","jti":""#)?,
        sid: rest.text(r#","sid":""#)?,
        sn: rest.session_number(r#","sn":"#)?,
        gv: rest.grant_version(r#","gv":"#)?,
        auth_time: rest.date(r#","auth_time":"#)?,
        client_id: rest.text(r#","client_id":""#)?,
        scope: rest.text(r#","scope":""#),
        act: rest.actor(r#","act":{"sub":""#)?,
        amr: rest.texts(r#","amr":["#)?,
        acr: rest.text(r#","acr":""#),
        nbf: None,
        custom: rest.custom()?,
    })
}

/// The text that has not been read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// The string after `before`, whose last character is the opening quote. Reads nothing if there
    /// is no such string.
    fn text(&mut self, before: &str) -> Option<Text<'a>> {
        let text = self.0.strip_prefix(before)?;
        let end = memchr2(b'"', b'\\', text.as_bytes())?;
        let (text, rest) = text.split_at_checked(end)?;
        self.0 = rest.strip_prefix('"')?;
        Some(Text(Cow::Borrowed(text)))
    }

    fn date(&mut self, before: &str) -> Option<Timestamp> {
        date(self.number(before)?)
    }

    fn session_number(&mut self, before: &str) -> Option<SessionNumber> {
        session_number(self.number(before)?)
    }

    /// The version after `before`. A token of the first version doesn't have this claim.
    fn grant_version(&mut self, before: &str) -> Option<GrantVersion> {
        if !self.0.starts_with(before) {
            return Some(GrantVersion::FIRST);
        }
        let version = u32::try_from(self.number(before)?).ok()?;
        Some(GrantVersion::new(version))
    }

    /// The actor whose subject follows `before`, if there is one. It must have no other member.
    fn actor(&mut self, before: &str) -> Option<Option<Actor<'a>>> {
        if !self.0.starts_with(before) {
            return Some(None);
        }
        let subject = self.text(before)?;
        self.0 = self.0.strip_prefix('}')?;
        Some(Some(Actor(subject)))
    }

    /// The strings of the array that begins with `before`, if there is one. Such an array is never
    /// empty.
    fn texts(&mut self, before: &str) -> Option<Vec<Text<'a>>> {
        let Some(rest) = self.0.strip_prefix(before) else {
            return Some(Vec::new());
        };
        self.0 = rest;
        let mut texts = vec![self.text("\"")?];
        while self.0.starts_with(',') {
            texts.push(self.text(",\"")?);
        }
        self.0 = self.0.strip_prefix(']')?;
        Some(texts)
    }

    /// The number after `before`. JSON allows no leading zeros. The member that must follow makes
    /// sure that the number has no fraction.
    fn number(&mut self, before: &str) -> Option<u64> {
        let text = self.0.strip_prefix(before)?;
        let (mut number, mut digits) = (0_u64, 0);
        while let Some(byte) = text.as_bytes().get(digits) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 || digits == MAX_DIGITS {
                break;
            }
            number = number * 10 + u64::from(digit);
            digits += 1;
        }
        if digits == 0 || (digits > 1 && text.starts_with('0')) {
            return None;
        }
        self.0 = text.get(digits..)?;
        Some(number)
    }

    /// All other claims.
    fn custom(&self) -> Option<CustomClaims> {
        if self.0 == "}" {
            return Some(CustomClaims::default());
        }
        let members = self.0.strip_prefix(',')?;
        // A comma must be followed by a member.
        let object = members.starts_with('"').then(|| ["{", members].concat())?;
        // A claim of ours at another place means another layout, or that the claim is there twice.
        let is_ours = |name: &str| CLAIMS.contains(&name) || OPTIONAL_CLAIMS.contains(&name);
        CustomClaims::parse(object, |name| !is_ours(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};
    use serde_json::{Map, Value};

    use super::*;
    use crate::{
        model::json::strict_object,
        token::{
            claims::{NewActor, NewClaims},
            pass::Pass,
        },
    };

    fn parse(json: &str) -> Option<Claims<'_>> {
        serde_json::from_str(json).ok()
    }

    fn written(subject: &str, scope: &str, custom: &Map<String, Value>) -> String {
        written_of(0, None, (&[], None), subject, scope, custom)
    }

    fn written_of(
        gv: u32,
        actor: Option<&str>,
        (amr, acr): (&[&str], Option<&str>),
        subject: &str,
        scope: &str,
        custom: &Map<String, Value>,
    ) -> String {
        serde_json::to_string(&NewClaims {
            iss: "https://shop.example",
            sub: subject,
            aud: "shop-api",
            exp: 1_800_000_900,
            iat: 1_800_000_000,
            jti: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
            sid: "AAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
            sn: 1_800_000_000_123,
            gv,
            auth_time: 1_800_000_000,
            client_id: "default",
            scope,
            act: actor.map(|sub| NewActor { sub }),
            amr: &Vec::from_iter(amr.iter().map(|&method| method.to_owned())),
            acr,
            custom,
        })
        .unwrap()
    }

    /// All that a verifier reads from claims.
    fn meaning(claims: Claims<'_>) -> (String, Vec<String>, Option<Pass>) {
        let issuer = claims.iss.0.to_string();
        let audiences = match &claims.aud {
            Audience::One(one) => vec![one.0.to_string()],
            Audience::Several(all) => all.iter().map(|one| one.0.to_string()).collect(),
        };
        (issuer, audiences, claims.into_pass())
    }

    fn object(json: &str) -> Map<String, Value> {
        strict_object(json.as_bytes()).unwrap()
    }

    #[test]
    fn what_gatepass_writes_is_read() {
        for scope in ["", "orders profile"] {
            for custom in [
                "{}",
                r#"{"tenant":{"id":7,"name":"a \"customer\""},"x":null}"#,
            ] {
                let none: (&[&str], _) = (&[], None);
                for (gv, actor, authentication) in [
                    (0, None, none),
                    (7, None, (&["pwd"], None)),
                    (0, None, (&[], Some("urn:example:phr"))),
                    (
                        u32::MAX,
                        Some("support"),
                        (&["pwd", "otp", "hwk"], Some("phr")),
                    ),
                ] {
                    let custom = object(custom);
                    let json = written_of(gv, actor, authentication, "jürgen", scope, &custom);
                    let read = read(&json).unwrap_or_else(|| panic!("{json}"));
                    let parsed = parse(&json).unwrap();
                    assert!(meaning(read) == meaning(parsed), "{json}");
                }
            }
        }
    }

    #[test]
    fn what_the_other_reader_refuses_is_left_to_it() {
        let json = written("alice", "read", &Map::new());
        let json = json.strip_suffix('}').unwrap();
        for end in [
            ",}",
            r#","sub":"bob"}"#,
            r#","nbf":0}"#,
            r#","gv":1}"#,
            r#","amr":[]}"#,
            r#","amr":["pwd"}"#,
            r#","amr":["pwd",]}"#,
            r#","amr":["pwd",1]}"#,
            r#","amr":["p\u0077d"]}"#,
            r#","amr":"pwd"}"#,
            r#","amr":["pwd"],"amr":["otp"]}"#,
            r#","acr":"phr","acr":"1"}"#,
            r#","acr":["phr"]}"#,
            r#","acr":"phr","amr":["pwd"]}"#,
            r#","amr":["pwd"],"x":1,"acr":"phr"}"#,
            r#","act":{"sub":"eve"},"act":{"sub":"mallory"}}"#,
            r#","act":{"sub":"eve","act":{"sub":"mallory"}}}"#,
            r#","act":{"sub":"eve"}"#,
            r#","act":{"sub":"eve"},}"#,
            r#","x":1,"x":2}"#,
            r#","x":{"y":1,"y":2}}"#,
            r#","$serde_json::private::RawValue":"{\"admin\":true}"}"#,
            r#","\u0024serde_json::private::RawValue":"{\"admin\":true}"}"#,
            r#","\u0073ub":"bob"}"#,
            "}}",
            "",
            " }",
            ",",
        ] {
            assert!(read(&format!("{json}{end}")).is_none(), "{end}");
        }
        for (from, to) in [
            ("1800000900", "01800000900"),
            ("1800000900", "1800000900.0"),
            ("1800000900", "1e9"),
            ("1800000900", "-1"),
            ("1800000900", "99999999999999999999"),
            ("1800000900", "253402300800"),
            ("1800000000123", "9007199254740992"),
            ("alice", "al\\u0069ce"),
            ("alice", "al\tice"),
            ("\"shop-api\"", "[\"shop-api\"]"),
        ] {
            let json = format!("{json}}}").replacen(from, to, 1);
            assert!(read(&json).is_none(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn a_text_that_is_read_means_the_same_to_the_other_reader(
            subject in "[a-z\"\\\\\u{1}ü]{0,6}",
            scoped in any::<bool>(),
            (gv, acted) in (0..3_u32, any::<bool>()),
            authentication in prop_oneof![
                Just((&[][..], None)), Just((&["pwd"][..], Some("phr"))), Just((&["a", "b\"]"][..], None)),
            ],
            custom in prop_oneof![
                Just("{}"), Just(r#"{"a":1}"#), Just(r#"{"a":"\\","b":[{"c":1.5}]}"#),
            ],
            edits in vec((any::<Index>(), prop_oneof![
                Just(""), Just("\""), Just("\\"), Just(","), Just("}"), Just("{"), Just("0"), Just(" "),
                Just("-"), Just("."), Just("e"), Just(":"), Just("\u{0}"), Just("ü"),
                Just(r#","sub":"x""#), Just(r#","gv":1"#), Just(r#","act":{"sub":"x"}"#), Just(r#","amr":["x"]"#), Just("["), Just("]"),
                Just(r#","acr":"x""#), Just(r#","a":2"#), Just(r#""nbf":1,"#),
                Just(r#","$serde_json::private::RawValue":"{}""#),
            ], any::<bool>()), 0..3),
        ) {
            let scope = if scoped { "read" } else { "" };
            let actor = acted.then_some("eve");
            let mut json = written_of(gv, actor, authentication, &subject, scope, &object(custom));
            for (at, with, replaces) in edits {
                let places: Vec<_> = json.char_indices().collect();
                let (at, old) = places[at.index(places.len())];
                let end = if replaces { at + old.len_utf8() } else { at };
                json.replace_range(at..end, with);
            }
            if let Some(read) = read(&json) {
                let parsed = parse(&json);
                prop_assert!(parsed.is_some(), "{json}");
                prop_assert!(meaning(read) == meaning(parsed.unwrap()), "{json}");
            }
        }
    }
}
