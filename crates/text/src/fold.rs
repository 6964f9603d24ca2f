//! Undoing what copying, editors and evaders do to text, before tokens are looked at.
//!
//! ```
//! let pasted = "“P\u{430}ste” this\u{a0}he\u{200b}re…";
//! let folded = taggant_text::fold(pasted);
//! assert_eq!(folded.text, "\"Paste\" this here...");
//! assert_eq!(folded.changes.total(), 6);
//! assert_eq!(folded.changes.confusables, 1);
//! ```
//!
//! A detector needs the token ids the model produced. One invisible character, or one Cyrillic
//! `а` in a word, changes every id around it. Folding maps text back to what a model most likely
//! wrote, leaves what a person writes in any language alone, and counts what it changed:
//! a text with hundreds of invisible characters is a finding of its own.
//!
//! # What is folded
//!
//! **In every line**
//! - Invisible characters are removed, unless they are orthography: joiners in scripts that join
//!   (Persian, Hindi …) and in emoji, variation selectors after a character that has variants,
//!   zero-width spaces between Thai, Lao, Khmer or Burmese letters, and a few like them. Soft
//!   hyphens and byte order marks are never orthography.
//! - Bidirectional marks are removed, except in lines with right-to-left letters; overrides are
//!   removed there too.
//! - Spaces of other widths become U+0020; every other line break becomes `\n`.
//! - A word that mixes Latin letters with look-alikes from other scripts becomes Latin, if that
//!   leaves no foreign letter in it. `TNFα` and `IT-отдел` stay.
//! - A Latin letter and a combining accent become one character where there is one.
//!
//! **In Latin lines**: those where at most one letter in nine is from another script. A line
//! without letters goes by the whole text.
//! - Fullwidth forms, mathematical letters and digits, ligatures and Roman numerals become the
//!   plain letters they stand for. Chinese and Japanese lines keep theirs.
//! - Words wholly of look-alikes become Latin, unless the line also has unmistakable letters of
//!   their script. `сор` is a Russian word in a Russian line and `cop` in an English one. A line
//!   with no Latin letter at all folds them only if the text has Latin letters and no
//!   unmistakable foreign ones: the Russian text `сор` stays.
//! - Curly and low quotes become straight ones, and `…` becomes `...`, because word processors
//!   make that change on their own, models seldom do, and the way back is unambiguous. A model
//!   that writes curly quotes loses the tokens at each of them, nothing more.
//! - The hyphens U+2010 to U+2012, which no keyboard has, become `-`.
//!
//! **Never**: em and en dashes. Models write them a great deal, and an editor that removes them
//! leaves several things in their place, so no direction back is right more often than wrong.
//! Guillemets, CJK punctuation, superscripts, circled letters and fractions stay too.
//!
//! # What it promises
//!
//! `fold(fold(x)) == fold(x)`, in time linear in the text. For text in Latin script, inserted
//! zero-width characters, replaced spaces, fullwidth and mathematical letters and look-alikes
//! from the table leave no trace: the result is that of the untouched text, as long as one
//! letter is left that is not a look-alike.
//!
//! # What it does not promise
//!
//! The table of look-alikes is small, and case, spelling and word order are not restored. Text
//! whose model really wrote a folded character loses a few tokens; score the unfolded text too
//! where ids matter, and count it as a second look.

use std::borrow::Cow;
use std::fmt;

mod confusables;
mod lines;
mod rewriter;
mod script;
mod unseen;

use rewriter::Rewriter;

/// Folded text, and what was changed to get it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Folded<'a> {
    /// The text; borrowed if nothing was changed.
    pub text: Cow<'a, str>,
    /// How many characters were changed, by kind.
    pub changes: Changes,
}

/// Counts of changed characters, each as it was before the change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Invisible characters removed.
    pub invisible: usize,
    /// Bidirectional marks removed.
    pub bidirectional: usize,
    /// Spaces made U+0020.
    pub spaces: usize,
    /// Line breaks made `\n`.
    pub line_breaks: usize,
    /// Quotation marks made straight.
    pub quotes: usize,
    /// Hyphens made `-`.
    pub dashes: usize,
    /// Ellipses spelled with three dots.
    pub ellipses: usize,
    /// Fullwidth, mathematical and similar forms made plain.
    pub compatibility: usize,
    /// Accents joined with their letter.
    pub accents: usize,
    /// Look-alikes from other scripts made Latin.
    pub confusables: usize,
}

impl Changes {
    /// All changed characters together.
    #[must_use]
    pub fn total(&self) -> usize {
        let Self {
            invisible,
            bidirectional,
            spaces,
            line_breaks,
            quotes,
            dashes,
            ellipses,
            compatibility,
            accents,
            confusables,
        } = self;
        invisible
            + bidirectional
            + spaces
            + line_breaks
            + quotes
            + dashes
            + ellipses
            + compatibility
            + accents
            + confusables
    }

    /// Whether the text was left as it was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Changes {
    /// `nothing changed`, or what was, such as `3 invisible characters, 1 look-alike`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.invisible, "invisible characters"),
            (self.bidirectional, "bidirectional marks"),
            (self.spaces, "spaces"),
            (self.line_breaks, "line breaks"),
            (self.quotes, "quotation marks"),
            (self.dashes, "hyphens"),
            (self.ellipses, "ellipses"),
            (self.compatibility, "compatibility forms"),
            (self.accents, "accents"),
            (self.confusables, "look-alikes"),
        ];
        let mut changed = counts.into_iter().filter(|(count, _)| *count > 0);
        let Some((count, what)) = changed.next() else {
            return f.write_str("nothing changed");
        };
        write!(f, "changed: {count} {what}")?;
        changed.try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}

/// Folds `text`, as this module's page describes.
#[must_use]
pub fn fold(text: &str) -> Folded<'_> {
    let mut changes = Changes::default();
    let text = if text.is_ascii() && !text.as_bytes().contains(&b'\r') {
        Cow::Borrowed(text)
    } else {
        let text = then(Cow::Borrowed(text), |text| unseen::fold(text, &mut changes));
        let text = then(text, |text| lines::fold(text, &mut changes));
        then(text, |text| join_accents(text, &mut changes))
    };
    Folded { text, changes }
}

/// Runs `pass` on `text` without copying what it leaves alone.
fn then<'a>(text: Cow<'a, str>, pass: impl FnOnce(&str) -> Cow<'_, str>) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => pass(text),
        Cow::Owned(text) => match pass(&text) {
            Cow::Borrowed(_) => Cow::Owned(text),
            Cow::Owned(folded) => Cow::Owned(folded),
        },
    }
}

/// Composes Latin letters with the accents after them.
fn join_accents<'a>(text: &'a str, changes: &mut Changes) -> Cow<'a, str> {
    let mut rewriter = Rewriter::new(text);
    // The letter before, as it will be, and where it begins.
    let mut letter: Option<(usize, char)> = None;
    for (at, c) in text.char_indices() {
        let accent = matches!(c, '\u{300}'..='\u{36F}');
        let joined = letter
            .filter(|_| accent)
            .and_then(|(_, base)| unicode_normalization::char::compose(base, c));
        match (letter, joined) {
            (Some((start, _)), Some(joined)) => {
                changes.accents += 1;
                rewriter.replace(start..at + c.len_utf8(), joined.encode_utf8(&mut [0; 4]));
                letter = Some((start, joined));
            }
            _ => letter = Some((at, c)).filter(|_| script::is_latin(c)),
        }
    }
    rewriter.finish()
}

#[cfg(test)]
mod tests;
