//! Text with some ranges replaced, copied only if there are any.

use std::{borrow::Cow, ops::Range};

pub(super) struct Rewriter<'a> {
    source: &'a str,
    output: String,
    /// How much of `source` is in `output`, replaced or not.
    done: usize,
    /// Where the latest replacement begins, in `source` and in `output`.
    latest: (usize, usize),
}

impl<'a> Rewriter<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self {
            source,
            output: String::new(),
            done: 0,
            latest: (usize::MAX, 0),
        }
    }

    /// Replaces `range`, which begins where nothing was replaced yet, or where the latest
    /// replacement began: then it stands in that one's place.
    pub(super) fn replace(&mut self, range: Range<usize>, with: &str) {
        if range.start == self.latest.0 {
            self.output.truncate(self.latest.1);
        } else {
            self.output.push_str(&self.source[self.done..range.start]);
            self.latest = (range.start, self.output.len());
        }
        self.output.push_str(with);
        self.done = range.end;
    }

    pub(super) fn finish(mut self) -> Cow<'a, str> {
        if self.done == 0 {
            return Cow::Borrowed(self.source);
        }
        self.output.push_str(&self.source[self.done..]);
        Cow::Owned(self.output)
    }
}
