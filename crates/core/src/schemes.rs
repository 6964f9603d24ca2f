//! The native schemes. Adding one is a file here and its line in [`ALL`].

mod greenlist;
mod gumbel;
mod tournament;

use crate::error::{Error, ErrorKind, Result};
use crate::prf::Prf;
use crate::scheme::Scheme;

/// Every native scheme.
pub const ALL: [&Definition; 3] = [
    &gumbel::DEFINITION,
    &tournament::DEFINITION,
    &greenlist::DEFINITION,
];

/// A scheme before it has parameters and a key.
#[derive(Debug)]
#[non_exhaustive]
pub struct Definition {
    /// The id in records. A change to scores or bytes is a new id.
    pub id: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Its parameters, in the order records write them.
    pub parameters: &'static [Parameter],
    build: fn(&[f64], Prf) -> Box<dyn Scheme>,
}

/// A numeric parameter of a scheme.
#[derive(Debug)]
#[non_exhaustive]
pub struct Parameter {
    /// Its name in records.
    pub name: &'static str,
    /// Smallest allowed value.
    pub min: f64,
    /// Largest allowed value.
    pub max: f64,
    /// Whether only whole numbers are allowed.
    pub whole: bool,
    /// The value when none is given.
    pub default: f64,
}

/// A scheme's id and the values of its parameters: what a record says about it.
///
/// ```
/// use taggant_core::schemes::Parameters;
///
/// let tournament = Parameters::new("tournament/1", &[("depth", 12.0)])?;
/// assert_eq!(tournament.get("depth"), Some(12.0));
/// assert!(Parameters::new("tournament/1", &[("depth", 33.0)]).is_err());
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Parameters {
    definition: &'static Definition,
    values: Vec<f64>,
}

impl Parameters {
    /// The scheme `id` with the given parameters and defaults for the others. `gumbel` means the newest `gumbel/N`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for an unknown id, [`ErrorKind::Parameter`] for an unknown or out-of-range parameter.
    pub fn new(id: &str, given: &[(&str, f64)]) -> Result<Self> {
        let named = |definition: &&&Definition| definition.id == id || definition.name() == id;
        let definition = ALL.iter().rev().find(named).ok_or_else(|| {
            let known = ALL.map(|definition| definition.id).join(", ");
            Error::new(
                ErrorKind::Unsupported,
                format!("scheme `{}` is none of {known}", id.escape_debug()),
            )
        })?;
        if let Some((name, _)) = given
            .iter()
            .find(|(name, _)| definition.parameter(name).is_none())
        {
            let known: Vec<_> = definition
                .parameters
                .iter()
                .map(|parameter| parameter.name)
                .collect();
            return Err(Error::new(
                ErrorKind::Parameter,
                format!(
                    "scheme {} has no parameter `{}`; it has: {}",
                    definition.id,
                    name.escape_debug(),
                    if known.is_empty() {
                        "none".to_owned()
                    } else {
                        known.join(", ")
                    },
                ),
            ));
        }
        let value = |parameter: &Parameter| {
            let value = given
                .iter()
                .find(|(name, _)| *name == parameter.name)
                .map_or(parameter.default, |(_, value)| *value);
            parameter.check(definition.id, value)
        };
        Ok(Self {
            definition,
            values: definition
                .parameters
                .iter()
                .map(value)
                .collect::<Result<_>>()?,
        })
    }

    /// The scheme's id.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.definition.id
    }

    /// The scheme's definition.
    #[must_use]
    pub fn definition(&self) -> &'static Definition {
        self.definition
    }

    /// The value of parameter `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Names and values, in the order records write them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.definition
            .parameters
            .iter()
            .map(|parameter| parameter.name)
            .zip(self.values.iter().copied())
    }

    /// The scheme under a key.
    #[must_use]
    pub fn keyed(&self, prf: Prf) -> Box<dyn Scheme> {
        (self.definition.build)(&self.values, prf)
    }
}

impl PartialEq for Parameters {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id() && self.values == other.values
    }
}

impl Definition {
    /// The id without its version.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.id.split('/').next().unwrap_or(self.id)
    }

    fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name == name)
    }
}

impl Parameter {
    fn check(&self, scheme: &str, value: f64) -> Result<f64> {
        let whole = !self.whole || value.fract() == 0.0;
        if whole && (self.min..=self.max).contains(&value) {
            return Ok(value);
        }
        let kind = if self.whole {
            "a whole number"
        } else {
            "a number"
        };
        Err(Error::new(
            ErrorKind::Parameter,
            format!(
                "{} of {scheme} is {value}; it must be {kind} from {} to {}",
                self.name, self.min, self.max
            ),
        ))
    }
}
