//! Letters and punctuation, line by line.
//!
//! What a line's letters are decides what is folded in it. Folding never changes that: a
//! look-alike and the Latin letter it becomes count the same, and so do the forms. So a second
//! pass decides as the first did and finds nothing to do.

use std::{borrow::Cow, cell::OnceCell};

use unicode_segmentation::UnicodeSegmentation as _;

use super::{
    Changes,
    rewriter::Rewriter,
    script::{self, Class, Script, class},
};

/// One foreign letter to this many Latin ones still makes a Latin line: an English sentence with
/// a Greek symbol or a Chinese name in it.
const LATIN_PER_FOREIGN: usize = 8;

/// The letters of a line or of a text.
#[derive(Clone, Copy, Default)]
struct Letters {
    /// Latin letters, plain or in other forms.
    latin: usize,
    look_alikes: usize,
    foreign: usize,
    /// Bit n: an unmistakable letter of the n-th [`Script`].
    scripts: u8,
}

/// What is folded in a line.
#[derive(Clone, Copy)]
struct Rules {
    /// Other forms of Latin letters, and punctuation.
    latin_line: bool,
    /// Bit n: words wholly of look-alikes from the n-th [`Script`].
    look_alikes: u8,
    /// Words that mix Latin letters with others.
    mixed_words: bool,
}

pub(super) fn fold<'a>(text: &'a str, changes: &mut Changes) -> Cow<'a, str> {
    let mut rewriter = Rewriter::new(text);
    // Needed only for lines that do not speak for themselves.
    let whole = OnceCell::new();
    let whole = || *whole.get_or_init(|| Letters::of(text));
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if !line.is_ascii() && line.chars().any(may_fold) {
            let rules = Letters::of(line).rules(whole);
            fold_line(line, start, rules, &mut rewriter, changes);
        }
        start += line.len();
    }
    rewriter.finish()
}

/// Whether `c` may be changed under some rules.
fn may_fold(c: char) -> bool {
    !c.is_ascii()
        && (punctuation(c).is_some()
            || script::may_be_form(c)
            || matches!(class(c), Class::LookAlike(..)))
}

impl Letters {
    fn of(text: &str) -> Self {
        let mut letters = Self::default();
        for c in text.chars() {
            match class(c) {
                Class::Neutral => {}
                Class::Latin => letters.latin += 1,
                // A ligature counts as the letters it becomes.
                Class::Form => letters.latin += script::plain(c).map_or(1, |plain| plain.len()),
                Class::LookAlike(..) => letters.look_alikes += 1,
                Class::Foreign(script) => {
                    letters.foreign += 1;
                    letters.scripts |= bit(script);
                }
            }
        }
        letters
    }

    fn is_latin(&self) -> bool {
        self.foreign * LATIN_PER_FOREIGN <= self.latin + self.look_alikes
    }

    fn rules(&self, whole: impl Fn() -> Self) -> Rules {
        let latin_line = self.is_latin();
        if self.latin > 0 {
            return Rules {
                latin_line,
                look_alikes: if latin_line { !self.scripts } else { 0 },
                mixed_words: true,
            };
        }
        if self.foreign > 0 {
            return Rules {
                latin_line,
                look_alikes: 0,
                mixed_words: false,
            };
        }
        let whole = whole();
        let pure = whole.latin > 0 && whole.foreign == 0;
        Rules {
            latin_line: whole.is_latin(),
            look_alikes: if pure { u8::MAX } else { 0 },
            mixed_words: false,
        }
    }
}

impl Rules {
    fn nothing(self) -> bool {
        !self.latin_line && self.look_alikes == 0 && !self.mixed_words
    }

    fn fold_look_alike(self, script: Script) -> bool {
        self.look_alikes & bit(script) != 0
    }
}

fn bit(script: Script) -> u8 {
    1 << script as u8
}

fn fold_line<'a>(
    line: &'a str,
    offset: usize,
    rules: Rules,
    rewriter: &mut Rewriter<'a>,
    changes: &mut Changes,
) {
    if rules.nothing() {
        return;
    }
    // Where every rule is on, words need not be told apart.
    let everything = rules.latin_line && rules.look_alikes == u8::MAX;
    if everything || !rules.mixed_words {
        fold_chars(line, offset, rules, false, rewriter, changes);
        return;
    }
    let mut start = offset;
    // Some apostrophes join words and some part them; since all of them fold to one that joins,
    // all of them part here.
    let parts = |word: &'a str| word.split_inclusive(is_apostrophe);
    for word in line.split_word_bounds().flat_map(parts) {
        if !word.is_ascii() {
            fold_chars(word, start, rules, is_mixed(word, rules), rewriter, changes);
        }
        start += word.len();
    }
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2018}'..='\u{201B}' | '\u{FF07}')
}

/// Whether `word` has Latin letters, or some that are about to be, and others that could be.
fn is_mixed(word: &str, rules: Rules) -> bool {
    let (mut plain, mut form, mut look_alike) = (false, false, false);
    for c in word.chars() {
        match class(c) {
            Class::Neutral => {}
            Class::Latin => plain = true,
            Class::Form => form = true,
            Class::LookAlike(_, script) if rules.fold_look_alike(script) => plain = true,
            Class::LookAlike(..) => look_alike = true,
            Class::Foreign(_) => return false,
        }
    }
    (plain || form) && look_alike || plain && form
}

fn fold_chars<'a>(
    text: &'a str,
    offset: usize,
    rules: Rules,
    mixed: bool,
    rewriter: &mut Rewriter<'a>,
    changes: &mut Changes,
) {
    for (at, c) in text.char_indices() {
        if c.is_ascii() {
            continue;
        }
        let range = offset + at..offset + at + c.len_utf8();
        let class = class(c);
        if let Class::LookAlike(latin, script) = class {
            if mixed || rules.fold_look_alike(script) {
                changes.confusables += 1;
                rewriter.replace(range, latin.encode_utf8(&mut [0; 4]));
            }
        } else if rules.latin_line || mixed && class == Class::Form {
            if let Some(plain) = script::plain(c) {
                changes.compatibility += 1;
                rewriter.replace(range, &plain);
            } else if let Some((plain, kind)) = punctuation(c) {
                *kind(changes) += 1;
                rewriter.replace(range, plain);
            }
        }
    }
}

type Kind = fn(&mut Changes) -> &mut usize;

/// What a typographic character becomes in Latin lines, and what that counts as.
fn punctuation(c: char) -> Option<(&'static str, Kind)> {
    Some(match c {
        '\u{2018}'..='\u{201B}' => ("'", |changes| &mut changes.quotes),
        '\u{201C}'..='\u{201F}' => ("\"", |changes| &mut changes.quotes),
        '\u{2026}' => ("...", |changes| &mut changes.ellipses),
        '\u{2010}'..='\u{2012}' => ("-", |changes| &mut changes.dashes),
        '\u{3000}' => (" ", |changes| &mut changes.spaces),
        _ => return None,
    })
}
