//! Words that a report may not use (D-4). Every text of its author is looked at, and what was rendered is looked at again.

use taggant_core::{Error, ErrorKind, Result};

/// Phrases that overstate. A `*` stands for the rest of a word at the end of one, and for anything within a sentence in between.
pub const BANNED: [&str; 9] = [
    "match*",
    "proves",
    "certain*",
    "was distilled by",
    "was distilled from",
    "stole*",
    "zero error*",
    "probability that * was trained",
    "probability that * was distilled",
];

/// # Errors
/// [`ErrorKind::Format`], naming the phrase and the place.
pub(super) fn check(place: &str, text: &str, floor: f64) -> Result<()> {
    let text = plain(text);
    let found = BANNED
        .into_iter()
        .find(|phrase| holds(&text, phrase))
        .map(|phrase| {
            format!("`{phrase}` overstates what evidence can show; say what was measured")
        })
        .or_else(|| {
            let odds = beyond(&text, 1.0 / floor)?;
            Some(format!(
                "`{odds}` is beyond the floor of {floor}, below which nothing is put into words"
            ))
        });
    match found {
        None => Ok(()),
        Some(fault) => Err(Error::new(ErrorKind::Format, format!("{place}: {fault}"))),
    }
}

/// Looks at a page as it is read: without tags, by section.
///
/// # Errors
/// As [`check`].
pub(super) fn check_page(html: &str, floor: f64) -> Result<()> {
    let mut section = "the page's head".to_owned();
    for part in html.split("<h2") {
        let text = visible(&format!("<h2{part}"));
        if let Some((heading, _)) = part.split_once("</h2>") {
            section = format!("section \"{}\"", visible(&format!("<h2{heading}")).trim());
        }
        check(&format!("rendered {section}"), &text, floor)?;
    }
    Ok(())
}

/// What is read of a piece of HTML: no tags, no style sheet, entities resolved.
pub(super) fn visible(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        let closed = if tag.starts_with("style") {
            tag.split_once("</style>")
        } else {
            tag.split_once('>')
        };
        rest = closed.map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    // The ampersand last, so that nothing is resolved twice.
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#x2f;", "/"),
        ("&amp;", "&"),
    ];
    entities.iter().fold(text, |text, (entity, character)| {
        text.replace(entity, character)
    })
}

/// Lower case, one space between words, nothing invisible, superscripts as powers.
fn plain(text: &str) -> String {
    const SUPERSCRIPTS: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹";
    let mut plain = String::new();
    let mut raised = false;
    for character in text.chars() {
        let digit = SUPERSCRIPTS.chars().position(|digit| digit == character);
        if digit.is_some() && !raised {
            plain.push('^');
        }
        raised = digit.is_some();
        match (digit, character) {
            (Some(digit), _) => plain.push_str(&digit.to_string()),
            (None, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}') => {}
            (None, character) if character.is_whitespace() => {
                if !plain.ends_with(' ') {
                    plain.push(' ');
                }
            }
            (None, character) => plain.extend(character.to_lowercase()),
        }
    }
    plain
}

/// Whether a phrase stands in the text as words.
fn holds(text: &str, phrase: &str) -> bool {
    let (phrase, open) = match phrase.strip_suffix('*') {
        Some(start) => (start, true),
        None => (phrase, false),
    };
    let (first, then) = phrase.split_once(" * ").unwrap_or((phrase, ""));
    words(text, first, open || !then.is_empty()).any(|after| {
        let sentence = after.split(['.', ';', '?', '!']).next().unwrap_or("");
        then.is_empty() || words(sentence, then, open).next().is_some()
    })
}

/// What follows each place where `phrase` begins at a word's beginning and, unless it is open, ends at a word's end.
fn words<'a>(text: &'a str, phrase: &'a str, open: bool) -> impl Iterator<Item = &'a str> {
    text.match_indices(phrase).filter_map(move |(at, _)| {
        let (before, after) = (&text[..at], &text[at + phrase.len()..]);
        let begins = !before.ends_with(char::is_alphanumeric);
        let ends = open || !after.starts_with(char::is_alphanumeric);
        (begins && ends).then_some(after)
    })
}

/// "1 in N" with N above `most`, however N is written.
fn beyond(text: &str, most: f64) -> Option<String> {
    ["1 in ", "one in "].into_iter().find_map(|start| {
        words(text, start, true).find_map(|after| {
            let size = size(after)?;
            let shown: String = after.chars().take(30).collect();
            (size > most * (1.0 + 1e-9)).then(|| format!("{start}{shown}"))
        })
    })
}

/// The number at the beginning of a text: grouped digits, powers, and words for large numbers.
fn size(text: &str) -> Option<f64> {
    const POWERS: [(&str, bool); 7] = [
        ("e", true),
        (" x 10^", true),
        (" × 10^", true),
        ("·10^", true),
        ("^", false),
        ("**", false),
        (" to the ", false),
    ];
    const WORDS: [(&str, f64); 6] = [
        ("thousand", 1e3),
        ("million", 1e6),
        ("billion", 1e9),
        ("trillion", 1e12),
        ("quadrillion", 1e15),
        ("quintillion", 1e18),
    ];
    let (mut value, rest) = match text.strip_prefix("a ") {
        Some(rest) => (1.0, rest),
        None => grouped(text)?,
    };
    for (sign, of_ten) in POWERS {
        let digits = rest.strip_prefix(sign).map(leading).unwrap_or_default();
        if let Ok(exponent) = digits.parse::<f64>() {
            value = if of_ten {
                value * 10_f64.powf(exponent)
            } else {
                value.powf(exponent)
            };
        }
    }
    let name = rest.trim_start_matches([' ', '-']);
    let factor = WORDS.iter().find(|(word, _)| name.starts_with(word));
    Some(value * factor.map_or(1.0, |(_, factor)| *factor))
}

/// The digits at the beginning of a text.
fn leading(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit());
    &text[..end.unwrap_or(text.len())]
}

/// A number with or without separators between groups of three, and what follows it. A point before another count of digits is a decimal one.
fn grouped(text: &str) -> Option<(f64, &str)> {
    let mut digits = leading(text).to_owned();
    let mut rest = &text[digits.len()..];
    while let Some(sign) = rest.chars().next() {
        let after = &rest[sign.len_utf8()..];
        let next = leading(after);
        match sign {
            ' ' | ',' | '.' | '\'' | '’' | '_' if next.len() == 3 => digits.push_str(next),
            '.' if !next.is_empty() => digits = format!("{digits}.{next}"),
            _ => break,
        }
        rest = &after[next.len()..];
    }
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_banned_phrase_is_found_in_any_dress() {
        for text in [
            "The texts MATCH.",
            "a perfect match\u{ad}ing",
            "This proves\u{a0}it",
            "we are certain",
            "beyond all doubt, with certainty",
            "M was  distilled\nby them",
            "it was distilled from ours",
            "they stole it",
            "a zero error rate",
            "the probability that model M was trained on it is 99 %",
        ] {
            let error = check("here", text, 1e-9).unwrap_err().to_string();
            assert!(error.starts_with("here: `"), "{error}");
        }
        for text in [
            "The ratchet and the uncertainty of it",
            "an unmatched bracket",
            "proof, improves",
            "The probability that this occurs is small. It was trained elsewhere",
        ] {
            assert!(check("here", text, 1e-9).is_ok(), "{text}");
        }
    }

    #[test]
    fn odds_beyond_the_floor_are_found_however_they_are_written() {
        for text in [
            "1 in 10,000,000,000",
            "1 in 10 000 000 000",
            "1 in 2000000000",
            "one in 10^80",
            "1 in 10⁸⁰",
            "1 in 1e80",
            "1 in 3 x 10^12",
            "1 in a trillion",
            "one in 2 billion",
            "1 in 1.5 billion",
        ] {
            assert!(check("here", text, 1e-9).is_err(), "{text}");
        }
        for text in [
            "1 in 1 000 000 000",
            "1 in a billion",
            "1 in 1,000.",
            "1 in 20 of 300 000 000 000",
            "21 in 10^80",
            "1 in the log",
            "one in 10^9",
        ] {
            assert!(check("here", text, 1e-9).is_ok(), "{text}");
        }
        assert!(check("here", "1 in 2 000", 1e-3).is_err());
    }
}
