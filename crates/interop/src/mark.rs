//! A mark of another system under its key, ready to be read.

use taggant_core::{Error, ErrorKind, Result};

use crate::config::Fields;
use crate::contract::Contract;
use crate::formats::{Definition, FORMATS, synthid};
use crate::law::UnitLaw;
use crate::peer::Rule;

/// A mark: an engine's parameters and keys.
#[derive(Debug)]
pub struct Mark {
    pub(crate) definition: &'static Definition,
    /// The keyed functions, one of which or all of which mark a token, and what their scores weigh.
    pub(crate) voices: Vec<(Box<dyn Contract>, f64)>,
    pub(crate) law: UnitLaw,
    pub(crate) reading: Reading,
    pub(crate) rule: Rule,
    /// Where the key is drawn from so few that the null is counted out.
    pub(crate) table: Option<synthid::Table>,
}

/// How the engine reads tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) before: Before,
    pub(crate) repeats: Repeats,
    /// Ids must be below this, where the format says so.
    pub(crate) vocabulary: Option<u32>,
    /// Nothing counts from the first of these on.
    pub(crate) eos: Option<u32>,
}

/// What stands before the response's first token, for the windows that reach there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing: tokens without a whole window are not scored.
    Nothing,
    /// This word, as often as a window is long.
    Padding(u32),
    /// The prompt, if it is known.
    Prompt,
}

/// What of a response counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// A window: what is sampled after one again says nothing new.
    Window,
    /// A unit: the keyed function takes the token itself into its window, or knows no window.
    Unit,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            before: Before::Nothing,
            repeats: Repeats::Window,
            vocabulary: None,
            eos: None,
        }
    }
}

impl Mark {
    /// The mark of `format` under the engine's configuration: a JSON object with the engine's own names.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for an unknown format or version, [`ErrorKind::Parameter`] for fields that are missing, unknown or
    /// out of range.
    pub fn from_json(format: &str, json: &str) -> Result<Self> {
        Self::with_vocabulary(format, json, None)
    }

    /// [`from_json`](Self::from_json) with a vocabulary for configurations that name none where the format needs one: the width of the
    /// model's logits.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn with_vocabulary(format: &str, json: &str, vocabulary: Option<u32>) -> Result<Self> {
        let definition = find(format)?;
        let mut fields = Fields::parse(definition.id, json)?.with_vocabulary(vocabulary);
        let mark = (definition.build)(definition, &mut fields)?;
        fields.finish()?;
        Ok(mark)
    }

    /// The format.
    #[must_use]
    pub fn definition(&self) -> &'static Definition {
        self.definition
    }

    /// Tokens before a token that decide its mark.
    #[must_use]
    pub fn window(&self) -> usize {
        self.voices
            .first()
            .map_or(0, |(contract, _)| contract.window())
    }

    /// The vocabulary that the configuration names.
    #[must_use]
    pub fn vocabulary(&self) -> Option<u32> {
        self.reading.vocabulary
    }

    /// Whether the engine's function may relate the words of different units.
    pub(crate) fn relates_units(&self) -> bool {
        let mut voices = self.voices.iter();
        voices.any(|(contract, _)| contract.shifted(0, 1).is_some())
    }

    /// A mark of one keyed function.
    pub(crate) fn single(
        definition: &'static Definition,
        contract: impl Contract + 'static,
        law: UnitLaw,
        reading: Reading,
        rule: Rule,
    ) -> Self {
        Self {
            definition,
            voices: vec![(Box::new(contract), 1.0)],
            law,
            reading,
            rule,
            table: None,
        }
    }
}

pub(crate) fn find(format: &str) -> Result<&'static Definition> {
    FORMATS
        .iter()
        .copied()
        .find(|definition| definition.id == format)
        .ok_or_else(|| {
            let known: Vec<_> = FORMATS.iter().map(|definition| definition.id).collect();
            Error::new(
                ErrorKind::Unsupported,
                format!(
                    "format `{}` is unknown; this version reads {}",
                    format.escape_debug(),
                    known.join(", ")
                ),
            )
        })
}
