//! What script a character belongs to, as far as folding cares.

use super::confusables;

/// What a character says about the script of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Nothing: digits, punctuation, symbols.
    Neutral,
    /// A Latin letter.
    Latin,
    /// Another way to write Latin letters: fullwidth, mathematical, ligature.
    Form,
    /// A letter of another script that looks like this Latin one.
    LookAlike(char, Script),
    /// A letter, or punctuation of East Asian text, that is unmistakably of another script.
    Foreign(Script),
}

/// Scripts, told apart as far as they have look-alikes in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Greek,
    Cyrillic,
    Armenian,
    Cherokee,
    Lisu,
    Other,
}

pub(super) fn class(c: char) -> Class {
    match c {
        'A'..='Z' | 'a'..='z' => Class::Latin,
        '\0'..='\u{7F}' => Class::Neutral,
        // Most of the world's text, first for speed.
        '\u{3041}'..='\u{3096}'
        | '\u{30A1}'..='\u{30FA}'
        | '\u{3400}'..='\u{9FFF}'
        | '\u{AC00}'..='\u{D7A3}' => Class::Foreign(Script::Other),
        _ if is_latin(c) => Class::Latin,
        '\u{FF21}'..='\u{FF3A}' | '\u{FF41}'..='\u{FF5A}' => Class::Form,
        '\u{FB00}'..='\u{FB06}' | '\u{2160}'..='\u{217F}' => Class::Form,
        '\u{1D400}'..='\u{1D7FF}' | '\u{2100}'..='\u{214F}' => match plain_letter(c) {
            Some(plain) if plain.is_ascii_alphabetic() => Class::Form,
            _ => Class::Neutral,
        },
        // Alphabetic by property, but symbols, modifiers, accents or fillers by use.
        '\u{B5}'
        | '\u{2B0}'..='\u{36F}'
        | '\u{115F}'..='\u{1160}'
        | '\u{2070}'..='\u{209F}'
        | '\u{2180}'..='\u{2188}'
        | '\u{2460}'..='\u{24FF}'
        | '\u{3164}'
        | '\u{FFA0}'
        | '\u{1F100}'..='\u{1F1FF}' => Class::Neutral,
        // Punctuation that only East Asian text has.
        '\u{3001}'..='\u{3003}'
        | '\u{3008}'..='\u{3011}'
        | '\u{3014}'..='\u{301B}'
        | '\u{30FB}'
        | '\u{FF61}'..='\u{FF65}' => Class::Foreign(Script::Other),
        _ if c.is_alphabetic() => {
            let script = script(c);
            let latin = match script {
                Script::Other => None,
                _ => confusables::latin(c),
            };
            latin.map_or(Class::Foreign(script), |latin| {
                Class::LookAlike(latin, script)
            })
        }
        _ => Class::Neutral,
    }
}

fn script(c: char) -> Script {
    match c {
        '\u{370}'..='\u{3FF}' | '\u{1F00}'..='\u{1FFF}' => Script::Greek,
        '\u{400}'..='\u{52F}' | '\u{1C80}'..='\u{1C8F}' | '\u{A640}'..='\u{A69F}' => {
            Script::Cyrillic
        }
        '\u{530}'..='\u{58F}' => Script::Armenian,
        '\u{13A0}'..='\u{13FF}' | '\u{AB70}'..='\u{ABBF}' => Script::Cherokee,
        '\u{A4D0}'..='\u{A4FF}' => Script::Lisu,
        _ => Script::Other,
    }
}

/// Whether `c` is a letter of the Latin script in its ordinary form.
pub(super) fn is_latin(c: char) -> bool {
    match c {
        'A'..='Z' | 'a'..='z' | '\u{AA}' | '\u{BA}' => true,
        '\u{D7}' | '\u{F7}' => false,
        '\u{C0}'..='\u{2AF}'
        | '\u{1D00}'..='\u{1DBF}'
        | '\u{1E00}'..='\u{1EFF}'
        | '\u{2C60}'..='\u{2C7F}'
        | '\u{A722}'..='\u{A787}'
        | '\u{A78B}'..='\u{A7FF}'
        | '\u{AB30}'..='\u{AB64}' => true,
        _ => false,
    }
}

/// Whether [`plain`] may have something for `c`.
pub(super) fn may_be_form(c: char) -> bool {
    matches!(
        c,
        '\u{FF01}'..='\u{FF5E}'
            | '\u{FB00}'..='\u{FB06}'
            | '\u{2160}'..='\u{217F}'
            | '\u{1D400}'..='\u{1D7FF}'
            | '\u{2100}'..='\u{214F}'
    )
}

/// The plain characters that `c` is another form of: printable ASCII, mostly one, up to four.
pub(super) fn plain(c: char) -> Option<String> {
    match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFF01 + 0x21).map(String::from),
        '\u{FB00}'..='\u{FB06}' | '\u{2160}'..='\u{217F}' => {
            let mut plain = String::new();
            unicode_normalization::char::decompose_compatible(c, |c| plain.push(c));
            Some(plain)
        }
        '\u{1D400}'..='\u{1D7FF}' | '\u{2100}'..='\u{214F}' => plain_letter(c).map(String::from),
        _ => None,
    }
}

/// The ASCII letter or digit that a mathematical or letter-like symbol stands for.
///
/// U+2139 is an emoji before it is an i.
fn plain_letter(c: char) -> Option<char> {
    let mut plain = None;
    let mut length = 0;
    unicode_normalization::char::decompose_compatible(c, |c| {
        plain = Some(c);
        length += 1;
    });
    plain.filter(|plain| length == 1 && plain.is_ascii_alphanumeric() && c != '\u{2139}')
}
