//! Words and graphemes, with where they are in the text.
//!
//! ```
//! let words: Vec<_> = taggant_text::words("Don't panic: 42.").collect();
//! assert_eq!(words[1].text, "panic");
//! assert_eq!(words[1].range, 6..11);
//! assert_eq!(words.len(), 3);
//! ```
//!
//! Boundaries are those of Unicode (UAX #29). In scripts without spaces between words, such as
//! Chinese and Thai, that is each ideograph or each run, not what a dictionary calls a word.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Piece<'a> {
    /// The piece itself.
    pub text: &'a str,
    /// Where it is, in bytes; always on character boundaries.
    pub range: Range<usize>,
}

impl<'a> Piece<'a> {
    fn new((start, text): (usize, &'a str)) -> Self {
        Self {
            text,
            range: start..start + text.len(),
        }
    }
}

/// The words of `text`, in order: segments with at least one letter or digit.
pub fn words(text: &str) -> impl DoubleEndedIterator<Item = Piece<'_>> {
    text.unicode_word_indices().map(Piece::new)
}

/// The extended grapheme clusters of `text`, in order: what a reader takes for one character.
/// Together they are the text.
///
/// ```
/// let graphemes = taggant_text::graphemes("e\u{301}👨‍👩‍👧!");
/// assert_eq!(graphemes.map(|grapheme| grapheme.range.len()).collect::<Vec<_>>(), [3, 18, 1]);
/// ```
pub fn graphemes(text: &str) -> impl DoubleEndedIterator<Item = Piece<'_>> {
    text.grapheme_indices(true).map(Piece::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_point_into_the_text() {
        let text = "Éa-b, “naïve”\u{a0}x1 … 中文 👍";
        for piece in words(text).chain(graphemes(text)) {
            assert_eq!(&text[piece.range.clone()], piece.text);
        }
        let words: Vec<_> = words(text).map(|word| word.text).collect();
        assert_eq!(words, ["Éa", "b", "naïve", "x1", "中", "文"]);
        assert_eq!(graphemes(text).map(|g| g.text).collect::<String>(), text);
    }

    #[test]
    fn nothing_has_no_words() {
        assert_eq!(
            words("").count() + words(" \n…!").count() + graphemes("").count(),
            0
        );
    }
}
