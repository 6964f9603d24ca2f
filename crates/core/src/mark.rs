//! A mark: a record with its keys, ready to embed or to score.

use crate::error::{Error, ErrorKind, Result};
use crate::key::{LeafKey, Role};
use crate::partition::Partition;
use crate::record::Record;
use crate::scheme::Scheme;

/// One layer under its key.
#[derive(Debug)]
pub struct Layer {
    role: Role,
    window: usize,
    scheme: Option<Box<dyn Scheme>>,
}

impl Layer {
    /// `campaign` or `account`.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Tokens in a window.
    #[must_use]
    pub fn window(&self) -> usize {
        self.window
    }

    /// The scheme under the layer's key; `None` when that key was not given.
    #[must_use]
    pub fn scheme(&self) -> Option<&dyn Scheme> {
        self.scheme.as_deref()
    }
}

/// A record with its keys.
///
/// Embedding and detection build the same `Mark` from the same record, so they cannot disagree about windows, layers or words.
#[derive(Debug)]
pub struct Mark {
    record: Record,
    partition: Partition,
    layers: Vec<Layer>,
}

impl Mark {
    /// Unites a record and its keys, in any order. A two-layer mark can be scored with the campaign key alone.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when a key is not one that the record commits to, or is missing.
    pub fn new(record: &Record, keys: &[&LeafKey]) -> Result<Self> {
        for key in keys {
            let role = key.path().role();
            let named = record.layers().iter().find(|layer| layer.role == role);
            let fault = match named {
                None => format!("the record has no {role} layer"),
                Some(layer) if layer.key != key.commitment() => format!(
                    "the record's {role} layer commits to {}…, this key's commitment is {}…",
                    short(&layer.key),
                    short(&key.commitment())
                ),
                Some(_) => continue,
            };
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!("key {} does not belong to this record: {fault}", key.path()),
            ));
        }
        Self::control(record, keys)
    }

    /// Unites a record with keys it does not name: a control. Roles still say which key serves which layer, except that a key of
    /// any other role serves the first layer.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when no key, two keys for a layer, or an account key without the campaign key are given.
    pub fn control(record: &Record, keys: &[&LeafKey]) -> Result<Self> {
        let mut of_layer: Vec<Option<&LeafKey>> = vec![None; record.layers().len()];
        for key in keys {
            let role = key.path().role();
            let index = record
                .layers()
                .iter()
                .position(|layer| layer.role == role)
                .unwrap_or(0);
            if of_layer[index].replace(key).is_some() {
                return Err(Error::new(
                    ErrorKind::Mismatch,
                    format!(
                        "two keys were given for the {} layer; it has one",
                        record.layers()[index].role
                    ),
                ));
            }
        }
        let Some(first) = of_layer[0] else {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!(
                    "the {} key is missing; it is needed to tell which windows carry which mark",
                    record.layers()[0].role
                ),
            ));
        };
        let layers = record
            .layers()
            .iter()
            .zip(of_layer)
            .map(|(layer, key)| Layer {
                role: layer.role,
                window: layer.window,
                scheme: key.map(|key| record.keyed(layer, key)),
            });
        Ok(Self {
            layers: layers.collect(),
            partition: Partition::new(record, Some(first))?,
            record: record.clone(),
        })
    }

    /// The record this mark was made from.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The layers: one, or campaign and account.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Which layer owns which position.
    #[must_use]
    pub fn partition(&self) -> &Partition {
        &self.partition
    }
}

pub(crate) fn window_byte(window: usize) -> u8 {
    u8::try_from(window).unwrap_or(u8::MAX)
}

/// The first eight hex digits: enough to tell commitments apart in a message.
fn short(commitment: &[u8; 32]) -> String {
    base16ct::lower::encode_string(&commitment[..4])
}
