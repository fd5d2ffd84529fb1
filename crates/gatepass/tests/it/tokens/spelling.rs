//! Every text that differs in one character.

use super::*;

#[tokio::test]
async fn every_changed_character_is_refused() {
    for rig in Rig::both().await {
        let good = rig.good();
        // The cache of verified tokens has it from now on, if its key is public.
        rig.accepts("before", good).await;
        rig.counts.reset_calls();
        for at in 0..good.len() {
            let mut changed = good.as_bytes().to_vec();
            for with in ALPHABET.iter().chain(b".=+/ ~%\n\0") {
                changed[at] = *with;
                let changed = str::from_utf8(&changed).unwrap();
                if changed != good {
                    let verified = rig.verify(changed).await;
                    assert!(
                        matches!(verified, Err(Error::Refused(_))),
                        "{} at {at} in {good}",
                        char::from(*with)
                    );
                }
            }
            let (before, behind) = good.split_at(at);
            for edited in [
                before.to_owned(),
                format!("{before}{}", &behind[1..]),
                format!("{before}A{behind}"),
            ] {
                let verified = rig.verify(&edited).await;
                assert!(matches!(verified, Err(Error::Refused(_))), "{edited}");
            }
        }
        assert_eq!(rig.counts.calls(), 0, "the store was asked");
        rig.accepts("unchanged", good).await;
    }
}

#[tokio::test]
async fn every_changed_character_of_a_refresh_token_is_refused() {
    let rig = Rig::new(Algorithm::Hs256).await;
    let good = rig.issued.refresh_token.as_str();
    for at in 0..good.len() {
        let mut changed = good.as_bytes().to_vec();
        for with in ALPHABET.iter().chain(b".=+/ ~%\n\0") {
            changed[at] = *with;
            let changed = str::from_utf8(&changed).unwrap();
            if changed != good {
                for refused in [
                    rig.authority.refresh(changed).await.map(drop),
                    rig.authority.logout(changed).await.map(drop),
                ] {
                    assert!(
                        matches!(refused, Err(Error::Refused(_))),
                        "{} at {at}",
                        char::from(*with)
                    );
                }
            }
        }
    }
    assert_eq!(rig.counts.calls(), 0, "the store was asked");
    rig.authority.refresh(good).await.unwrap();
}
