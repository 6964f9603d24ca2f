//! An engine's configuration, field by field. Errors name the field, the value (unless it is a key) and what is allowed.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};
use taggant_core::{Error, ErrorKind, Result};

/// The fields of a configuration, each to be taken once.
pub(crate) struct Fields {
    format: &'static str,
    fields: Map<String, Value>,
    known: Vec<&'static str>,
    /// Stands in for `vocab_size`.
    vocabulary: Option<u32>,
}

/// What a number must be to be a token id or a vocabulary.
pub(crate) const VOCABULARY: RangeInclusive<u64> = 2..=1 << 21;

impl Fields {
    pub(crate) fn parse(format: &'static str, json: &str) -> Result<Self> {
        match serde_json::from_str(json) {
            Ok(Value::Object(fields)) => Ok(Self::of(format, fields)),
            Ok(_) => Err(fault("the configuration is not a JSON object")),
            // The parser quotes no content, so no key.
            Err(error) => Err(fault(format!(
                "the configuration is not JSON: {} at line {}, column {}",
                match error.classify() {
                    serde_json::error::Category::Eof => "it ends too early",
                    _ => "syntax error",
                },
                error.line(),
                error.column()
            ))),
        }
    }

    pub(crate) fn of(format: &'static str, fields: Map<String, Value>) -> Self {
        Self {
            format,
            fields,
            known: Vec::new(),
            vocabulary: None,
        }
    }

    /// The same with a vocabulary for where none is named.
    pub(crate) fn with_vocabulary(self, vocabulary: Option<u32>) -> Self {
        Self { vocabulary, ..self }
    }

    /// Fields that nothing took.
    pub(crate) fn left(&self) -> Vec<String> {
        self.fields.keys().cloned().collect()
    }

    /// Takes a field; `null` is as good as absent.
    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    fn bad(&self, name: &str, found: &str, wanted: impl Display) -> Error {
        Error::new(
            ErrorKind::Parameter,
            format!(
                "`{name}` of {} is {found}; it must be {wanted}",
                self.format
            ),
        )
    }

    fn missing(&self, name: &str, next: &str) -> Error {
        Error::new(
            ErrorKind::Parameter,
            format!("`{name}` of {} is missing; {next}", self.format),
        )
    }

    /// A whole number in `range`.
    pub(crate) fn whole(
        &mut self,
        name: &'static str,
        default: Option<u64>,
        range: RangeInclusive<u64>,
    ) -> Result<u64> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        match self.take(name) {
            None => default.ok_or_else(|| self.missing(name, &format!("give {wanted}"))),
            Some(value) => match value.as_u64() {
                Some(number) if range.contains(&number) => Ok(number),
                _ => Err(self.bad(name, &shown(&value), wanted)),
            },
        }
    }

    /// A size that counts tokens.
    pub(crate) fn size(
        &mut self,
        name: &'static str,
        default: Option<u64>,
        range: RangeInclusive<u64>,
    ) -> Result<usize> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "ranges of sizes are far below 2^32"
        )]
        self.whole(name, default, range).map(|size| size as usize)
    }

    /// The vocabulary that the marking side had: the width of the logits, which may exceed the tokenizer's.
    pub(crate) fn vocabulary(&mut self) -> Result<u32> {
        let wanted = "give the width of the model's logits, `vocab_size` of its configuration";
        match self.take("vocab_size") {
            None => self
                .vocabulary
                .ok_or_else(|| self.missing("vocab_size", wanted)),
            Some(value) => value
                .as_u64()
                .filter(|size| VOCABULARY.contains(size))
                .and_then(|size| u32::try_from(size).ok())
                .ok_or_else(|| {
                    self.bad(
                        "vocab_size",
                        &shown(&value),
                        format!("a whole number from 2 to {}", VOCABULARY.end()),
                    )
                }),
        }
    }

    /// The same where detection can do without.
    pub(crate) fn vocabulary_if_given(&mut self) -> Result<Option<u32>> {
        let given = self
            .fields
            .get("vocab_size")
            .is_some_and(|value| !value.is_null());
        if given {
            return self.vocabulary().map(Some);
        }
        self.ignore(&["vocab_size"]);
        Ok(None)
    }

    /// A number in `range`, its ends excluded or not as the engine has it.
    pub(crate) fn number(
        &mut self,
        name: &'static str,
        default: f64,
        allowed: impl Fn(f64) -> bool,
        wanted: &str,
    ) -> Result<f64> {
        match self.take(name) {
            None => Ok(default),
            Some(value) => match value.as_f64() {
                Some(number) if number.is_finite() && allowed(number) => Ok(number),
                _ => Err(self.bad(name, &shown(&value), wanted)),
            },
        }
    }

    /// A share strictly between 0 and 1.
    pub(crate) fn share(&mut self, name: &'static str, default: f64) -> Result<f64> {
        self.number(
            name,
            default,
            |share| share > 0.0 && share < 1.0,
            "a number between 0 and 1",
        )
    }

    /// The same without a default, and why there is none.
    pub(crate) fn given_share(&mut self, name: &'static str, why: &str) -> Result<f64> {
        if self.fields.get(name).is_none_or(Value::is_null) {
            return Err(self.missing(name, &format!("give a number between 0 and 1: {why}")));
        }
        self.share(name, 0.5)
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, name: &'static str, default: bool) -> Result<bool> {
        match self.take(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(value) => Err(self.bad(name, &shown(&value), "true or false")),
        }
    }

    /// One of `choices`.
    pub(crate) fn choice(
        &mut self,
        name: &'static str,
        default: &'static str,
        choices: &[&'static str],
    ) -> Result<&'static str> {
        match self.take(name) {
            None => Ok(default),
            Some(Value::String(text)) if choices.contains(&&*text) => Ok(choices
                .iter()
                .copied()
                .find(|choice| *choice == text)
                .unwrap_or(default)),
            Some(value) => Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "`{name}` of {} is {}; this version knows {}",
                    self.format,
                    shown(&value),
                    choices.join(", ")
                ),
            )),
        }
    }

    /// A key: a whole number. Its value is in no error.
    pub(crate) fn key(
        &mut self,
        name: &'static str,
        default: Option<i128>,
        range: RangeInclusive<i128>,
    ) -> Result<i128> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        match self.take(name) {
            None => default
                .ok_or_else(|| self.missing(name, &format!("give the engine's key, {wanted}"))),
            Some(value) => whole(&value)
                .filter(|key| range.contains(key))
                .ok_or_else(|| self.bad(name, "no such key", wanted)),
        }
    }

    /// A list of keys.
    pub(crate) fn keys(
        &mut self,
        name: &'static str,
        most: usize,
        range: RangeInclusive<i128>,
    ) -> Result<Vec<i128>> {
        let wanted = format!(
            "a list of 1 to {most} whole numbers from {} to {}",
            range.start(),
            range.end()
        );
        let Some(value) = self.take(name) else {
            return Err(self.missing(name, &format!("give {wanted}")));
        };
        let keys: Option<Vec<i128>> = value
            .as_array()
            .filter(|list| (1..=most).contains(&list.len()))
            .and_then(|list| {
                list.iter()
                    .map(|key| whole(key).filter(|key| range.contains(key)))
                    .collect()
            });
        keys.ok_or_else(|| self.bad(name, "no such list", wanted))
    }

    /// A key written as text; `None` where there is none.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.bad(name, "no text", "a JSON string")),
        }
    }

    /// A token id; `None` where there is none.
    pub(crate) fn token(&mut self, name: &'static str) -> Result<Option<u32>> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => value
                .as_u64()
                .and_then(|id| u32::try_from(id).ok())
                .map(Some)
                .ok_or_else(|| self.bad(name, &shown(&value), "a token id")),
        }
    }

    /// Fields of the engine that detection does not need.
    pub(crate) fn ignore(&mut self, names: &[&'static str]) {
        for name in names {
            let _ = self.take(name);
        }
    }

    /// Nothing may be left: a misspelt field would change what is detected.
    pub(crate) fn finish(self) -> Result<()> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(name) => Err(fault(format!(
                "{} has no field `{}`; it has {}",
                self.format,
                name.escape_debug(),
                self.known.join(", ")
            ))),
        }
    }
}

fn whole(value: &Value) -> Option<i128> {
    value
        .as_i64()
        .map(i128::from)
        .or_else(|| value.as_u64().map(i128::from))
}

fn fault(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Parameter, message)
}

/// A value as an error shows it: cut off where it is long.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
