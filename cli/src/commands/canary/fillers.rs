//! Fillers as whole words of a text.

use taggant_text::{fold, words};

use crate::failure::{Failure, Result};

/// The fillers of a slot as sequences of words: folded, and in lower case, since a student's case follows its sentence.
pub(super) struct Fillers {
    words: Vec<Vec<String>>,
    /// The longest first, so that `New York` is not `York` as well.
    order: Vec<usize>,
}

impl Fillers {
    pub(super) fn new(fillers: &[String]) -> Result<Self> {
        let words: Vec<Vec<String>> = fillers.iter().map(|filler| split(filler)).collect();
        for (index, own) in words.iter().enumerate() {
            let shown = fillers[index].escape_debug();
            if own.is_empty() {
                return Err(Failure::new(format!(
                    "filler `{shown}` holds no word that a text could be searched for"
                ))
                .hint("count by other means, and give --counts"));
            }
            if let Some(other) = words[..index].iter().position(|other| other == own) {
                return Err(Failure::new(format!(
                    "fillers `{}` and `{shown}` are the same words once folded",
                    fillers[other].escape_debug()
                ))
                .hint("count by other means, and give --counts"));
            }
        }
        let mut order: Vec<usize> = (0..words.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(words[index].len()));
        Ok(Self { words, order })
    }

    /// Which fillers occur in a text.
    pub(super) fn find(&self, text: &str) -> Vec<bool> {
        let mut found = vec![false; self.words.len()];
        let text = split(text);
        let mut rest = &text[..];
        while !rest.is_empty() {
            let here = |filler: &&usize| rest.starts_with(&self.words[**filler]);
            let length = self.order.iter().find(here).map(|&filler| {
                found[filler] = true;
                self.words[filler].len()
            });
            rest = &rest[length.unwrap_or(1)..];
        }
        found
    }
}

fn split(text: &str) -> Vec<String> {
    words(&fold(text).text)
        .map(|word| word.text.to_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_are_found_whatever_their_case_and_disguise() {
        let fillers = ["New York", "York", "Łódź", "3.5"].map(str::to_owned);
        let fillers = Fillers::new(&fillers).unwrap();
        for (text, found) in [
            ("In NEW YORK, say.", [true, false, false, false]),
            ("New York or York", [true, true, false, false]),
            ("Yorkshire, new", [false; 4]),
            ("łódź: 3.5\u{200b} km", [false, false, true, true]),
            ("13.5 and 3.55", [false; 4]),
            ("", [false; 4]),
        ] {
            assert_eq!(fillers.find(text), found, "{text}");
        }
    }

    #[test]
    fn fillers_that_texts_cannot_tell_apart_are_refused() {
        for fillers in [["—", "a"], ["Mark", "mark"]] {
            assert!(Fillers::new(&fillers.map(str::to_owned)).is_err());
        }
    }
}
