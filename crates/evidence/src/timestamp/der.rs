//! The part of DER (X.690) that time-stamp tokens are written in: definite lengths, tags of one byte.

/// A cursor over DER values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Der<'a>(pub(super) &'a [u8]);

/// One value: its tag, its content, and all its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    pub(super) bytes: &'a [u8],
}

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The tag of `[number]`, constructed.
pub(super) const fn context(number: u8) -> u8 {
    0xA0 | number
}

impl<'a> Der<'a> {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The next value, in the one encoding that DER allows.
    pub(super) fn next(&mut self) -> Option<Value<'a>> {
        let all = self.0;
        let (&[tag, first], mut rest) = all.split_first_chunk::<2>()?;
        // Tags of several bytes do not occur.
        if tag & 0x1F == 0x1F {
            return None;
        }
        let length = match first {
            0..=0x7F => usize::from(first),
            0x81..=0x84 => {
                let (digits, after) = rest.split_at_checked(usize::from(first & 0x7F))?;
                rest = after;
                let length = digits
                    .iter()
                    .fold(0_usize, |length, digit| length << 8 | usize::from(*digit));
                // The shortest form only.
                let least = if digits.len() == 1 {
                    0x80
                } else {
                    1 << (8 * (digits.len() - 1))
                };
                (length >= least).then_some(length)?
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        let bytes = &all[..all.len() - rest.len()];
        self.0 = rest;
        Some(Value {
            tag,
            content,
            bytes,
        })
    }

    /// The next value, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<Value<'a>> {
        self.next().filter(|value| value.tag == tag)
    }

    /// The next value if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Value<'a>> {
        if self.0.first() == Some(&tag) {
            self.next()
        } else {
            None
        }
    }

    /// The content of the next value, which must have this tag.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.expect(tag).map(Value::inside)
    }
}

impl<'a> Value<'a> {
    pub(super) fn inside(self) -> Der<'a> {
        Der(self.content)
    }
}

/// A value written out.
pub(super) fn write(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if length < 0x80 {
        out.extend(u8::try_from(length));
    } else {
        let bytes = length.to_be_bytes();
        let digits = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        out.extend(u8::try_from(0x80 | digits.len()));
        out.extend_from_slice(digits);
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_there_and_back_at_every_length_form() {
        for length in [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x1_0000] {
            let content = vec![7; length];
            let bytes = write(SEQUENCE, &content);
            let mut der = Der(&bytes);
            let value = der.next().unwrap();
            assert_eq!(
                (value.tag, value.content, value.bytes),
                (SEQUENCE, &content[..], &bytes[..])
            );
            assert!(der.is_empty() && der.next().is_none());
            assert!(Der(&bytes[..bytes.len() - 1]).next().is_none());
        }
        // Indefinite, longer than need be, too long to be had, a tag of two bytes, nothing.
        for bad in [
            &[0x30, 0x80, 0, 0][..],
            &[0x30, 0x81, 0x01, 7],
            &[0x30, 0x82, 0, 0x80],
            &[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0x1F, 1, 7],
            &[0x30],
            &[],
        ] {
            assert!(Der(bad).next().is_none(), "{bad:x?}");
        }
    }
}
