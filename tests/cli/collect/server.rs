//! A suspect on the loopback interface that behaves as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// What a server does with a request.
pub(crate) enum Act {
    /// Answers with what it was asked.
    Answer,
    /// Answers with this text of so many tokens.
    Say(String, u64),
    /// This status, these headers, this body.
    Status(u16, &'static str, &'static str),
    /// Half an answer.
    CutOff,
    /// Closes without a word.
    Close,
    /// Answers after this time.
    Late(Duration),
}

/// A request as it came.
#[derive(Clone)]
pub(crate) struct Got {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Server {
    port: u16,
    connections: Arc<AtomicU64>,
    requests: Arc<Mutex<Vec<Got>>>,
}

impl Server {
    /// Starts one that decides by a request's number, from 1. It ends with the process.
    pub(crate) fn start(act: impl Fn(u64, &Got) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (connections, requests, act) = (
            Arc::clone(&server.connections),
            Arc::clone(&server.requests),
            Arc::new(act),
        );
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::Relaxed);
                let (requests, act) = (Arc::clone(&requests), Arc::clone(&act));
                thread::spawn(move || while serve(&stream, &requests, &*act).is_some() {});
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn requests(&self) -> Vec<Got> {
        self.requests.lock().unwrap().clone()
    }
}

/// Serves one request; nothing when the connection is over.
fn serve(
    mut stream: &TcpStream,
    requests: &Mutex<Vec<Got>>,
    act: &dyn Fn(u64, &Got) -> Act,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    })?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let got = Got { head, body };
    let number = {
        let mut requests = requests.lock().unwrap();
        requests.push(got.clone());
        requests.len() as u64
    };
    let answer = answer(&got);
    let (status, headers, body) = match act(number, &got) {
        Act::Answer => (200, "x-request-id: loopback\r\n", answer),
        Act::Say(text, tokens) => (200, "", said(&text, tokens)),
        Act::Status(status, headers, body) => (status, headers, body.to_owned()),
        Act::CutOff => {
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}",
                answer.len(),
                &answer[..answer.len() / 2]
            );
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return None;
        }
        Act::Close => {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return None;
        }
        Act::Late(time) => {
            thread::sleep(time);
            (200, "", answer)
        }
    };
    let whole = format!(
        "HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(whole.as_bytes()).ok()
}

/// Says something that depends on what it was asked.
fn answer(got: &Got) -> String {
    let request: Value = serde_json::from_slice(&got.body).unwrap_or_default();
    let text = format!(
        "{} {}",
        request["messages"][0]["content"].as_str().unwrap_or("?"),
        request["seed"]
    );
    said(&text, 8)
}

/// The body of an answer.
fn said(text: &str, tokens: u64) -> String {
    json!({
        "id": "x",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": tokens},
    })
    .to_string()
}
