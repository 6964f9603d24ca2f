//! Sealed twins (SPEC.md §10): a server draws several drafts, serves the one that a key picks, and commits to all.
//!
//! ```
//! use taggant_core::twin::Draft;
//! use taggant_core::{RootKey, TwinKey};
//!
//! let leaf = RootKey::from_bytes([7; 32]).derive(&"2026-12/twin/east".parse()?);
//! let key = TwinKey::new(&leaf)?;
//! let drafts = ["Rayleigh scattering.", "Blue light scatters most.", "The air does it."].map(Draft::Text);
//! let sealed = key.seal(b"exchange 1", b"7f3a", &drafts)?;
//! assert_eq!(sealed.served, key.serve(b"exchange 1", 3)?);
//! # Ok::<(), taggant_core::Error>(())
//! ```
//!
//! **Order.** A draft's index is its place in the order of drawing. [`TwinKey::seal`] takes the drafts before it tells the choice, so a
//! caller that draws, then seals, then serves cannot arrange them by it. Whoever asks [`TwinKey::serve`] first and then moves drafts
//! about breaks the test that rests on the choice, and nothing in the commitments would show it.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::domain;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{LeafKey, Role};
use crate::merkle;
use crate::prf::Prf;

/// Most drafts of an exchange.
pub const MAX_DRAFTS: usize = 1024;

/// Longest id and longest account of an exchange, in bytes.
pub const MAX_NAME: usize = 1024;

/// What was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draft<'a> {
    /// A text.
    Text(&'a str),
    /// Token ids.
    Tokens(&'a [u32]),
}

/// A leaf key of role `twin`, ready to choose and to seal.
#[derive(Clone, Debug)]
pub struct TwinKey {
    leaf: LeafKey,
}

/// One draft's commitment and the salt that opens it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Twin {
    /// Secret until the draft is revealed.
    pub salt: [u8; 32],
    /// Says nothing about the draft.
    pub commitment: [u8; 32],
}

impl fmt::Debug for Twin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Twin").finish_non_exhaustive()
    }
}

/// An exchange that was committed to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sealed {
    /// Index of the draft to serve. Secret: it is what a test is about.
    pub served: u32,
    /// One for each draft, in their order.
    pub twins: Vec<Twin>,
    /// The exchange's commitment.
    pub commitment: [u8; 32],
}

impl TwinKey {
    /// A chooser from its leaf.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] when the leaf's role is not `twin`.
    pub fn new(leaf: &LeafKey) -> Result<Self> {
        if leaf.path().role() != Role::Twin {
            return Err(Error::new(
                ErrorKind::Key,
                format!(
                    "key {} has role {}; a twin key is needed: epoch/twin/id",
                    leaf.path(),
                    leaf.path().role()
                ),
            ));
        }
        Ok(Self { leaf: leaf.clone() })
    }

    /// Which of `drafts` drafts the exchange serves: uniform, and the same every time (SPEC.md §10.1).
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] unless the id has 1 to 1,024 bytes and there are 1 to 1,024 drafts.
    pub fn serve(&self, exchange: &[u8], drafts: u32) -> Result<u32> {
        let length = name("exchange id", exchange, 1)?;
        count(drafts as usize)?;
        Ok(pick(drafts, |attempt| {
            u64::from_be_bytes(self.leaf.choice(&[
                domain::SERVE,
                &length,
                exchange,
                &drafts.to_be_bytes(),
                &attempt.to_be_bytes(),
            ]))
        }))
    }

    /// Commits to every draft of an exchange and says which is served.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] as [`serve`](Self::serve), and for an account longer than 1,024 bytes.
    pub fn seal(&self, exchange: &[u8], account: &[u8], drafts: &[Draft<'_>]) -> Result<Sealed> {
        let count = count(drafts.len())?;
        let length = name("exchange id", exchange, 1)?;
        let twins = (0..count)
            .zip(drafts)
            .map(|(index, draft)| {
                let salt = self.leaf.salt_for(&[
                    domain::TWIN_SALT,
                    &length,
                    exchange,
                    &index.to_be_bytes(),
                ]);
                Ok(Twin {
                    salt,
                    commitment: twin_commitment(exchange, index, &salt, *draft)?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let commitments: Vec<[u8; 32]> = twins.iter().map(|twin| twin.commitment).collect();
        Ok(Sealed {
            served: self.serve(exchange, count)?,
            commitment: exchange_commitment(exchange, account, &commitments)?,
            twins,
        })
    }
}

/// The commitment of the draft at `index` (SPEC.md §10.2). Needs no key: whoever is shown a draft and its salt can check it.
///
/// # Errors
/// [`ErrorKind::Limit`] unless the id has 1 to 1,024 bytes.
pub fn twin_commitment(
    exchange: &[u8],
    index: u32,
    salt: &[u8; 32],
    draft: Draft<'_>,
) -> Result<[u8; 32]> {
    let hash = Sha256::new()
        .chain_update(domain::TWIN)
        .chain_update(name("exchange id", exchange, 1)?)
        .chain_update(exchange)
        .chain_update(index.to_be_bytes())
        .chain_update(salt);
    let hash = match draft {
        Draft::Text(text) => hash.chain_update([0]).chain_update(text),
        Draft::Tokens(tokens) => tokens.iter().fold(hash.chain_update([1]), |hash, token| {
            hash.chain_update(token.to_be_bytes())
        }),
    };
    Ok(hash.finalize().into())
}

/// The commitment of an exchange from those of its drafts, in their order (SPEC.md §10.2).
///
/// # Errors
/// [`ErrorKind::Limit`] as [`TwinKey::seal`].
pub fn exchange_commitment(
    exchange: &[u8],
    account: &[u8],
    twins: &[[u8; 32]],
) -> Result<[u8; 32]> {
    let hash = Sha256::new()
        .chain_update(domain::EXCHANGE)
        .chain_update(name("exchange id", exchange, 1)?)
        .chain_update(exchange)
        .chain_update(name("account", account, 0)?)
        .chain_update(account)
        .chain_update(count(twins.len())?.to_be_bytes());
    Ok(twins
        .iter()
        .fold(hash, |hash, twin| hash.chain_update(twin))
        .finalize()
        .into())
}

/// The root over a batch of exchange commitments, whatever their order (SPEC.md §10.2): the 32 bytes to time-stamp.
#[must_use]
pub fn batch_root(commitments: &[[u8; 32]]) -> [u8; 32] {
    let mut sorted = commitments.to_vec();
    sorted.sort_unstable();
    merkle::root_of(&sorted)
}

/// Choices that served nothing (SPEC.md §10.3), the same for the same seed: what a test's statistic is compared with.
#[derive(Debug)]
pub struct TwinDecoys {
    source: Prf,
}

impl TwinDecoys {
    /// The decoy choices of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(domain::TWIN_DECOY)
            .chain_update(seed.to_be_bytes())
            .finalize()
            .into();
        let mut key = Zeroizing::new([0; 16]);
        key.copy_from_slice(&digest[..16]);
        Self {
            source: Prf::new(&key, 3),
        }
    }

    /// Decoy `index`'s choice for the test's exchange number `exchange`, below `drafts`; 0 if there are none to choose from.
    #[must_use]
    pub fn serve(&self, index: u32, exchange: u32, drafts: u32) -> u32 {
        if drafts < 2 {
            return 0;
        }
        pick(drafts, |attempt| {
            let block = self.source.wide(&[attempt, index, exchange]);
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&block[..8]);
            u64::from_le_bytes(bytes)
        })
    }
}

/// The first of the words 0, 1, … that falls below the largest multiple of `choices`, modulo `choices`; at least one choice.
fn pick(choices: u32, word: impl Fn(u32) -> u64) -> u32 {
    let choices = u64::from(choices);
    // 2^64 mod choices: as many words are turned away.
    let rest = (u64::MAX % choices + 1) % choices;
    let word = (0..)
        .map(word)
        .find(|&word| word <= u64::MAX - rest)
        .unwrap_or(0);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a remainder of a 32-bit number"
    )]
    {
        (word % choices) as u32
    }
}

/// `u16be(len)` of an id or account.
fn name(what: &str, bytes: &[u8], least: usize) -> Result<[u8; 2]> {
    let length = u16::try_from(bytes.len()).ok();
    length
        .filter(|_| (least..=MAX_NAME).contains(&bytes.len()))
        .map(u16::to_be_bytes)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Limit,
                format!(
                    "{what} has {} bytes; {least} to {MAX_NAME} are allowed",
                    bytes.len()
                ),
            )
        })
}

fn count(drafts: usize) -> Result<u32> {
    let count = u32::try_from(drafts).ok();
    count
        .filter(|_| (1..=MAX_DRAFTS).contains(&drafts))
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Limit,
                format!("an exchange has {drafts} drafts; 1 to {MAX_DRAFTS} are allowed"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::RootKey;

    fn key(id: &str) -> TwinKey {
        let path = format!("2026-12/twin/{id}");
        TwinKey::new(&RootKey::from_bytes([7; 32]).derive(&path.parse().unwrap())).unwrap()
    }

    /// Null: the choice is uniform over n drafts. Theory: a count is Binomial(60,000, 1/n); every one within 5 standard
    /// deviations, 3.5e-5 for the 61 counts together. The key is fixed, so this passes always or never.
    #[test]
    fn every_draft_is_served_as_often_as_another() {
        let (key, decoys) = (key("east"), TwinDecoys::new(5));
        for drafts in [1_u32, 2, 3, 5, 8, 11] {
            let mut counts = vec![[0_u32; 2]; drafts as usize];
            for exchange in 0..60_000_u32 {
                let id = exchange.to_be_bytes();
                counts[key.serve(&id, drafts).unwrap() as usize][0] += 1;
                counts[decoys.serve(exchange % 7, exchange, drafts) as usize][1] += 1;
            }
            let p = 1.0 / f64::from(drafts);
            let deviation = (60_000.0 * p * (1.0 - p)).sqrt();
            for count in counts.iter().flatten() {
                assert!((f64::from(*count) - 60_000.0 * p).abs() <= 5.0 * deviation);
            }
        }
    }

    #[test]
    fn words_beyond_the_last_whole_multiple_are_drawn_again() {
        // 2^64 = 3 · 6148914691236517205 + 1: only the largest word is turned away.
        let words = [u64::MAX, 7];
        assert_eq!(pick(3, |attempt| words[attempt as usize]), 1);
        assert_eq!(pick(3, |_| u64::MAX - 1), 2);
        assert_eq!(pick(4, |_| u64::MAX), 3);
        assert_eq!(pick(1, |_| u64::MAX), 0);
    }

    #[test]
    fn the_choice_follows_key_exchange_and_number_of_drafts() {
        let serve = |key: &TwinKey, prefix: &str, drafts| -> Vec<u32> {
            (0..64)
                .map(|n| {
                    key.serve(format!("{prefix}{n}").as_bytes(), drafts)
                        .unwrap()
                })
                .collect()
        };
        let base = serve(&key("east"), "a", 5);
        assert_eq!(base, serve(&key("east"), "a", 5));
        assert_ne!(base, serve(&key("west"), "a", 5));
        assert_ne!(base, serve(&key("east"), "b", 5));
        assert_ne!(base, serve(&key("east"), "a", 6));
    }

    #[test]
    fn every_part_of_an_exchange_is_committed_to() {
        let key = key("east");
        let drafts = ["one", "two", "one"].map(Draft::Text);
        let base = key.seal(b"x", b"a", &drafts).unwrap();
        assert_eq!(base, key.seal(b"x", b"a", &drafts).unwrap());
        // Equal drafts do not look equal.
        assert_ne!(base.twins[0].commitment, base.twins[2].commitment);
        let others = [
            key.seal(b"y", b"a", &drafts),
            key.seal(b"x", b"b", &drafts),
            key.seal(b"x", b"a", &drafts[..2]),
            key.seal(b"x", b"a", &["two", "one", "one"].map(Draft::Text)),
            key.seal(
                b"x",
                b"a",
                &[Draft::Text("one"), Draft::Text("two"), Draft::Tokens(&[1])],
            ),
        ];
        for other in others {
            assert_ne!(other.unwrap().commitment, base.commitment);
        }
        // Ids and accounts do not run into each other.
        let [left, right] = [(&b"ab"[..], &b"c"[..]), (b"a", b"bc")]
            .map(|(id, account)| exchange_commitment(id, account, &[[0; 32]]).unwrap());
        assert_ne!(left, right);
        // Whoever is shown a draft and its salt can check it.
        let shown = twin_commitment(b"x", 1, &base.twins[1].salt, drafts[1]).unwrap();
        assert_eq!(shown, base.twins[1].commitment);
    }

    #[test]
    fn salts_are_the_exchange_s_own() {
        let key = key("east");
        let salts = |id: &[u8]| key.seal(id, b"", &[Draft::Text(""); 3]).unwrap().twins;
        let all: Vec<[u8; 32]> = [salts(b"x"), salts(b"y")]
            .concat()
            .iter()
            .map(|twin| twin.salt)
            .collect();
        for (index, salt) in all.iter().enumerate() {
            assert!(!all[..index].contains(salt));
        }
    }

    #[test]
    fn batches_have_one_root_in_any_order() {
        assert_eq!(
            batch_root(&[[1; 32], [2; 32]]),
            batch_root(&[[2; 32], [1; 32]])
        );
        assert_ne!(batch_root(&[[1; 32], [2; 32]]), batch_root(&[[1; 32]]));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name() {
        let campaign = RootKey::from_bytes([7; 32]).derive(&"e/campaign/x".parse().unwrap());
        let error = TwinKey::new(&campaign).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Key);
        assert!(error.to_string().contains("e/campaign/x"), "{error}");

        let key = key("east");
        let long = vec![b'x'; MAX_NAME + 1];
        for error in [
            key.serve(b"", 2).unwrap_err(),
            key.serve(&long, 2).unwrap_err(),
            key.serve(b"x", 0).unwrap_err(),
            key.serve(b"x", 1025).unwrap_err(),
            key.seal(b"x", &long, &[Draft::Text("")]).unwrap_err(),
            key.seal(b"x", b"", &[]).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let sealed = key("east").seal(b"x", b"a", &[Draft::Text("t")]).unwrap();
        let shown = format!("{:?} {sealed:?}", key("east"));
        assert!(!shown.contains("salt"), "{shown}");
    }
}
