//! JSONL corpora: one JSON object a line. A broken line is an error of its own, and reading goes on after it.

use std::io::{self, BufRead, Read};

use serde::de::Deserialize;

use crate::failure::{Failure, Result};

/// Longest line accepted: a response of some 50 million tokens. A limit that is named beats memory that runs out.
const MAX_LINE: u64 = 256 << 20;

/// The lines of a corpus.
pub(crate) struct Lines {
    input: Box<dyn BufRead>,
    number: u64,
    buffer: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(input: Box<dyn BufRead>) -> Self {
        Self {
            input,
            number: 0,
            buffer: Vec::new(),
        }
    }

    /// The next line that is not blank, with its number from 1, or what is wrong with it; `None` at the end. The outer error means
    /// that nothing more can be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, Result<&str>)>> {
        loop {
            self.number += 1;
            self.buffer.clear();
            let mut line = (&mut self.input).take(MAX_LINE + 1);
            if line.read_until(b'\n', &mut self.buffer)? == 0 {
                return Ok(None);
            }
            if self.buffer.len() as u64 > MAX_LINE {
                self.skip_line()?;
                let fault = Failure::new(format!("longer than {MAX_LINE} bytes"));
                return Ok(Some((
                    self.number,
                    Err(fault.hint("split the row into several")),
                )));
            }
            if !self.buffer.iter().all(u8::is_ascii_whitespace) {
                break;
            }
        }
        let text = std::str::from_utf8(self.buffer.trim_ascii())
            .map_err(|error| Failure::new(format!("not UTF-8 at byte {}", error.valid_up_to())));
        Ok(Some((self.number, text)))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        while self.buffer.last() != Some(&b'\n') {
            self.buffer.clear();
            let mut rest = (&mut self.input).take(1 << 20);
            if rest.read_until(b'\n', &mut self.buffer)? == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Reads one line as a row.
pub(crate) fn parse<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T> {
    if !line.starts_with('{') {
        return Err(Failure::new("not a JSON object"));
    }
    serde_json::from_str(line).map_err(|error| {
        if error.is_eof() {
            return Failure::new("not JSON: it ends too early");
        }
        // Every row is one line, so the parser's own line number would only mislead.
        let text = error.to_string();
        let fault = text.split(" at line ").next().unwrap_or(&text);
        let kind = if error.is_data() {
            "not a row"
        } else {
            "not JSON"
        };
        let failure = Failure::new(format!("{kind}: {fault} (column {})", error.column()));
        if fault.contains("integer `-") {
            return failure.hint("a negative token id stands for a token that was not sampled yet (asynchronous scheduling): drop it, or write rows when they are whole");
        }
        failure
    })
}
