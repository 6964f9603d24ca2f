//! What cannot be seen: invisible characters, bidirectional marks, widths of spaces, line breaks.
//!
//! Whether an invisible character is orthography depends on the visible characters around it and
//! on the scripts of its line. The later passes change neither, which keeps folding idempotent.

use std::borrow::Cow;

use super::{Changes, rewriter::Rewriter};

/// Scripts of a line whose invisible characters and odd spaces belong to it.
#[derive(Clone, Copy, Default)]
struct Scripts {
    right_to_left: bool,
    mongolian: bool,
    hangul_jamo: bool,
    ogham: bool,
    braille: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unseen {
    Invisible,
    Bidirectional,
    Space,
    LineBreak,
}

pub(super) fn fold<'a>(text: &'a str, changes: &mut Changes) -> Cow<'a, str> {
    let mut rewriter = Rewriter::new(text);
    let mut start = 0;
    while start < text.len() {
        let rest = &text[start..];
        let end = rest.find(is_line_break).unwrap_or(rest.len());
        fold_line(&rest[..end], start, &mut rewriter, changes);
        let line_break = line_break(&rest[end..]);
        if !line_break.is_empty() && line_break != "\n" {
            changes.line_breaks += 1;
            rewriter.replace(start + end..start + end + line_break.len(), "\n");
        }
        start += end + line_break.len();
    }
    rewriter.finish()
}

fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

/// The line break at the start of `text`, if it is not at its end.
fn line_break(text: &str) -> &str {
    let length = match text.chars().next() {
        Some('\r') if text[1..].starts_with('\n') => 2,
        Some(c) => c.len_utf8(),
        None => 0,
    };
    &text[..length]
}

fn fold_line<'a>(line: &'a str, offset: usize, rewriter: &mut Rewriter<'a>, changes: &mut Changes) {
    if line.is_ascii() || !line.chars().any(|c| unseen(c).is_some()) {
        return;
    }
    let scripts = Scripts::of(line);
    let mut before = None;
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match unseen(c) {
            None | Some(Unseen::LineBreak) => {}
            Some(Unseen::Space) => {
                if !scripts.keep_space(c) {
                    changes.spaces += 1;
                    rewriter.replace(offset + at..offset + at + c.len_utf8(), " ");
                }
            }
            Some(Unseen::Invisible | Unseen::Bidirectional) => {
                // The whole run at once, so that its end is looked for only once.
                let mut end = at + c.len_utf8();
                while let Some((_, c)) = chars.next_if(|&(_, c)| is_run(c)) {
                    end += c.len_utf8();
                }
                let after = chars.peek().map(|&(_, c)| c);
                let run = &line[at..end];
                fold_run(run, scripts, before, after, |at, c| {
                    match unseen(c) {
                        Some(Unseen::Bidirectional) => changes.bidirectional += 1,
                        _ => changes.invisible += 1,
                    }
                    let at = offset + end - run.len() + at;
                    rewriter.replace(at..at + c.len_utf8(), "");
                });
                continue;
            }
        }
        before = Some(c);
    }
}

fn is_run(c: char) -> bool {
    matches!(unseen(c), Some(Unseen::Invisible | Unseen::Bidirectional))
}

/// Calls `remove` with the characters of a run of unseen ones that are not orthography.
fn fold_run(
    run: &str,
    scripts: Scripts,
    before: Option<char>,
    after: Option<char>,
    mut remove: impl FnMut(usize, char),
) {
    // Tags are a flag's name or nothing.
    let tags: String = run.chars().filter(|&c| is_tag(c)).collect();
    let flag = before == Some('\u{1F3F4}') && FLAGS.contains(&tags.as_str());
    let mut kept = Vec::new();
    for (at, c) in run.char_indices() {
        let first = kept.is_empty();
        let twice = kept.contains(&c);
        let keep = match c {
            _ if is_tag(c) => flag,
            _ if is_selector(c) => first && before.is_some_and(|b| takes(b, c, after)),
            '\u{200D}' => {
                !twice
                    && (before.is_some_and(joins)
                        || before.is_some_and(is_pictograph) && after.is_some_and(is_pictograph))
            }
            '\u{200C}' => !twice && before.is_some_and(joins),
            '\u{200B}' => {
                !twice && before.is_some_and(is_unspaced) && after.is_some_and(is_unspaced)
            }
            // Keeps Hebrew points apart.
            '\u{34F}' => first && matches!(before, Some('\u{590}'..='\u{5FF}')),
            '\u{180E}' => !twice && scripts.mongolian,
            '\u{115F}' | '\u{1160}' => !twice && scripts.hangul_jamo,
            '\u{202D}' | '\u{202E}' => false,
            _ => unseen(c) == Some(Unseen::Bidirectional) && scripts.right_to_left,
        };
        if keep {
            // Long runs of kept marks need no memory: all that is asked is which kinds there are.
            if !twice {
                kept.push(c);
            }
        } else {
            remove(at, c);
        }
    }
}

fn unseen(c: char) -> Option<Unseen> {
    if c < '\u{A0}' {
        return (c == '\r').then_some(Unseen::LineBreak);
    }
    Some(match c {
        '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{2800}' => {
            Unseen::Space
        }
        '\u{2028}' | '\u{2029}' => Unseen::LineBreak,
        '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
            Unseen::Bidirectional
        }
        '\u{AD}'
        | '\u{34F}'
        | '\u{115F}'
        | '\u{1160}'
        | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200D}'
        | '\u{2060}'..='\u{2065}'
        | '\u{206A}'..='\u{206F}'
        | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}'
        | '\u{FFA0}'
        | '\u{FFF0}'..='\u{FFFB}'
        | '\u{E0000}'..='\u{E0FFF}' => Unseen::Invisible,
        _ => return None,
    })
}

impl Scripts {
    fn of(line: &str) -> Self {
        let mut scripts = Self::default();
        for c in line.chars() {
            match c {
                '\u{5D0}'..='\u{5F2}'
                | '\u{620}'..='\u{64A}'
                | '\u{66E}'..='\u{6D3}'
                | '\u{6FA}'..='\u{6FF}'
                | '\u{710}'..='\u{72F}'
                | '\u{74D}'..='\u{7EA}'
                | '\u{800}'..='\u{815}'
                | '\u{840}'..='\u{858}'
                | '\u{860}'..='\u{8C9}'
                | '\u{FB1D}'..='\u{FDFB}'
                | '\u{FE70}'..='\u{FEFC}'
                | '\u{10800}'..='\u{10FFF}'
                | '\u{1E800}'..='\u{1EFFF}' => scripts.right_to_left = true,
                '\u{1820}'..='\u{18AA}' => scripts.mongolian = true,
                '\u{1100}'..='\u{115E}'
                | '\u{1161}'..='\u{11FF}'
                | '\u{A960}'..='\u{A97C}'
                | '\u{D7B0}'..='\u{D7FB}' => scripts.hangul_jamo = true,
                '\u{1681}'..='\u{169A}' => scripts.ogham = true,
                '\u{2801}'..='\u{28FF}' => scripts.braille = true,
                _ => {}
            }
        }
        scripts
    }

    /// Mongolian suffixes hang on a narrow no-break space; Ogham and Braille have their own.
    fn keep_space(self, c: char) -> bool {
        match c {
            '\u{202F}' => self.mongolian,
            '\u{1680}' => self.ogham,
            '\u{2800}' => self.braille,
            _ => false,
        }
    }
}

/// The three flags that tags can spell (England, Scotland, Wales), with the closing tag.
const FLAGS: [&str; 3] = [
    "\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}",
    "\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}",
    "\u{E0067}\u{E0062}\u{E0077}\u{E006C}\u{E0073}\u{E007F}",
];

fn is_tag(c: char) -> bool {
    matches!(c, '\u{E0000}'..='\u{E007F}')
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}' | '\u{180B}'..='\u{180D}' | '\u{180F}')
}

/// Whether `selector` chooses a variant of `base`.
fn takes(base: char, selector: char, after: Option<char>) -> bool {
    let ideograph = matches!(base, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}');
    match selector {
        '\u{FE0E}' | '\u{FE0F}' => {
            is_pictograph(base)
                || matches!(base, '0'..='9' | '#' | '*') && after == Some('\u{20E3}')
        }
        '\u{FE00}'..='\u{FE0D}' => {
            ideograph
                || matches!(
                    base,
                    '\u{1000}'..='\u{109F}'
                        | '\u{2200}'..='\u{22FF}'
                        | '\u{2A00}'..='\u{2AFF}'
                        | '\u{3001}'..='\u{3002}'
                        | '\u{A840}'..='\u{A87F}'
                        | '\u{AA60}'..='\u{AA7F}'
                )
        }
        '\u{180B}'..='\u{180F}' => matches!(base, '\u{1820}'..='\u{18AA}'),
        _ => ideograph,
    }
}

/// Emoji, and the symbols that have emoji forms.
fn is_pictograph(c: char) -> bool {
    matches!(
        c,
        '\u{A9}'
            | '\u{AE}'
            | '\u{203C}'
            | '\u{2049}'
            | '\u{2122}'
            | '\u{2139}'
            | '\u{2190}'..='\u{21FF}'
            | '\u{2300}'..='\u{23FF}'
            | '\u{24C2}'
            | '\u{25A0}'..='\u{27BF}'
            | '\u{2934}'..='\u{2935}'
            | '\u{2B05}'..='\u{2B55}'
            | '\u{3030}'
            | '\u{303D}'
            | '\u{3297}'
            | '\u{3299}'
            | '\u{1F000}'..='\u{1F0FF}'
            | '\u{1F170}'..='\u{1F251}'
            | '\u{1F300}'..='\u{1FAFF}'
    )
}

/// Scripts in which joiners choose the shape of the letters around them.
fn joins(c: char) -> bool {
    matches!(
        c,
        '\u{600}'..='\u{7FF}'
            | '\u{840}'..='\u{DFF}'
            | '\u{F00}'..='\u{109F}'
            | '\u{1700}'..='\u{18AF}'
            | '\u{1A20}'..='\u{1C4F}'
            | '\u{A840}'..='\u{A8FF}'
            | '\u{A980}'..='\u{A9DF}'
            | '\u{ABC0}'..='\u{ABFF}'
            | '\u{FB50}'..='\u{FDFF}'
            | '\u{FE70}'..='\u{FEFC}'
            | '\u{10A00}'..='\u{10FFF}'
            | '\u{11000}'..='\u{11FFF}'
            | '\u{1E900}'..='\u{1E95F}'
    )
}

/// Scripts without spaces between words, which mark places to break a line with U+200B.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{E00}'..='\u{EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{1950}'..='\u{19DF}' | '\u{1A20}'..='\u{1AAF}' | '\u{AA60}'..='\u{AADF}')
}
