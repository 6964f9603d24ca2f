//! What a suspect says more often than a reference: signed counts over units, which keep gaining where deduplication saturates.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use taggant_core::window::{extend, identity};
use taggant_core::{Error, ErrorKind, LeafKey, Record, Result, Role};

use crate::detect::Response;
use crate::reader::LayerReader;
use crate::units::{Units, rounded};

/// Counts, or probabilities, of tokens after windows, under a suspect and under a reference that no key has touched.
///
/// For window c and token v the difference is `D(c,v) = S(c,v) − S(c) · R(c,v) / R(c)`, with S and R what was counted, and `S(c,v)` where the
/// reference never saw c. The statistic is `Σ_c a_c Σ_v D(c,v) (x_k(c,v) − E x)`, x the units' scores under the key. Where suspect and
/// reference agree nothing is left but noise, and D takes it out: a control variate. Under the null D and a depend on no key, so
/// [`Units`] knows the law of the sum whatever they are.
///
/// ```
/// # use taggant_core::{schemes::Parameters, Record, Role, RootKey, TokenizerId};
/// # use taggant_detector::{Difference, Response};
/// # let key = RootKey::from_bytes([7; 32]).derive(&"2026-12/campaign/east".parse()?);
/// # let record = Record::new(Parameters::new("gumbel", &[])?, 2, &[&key], TokenizerId::new([0; 32], 50_000)?)?;
/// let mut difference = Difference::new(&record, Role::Campaign, None)?;
/// difference.suspect(&Response::ids(&[5, 7, 11, 5, 7, 13]))?;
/// difference.reference(&Response::ids(&[5, 7, 12]))?;
/// let units = difference.units(|_window| 1.0)?;
/// let p = units.score(&[&key], 1)[0].p_value;
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Difference {
    reader: LayerReader,
    /// Units by identity, and in the order they were met, so that sums are reproducible.
    places: HashMap<u64, u32>,
    cells: Vec<Cell>,
    /// Windows and tokens of the cells, one after another.
    tokens: Vec<u32>,
    windows: HashMap<u64, [f64; 2]>,
    positions: u64,
}

#[derive(Debug)]
struct Cell {
    window: u64,
    mass: [f64; 2],
}

/// Whose counts.
#[derive(Clone, Copy)]
enum Side {
    Suspect,
    Reference,
}

impl Difference {
    /// Nothing counted yet, for the layer `role` of `record`. A record of two layers needs the campaign key to tell whose a window is.
    ///
    /// # Errors
    /// As [`Collector::new`](crate::Collector::new).
    pub fn new(record: &Record, role: Role, campaign: Option<&LeafKey>) -> Result<Self> {
        Ok(Self {
            reader: LayerReader::new(record, role, campaign)?,
            places: HashMap::new(),
            cells: Vec::new(),
            tokens: Vec::new(),
            windows: HashMap::new(),
            positions: 0,
        })
    }

    /// Counts a suspect's answer. Windows of its prompt, and those met before in the answer, are left out as everywhere.
    ///
    /// # Errors
    /// As [`Collector::add`](crate::Collector::add).
    pub fn suspect(&mut self, response: &Response<'_>) -> Result<()> {
        self.count(response, Side::Suspect)
    }

    /// Counts a reference's answer, best to the same prompt.
    ///
    /// # Errors
    /// As [`Collector::add`](crate::Collector::add).
    pub fn reference(&mut self, response: &Response<'_>) -> Result<()> {
        self.count(response, Side::Reference)
    }

    fn count(&mut self, response: &Response<'_>, side: Side) -> Result<()> {
        let positions = self.reader.read(response)?.positions.clone();
        for position in positions {
            let end = position as usize;
            let window = &response.tokens[end - self.reader.layer.window..end];
            self.add(window, &[(response.tokens[end], 1.0)], side);
        }
        Ok(())
    }

    /// Adds next-token probabilities, teacher-forced over a text: `at(position)` gives suspect's and reference's lists of (token, probability) for
    /// each position that counts. Lists may be cut off at the most probable tokens; both must be cut by the same rule.
    ///
    /// # Errors
    /// As [`Collector::add`](crate::Collector::add), and [`ErrorKind::Parameter`] for a probability outside 0 to 1 or a token outside the vocabulary.
    pub fn probabilities<'a>(
        &mut self,
        text: &Response<'_>,
        mut at: impl FnMut(usize) -> [&'a [(u32, f64)]; 2],
    ) -> Result<()> {
        let positions = self.reader.read(text)?.positions.clone();
        let vocabulary = self.reader.record.tokenizer().vocabulary;
        for &position in &positions {
            for list in at(position as usize) {
                for &(token, probability) in list {
                    let known = (token as usize) < vocabulary && (0.0..=1.0).contains(&probability);
                    if !known {
                        return Err(Error::new(
                            ErrorKind::Parameter,
                            format!(
                                "position {position}: token {token} with probability {probability}; tokens are below {vocabulary}, \
                                 probabilities 0 to 1"
                            ),
                        ));
                    }
                }
            }
        }
        for position in positions {
            let end = position as usize;
            let window = &text.tokens[end - self.reader.layer.window..end];
            let [suspect, reference] = at(end);
            self.add(window, suspect, Side::Suspect);
            self.add(window, reference, Side::Reference);
        }
        Ok(())
    }

    fn add(&mut self, window: &[u32], list: &[(u32, f64)], side: Side) {
        let name = identity(window);
        self.windows.entry(name).or_default()[side as usize] += 1.0;
        self.positions += u64::from(matches!(side, Side::Suspect));
        for &(token, mass) in list {
            let place = match self.places.entry(extend(name, token)) {
                Slot::Occupied(slot) => *slot.get() as usize,
                Slot::Vacant(slot) => {
                    self.tokens.extend_from_slice(window);
                    self.tokens.push(token);
                    self.cells.push(Cell {
                        window: name,
                        mass: [0.0; 2],
                    });
                    let place = self.cells.len() - 1;
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "2^32 cells would be 160 GB"
                    )]
                    slot.insert(place as u32);
                    place
                }
            };
            self.cells[place].mass[side as usize] += mass;
        }
    }

    /// The units with their signed weights `a_c D(c,v)`; `weigh` gives `a_c` from the window alone. Weights are rounded to six binary digits behind
    /// the first, which no test could feel and makes their law cheap; units whose weight is 0 are left out.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for an `a_c` that is not a number.
    pub fn units(&self, weigh: impl FnMut(&[u32]) -> f64) -> Result<Units> {
        self.weighted(weigh, true)
    }

    /// [`units`](Self::units) of the suspect alone, `D(c,v) = S(c,v)`, as if the reference had seen nothing.
    ///
    /// # Errors
    /// As [`units`](Self::units).
    pub fn suspect_units(&self, weigh: impl FnMut(&[u32]) -> f64) -> Result<Units> {
        self.weighted(weigh, false)
    }

    fn weighted(&self, mut weigh: impl FnMut(&[u32]) -> f64, subtract: bool) -> Result<Units> {
        let stride = self.reader.layer.window + 1;
        let (mut tokens, mut weights, mut masses) = (Vec::new(), Vec::new(), Vec::new());
        for (cell, unit) in self.cells.iter().zip(self.tokens.chunks_exact(stride)) {
            let [suspect, reference] = self.windows.get(&cell.window).copied().unwrap_or_default();
            let expected = if subtract && reference > 0.0 {
                suspect * cell.mass[1] / reference
            } else {
                0.0
            };
            let factor = weigh(&unit[..self.reader.layer.window]);
            if !factor.is_finite() {
                return Err(Error::new(
                    ErrorKind::Parameter,
                    format!("weight {factor} of a window; weights are numbers"),
                ));
            }
            let difference = cell.mass[0] - expected;
            // What rounding leaves of equal masses is no difference.
            if difference.abs() <= 1e-12 * (cell.mass[0] + expected) {
                continue;
            }
            let weight = rounded(factor * difference);
            if weight != 0.0 {
                tokens.extend_from_slice(unit);
                weights.push(weight);
                #[expect(clippy::cast_possible_truncation, reason = "for planning only")]
                masses.push((factor * cell.mass[0]) as f32);
            }
        }
        let units = Units::of(
            self.reader.record.clone(),
            self.reader.layer,
            tokens,
            weights,
        );
        Ok(units.with_masses(masses))
    }

    /// Positions of the suspect that were counted.
    #[must_use]
    pub fn positions(&self) -> u64 {
        self.positions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::stats::uniformity;
    use taggant_core::schemes::Parameters;
    use taggant_core::{RootKey, TokenizerId};

    fn key(random: &mut Random) -> LeafKey {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&random.bits().to_le_bytes());
        }
        RootKey::from_bytes(bytes).derive(&"test/campaign/c".parse().unwrap())
    }

    fn record(scheme: &str, key: &LeafKey) -> Record {
        let parameters = Parameters::new(scheme, &[]).unwrap();
        Record::new(
            parameters,
            1,
            &[key],
            TokenizerId::new([0; 32], 64).unwrap(),
        )
        .unwrap()
    }

    /// Counts by hand: the reference saw window 1 twice, window 2 never.
    #[test]
    fn differences_are_counts_less_what_the_reference_expects() {
        let key = key(&mut Random(1));
        let mut difference =
            Difference::new(&record("gumbel", &key), Role::Campaign, None).unwrap();
        difference.suspect(&Response::ids(&[1, 2, 3])).unwrap();
        difference.suspect(&Response::ids(&[1, 2])).unwrap();
        difference.suspect(&Response::ids(&[1, 4])).unwrap();
        difference.reference(&Response::ids(&[1, 2])).unwrap();
        difference.reference(&Response::ids(&[1, 5])).unwrap();
        // S(1) = 3: 2 twice, 4 once; R(1) = 2: 2 and 5 once. D(1,2) = 2 − 1.5, D(1,4) = 1, D(1,5) = −1.5, D(2,3) = 1.
        let units = difference.units(|_| 1.0).unwrap();
        let law = units.null();
        assert_eq!(units.len(), 4);
        assert!((law.mean() - (0.5 + 1.0 - 1.5 + 1.0)).abs() < 1e-12);
        let variance: f64 = [0.5, 1.0, -1.5, 1.0]
            .iter()
            .map(|weight: &f64| weight * weight)
            .sum();
        assert!((law.deviation() - variance.sqrt()).abs() < 1e-12);
        assert_eq!(
            difference
                .units(|window| f64::from(u8::from(window == [1])))
                .unwrap()
                .len(),
            3
        );
        assert!(difference.units(|_| f64::NAN).is_err());
    }

    /// Null: suspect and reference are independent of the key. Theory: the saddle point of the signed sum is the tail. Kolmogorov–Smirnov, 1,000 keys on one
    /// pair of texts, alpha 1e-6, seed 2; Chernoff's bound reaches 0.01 at most at the nominal rate.
    #[test]
    fn signed_sums_follow_their_law_under_random_keys() {
        let mut random = Random(2);
        for scheme in ["gumbel", "tournament", "greenlist"] {
            let first = key(&mut random);
            let mut difference =
                Difference::new(&record(scheme, &first), Role::Campaign, None).unwrap();
            for _ in 0..200 {
                let mut text = || -> Vec<u32> {
                    (0..20)
                        .map(|_| ((random.bits() >> 40) as u32 % 64) & (random.bits() >> 50) as u32)
                        .collect()
                };
                let (suspect, reference) = (text(), text());
                difference.suspect(&Response::ids(&suspect)).unwrap();
                difference.reference(&Response::ids(&reference)).unwrap();
            }
            let units = difference.units(|_| 1.0).unwrap();
            let (mut near, mut bounded) = (Vec::new(), 0);
            for _ in 0..1000 {
                let scored = units.score(&[&key(&mut random)], 1)[0];
                near.push(units.near_tail(scored.score).get());
                bounded += u32::from(scored.p_value.at_most(0.01));
            }
            assert!(uniformity(&near) > 1e-6, "{scheme}: {}", uniformity(&near));
            assert!(bounded <= 12, "{scheme}: {bounded}");
        }
    }
}
