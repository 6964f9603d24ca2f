//! The file that says where suspects are asked. It is private, because who scores must not know, and credentials are near.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use taggant_collect::{Credential, Door, Http, Style};
use taggant_evidence::Plan;
use zeroize::Zeroizing;

use super::local::Local;
use crate::failure::{Failure, Result};
use crate::files;
use crate::marks;

/// Largest file of doors, or of a credential.
const MAX_FILE: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum Entry {
    /// An OpenAI-compatible server.
    Server {
        url: String,
        model: String,
        #[serde(default)]
        style: Interface,
        /// A file with the credential, and nothing else.
        credential: Option<PathBuf>,
    },
    /// Weights at hand: a GGUF file or a name of `taggant model list`.
    Weights { model: String },
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Interface {
    #[default]
    Chat,
    Completions,
}

/// A way to a suspect, and its place in words.
pub(super) enum Way {
    Http(Http),
    Local(Box<Local>),
}

impl Way {
    pub(super) fn door(&self) -> &dyn Door {
        match self {
            Self::Http(door) => door,
            Self::Local(door) => &**door,
        }
    }

    pub(super) fn place(&self) -> String {
        match self {
            Self::Http(door) => door.place(),
            Self::Local(door) => door.place().to_owned(),
        }
    }
}

/// The doors of a plan's suspects, in its order.
pub(super) fn read(path: &Path, plan: &Plan, timeout: Duration) -> Result<Vec<Way>> {
    let mut text = Zeroizing::new(String::new());
    files::open_private(path)?
        .take(MAX_FILE)
        .read_to_string(&mut text)
        .map_err(|error| Failure::io(path, &error))?;
    let mut entries: BTreeMap<String, Entry> = serde_json::from_str(&text).map_err(|error| {
        Failure::new(format!("{}: no file of doors: {error}", path.display()))
            .hint(r#"write {"SUSPECT": {"server": {"url": "https://…/v1", "model": "…", "credential": "FILE"}}} or {"SUSPECT": {"weights": {"model": "FILE.gguf"}}}"#)
    })?;
    let doors = plan
        .suspects
        .iter()
        .map(|suspect| {
            let entry = entries.remove(&suspect.id).ok_or_else(|| {
                Failure::new(format!(
                    "{}: no door for suspect `{}`",
                    path.display(),
                    suspect.id
                ))
                .hint("every suspect of the plan needs one")
            })?;
            open(entry, timeout)
                .map_err(|failure| failure.context(format_args!("suspect `{}`", suspect.id)))
        })
        .collect::<Result<_>>()?;
    if let Some(other) = entries.keys().next() {
        return Err(Failure::new(format!(
            "{}: `{other}` is no suspect of the plan",
            path.display()
        )));
    }
    Ok(doors)
}

fn open(entry: Entry, timeout: Duration) -> Result<Way> {
    match entry {
        Entry::Weights { model } => {
            Ok(Way::Local(Box::new(Local::open(&marks::resolve(&model)?)?)))
        }
        Entry::Server {
            url,
            model,
            style,
            credential,
        } => {
            let credential = credential.as_deref().map(read_credential).transpose()?;
            let style = match style {
                Interface::Chat => Style::Chat,
                Interface::Completions => Style::Completions,
            };
            Ok(Way::Http(Http::new(
                &url, &model, style, credential, timeout,
            )?))
        }
    }
}

fn read_credential(path: &Path) -> Result<Credential> {
    let mut text = Zeroizing::new(String::new());
    files::open_private(path)?
        .take(MAX_FILE)
        .read_to_string(&mut text)
        .map_err(|error| Failure::io(path, &error))?;
    let token = Zeroizing::new(text.trim().to_owned());
    Credential::new(token).map_err(|error| Failure::from(error).context(path.display()))
}
