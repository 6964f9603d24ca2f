//! From responses to the positions that count (SPEC.md §4, scoring), without any key of a layer.

use taggant_core::window::{extend_all, identities};
use taggant_core::{
    Error, ErrorKind, LayerRecord, LeafKey, Partition, Record, Result, Role, Set, TokenizerId,
};

use crate::detect::Response;

/// Finds the units of responses. Working memory is reused from response to response.
#[derive(Debug)]
pub(crate) struct Reader {
    tokenizer: TokenizerId,
    joined: Vec<u32>,
    windows: Vec<u64>,
    words: Vec<u32>,
    layers: Vec<Found>,
}

/// What one layer owns of a response.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) window: usize,
    wanted: bool,
    seen: Set,
    /// Scored positions, and the identities of their units.
    pub(crate) positions: Vec<u32>,
    pub(crate) units: Vec<u64>,
}

impl Reader {
    /// A reader for the layers of `record` for which `wanted` holds, by index.
    pub(crate) fn new(record: &Record, wanted: impl Fn(usize) -> bool) -> Self {
        let layers = record.layers().iter().enumerate();
        Self {
            tokenizer: *record.tokenizer(),
            joined: Vec::new(),
            windows: Vec::new(),
            words: Vec::new(),
            layers: layers
                .map(|(index, layer)| Found {
                    window: layer.window,
                    wanted: wanted(index),
                    seen: Set::default(),
                    positions: Vec::new(),
                    units: Vec::new(),
                })
                .collect(),
        }
    }

    /// The layers as the last response left them.
    pub(crate) fn layers(&self) -> &[Found] {
        &self.layers
    }

    /// Checks that a response can be read.
    pub(crate) fn check(&self, response: &Response<'_>) -> Result<()> {
        self.tokenizer.check(response.tokens)?;
        if let Some(prompt) = response.prompt {
            self.tokenizer
                .check(prompt)
                .map_err(|error| error.context("prompt"))?;
        }
        if u32::try_from(response.tokens.len()).is_err() {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "response of {} tokens; at most {} can be scored",
                    response.tokens.len(),
                    u32::MAX
                ),
            ));
        }
        Ok(())
    }

    /// For each layer, the positions it owns whose window did not occur before in prompt or response. Returns how many windows were
    /// left out as repeats.
    pub(crate) fn read(&mut self, partition: &Partition, response: &Response<'_>) -> u64 {
        let tokens = response.tokens;
        let prompt = response.prompt.unwrap_or_default();
        let Self {
            joined,
            windows,
            words,
            layers,
            ..
        } = self;
        let mut owned: Vec<&mut Vec<u32>> = layers
            .iter_mut()
            .map(|found| &mut found.positions)
            .collect();
        partition.split(tokens, words, &mut owned);
        let mut repeats = 0;
        for found in layers {
            let Found {
                window,
                wanted,
                seen,
                positions,
                units,
            } = found;
            let window = *window;
            if !*wanted {
                positions.clear();
                units.clear();
                continue;
            }
            seen.clear(2 * (prompt.len() + tokens.len()));
            if !prompt.is_empty() {
                // Windows inside the prompt, and those that reach from the prompt into the response.
                joined.clear();
                joined.extend_from_slice(prompt);
                joined.extend(tokens.iter().take(window - 1));
                identities(joined, window, windows);
                for &name in &*windows {
                    seen.insert(name);
                }
            }
            identities(tokens, window, windows);
            units.clear();
            units.extend_from_slice(windows);
            extend_all(units, tokens.get(window..).unwrap_or_default());
            let mut kept = 0;
            for index in 0..positions.len() {
                // Written first and kept only if new: a branch here would be mispredicted on ordinary text.
                let position = positions[index];
                let name = position as usize - window;
                (positions[kept], units[kept]) = (position, units[name]);
                kept += usize::from(seen.insert(windows[name]));
            }
            repeats += (positions.len() - kept) as u64;
            positions.truncate(kept);
            units.truncate(kept);
        }
        repeats
    }
}

/// A [`Reader`] of one layer of a record, without that layer's key.
#[derive(Debug)]
pub(crate) struct LayerReader {
    pub(crate) record: Record,
    pub(crate) layer: LayerRecord,
    index: usize,
    partition: Partition,
    reader: Reader,
}

impl LayerReader {
    /// Of the layer `role`. A record of two layers needs the campaign key to tell whose a window is.
    pub(crate) fn new(record: &Record, role: Role, campaign: Option<&LeafKey>) -> Result<Self> {
        let index = record.layers().iter().position(|layer| layer.role == role);
        let index = index.ok_or_else(|| {
            Error::new(
                ErrorKind::Mismatch,
                format!("the record has no {role} layer"),
            )
        })?;
        Ok(Self {
            record: record.clone(),
            layer: record.layers()[index],
            index,
            partition: Partition::new(record, campaign)?,
            reader: Reader::new(record, |layer| layer == index),
        })
    }

    /// What the layer owns of a response, once it is known to be readable and of the record's tokenizer.
    pub(crate) fn read(&mut self, response: &Response<'_>) -> Result<&Found> {
        let expected = self.record.tokenizer().digest;
        if response.tokenizer().is_some_and(|found| found != expected) {
            return Err(Error::new(
                ErrorKind::Mismatch,
                "the text's tokenizer is not the record's; detect with the tokenizer that was marked",
            ));
        }
        self.reader.check(response)?;
        let _ = self.reader.read(&self.partition, response);
        Ok(&self.reader.layers()[self.index])
    }
}
