//! A bundle checked by tools of any system: `sha256sum` and `openssl` (V-3). They see files, times and signatures, not what follows from them.

use taggant_core::{Error, ErrorKind, Result};

use super::folder::Folder;
use super::{MANIFEST, MAX_BYTES, PLAN, REGISTER, SUMS, TRANSCRIPT};
use crate::dsse::Envelope;
use crate::signing::SigningKey;

/// The file that holds the lines.
pub const STOCK: &str = "verify.txt";

const HEAD: &str = include_str!("stock.txt");

/// The lines for a folder whose manifest these keys will sign; what the caller writes to [`STOCK`] before it is listed.
///
/// # Errors
/// Those of reading; [`ErrorKind::Format`] for an envelope with a key id that is not eight hexadecimal digits.
pub fn stock_lines(folder: &Folder, signers: &[SigningKey]) -> Result<String> {
    let mut text = HEAD.replace("{SUMS}", SUMS).replace("{MANIFEST}", MANIFEST);
    for token in folder.names().filter(|name| name.ends_with(".tsr")) {
        let stamped = token.trim_end_matches(".tsr").rsplit_once('.');
        if let Some((file, authority)) = stamped.filter(|(file, _)| *file != MANIFEST) {
            text += &format!(
                "    openssl ts -verify -data {file} -in {token} -CAfile ../{authority}.pem\n"
            );
        }
    }
    text += "\nSignatures (openssl 3 or later):\n\n";
    for name in [PLAN, REGISTER, TRANSCRIPT]
        .into_iter()
        .filter(|name| folder.has(name))
    {
        let envelope = Envelope::from_json(&folder.read(name, MAX_BYTES)?)
            .map_err(|error| error.context(name))?;
        for (number, id) in (1..).zip(envelope.key_ids()) {
            if id.len() != 8 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(Error::new(
                    ErrorKind::Format,
                    format!("{name}: a key id that is not eight hexadecimal digits"),
                ));
            }
            text += &signature(name, number, id);
        }
    }
    for (number, signer) in (1..).zip(signers) {
        text += &signature(
            MANIFEST,
            number,
            &base16ct::lower::encode_string(&signer.public().id()),
        );
    }
    Ok(text)
}

fn signature(name: &str, number: usize, id: &str) -> String {
    format!("    check {name} {number} ../{id}.der\n")
}
