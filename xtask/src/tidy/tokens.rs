//! The tokens of a Rust file. Comments are gone, and each literal is a single token.

use std::str::FromStr;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

use super::File;

/// The tokens of `file`, without the items that only tests compile. A file that isn't Rust has
/// none, because the compiler reports that better.
pub(super) fn of(file: &File) -> Vec<TokenTree> {
    let tokens = TokenStream::from_str(&file.text).unwrap_or_default();
    without_tests(tokens)
}

/// The tokens of `file`, including the items that only tests compile.
pub(super) fn all(file: &File) -> Vec<TokenTree> {
    let tokens = TokenStream::from_str(&file.text).unwrap_or_default();
    tokens.into_iter().collect()
}

/// The line that `span` begins on.
pub(super) fn line(span: Span) -> usize {
    span.start().line
}

fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let is_attribute = is(&token, '#');
        if is_attribute
            && let Some(TokenTree::Group(attribute)) = tokens.peek()
            && is_of_tests(attribute)
        {
            // The item ends with its block or with a semicolon.
            tokens.next();
            for rest in tokens.by_ref() {
                let is_block = matches!(&rest, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
                if is_block || is(&rest, ';') {
                    break;
                }
            }
        } else {
            kept.push(token);
        }
    }
    kept
}

fn is_of_tests(attribute: &proc_macro2::Group) -> bool {
    let text: String = attribute.stream().to_string();
    let text: String = text.split_whitespace().collect();
    text.starts_with("cfg(test") || text.starts_with("cfg(all(test")
}

/// Whether `token` is this punctuation mark.
pub(super) fn is(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

/// Calls `found` with each sequence of tokens: first the whole one, then the content of each pair
/// of brackets.
pub(super) fn sequences(tokens: &[TokenTree], found: &mut impl FnMut(&[TokenTree])) {
    found(tokens);
    for token in tokens {
        if let TokenTree::Group(group) = token {
            let inside: Vec<TokenTree> = group.stream().into_iter().collect();
            sequences(&inside, found);
        }
    }
}
