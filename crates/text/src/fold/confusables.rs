//! Letters of other scripts that look like Latin ones.
//!
//! A small table on purpose: letters that most typefaces draw exactly like the Latin one. Left
//! out are resemblances that ordinary mixed words rely on (`TNFα`, `hν`, `κ`, `μ`) and Cyrillic
//! small letters that only resemble Latin capitals (`в`, `н`, `т`).

/// Foreign letters, by code point, and the Latin letters they look like.
#[rustfmt::skip]
const TABLE: [(char, char); 105] = [
    // Greek.
    ('\u{391}', 'A'), ('\u{392}', 'B'), ('\u{395}', 'E'), ('\u{396}', 'Z'), ('\u{397}', 'H'), ('\u{399}', 'I'),
    ('\u{39A}', 'K'), ('\u{39C}', 'M'), ('\u{39D}', 'N'), ('\u{39F}', 'O'), ('\u{3A1}', 'P'), ('\u{3A4}', 'T'),
    ('\u{3A5}', 'Y'), ('\u{3A7}', 'X'), ('\u{3BF}', 'o'), ('\u{3F2}', 'c'), ('\u{3F3}', 'j'),
    // Cyrillic.
    ('\u{405}', 'S'), ('\u{406}', 'I'), ('\u{408}', 'J'), ('\u{410}', 'A'), ('\u{412}', 'B'), ('\u{415}', 'E'),
    ('\u{41A}', 'K'), ('\u{41C}', 'M'), ('\u{41D}', 'H'), ('\u{41E}', 'O'), ('\u{420}', 'P'), ('\u{421}', 'C'),
    ('\u{422}', 'T'), ('\u{423}', 'Y'), ('\u{425}', 'X'), ('\u{430}', 'a'), ('\u{435}', 'e'), ('\u{43E}', 'o'),
    ('\u{440}', 'p'), ('\u{441}', 'c'), ('\u{443}', 'y'), ('\u{445}', 'x'), ('\u{455}', 's'), ('\u{456}', 'i'),
    ('\u{458}', 'j'), ('\u{475}', 'v'), ('\u{4AE}', 'Y'), ('\u{4BB}', 'h'), ('\u{4C0}', 'I'), ('\u{4CF}', 'l'),
    ('\u{501}', 'd'), ('\u{51A}', 'Q'), ('\u{51B}', 'q'), ('\u{51C}', 'W'), ('\u{51D}', 'w'),
    // Armenian.
    ('\u{53C}', 'L'), ('\u{54F}', 'S'), ('\u{555}', 'O'), ('\u{566}', 'q'), ('\u{570}', 'h'), ('\u{575}', 'j'),
    ('\u{578}', 'n'), ('\u{57D}', 'u'), ('\u{581}', 'g'), ('\u{585}', 'o'),
    // Cherokee.
    ('\u{13A0}', 'D'), ('\u{13A1}', 'R'), ('\u{13A2}', 'T'), ('\u{13AA}', 'A'), ('\u{13AB}', 'J'), ('\u{13AC}', 'E'),
    ('\u{13B3}', 'W'), ('\u{13B7}', 'M'), ('\u{13BB}', 'H'), ('\u{13C0}', 'G'), ('\u{13C3}', 'Z'), ('\u{13D9}', 'V'),
    ('\u{13DA}', 'S'), ('\u{13DE}', 'L'), ('\u{13DF}', 'C'), ('\u{13E2}', 'P'), ('\u{13E6}', 'K'), ('\u{13F4}', 'B'),
    // Lisu.
    ('\u{A4D0}', 'B'), ('\u{A4D1}', 'P'), ('\u{A4D3}', 'D'), ('\u{A4D4}', 'T'), ('\u{A4D6}', 'G'), ('\u{A4D7}', 'K'),
    ('\u{A4D9}', 'J'), ('\u{A4DA}', 'C'), ('\u{A4DC}', 'Z'), ('\u{A4DD}', 'F'), ('\u{A4DF}', 'M'), ('\u{A4E0}', 'N'),
    ('\u{A4E1}', 'L'), ('\u{A4E2}', 'S'), ('\u{A4E3}', 'R'), ('\u{A4E6}', 'V'), ('\u{A4E7}', 'H'), ('\u{A4EA}', 'W'),
    ('\u{A4EB}', 'X'), ('\u{A4EC}', 'Y'), ('\u{A4EE}', 'A'), ('\u{A4F0}', 'E'), ('\u{A4F2}', 'I'), ('\u{A4F3}', 'O'),
    ('\u{A4F4}', 'U'),
];

/// The Latin letter that `c` looks like.
pub(super) fn latin(c: char) -> Option<char> {
    let at = TABLE
        .binary_search_by_key(&c, |&(foreign, _)| foreign)
        .ok()?;
    Some(TABLE[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_leads_to_ascii() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
        assert!(TABLE.iter().all(|(_, latin)| latin.is_ascii_alphabetic()));
    }

    #[test]
    fn it_covers_the_letters_evaders_use() {
        for (foreign, plain) in "аеорсхіАЕОРСХІ".chars().zip("aeopcxiAEOPCXI".chars())
        {
            assert_eq!(latin(foreign), Some(plain));
        }
        assert_eq!(latin('я'), None);
        assert_eq!(latin('α'), None);
    }
}
