//! Suspects behind an OpenAI-compatible interface.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use taggant_core::{Error, ErrorKind, Result};
use taggant_evidence::transcript::{Failure, HEADERS, MAX_FIELD, answer_text};
use ureq::Agent;
use ureq::http::{HeaderMap, Response, Uri};
use zeroize::Zeroizing;

use crate::door::{Door, Miss, Reply, Request};

/// Longest header value that is kept.
const MAX_HEADER: usize = 256;

/// Which of the two interfaces is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `chat/completions`.
    Chat,
    /// `completions`: the prompt as it is, without a chat template.
    Completions,
}

/// What proves to a server who asks. It is in no record, no error and no Debug output.
#[derive(Clone)]
pub struct Credential(Zeroizing<String>);

impl Credential {
    /// # Errors
    /// [`ErrorKind::Parameter`] for one that a header cannot hold, or too short to be kept out of records by looking for it.
    pub fn new(token: Zeroizing<String>) -> Result<Self> {
        if token.len() >= 8 && token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(token));
        }
        Err(Error::new(
            ErrorKind::Parameter,
            format!(
                "a credential of {} bytes; at least 8 visible ASCII characters are needed",
                token.len()
            ),
        ))
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        let plain = |bytes: &[u8]| {
            bytes
                .windows(self.0.len())
                .any(|window| window == self.0.as_bytes())
        };
        // Escapes of JSON spell the same text in many ways.
        plain(bytes)
            || serde_json::from_slice(bytes)
                .is_ok_and(|value| strings(&value, &|text| plain(text.as_bytes())))
    }
}

/// Whether any string of a JSON value is one.
fn strings(value: &Value, is_one: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is_one(text),
        Value::Array(values) => values.iter().any(|value| strings(value, is_one)),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| is_one(name) || strings(value, is_one)),
        _ => false,
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential")
    }
}

/// An OpenAI-compatible server.
#[derive(Debug)]
pub struct Http {
    agent: Agent,
    url: String,
    model: String,
    style: Style,
    credential: Option<Credential>,
}

impl Http {
    /// A model at a base address such as `https://api.example/v1`. Redirects are not followed and proxies not used: whoever is named is asked.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for an address that is none, holds a password, or would carry the credential unencrypted to another machine.
    pub fn new(
        base: &str,
        model: &str,
        style: Style,
        credential: Option<Credential>,
        timeout: Duration,
    ) -> Result<Self> {
        let wrong = |fault: &str| {
            Err(Error::new(
                ErrorKind::Parameter,
                format!("the suspect's address: {fault}"),
            ))
        };
        let Ok(uri) = base.parse::<Uri>() else {
            return wrong("not an address like https://api.example/v1");
        };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return wrong("it needs https:// and a host");
        };
        if authority.as_str().contains('@') {
            return wrong("it holds a name or password; give the credential by itself");
        }
        if uri.query().is_some() {
            return wrong(
                "it holds a query, which would be written down; give the base address alone",
            );
        }
        let here = matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match scheme {
            "https" => {}
            "http" if credential.is_none() || here => {}
            "http" => return wrong("http would carry the credential unencrypted; use https"),
            _ => return wrong("only https and http are asked"),
        }
        let ending = match style {
            Style::Chat => "chat/completions",
            Style::Completions => "completions",
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(timeout))
            .user_agent(concat!("taggant/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            agent: config.into(),
            url: format!("{}/{ending}", base.trim_end_matches('/')),
            model: model.to_owned(),
            style,
            credential,
        })
    }

    /// Where it asks and for which model, in words.
    #[must_use]
    pub fn place(&self) -> String {
        json!({"url": self.url, "model": self.model}).to_string()
    }

    fn kept(&self, headers: &HeaderMap) -> BTreeMap<String, String> {
        let value = |name: &str| {
            let text = headers.get(name)?.to_str().ok()?;
            let fits = text.len() <= MAX_HEADER && !self.betrays(text.as_bytes());
            fits.then(|| (name.to_owned(), text.to_owned()))
        };
        HEADERS.iter().filter_map(|name| value(name)).collect()
    }

    fn betrays(&self, bytes: &[u8]) -> bool {
        self.credential
            .as_ref()
            .is_some_and(|credential| credential.is_in(bytes))
    }
}

impl Door for Http {
    fn body(&self, request: &Request<'_>) -> Vec<u8> {
        let mut body = match self.style {
            Style::Chat => {
                json!({"model": self.model, "messages": [{"role": "user", "content": request.prompt}]})
            }
            Style::Completions => json!({"model": self.model, "prompt": request.prompt}),
        };
        body["temperature"] = request.sampling.temperature.value().into();
        body["top_p"] = request.sampling.top_p.value().into();
        body["max_tokens"] = request.sampling.max_tokens.into();
        body["seed"] = request.seed.into();
        body.to_string().into_bytes()
    }

    fn ask(&self, body: &[u8]) -> std::result::Result<Reply, Miss> {
        let mut request = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json");
        if let Some(Credential(token)) = &self.credential {
            request = request.header("authorization", format!("Bearer {}", token.as_str()));
        }
        let response = request
            .send(body)
            .map_err(|error| Miss::bare(cause(&error)))?;
        let (parts, mut body) = Response::into_parts(response);
        let status = parts.status.as_u16();
        let headers = self.kept(&parts.headers);
        let wait = parts
            .headers
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let miss = |cause, body| Miss {
            cause,
            status: Some(status),
            body,
            headers: headers.clone(),
            wait,
        };
        let read = body.with_config().limit(MAX_FIELD as u64).read_to_vec();
        let body = read.map_err(|error| miss(cause(&error), None))?;
        // A server that repeats the credential would have it written down.
        if self.betrays(&body) {
            return Err(miss(Failure::Unreadable, None));
        }
        match status {
            200 if answer_text(&body).is_some() => Ok(Reply { body, headers }),
            200 => Err(miss(Failure::Unreadable, Some(body))),
            429 => Err(miss(Failure::Throttled, Some(body))),
            408 | 500.. => Err(miss(Failure::ServerError, Some(body))),
            _ => Err(miss(Failure::Refused, Some(body))),
        }
    }
}

fn cause(error: &ureq::Error) -> Failure {
    use std::io::ErrorKind as Io;
    match error {
        ureq::Error::Timeout(_) => Failure::TimedOut,
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Tls(_)
        | ureq::Error::Rustls(_) => Failure::Unreachable,
        ureq::Error::Io(error) => match error.kind() {
            Io::ConnectionRefused | Io::HostUnreachable | Io::NetworkUnreachable | Io::NotFound => {
                Failure::Unreachable
            }
            Io::TimedOut | Io::WouldBlock => Failure::TimedOut,
            _ => Failure::CutOff,
        },
        ureq::Error::BodyExceedsLimit(_) => Failure::Unreadable,
        _ => Failure::CutOff,
    }
}
