//! A toy model for tests: deterministic, instant, and about nothing.

use taggant_core::Result;

use crate::{
    Answers, Model, Session,
    session::{check_advance, check_fork, check_rows},
};

/// A toy: its logits are a hash of the row so far, spread evenly over 0 to 8.
///
/// Two rows agree in their logits exactly when they agree in all their tokens, so a test sees
/// every mix-up of rows or positions. Nothing else about it resembles language: measure nothing
/// on it.
///
/// ```
/// use taggant_models::{Answers, Model, Toy};
///
/// let model = Toy::new(100, 64);
/// let mut session = model.session();
/// session.open();
/// let logits = session.advance(&[&[1, 2, 3]], Answers::Last)?;
/// assert_eq!(logits.len(), 100);
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Toy {
    vocabulary: usize,
    context: usize,
    stop_tokens: Vec<u32>,
}

impl Toy {
    /// A toy over `vocabulary` ids whose rows hold `context` tokens. It never stops by itself.
    #[must_use]
    pub fn new(vocabulary: usize, context: usize) -> Self {
        Self {
            vocabulary,
            context,
            stop_tokens: Vec::new(),
        }
    }

    /// The same toy with `tokens` as its stop tokens.
    #[must_use]
    pub fn with_stop_tokens(mut self, tokens: &[u32]) -> Self {
        self.stop_tokens = tokens.to_vec();
        self
    }
}

impl Model for Toy {
    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn context(&self) -> usize {
        self.context
    }

    fn stop_tokens(&self) -> &[u32] {
        &self.stop_tokens
    }

    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(ToySession {
            model: self,
            rows: Vec::new(),
            logits: Vec::new(),
        })
    }
}

#[derive(Debug)]
struct ToySession<'a> {
    model: &'a Toy,
    /// For each row the hash of its tokens up to each of them.
    rows: Vec<Vec<u64>>,
    logits: Vec<f32>,
}

impl Session for ToySession<'_> {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn open(&mut self) {
        self.rows.push(Vec::new());
    }

    fn fork(&mut self, row: usize, length: usize) -> Result<()> {
        check_fork(&self.lengths(), row, length)?;
        self.rows.push(self.rows[row][..length].to_vec());
        Ok(())
    }

    fn advance(&mut self, tokens: &[&[u32]], answers: Answers) -> Result<&[f32]> {
        check_advance(self.model, &self.lengths(), tokens)?;
        self.logits.clear();
        for (row, tokens) in self.rows.iter_mut().zip(tokens) {
            for (i, token) in tokens.iter().enumerate() {
                let hash = mix(row.last().unwrap_or(&0) ^ (u64::from(*token) + 1));
                row.push(hash);
                if answers == Answers::All || i + 1 == tokens.len() {
                    self.logits
                        .extend((0..self.model.vocabulary).map(|v| logit(hash, v)));
                }
            }
        }
        Ok(&self.logits)
    }

    fn retain(&mut self, keep: &[bool]) -> Result<()> {
        check_rows(self.rows.len(), keep.len())?;
        let mut keep = keep.iter();
        self.rows.retain(|_| keep.next() == Some(&true));
        Ok(())
    }
}

impl ToySession<'_> {
    fn lengths(&self) -> Vec<usize> {
        self.rows.iter().map(Vec::len).collect()
    }
}

fn logit(hash: u64, candidate: usize) -> f32 {
    // The top 16 bits, in steps of 2^-13: exact in an f32.
    let high = mix(hash ^ (candidate as u64).rotate_left(32)) >> 48;
    u16::try_from(high).map_or(0.0, f32::from) / 8192.0
}

/// The finaliser of SplitMix64.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[test]
    fn the_toy_keeps_the_contract() {
        conformance::check(&Toy::new(50, 16)).unwrap();
    }
}
