//! The state of a training in a file, so that a training that was cut short goes on.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use ndarray::Array2;
use sha2::{Digest, Sha256};
use taggant_core::{Error, ErrorKind, Result};

use super::{
    Sample, Settings,
    adam::Adam,
    net::{slice, slice_mut},
};

/// Time between two checkpoints: what a training that is cut short can lose.
pub(super) const EVERY: Duration = Duration::from_secs(240);

/// Names a training by all that its result depends on, but the order of samples.
pub(super) fn name(settings: &Settings, samples: &[Sample], weights: &[Array2<f32>]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(format!("{settings:?}"));
    for sample in samples {
        for tokens in [&sample.prompt, &sample.response] {
            hash.update((tokens.len() as u64).to_le_bytes());
            tokens
                .iter()
                .for_each(|token| hash.update(token.to_le_bytes()));
        }
    }
    for array in weights {
        slice(array)
            .iter()
            .for_each(|weight| hash.update(weight.to_le_bytes()));
    }
    hash.finalize().into()
}

/// Writes checkpoints, now and then.
#[derive(Debug)]
pub(super) struct Saver<'a> {
    path: Option<(&'a Path, Duration)>,
    name: [u8; 32],
    last: Instant,
}

impl<'a> Saver<'a> {
    pub(super) fn new(path: Option<(&'a Path, Duration)>, name: [u8; 32]) -> Self {
        Self {
            path,
            name,
            last: Instant::now(),
        }
    }

    /// Saves the state after step `number`, if it is time to.
    pub(super) fn offer(
        &mut self,
        number: u64,
        trained: &[Array2<f32>],
        adam: &Adam,
    ) -> Result<()> {
        let Some((path, _)) = self.path.filter(|(_, every)| self.last.elapsed() >= *every) else {
            return Ok(());
        };
        self.last = Instant::now();
        write(path, &self.name, number, trained, adam).map_err(|error| place(path, error))
    }
}

fn place(path: &Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::Io,
        format!("checkpoint {}: {error}", path.display()),
    )
    .with_source(error)
}

fn write(
    path: &Path,
    name: &[u8; 32],
    number: u64,
    trained: &[Array2<f32>],
    adam: &Adam,
) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(name)?;
    out.write_all(&number.to_le_bytes())?;
    for array in trained.iter().chain(adam.means.iter().flatten()) {
        for value in slice(array) {
            out.write_all(&value.to_le_bytes())?;
        }
    }
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Restores the state, and says after which step it was; nothing if there is no file.
pub(super) fn load(
    path: &Path,
    name: &[u8; 32],
    trained: &mut [Array2<f32>],
    adam: &mut Adam,
) -> Result<Option<u64>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| place(path, error))?,
    };
    let size = file.metadata().map_err(|error| place(path, error))?.len();
    let numbers: usize = 3 * trained.iter().map(Array2::len).sum::<usize>();
    let mut file = BufReader::with_capacity(1 << 20, file);
    let (mut own, mut steps) = ([0; 32], [0; 8]);
    let read = file
        .read_exact(&mut own)
        .and_then(|()| file.read_exact(&mut steps));
    if read.is_err() || own != *name || size != 40 + 4 * numbers as u64 {
        return Err(Error::new(
            ErrorKind::Mismatch,
            format!(
                "checkpoint {} belongs to another training; remove it, or go on with the settings it was made with",
                path.display()
            ),
        ));
    }
    for array in trained.iter_mut().chain(adam.means.iter_mut().flatten()) {
        for value in slice_mut(array) {
            let mut bytes = [0; 4];
            file.read_exact(&mut bytes)
                .map_err(|error| place(path, error))?;
            *value = f32::from_le_bytes(bytes);
        }
    }
    let steps = u64::from_le_bytes(steps);
    adam.steps = i32::try_from(steps).unwrap_or(i32::MAX);
    Ok(Some(steps))
}
