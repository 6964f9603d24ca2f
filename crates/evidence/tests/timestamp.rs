//! Tokens of authorities that openssl plays (`tests/tools/authority.sh`): alpha with ECDSA and a signer's certificate that ran out a day later, beta
//! with RSA, gone with a certificate that had run out when it signed.

#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

use taggant_evidence::timestamp::{Authority, Token};
use taggant_evidence::{Digest, Time, Trust};

const ALPHA: &[u8] = include_bytes!("timestamp/alpha.tsr");
const BARE: &[u8] = include_bytes!("timestamp/alpha.token");
const BETA: &[u8] = include_bytes!("timestamp/beta.tsr");
const GONE: &[u8] = include_bytes!("timestamp/gone.tsr");

fn authority(text: &str) -> Authority {
    serde_json::from_str(text).unwrap()
}

fn alpha() -> Authority {
    authority(include_str!("timestamp/alpha.json"))
}

fn beta() -> Authority {
    authority(include_str!("timestamp/beta.json"))
}

fn file() -> Digest {
    Digest::of(include_bytes!("timestamp/file.txt"))
}

fn verify(token: &[u8], authority: &Authority) -> taggant_core::Result<Time> {
    authority.verify(&Token::from_der(token)?, &file())
}

#[test]
fn responses_and_bare_tokens_prove_their_time() {
    let said = |bytes| Token::from_der(bytes).unwrap().time();
    assert_eq!(said(ALPHA).to_string(), "2026-11-25T08:50:11.000Z");
    assert_eq!(said(BETA).to_string(), "2026-11-25T08:50:11.000Z");
    for (token, authority) in [(ALPHA, alpha()), (BARE, alpha()), (BETA, beta())] {
        assert_eq!(verify(token, &authority).unwrap(), said(token));
    }
}

/// What holds at the token's time is enough, and nothing else is: alpha's signer has run out since, gone's had run out before.
#[test]
fn certificates_are_judged_at_the_tokens_time() {
    let error = verify(GONE, &authority(include_str!("timestamp/gone.json"))).unwrap_err();
    assert!(
        error.to_string().contains("did not lead to the root"),
        "{error}"
    );
    let mut late = alpha();
    late.from = "2027-01-01T00:00:00.000Z".parse().unwrap();
    let error = verify(ALPHA, &late).unwrap_err().to_string();
    assert!(error.contains("is believed from 2027"), "{error}");
    let mut early = alpha();
    early.until = Token::from_der(ALPHA).unwrap().time();
    assert!(verify(ALPHA, &early).is_err());
}

#[test]
fn an_authority_is_one_unit() {
    for (what, part) in [
        ("all", "another signer"),
        ("signer", "another signer"),
        ("root", "did not lead to the root"),
        ("between", "did not lead to the root"),
    ] {
        let mut mixed = alpha();
        match what {
            "all" => mixed = beta(),
            "signer" => mixed.signer = beta().signer,
            "root" => mixed.root = beta().root,
            _ => mixed.between = beta().between,
        }
        let error = verify(ALPHA, &mixed).unwrap_err().to_string();
        assert!(error.contains(part), "{what}: {error}");
    }
}

#[test]
fn a_token_is_for_one_file() {
    let token = Token::from_der(ALPHA).unwrap();
    let error = alpha()
        .verify(&token, &[7; 32].into())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&file().to_string()) && error.contains("0707"),
        "{error}"
    );
}

/// Bits that no signature covers, such as the certificates sent along, may flip without changing what is proven; no flip changes the time or the
/// file, and none is a panic.
#[test]
fn no_flip_or_cut_proves_anything_else() {
    for (token, authority) in [(ALPHA, alpha()), (BETA, beta())] {
        let time = verify(token, &authority).unwrap();
        let mut passed = 0;
        for bit in 0..8 * token.len() {
            let mut bytes = token.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(found) = verify(&bytes, &authority) {
                assert_eq!(found, time);
                passed += 1;
            }
        }
        assert!(passed < 8 * token.len() * 9 / 10, "{passed} flips pass");
        for length in 0..token.len() {
            assert!(verify(&token[..length], &authority).is_err());
        }
        assert!(verify(&[token, &[0]].concat(), &authority).is_err());
    }
}

#[test]
fn what_is_no_token_is_said() {
    for (bytes, part) in [
        (&b""[..], "one DER sequence"),
        (b"{\"a\": 1}", "one DER sequence"),
        (
            &[0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x02],
            "refused, status 2",
        ),
        (&[0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x00], "no token"),
        (include_bytes!("timestamp/alpha.json"), "one DER sequence"),
    ] {
        let error = Token::from_der(bytes).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(
        Token::from_der(&vec![0x30; 1 << 21])
            .unwrap_err()
            .to_string()
            .contains("at most")
    );
}

/// A time counts when two roots vouch for it, whatever order the tokens come in; a second token of one authority is not a second voice.
#[test]
fn two_authorities_make_a_time() {
    let (a, b) = (
        include_str!("timestamp/alpha.json"),
        include_str!("timestamp/beta.json"),
    );
    let trust = Trust::from_json(&format!(
        r#"{{"format":"taggant-trust/1","authorities":[{a},{b}]}}"#
    ))
    .unwrap();
    let anchors = |tokens: &[(&str, &[u8])]| trust.anchors(&file(), tokens, None);
    let both = anchors(&[("b", BETA), ("a", ALPHA)]).unwrap();
    assert_eq!(both.time(), Some(both.stamps[1].time));
    assert_eq!(both.missing(), ["a tlog-proof"]);
    let one = anchors(&[("a", ALPHA), ("again", BARE)]).unwrap();
    assert_eq!((one.stamps.len(), one.time()), (2, None));
    assert_eq!(
        one.missing(),
        ["time-stamps of 1 more authorities", "a tlog-proof"]
    );
    let error = anchors(&[("a", ALPHA), ("g.tsr", GONE)])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("g.tsr: none of the trust file's 2 authorities"),
        "{error}"
    );
    let error = trust
        .anchors(&[7; 32].into(), &[("a.tsr", ALPHA)], None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("a.tsr: authority `alpha.example`: the token is over"),
        "{error}"
    );
}

#[test]
fn trust_files_that_say_something_else_are_refused() {
    let a = include_str!("timestamp/alpha.json").trim();
    for (text, part) in [
        ("".to_owned(), "EOF"),
        (
            r#"{"format":"taggant-trust/2","authorities":[]}"#.to_owned(),
            "taggant-trust/2",
        ),
        (
            r#"{"format":"taggant-trust/1","authorities":[],"signer":1}"#.to_owned(),
            "unknown field",
        ),
        (
            format!(
                r#"{{"format":"taggant-trust/1","authorities":[{}]}}"#,
                a.replace("2035", "2025")
            ),
            "no time at all",
        ),
        (
            r#"{"format":"taggant-trust/1","authorities":[],"logs":["quorum none"]}"#.to_owned(),
            "no line `log`",
        ),
    ] {
        let error = Trust::from_json(&text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

/// An authority that renewed its root is still one authority, under whatever name.
#[test]
fn entries_that_share_a_key_are_one_authority() {
    let (mut renewed, mut late) = (alpha(), alpha());
    renewed.name = "alpha anew".to_owned();
    renewed.root = beta().root;
    late.name = "alpha late".to_owned();
    let list = [renewed, alpha(), late].map(|entry| serde_json::to_string(&entry).unwrap());
    let trust = Trust::from_json(&format!(
        r#"{{"format":"taggant-trust/1","authorities":[{}]}}"#,
        list.join(",")
    ))
    .unwrap();
    let anchors = trust
        .anchors(&file(), &[("a", ALPHA), ("again", BARE)], None)
        .unwrap();
    assert_eq!((anchors.stamps.len(), anchors.time()), (2, None));
}
