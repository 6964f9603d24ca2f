//! Decoy keys (SPEC.md §5.2): keys that never marked anything, to see what a score looks like when nothing is there.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::domain;
use crate::mark::window_byte;
use crate::prf::Prf;
use crate::record::{LayerRecord, Record};
use crate::scheme::Scheme;

/// An endless sequence of decoy keys, the same for the same seed.
#[derive(Debug)]
pub struct Decoys {
    source: Prf,
    scheme: crate::schemes::Parameters,
    window: usize,
}

impl Decoys {
    /// The decoys of `seed` for one layer of `record`.
    #[must_use]
    pub fn new(record: &Record, layer: &LayerRecord, seed: u64) -> Self {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(domain::DECOY)
            .chain_update(seed.to_be_bytes())
            .chain_update([window_byte(layer.window)])
            .finalize()
            .into();
        let mut key = Zeroizing::new([0; 16]);
        key.copy_from_slice(&digest[..16]);
        Self {
            source: Prf::new(&key, 2),
            scheme: record.scheme().clone(),
            window: layer.window,
        }
    }

    /// The scheme under decoy `index`.
    #[must_use]
    pub fn scheme(&self, index: u32) -> Box<dyn Scheme> {
        let key = self.source.wide(&[index, 0]);
        self.scheme.keyed(Prf::new(&key, self.window))
    }
}
