//! Collects the distinct units of a corpus, and their weights while nothing can yet bias them.

use taggant_core::{Error, ErrorKind, LeafKey, Record, Result, Role, Set};

use crate::detect::Response;
use crate::reader::LayerReader;
use crate::units::Units;

/// Collects the distinct units of one layer of a mark.
///
/// Collecting needs no key of the layer: which positions count is a function of the text. Weights enter here or nowhere, as functions of
/// what stands *before* a position. Neither a key nor the token at the position is in scope when a weight is made, because a weight
/// that has seen marked (window, token) pairs accuses the innocent (z ≈ +19, `tests/weights.rs`):
///
/// ```
/// # use taggant_core::{schemes::Parameters, Record, Role, RootKey, TokenizerId};
/// # use taggant_detector::{Collector, Response};
/// # let key = RootKey::from_bytes([7; 32]).derive(&"2026-12/campaign/east".parse()?);
/// # let record = Record::new(Parameters::new("gumbel", &[])?, 2, &[&key], TokenizerId::new([0; 32], 50_000)?)?;
/// let mut collector = Collector::new(&record, Role::Campaign, None)?;
/// collector.add_weighted(&Response::ids(&[5, 7, 11, 13]), |before| if before.window() == [5, 7] { 2.0 } else { 1.0 })?;
/// let units = collector.finish();
/// let scored = units.score(&[&key], 1);
/// assert_eq!(units.len(), 2);
/// # Ok::<(), taggant_core::Error>(())
/// ```
///
/// ```compile_fail
/// # use taggant_core::{schemes::Parameters, Record, Role, RootKey, TokenizerId};
/// # use taggant_detector::{Collector, Response};
/// # let key = RootKey::from_bytes([7; 32]).derive(&"2026-12/campaign/east".parse().unwrap());
/// # let record = Record::new(Parameters::new("gumbel", &[]).unwrap(), 2, &[&key], TokenizerId::new([0; 32], 50_000).unwrap()).unwrap();
/// let mut collector = Collector::new(&record, Role::Campaign, None).unwrap();
/// collector.add_weighted(&Response::ids(&[5, 7, 11]), |before| if before.token() == 11 { 2.0 } else { 1.0 }); // no such thing
/// ```
///
/// ```compile_fail
/// # use taggant_core::{schemes::Parameters, Record, Role, RootKey, TokenizerId};
/// # use taggant_detector::{Collector, Response};
/// # let key = RootKey::from_bytes([7; 32]).derive(&"2026-12/campaign/east".parse().unwrap());
/// # let record = Record::new(Parameters::new("gumbel", &[]).unwrap(), 2, &[&key], TokenizerId::new([0; 32], 50_000).unwrap()).unwrap();
/// let mut collector = Collector::new(&record, Role::Campaign, None).unwrap();
/// collector.add(&Response::ids(&[5, 7, 11])).unwrap();
/// let units = collector.finish();
/// let scored = units.score(&[&key], 1);
/// units.weigh(|before| scored[0].score); // weights after keys: no such thing
/// ```
#[derive(Debug)]
pub struct Collector {
    reader: LayerReader,
    seen: Set,
    units: Units,
}

/// What stands before a position: all that a weight may depend on.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    tokens: &'a [u32],
    window: usize,
    prompt: Option<&'a [u32]>,
}

impl<'a> Before<'a> {
    /// The window of the position.
    #[must_use]
    pub fn window(&self) -> &'a [u32] {
        &self.tokens[self.tokens.len() - self.window..]
    }

    /// The response up to the position.
    #[must_use]
    pub fn response(&self) -> &'a [u32] {
        self.tokens
    }

    /// The prompt, if known.
    #[must_use]
    pub fn prompt(&self) -> Option<&'a [u32]> {
        self.prompt
    }
}

impl Collector {
    /// No units yet, of the layer `role` of `record`. A record of two layers needs the campaign key to tell whose a window is.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when the record has no such layer, or has two and no campaign key is given.
    pub fn new(record: &Record, role: Role, campaign: Option<&LeafKey>) -> Result<Self> {
        let reader = LayerReader::new(record, role, campaign)?;
        Ok(Self {
            units: Units::of(reader.record.clone(), reader.layer, Vec::new(), Vec::new()),
            reader,
            seen: Set::default(),
        })
    }

    /// Adds a response's units, each new one with weight 1.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when its tokenizer is another than the record's, [`ErrorKind::Token`] and [`ErrorKind::Limit`] as for
    /// [`Detector::row`](crate::Detector::row); nothing is added.
    pub fn add(&mut self, response: &Response<'_>) -> Result<()> {
        let found = self.reader.read(response)?;
        let window = found.window;
        for (&position, &unit) in found.positions.iter().zip(&found.units) {
            if self.seen.insert(unit) {
                let end = position as usize;
                self.units.push(&response.tokens[end - window..=end], 1.0);
            }
        }
        Ok(())
    }

    /// Adds a response's units, each new one with the weight of what stands before it. A unit keeps the weight it first got.
    ///
    /// # Errors
    /// As [`add`](Self::add), and [`ErrorKind::Parameter`] for a weight that is negative or not a number.
    pub fn add_weighted(
        &mut self,
        response: &Response<'_>,
        weigh: impl FnMut(Before<'_>) -> f64,
    ) -> Result<()> {
        let found = self.reader.read(response)?;
        let window = found.window;
        let before = |&position: &u32| Before {
            tokens: &response.tokens[..position as usize],
            window,
            prompt: response.prompt,
        };
        let weights: Vec<f64> = found.positions.iter().map(before).map(weigh).collect();
        if let Some(bad) = weights
            .iter()
            .find(|weight| !(weight.is_finite() && **weight >= 0.0))
        {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!("weight {bad}; weights are numbers from 0 up"),
            ));
        }
        let units = found.positions.iter().zip(&found.units);
        for ((&position, &unit), weight) in units.zip(weights) {
            if self.seen.insert(unit) {
                let end = position as usize;
                self.units
                    .push(&response.tokens[end - window..=end], weight);
            }
        }
        Ok(())
    }

    /// Number of distinct units so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether there is no unit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The units, to be scored.
    #[must_use]
    pub fn finish(self) -> Units {
        self.units
    }
}
