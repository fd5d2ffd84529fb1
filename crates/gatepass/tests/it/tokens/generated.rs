//! Generated tokens, for the cases that the tables leave out.

use super::*;

#[derive(Clone, Debug)]
enum Edit {
    Replace(Index, char),
    Insert(Index, char),
    Remove(Index),
    Swap(Index, Index),
    Cut(Index),
    Repeat(Index, Index),
    Append(String),
}

impl Edit {
    fn apply(&self, text: &mut Vec<char>) {
        let length = text.len();
        if length == 0 {
            return;
        }
        match self {
            Self::Replace(at, with) => text[at.index(length)] = *with,
            Self::Insert(at, with) => text.insert(at.index(length + 1), *with),
            Self::Remove(at) => drop(text.remove(at.index(length))),
            Self::Swap(one, two) => text.swap(one.index(length), two.index(length)),
            Self::Cut(at) => text.truncate(at.index(length)),
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(length), to.index(length));
                let part = text[from.min(to)..from.max(to)].to_vec();
                text.extend(part);
            }
            Self::Append(more) => text.extend(more.chars()),
        }
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = any::<Index>;
    let with = || prop_oneof![8 => "[A-Za-z0-9_-]".prop_map(|s: String| s.chars().next().unwrap()), 1 => any::<char>()];
    let edit = prop_oneof![
        (at(), with()).prop_map(|(at, with)| Edit::Replace(at, with)),
        (at(), with()).prop_map(|(at, with)| Edit::Insert(at, with)),
        at().prop_map(Edit::Remove),
        (at(), at()).prop_map(|(one, two)| Edit::Swap(one, two)),
        at().prop_map(Edit::Cut),
        (at(), at()).prop_map(|(from, to)| Edit::Repeat(from, to)),
        ".{0,20}".prop_map(Edit::Append),
    ];
    vec(edit, 1..6)
}

#[test]
fn no_text_but_a_token_is_accepted() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let rigs = runtime.block_on(Rig::both());
    let text = prop_oneof![
        any::<String>(),
        "[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}",
        "gpr_[A-Za-z0-9_-]{0,90}",
        "gpr_[A-Za-z0-9_-]{79}",
    ];
    proptest!(ProptestConfig::with_cases(512), |(text in text, edits in edits())| {
        for rig in &rigs {
            rig.counts.reset_calls();
            let mutated = |good: &str| {
                let mut chars: Vec<char> = good.chars().collect();
                edits.iter().for_each(|edit| edit.apply(&mut chars));
                chars.into_iter().collect::<String>()
            };
            let access = mutated(rig.good());
            let refresh = mutated(rig.issued.refresh_token.as_str());
            for text in [&text, &access, &refresh] {
                if text == rig.good() || text == rig.issued.refresh_token.as_str() {
                    continue;
                }
                let verified = runtime.block_on(rig.verify(text));
                prop_assert!(matches!(verified, Err(Error::Refused(_))), "verified {}", text);
                let refreshed = runtime.block_on(rig.authority.refresh(text));
                prop_assert!(matches!(refreshed, Err(Error::Refused(_))), "refreshed {}", text);
                let ended = runtime.block_on(rig.authority.logout(text));
                prop_assert!(matches!(ended, Err(Error::Refused(_))), "logged out {}", text);
            }
            prop_assert_eq!(rig.counts.calls(), 0, "the store was asked");
        }
    });
}

#[test]
fn no_signed_json_makes_a_verifier_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let rigs = runtime.block_on(Rig::both());
    proptest!(ProptestConfig::with_cases(512), |(edits in edits(), junk in vec(any::<u8>(), 0..200))| {
        for rig in &rigs {
            let mutated = |json: String| {
                let mut chars: Vec<char> = json.chars().collect();
                edits.iter().for_each(|edit| edit.apply(&mut chars));
                chars.into_iter().collect::<String>()
            };
            let (header, claims) = (rig.header().to_string(), rig.claims().to_string());
            for token in [
                rig.forge.token(mutated(header.clone()), &claims),
                rig.forge.token(&header, mutated(claims.clone())),
                rig.forge.token(&junk, &claims),
                rig.forge.token(&header, &junk),
            ] {
                let verified = runtime.block_on(rig.verify(&token));
                prop_assert!(matches!(verified, Ok(_) | Err(Error::Refused(_))), "{}", token);
            }
        }
    });
}
