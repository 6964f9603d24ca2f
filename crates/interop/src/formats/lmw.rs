//! lm-watermarking's green lists (Kirchenbauer et al. 2023, "On the reliability of watermarks for large language models"; commit fb602de),
//! marked on a CPU: one format for each way to seed.

use std::sync::LazyLock;

use taggant_core::Result;

use super::Definition;
use super::greenlist::{Greenlist, Seeding, Table, reduced, share};
use crate::config::Fields;
use crate::mark::Mark;
use crate::peer::{Counts, Statistic};

/// A way to seed: the engine's `prf_type`, and the context and salting that go with it.
struct Prf {
    id: &'static str,
    about: &'static str,
    seed: fn(&Prfs, &[u32]) -> i128,
    /// Tokens of context by default.
    width: u64,
    /// Whether the token itself is the last of them, by default.
    salted: bool,
}

#[rustfmt::skip]
const PRFS: [Prf; 13] = [
    Prf { id: "lmw-simple_1", about: "lm-watermarking, seeding scheme simple_1 or lefthash, marked on a CPU", seed: additive, width: 1, salted: false },
    Prf { id: "lmw-minhash", about: "lm-watermarking, seeding scheme minhash, marked on a CPU", seed: minhash, width: 4, salted: false },
    Prf { id: "lmw-skipgram", about: "lm-watermarking, seeding scheme skipgram, marked on a CPU", seed: skipgram, width: 5, salted: false },
    Prf { id: "lmw-selfhash", about: "lm-watermarking, seeding scheme selfhash or algorithm-3, marked on a CPU", seed: anchored_minhash, width: 4, salted: true },
    Prf { id: "lmw-additive", about: "lm-watermarking, ff-additive_prf, marked on a CPU", seed: additive, width: 4, salted: false },
    Prf { id: "lmw-multiplicative", about: "lm-watermarking, ff-multiplicative_prf, marked on a CPU", seed: multiplicative, width: 4, salted: false },
    Prf { id: "lmw-minfunc", about: "lm-watermarking, ff-minfunc_prf, marked on a CPU", seed: minfunc, width: 4, salted: false },
    Prf { id: "lmw-position", about: "lm-watermarking, ff-position_prf, marked on a CPU", seed: position, width: 4, salted: false },
    Prf { id: "lmw-simple_skip", about: "lm-watermarking, ff-simple_skip_prf, marked on a CPU", seed: simple_skip, width: 4, salted: false },
    Prf { id: "lmw-anchored_skipgram", about: "lm-watermarking, ff-anchored_skipgram_prf, marked on a CPU", seed: anchored_skipgram, width: 4, salted: false },
    Prf { id: "lmw-anchored_minhash", about: "lm-watermarking, ff-anchored_minhash_prf, marked on a CPU", seed: anchored_minhash, width: 4, salted: false },
    Prf { id: "lmw-minskipgram", about: "lm-watermarking, ff-minskipgram_prf, marked on a CPU", seed: minskipgram, width: 4, salted: false },
    Prf { id: "lmw-noncomm", about: "lm-watermarking, ff-noncomm_prf, marked on a CPU", seed: noncomm, width: 4, salted: false },
];

pub(crate) const SIMPLE_1: Definition = define::<0>();
pub(crate) const MINHASH: Definition = define::<1>();
pub(crate) const SKIPGRAM: Definition = define::<2>();
pub(crate) const SELFHASH: Definition = define::<3>();
pub(crate) const ADDITIVE: Definition = define::<4>();
pub(crate) const MULTIPLICATIVE: Definition = define::<5>();
pub(crate) const MINFUNC: Definition = define::<6>();
pub(crate) const POSITION: Definition = define::<7>();
pub(crate) const SIMPLE_SKIP: Definition = define::<8>();
pub(crate) const ANCHORED_SKIPGRAM: Definition = define::<9>();
pub(crate) const ANCHORED_MINHASH: Definition = define::<10>();
pub(crate) const MINSKIPGRAM: Definition = define::<11>();
pub(crate) const NONCOMM: Definition = define::<12>();

const fn define<const PRF: usize>() -> Definition {
    Definition {
        id: PRFS[PRF].id,
        about: PRFS[PRF].about,
        warning: Some(
            "lists depend on the low 32 bits of a seed that no cryptographic function made, and keys can be searched, so a finding does not exclude forgery",
        ),
        build: build::<PRF>,
    }
}

fn build<const PRF: usize>(definition: &'static Definition, fields: &mut Fields) -> Result<Mark> {
    let prf = &PRFS[PRF];
    let vocabulary = fields.vocabulary()?;
    let gamma = fields.given_share(
        "gamma",
        "versions of lm-watermarking differ in theirs, 0.5 and 0.25",
    )?;
    let width = fields.size("context_width", Some(prf.width), 1..=64)?;
    let salted = fields.flag("self_salt", prf.salted)?;
    let first = fields.flag("select_green_tokens", true)?;
    let unique = fields.flag("ignore_repeated_ngrams", true)?;
    let key = fields.key("hash_key", Some(15_485_863), 0..=i128::from(i64::MAX))?;
    fields.ignore(&[
        "delta",
        "seeding_scheme",
        "prf_type",
        "z_threshold",
        "normalizers",
    ]);
    let green = share(definition.id, vocabulary, gamma)?;
    #[expect(clippy::cast_possible_truncation, reason = "in range")]
    let seeds = |key: i128| Prfs {
        seed: prf.seed,
        id: prf.id,
        key: key as i64,
        width,
        salted,
    };
    let list = Greenlist::new(seeds(key), vocabulary, green).probed_by(seeds(key ^ 1));
    let list = if first { list } else { list.at_the_end() };
    let counts = if unique { Counts::Units } else { Counts::All };
    Ok(list.mark(
        definition,
        "lm-watermarking WatermarkDetector",
        counts,
        Statistic::Z { gamma },
    ))
}

/// The hash table, whatever the key; its seed is a prime among Fibonacci's numbers.
static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(2_971_215_073));

/// A way to seed under its key. Tensors wrap at 64 bits, Python's numbers do not: who multiplies last decides.
struct Prfs {
    id: &'static str,
    seed: fn(&Self, &[u32]) -> i128,
    key: i64,
    width: usize,
    salted: bool,
}

impl Prfs {
    /// The hash of a token under the key.
    fn keyed(&self, token: u32) -> i64 {
        TABLE.hash(self.key.wrapping_mul(i64::from(token)))
    }
}

fn plain(token: u32) -> i64 {
    TABLE.hash(i64::from(token))
}

fn last(context: &[u32]) -> u32 {
    context.last().copied().unwrap_or_default()
}

fn first(context: &[u32]) -> u32 {
    context.first().copied().unwrap_or_default()
}

fn additive(prf: &Prfs, context: &[u32]) -> i128 {
    i128::from(prf.key) * context.iter().map(|&token| i128::from(token)).sum::<i128>()
}

fn multiplicative(prf: &Prfs, context: &[u32]) -> i128 {
    i128::from(prf.key)
        * i128::from(context.iter().fold(1_i64, |product, &token| {
            product.wrapping_mul(i64::from(token))
        }))
}

fn minfunc(prf: &Prfs, context: &[u32]) -> i128 {
    i128::from(prf.key) * i128::from(context.iter().copied().min().unwrap_or_default())
}

fn position(prf: &Prfs, context: &[u32]) -> i128 {
    let places = (1_i64..).zip(context);
    i128::from(places.fold(0_i64, |sum, (place, &token)| {
        sum.wrapping_add(prf.key.wrapping_mul(i64::from(token)).wrapping_mul(place))
    }))
}

fn simple_skip(prf: &Prfs, context: &[u32]) -> i128 {
    i128::from(context.iter().step_by(2).fold(1_i64, |product, &token| {
        product.wrapping_mul(prf.keyed(token))
    }))
}

fn skipgram(prf: &Prfs, context: &[u32]) -> i128 {
    i128::from(prf.keyed(first(context)))
}

fn anchored_skipgram(prf: &Prfs, context: &[u32]) -> i128 {
    i128::from(prf.keyed(first(context)) * prf.keyed(last(context)))
}

fn minhash(prf: &Prfs, context: &[u32]) -> i128 {
    context
        .iter()
        .map(|&token| i128::from(prf.keyed(token)))
        .min()
        .unwrap_or_default()
}

fn anchored_minhash(prf: &Prfs, context: &[u32]) -> i128 {
    let anchor = plain(last(context));
    let products = context
        .iter()
        .map(|&token| i128::from(prf.key.wrapping_mul(plain(token)).wrapping_mul(anchor)));
    products.min().unwrap_or_default()
}

fn minskipgram(prf: &Prfs, context: &[u32]) -> i128 {
    let hashes: Vec<i64> = context.iter().map(|&token| prf.keyed(token)).collect();
    let pairs = hashes
        .iter()
        .enumerate()
        .flat_map(|(index, one)| hashes[index + 1..].iter().map(move |other| one * other));
    pairs.min().map_or(0, i128::from)
}

fn noncomm(prf: &Prfs, context: &[u32]) -> i128 {
    let fold = |key: i64, &token: &u32| {
        let hash = TABLE.hash(key.wrapping_mul(i64::from(token)));
        key.wrapping_mul(hash).rem_euclid(1 << 32)
    };
    i128::from(context.iter().fold(prf.key, fold))
}

impl Seeding for Prfs {
    fn id(&self) -> &'static str {
        self.id
    }

    fn window(&self) -> usize {
        self.width - usize::from(self.salted)
    }

    fn seed(&self, window: &[u32], token: u32) -> u32 {
        if !self.salted {
            return reduced((self.seed)(self, window));
        }
        let mut context = [0; 64];
        context[..window.len()].copy_from_slice(window);
        context[window.len()] = token;
        reduced((self.seed)(self, &context[..=window.len()]))
    }
}

#[cfg(test)]
mod tests {
    use crate::formats::greenlist::check::flags;

    /// Seeds by lm-watermarking's `alternative_prf_schemes` (fb602de), lists by `torch.randperm` (2.13).
    #[rustfmt::skip]
    const VECTORS: [(&str, &str); 13] = [
        ("lmw-simple_1", "1100111000111101010010010100000"),
        ("lmw-minhash", "0000110110110100111001011001"),
        ("lmw-skipgram", "110000100011011010000010011"),
        ("lmw-selfhash", "00111101000100001000111110011"),
        ("lmw-additive", "0000000101100011101010001010"),
        ("lmw-multiplicative", "0101110000110100000000101110"),
        ("lmw-minfunc", "0100000101110100001001101001"),
        ("lmw-position", "1100100110010001111011001101"),
        ("lmw-simple_skip", "0111111010010010101000011010"),
        ("lmw-anchored_skipgram", "1010111001010010001000101000"),
        ("lmw-anchored_minhash", "0111011000010010101011101100"),
        ("lmw-minskipgram", "0110111011010100101001001011"),
        ("lmw-noncomm", "1001010100101000011010011100"),
    ];

    #[test]
    fn vectors_of_the_reference_are_met() {
        for (format, wanted) in VECTORS {
            assert_eq!(
                flags(format, r#"{"vocab_size": 50257, "gamma": 0.5}"#),
                wanted,
                "{format}"
            );
        }
        let legacy = r#"{"vocab_size": 50257, "gamma": 0.25, "select_green_tokens": false}"#;
        assert_eq!(
            flags("lmw-simple_1", legacy),
            "0010000111000000100001101010000"
        );
        let salted = r#"{"vocab_size": 50257, "gamma": 0.5, "self_salt": true, "hash_key": 9223372036854775783}"#;
        assert_eq!(
            flags("lmw-minhash", salted),
            "10001010101011010001000101000"
        );
    }

    #[test]
    fn simple_1_is_lefthash() {
        let one = flags(
            "lmw-simple_1",
            r#"{"vocab_size": 50257, "gamma": 0.25, "hash_key": 123456789}"#,
        );
        assert_eq!(
            one,
            flags(
                "hf-kgw-lefthash",
                r#"{"vocab_size": 50257, "hashing_key": 123456789}"#
            )
        );
    }
}
