//! Reproducible damage to text: what robustness tests and demonstrations do to a response before
//! they look for the mark again.
//!
//! ```
//! use taggant_text::edits;
//!
//! let edited = edits::edit_words("a quick answer to a big question", 0.3, 7)?;
//! assert_eq!(edited.edits, 2);
//! assert_eq!(edited, edits::edit_words("a quick answer to a big question", 0.3, 7)?);
//! # taggant_core::Result::Ok(())
//! ```
//!
//! The same text, amount and seed give the same result on every platform and in every version
//! that keeps the same word list. The randomness is SplitMix64: good enough to pick words,
//! worthless for keys.

use taggant_core::{Error, ErrorKind, Result};

use crate::words::{Piece, words};

mod split_mix;
mod synonyms;

use split_mix::SplitMix64;

/// Text after edits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edited {
    /// The text.
    pub text: String,
    /// How many words were replaced, or characters inserted or replaced.
    pub edits: usize,
}

/// Replaces `fraction` of the words of `text` (0 to 1, rounded to whole words) by other words:
/// by a synonym where the list has one, else by a word from elsewhere in the text, else by a
/// common word. A replacement differs from the word by more than case, and takes over a capital
/// at the start.
///
/// # Errors
/// [`ErrorKind::Parameter`] unless `fraction` is from 0 to 1.
pub fn edit_words(text: &str, fraction: f64, seed: u64) -> Result<Edited> {
    check("fraction", fraction)?;
    let mut random = SplitMix64::new(seed);
    let words: Vec<_> = words(text).collect();
    let mut chosen = random.choose(words.len(), share(words.len(), fraction));
    chosen.sort_unstable();

    let mut edited = String::with_capacity(text.len());
    let mut end = 0;
    for &at in &chosen {
        let word = &words[at];
        edited.push_str(&text[end..word.range.start]);
        edited.push_str(&replacement(word.text, &words, &mut random));
        end = word.range.end;
    }
    edited.push_str(&text[end..]);
    Ok(Edited {
        text: edited,
        edits: chosen.len(),
    })
}

/// Inserts U+200B after each letter or digit with `probability`.
///
/// # Errors
/// [`ErrorKind::Parameter`] unless `probability` is from 0 to 1.
pub fn inject_zero_width(text: &str, probability: f64, seed: u64) -> Result<Edited> {
    inject(text, probability, seed, |c, _| {
        c.is_alphanumeric().then(|| format!("{c}\u{200B}"))
    })
}

/// Replaces each of the letters a, c, e, i, o, p and x, small or capital, by the Cyrillic letter
/// that looks like it, with `probability`.
///
/// # Errors
/// [`ErrorKind::Parameter`] unless `probability` is from 0 to 1.
pub fn inject_homoglyphs(text: &str, probability: f64, seed: u64) -> Result<Edited> {
    inject(text, probability, seed, |c, _| {
        let foreign = match c {
            'a' => '\u{430}',
            'c' => '\u{441}',
            'e' => '\u{435}',
            'i' => '\u{456}',
            'o' => '\u{43E}',
            'p' => '\u{440}',
            'x' => '\u{445}',
            'A' => '\u{410}',
            'C' => '\u{421}',
            'E' => '\u{415}',
            'I' => '\u{406}',
            'O' => '\u{41E}',
            'P' => '\u{420}',
            'X' => '\u{425}',
            _ => return None,
        };
        Some(foreign.into())
    })
}

/// Replaces each space by a no-break, en or em space with `probability`.
///
/// # Errors
/// [`ErrorKind::Parameter`] unless `probability` is from 0 to 1.
pub fn inject_spaces(text: &str, probability: f64, seed: u64) -> Result<Edited> {
    inject(text, probability, seed, |c, random| {
        const SPACES: [char; 3] = ['\u{A0}', '\u{2002}', '\u{2003}'];
        (c == ' ').then(|| SPACES[random.below(SPACES.len())].into())
    })
}

/// Replaces each printable ASCII character by its fullwidth form with `probability`; a space
/// becomes U+3000.
///
/// # Errors
/// [`ErrorKind::Parameter`] unless `probability` is from 0 to 1.
pub fn inject_fullwidth(text: &str, probability: f64, seed: u64) -> Result<Edited> {
    inject(text, probability, seed, |c, _| match c {
        ' ' => Some('\u{3000}'.into()),
        '!'..='~' => char::from_u32(u32::from(c) - 0x21 + 0xFF01).map(String::from),
        _ => None,
    })
}

/// Replaces each ASCII letter and digit by its mathematical bold form with `probability`.
///
/// # Errors
/// [`ErrorKind::Parameter`] unless `probability` is from 0 to 1.
pub fn inject_mathematical(text: &str, probability: f64, seed: u64) -> Result<Edited> {
    inject(text, probability, seed, |c, _| {
        let bold = match c {
            'A'..='Z' => u32::from(c) - u32::from('A') + 0x1D400,
            'a'..='z' => u32::from(c) - u32::from('a') + 0x1D41A,
            '0'..='9' => u32::from(c) - u32::from('0') + 0x1D7CE,
            _ => return None,
        };
        char::from_u32(bold).map(String::from)
    })
}

/// Replaces each character for which `edit` has something else, with `probability`.
fn inject(
    text: &str,
    probability: f64,
    seed: u64,
    edit: impl Fn(char, &mut SplitMix64) -> Option<String>,
) -> Result<Edited> {
    check("probability", probability)?;
    let mut random = SplitMix64::new(seed);
    let mut edited = String::with_capacity(text.len());
    let mut edits = 0;
    for c in text.chars() {
        match edit(c, &mut random) {
            Some(with) if random.chance(probability) => {
                edited.push_str(&with);
                edits += 1;
            }
            _ => edited.push(c),
        }
    }
    Ok(Edited {
        text: edited,
        edits,
    })
}

fn check(what: &str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Parameter,
        format!("{what} {value} is not from 0 to 1"),
    ))
}

/// `fraction` of `count`, rounded half up.
fn share(count: usize, fraction: f64) -> usize {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a word count is far below 2^53, and the fraction is from 0 to 1"
    )]
    let share = (count as f64 * fraction).round() as usize;
    share.min(count)
}

fn replacement(word: &str, words: &[Piece<'_>], random: &mut SplitMix64) -> String {
    let lower = word.to_lowercase();
    let differs = |other: &str| other.to_lowercase() != lower;
    let synonyms = synonyms::of(&lower);
    let other = if synonyms.is_empty() {
        // A word of the text now and then, until one differs; a text of one word has none.
        (0..8)
            .map(|_| words[random.below(words.len())].text)
            .find(|other| differs(other))
            .or_else(|| {
                synonyms::COMMON
                    .iter()
                    .copied()
                    .find(|other| differs(other))
            })
            .unwrap_or_default()
    } else {
        synonyms[random.below(synonyms.len())]
    };
    with_case_of(word, other)
}

fn with_case_of(word: &str, other: &str) -> String {
    let mut rest = other.chars();
    match (word.chars().next(), rest.next()) {
        (Some(first), Some(start)) if first.is_uppercase() => {
            start.to_uppercase().chain(rest).collect()
        }
        _ => other.to_owned(),
    }
}

#[cfg(test)]
mod tests;
