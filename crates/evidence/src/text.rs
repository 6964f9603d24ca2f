//! Values that JSON holds as the text they print.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, Visitor};

/// Reads a string by parsing it, escapes in it included. Errors say what was expected and never what was found, which may be an account's id.
pub(crate) struct Parsed<T>(pub(crate) &'static str, pub(crate) PhantomData<T>);

impl<T: FromStr> Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse()
            .map_err(|_| E::custom(format_args!("not {}", self.0)))
    }
}

/// Makes a type that parses and prints a string in JSON, described by some words, and prints it in Debug output.
macro_rules! as_text {
    ($type:ty, $words:literal) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(
                &self,
                serializer: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> std::result::Result<Self, D::Error> {
                deserializer.deserialize_str($crate::text::Parsed($words, std::marker::PhantomData))
            }
        }
    };
}

pub(crate) use as_text;
