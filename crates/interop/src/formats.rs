//! The formats. Adding one is a file here and its line in [`FORMATS`].

use std::fmt;

use taggant_core::Result;

use crate::config::Fields;
use crate::mark::Mark;

pub(crate) mod bricks;
pub(crate) mod greenlist;
pub(crate) mod gumbel;
pub(crate) mod kgw;
pub(crate) mod lmw;
pub(crate) mod markllm;
pub(crate) mod sglang;
pub(crate) mod synthid;
pub(crate) mod textseal;
pub(crate) mod vllm;

/// Every format.
pub const FORMATS: &[&Definition] = &[
    &vllm::GUMBEL,
    &vllm::DUAL,
    &sglang::GUMBEL,
    &kgw::LEFTHASH,
    &kgw::SELFHASH,
    &lmw::SIMPLE_1,
    &lmw::MINHASH,
    &lmw::SKIPGRAM,
    &lmw::SELFHASH,
    &lmw::ADDITIVE,
    &lmw::MULTIPLICATIVE,
    &lmw::MINFUNC,
    &lmw::POSITION,
    &lmw::SIMPLE_SKIP,
    &lmw::ANCHORED_SKIPGRAM,
    &lmw::ANCHORED_MINHASH,
    &lmw::MINSKIPGRAM,
    &lmw::NONCOMM,
    &markllm::KGW,
    &markllm::UNIGRAM,
    &markllm::EXP,
    &bricks::MARYLAND,
    &bricks::OPENAI,
    &synthid::HF,
    &synthid::DEEPMIND,
    &textseal::GREENLIST,
    &textseal::GUMBEL,
    &textseal::DUAL,
];

/// A format before it has parameters and keys.
#[non_exhaustive]
pub struct Definition {
    /// The id, as `--format` takes it.
    pub id: &'static str,
    /// What writes it, in a line.
    pub about: &'static str,
    /// What a finding under this mark does not exclude, because of how its keys are used; `None` where nothing of the kind is known.
    pub warning: Option<&'static str>,
    pub(crate) build: fn(&'static Definition, &mut Fields) -> Result<Mark>,
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
