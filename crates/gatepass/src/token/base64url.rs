//! The base64url of tokens (RFC 7515 §2), with the widest SIMD instructions of the processor.
//!
//! Strict: no padding, no white space, and the unused bits of the last character are zero. So each
//! segment has only one spelling.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::NO_PAD};

use crate::model::refusal::Refusal;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static ENGINE: LazyLock<base64::engine::Simd> =
    LazyLock::new(|| base64::engine::Simd::url_safe(NO_PAD));

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static ENGINE: LazyLock<base64::engine::GeneralPurpose> =
    LazyLock::new(|| base64::engine::GeneralPurpose::new(&base64::alphabet::URL_SAFE, NO_PAD));

/// Appends `bytes` to `text`, in base64url.
pub(crate) fn encode(bytes: impl AsRef<[u8]>, text: &mut String) {
    ENGINE.encode_string(bytes, text);
}

/// Replaces the contents of `bytes` with the decoded `segment`.
pub(crate) fn decode(segment: &str, bytes: &mut Vec<u8>) -> Result<(), Refusal> {
    bytes.clear();
    ENGINE
        .decode_vec(segment, bytes)
        .map_err(|_| Refusal::Malformed)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    /// Tries many characters in every place, because wide instructions read the middle of a
    /// segment, and narrow ones its end.
    #[test]
    fn wide_instructions_take_exactly_what_narrow_ones_take() {
        for length in [22, 43, 63, 64, 65, 86, 128, 130, 131, 132] {
            for place in 0..length {
                for character in ('\0'..='\u{ff}').chain(['\u{20ac}']) {
                    let mut segment = "Zm9v".repeat(length).split_at(length).0.to_owned();
                    segment.replace_range(place..=place, character.encode_utf8(&mut [0; 4]));
                    let mut wide = b"what was there before".to_vec();
                    let wide = decode(&segment, &mut wide).map(|()| wide);
                    let narrow = URL_SAFE_NO_PAD.decode(&segment);
                    assert_eq!(wide.ok(), narrow.ok(), "{segment:?}");
                }
            }
        }
    }

    #[test]
    fn wide_instructions_write_what_narrow_ones_write() {
        for length in 0..400 {
            let bytes: Vec<u8> = (0..length).map(|n: u16| n.to_be_bytes()[1]).collect();
            let mut text = String::new();
            encode(&bytes, &mut text);
            assert_eq!(text, URL_SAFE_NO_PAD.encode(&bytes));
        }
    }
}
