//! Reports: what stands on the page is what stands in `report.json`, and no more is said than was shown.

#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

use serde_json::{Value, json};
use taggant_core::ErrorKind;
use taggant_evidence::report::{
    Field, LIMITS, Outcome, Report, certification_13, certification_14,
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/report");

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/report/report.json")).unwrap()
}

fn read(json: &Value) -> taggant_core::Result<Report> {
    Report::from_json(&json.to_string())
}

/// The fixture's page after a change to its JSON.
fn changed(pointer: &str, value: Value) -> taggant_core::Result<String> {
    let mut json = fixture();
    *json.pointer_mut(pointer).unwrap() = value;
    read(&json)?.to_html()
}

/// What page one says: everything before section 1.
fn page_one(html: &str) -> String {
    visible(html.split_once("<h2 id=\"s1\"").unwrap().0)
}

/// A page as it is read.
fn visible(html: &str) -> String {
    let body = html.split_once("</style>").map_or(html, |(_, body)| body);
    let mut text = String::new();
    for part in body.split('<').skip(1) {
        text.push_str(part.split_once('>').map_or("", |(_, text)| text));
        text.push(' ');
    }
    let text = [("&#x2f;", "/"), ("&#x27;", "'"), ("&le;", "≤")]
        .iter()
        .fold(text, |text, (entity, sign)| text.replace(entity, sign));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The values in a page that say from which place of `report.json` they are, and what stands beside them.
fn values(html: &str) -> (Vec<(String, String)>, String) {
    let mut elements = html.split(" data-json=\"");
    let mut besides = elements.next().unwrap().to_owned();
    let mut found = Vec::new();
    for element in elements {
        let (pointer, rest) = element.split_once("\">").unwrap();
        let (text, after) = rest.split_once("</").unwrap();
        let mut text = text.replace('\u{a0}', "");
        for (entity, sign) in [("&#x2f;", "/"), ("&#x27;", "'")] {
            text = text.replace(entity, sign);
        }
        if after.starts_with("time") {
            text = text.replace(" UTC", "Z").replacen(' ', "T", 1);
            if !text.contains('.') {
                text = text.replace('Z', ".000Z");
            }
        }
        found.push((pointer.to_owned(), text));
        besides.push_str("></");
        besides.push_str(after);
    }
    (found, besides)
}

/// All strings and numbers of JSON, by pointer.
fn leaves(place: &str, value: &Value) -> Vec<(String, Value)> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| leaves(&format!("{place}/{name}"), value))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(index, value)| leaves(&format!("{place}/{index}"), value))
            .collect(),
        Value::Null => Vec::new(),
        value => vec![(place.to_owned(), value.clone())],
    }
}

fn goldens() -> [(&'static str, String); 3] {
    let report = read(&fixture()).unwrap();
    [
        ("report.html", report.to_html().unwrap()),
        (
            "certification-902-13.txt",
            certification_13(&report).unwrap(),
        ),
        (
            "certification-902-14.txt",
            certification_14(&report).unwrap(),
        ),
    ]
}

#[test]
fn one_report_is_one_page_to_the_byte() {
    for (name, text) in goldens() {
        let golden = std::fs::read_to_string(format!("{FOLDER}/{name}")).unwrap_or_default();
        assert!(
            text == golden,
            "{name} differs; look at it, then: cargo test -p taggant-evidence --test report -- --ignored"
        );
    }
    assert_eq!(goldens(), goldens());
    let report = read(&fixture()).unwrap();
    assert_eq!(
        Report::from_json(&report.to_json().unwrap()).unwrap(),
        report
    );
}

#[test]
#[ignore = "writes the golden files"]
fn golden_files_are_written() {
    for (name, text) in goldens() {
        std::fs::write(format!("{FOLDER}/{name}"), text).unwrap();
    }
}

#[test]
fn every_number_in_a_table_is_the_one_in_the_json_and_every_result_is_in_a_table() {
    let json = fixture();
    let html = read(&json).unwrap().to_html().unwrap();
    let (values, besides) = values(&html);
    assert!(values.len() > 250);
    for (pointer, text) in &values {
        let expected = match json.pointer(pointer).unwrap() {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(*text, expected.replace('\u{a0}', ""), "{pointer}");
    }
    // No digit gets into a table of data past those values.
    for table in besides.split("<table class=\"data").skip(1) {
        let body = table.split_once("<tbody>").unwrap().1;
        let body = body.split_once("</tbody>").unwrap().0;
        let text = visible(&format!("<tbody>{body}")).replace("log10", "");
        assert!(!text.contains(|c: char| c.is_ascii_digit()), "{text}");
    }
    for (pointer, value) in leaves("", &json["results"]) {
        let number = value.is_u64()
            || value
                .as_str()
                .is_some_and(|text| text.parse::<f64>().is_ok());
        let pointer = format!("/results{pointer}");
        if number && pointer != "/results/family" {
            assert!(
                values.iter().any(|(shown, _)| *shown == pointer),
                "{pointer}"
            );
        }
    }
}

#[test]
fn no_text_of_the_author_can_overstate_and_the_place_is_named() {
    let mut linted = 0;
    for (pointer, value) in leaves("", &fixture()) {
        if !value.is_string() {
            continue;
        }
        let error = changed(&pointer, json!("This proves it."))
            .unwrap_err()
            .to_string();
        if error.contains("`proves`") {
            assert!(
                error.contains(&format!("report.json {pointer}:")),
                "{error}"
            );
            linted += 1;
        }
    }
    assert!(linted > 80, "{linted}");
    let error = changed("/deviations/0", json!("by luck: 1 in 20 000 000 000")).unwrap_err();
    assert!(error.to_string().contains("beyond the floor"), "{error}");
}

#[test]
fn the_word_is_that_of_the_weaker_error_rate_and_nothing_is_below_the_floor() {
    // p = 1e-40 and no false finding in 1,000 null runs.
    let mut json = fixture();
    json["results"]["rows"][0]["e"] = Value::Null;
    let html = read(&json).unwrap().to_html().unwrap();
    let text = page_one(&html);
    for part in [
        "≤ 0.3 %",
        "≤ 1 in 1\u{a0}000\u{a0}000\u{a0}000",
        "Support; findings like these are rare",
        "Findings like these are rare (at most 0.3 %) if the training data of Lyra 7B (release 2026-11) did not include text",
        "section 10: rare .",
    ] {
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&part), "{part}\n{text}");
    }
    assert!(!text.contains("times more probable"));
    // The e-value of the plan's alternative is held at what the null runs can show.
    let text = page_one(&read(&fixture()).unwrap().to_html().unwrap());
    assert!(text.contains("Support: moderately strong"), "{text}");
    assert!(text.contains("The findings are about 330 times more probable if the training data of Lyra 7B (release 2026-11) included text issued under key 2026-08/campaign/east than if it did not."));
    assert!(!text.contains("-40"));
    // With enough null runs the floor holds it; with false findings among them, their exact limit.
    let text = page_one(&changed("/finding/floor", json!("0.02")).unwrap());
    assert!(text.contains("about 50 times more probable"), "{text}");
    let runs = json!({"runs": 1000, "findings": 5, "models": 40, "models_with_findings": 2});
    let text = page_one(&changed("/finding/null_runs", runs).unwrap());
    assert!(
        text.contains("≤ 1.1 %") && text.contains("uncommon"),
        "{text}"
    );
    assert!(text.contains("about 95 times more probable"), "{text}");
    // And a weak primary test decides when it is the weaker one.
    let mut json = fixture();
    json["finding"]["null_runs"]["runs"] = json!(1_000_000);
    json["results"]["rows"][0]["p"]["log10"] = json!("-3.9");
    json["results"]["rows"][0]["adjusted"]["log10"] = json!("-3.1");
    let text = page_one(&read(&json).unwrap().to_html().unwrap());
    assert!(
        text.contains("≤ 0.08 %") && text.contains("very rare"),
        "{text}"
    );
}

#[test]
fn exploratory_results_are_stamped_and_never_reach_page_one() {
    let html = read(&fixture()).unwrap().to_html().unwrap();
    assert_eq!(html.matches(">EXPLORATORY<").count(), 1);
    let other = changed("/results/rows/2/p/log10", json!("-300")).unwrap();
    assert_eq!(page_one(&other), page_one(&html));
    for standing in ["exploratory", "planned"] {
        let error = changed("/results/rows/0/standing", json!(standing)).unwrap_err();
        assert!(error.to_string().contains("0 primary tests"), "{error}");
    }
    let error = changed("/results/rows/2/standing", json!("primary")).unwrap_err();
    assert!(error.to_string().contains("2 primary tests"), "{error}");
    let adjusted = json!({"log10": "-7", "method": "Holm"});
    assert!(changed("/results/rows/2/adjusted", adjusted).is_err());
}

#[test]
fn the_conclusion_stops_at_the_first_missing_link_and_names_it() {
    let missing = json!({"missing": "nobody attested the issuance log"});
    let text = page_one(&changed("/finding/issued", missing.clone()).unwrap());
    for part in [
        "No conclusion: link 2 is missing",
        "Link 2: MISSING.",
        "The first missing link is link 2: nobody attested the issuance log",
        "The accounts are what their custodian says they are. No conclusion",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let text = page_one(&changed("/finding/accounts", missing).unwrap());
    assert!(text.contains("No conclusion: link 1 is missing"), "{text}");
    for text in [
        text,
        page_one(&changed("/finding/accounts", json!({"missing": "x"})).unwrap()),
    ] {
        assert!(
            !text.contains("times more probable") && !text.contains("Support:"),
            "{text}"
        );
    }
    assert!(changed("/finding/issued", json!({"shown": []})).is_err());
}

#[test]
fn no_support_and_inconclusive_are_told_with_the_power() {
    let mut json = fixture();
    json["results"]["rows"][0]["adjusted"]["log10"] = json!("-1.2");
    json["results"]["rows"][0]["p"]["log10"] = json!("-2");
    for (outcome, title) in [
        (json!("no-support"), "No support"),
        (
            json!({"inconclusive": "the tokenizer is another one."}),
            "Inconclusive",
        ),
    ] {
        json["finding"]["outcome"] = outcome;
        let text = page_one(&read(&json).unwrap().to_html().unwrap());
        assert!(
            text.contains(title) && text.contains("Link 3: MISSING."),
            "{text}"
        );
        assert!(
            text.contains("with probability 0.99 at 20000 units; 25310 were scored"),
            "{text}"
        );
        assert!(text.contains("not evidence that there is nothing"));
    }
    json["finding"]["outcome"] = json!("support");
    assert!(
        read(&json)
            .unwrap_err()
            .to_string()
            .contains("finding.outcome")
    );
    assert!(changed("/finding/outcome", json!("no-support")).is_err());
    assert!(changed("/method/self_test/right", json!(1715)).is_err());
}

#[test]
fn an_open_blank_makes_a_draft() {
    let mut report = read(&fixture()).unwrap();
    assert_eq!(report.final_faults().len(), 4);
    assert!(report.final_faults()[0].starts_with("disclosure.qualifications is open"));
    let html = report.to_html().unwrap();
    assert!(html.contains("<b>DRAFT.</b> 4 blanks are open"));
    assert_eq!(html.matches("class=\"blank\"").count(), 4);
    let filled = Field::Filled("written".to_owned());
    let disclosure = &mut report.disclosure;
    disclosure.qualifications = filled.clone();
    disclosure.publications = filled.clone();
    disclosure.testimony = filled.clone();
    disclosure.compensation = filled;
    assert!(report.final_faults().is_empty());
    let html = report.to_html().unwrap();
    assert!(!visible(&html).contains("DRAFT") && !html.contains("class=\"blank\""));
}

#[test]
fn the_page_needs_nothing_else_and_runs_nothing() {
    let hostile =
        "</title><script>alert(1)</script><img src=http://a.example/x onerror='x'> & \"q\"";
    for pointer in [
        "/subject/model",
        "/results/rows/0/test",
        "/results/decoys/score",
        "/disclosure/opinions/filled",
        "/materials/0/name",
        "/verification/0/command",
    ] {
        let html = changed(pointer, json!(hostile)).unwrap();
        assert!(
            !html.contains("<script") && !html.contains("<img"),
            "{pointer}"
        );
        assert!(html.contains("&lt;script&gt;"), "{pointer}");
    }
    let html = read(&fixture()).unwrap().to_html().unwrap();
    for part in [
        "<script", "<link", "<iframe", "<img", "src=", "href=", "@import", "http",
    ] {
        assert!(!html.contains(part), "{part}");
    }
    for tag in html.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        let mut attributes = tag.split('"').step_by(2);
        assert!(
            !attributes.any(|name| name.trim_start().starts_with("on")),
            "{tag}"
        );
    }
    assert_eq!(
        html.matches("url(").count(),
        html.matches("url(#hatch)").count()
    );
}

#[test]
fn every_figure_has_words_for_those_who_do_not_see_it_and_a_table_after_it() {
    let html = read(&fixture()).unwrap().to_html().unwrap();
    let figures: Vec<&str> = html.split("<figure>").skip(1).collect();
    assert_eq!(figures.len(), 4);
    for figure in figures {
        let (figure, after) = figure.split_once("</figure>").unwrap();
        for part in ["role=\"img\"", "<title", "<desc", "<figcaption>"] {
            assert!(figure.contains(part), "{part}");
        }
        assert!(
            after.trim_start().starts_with("<table class=\"data"),
            "{}",
            &after[..80]
        );
    }
}

#[test]
fn empty_lists_are_told() {
    let mut json = fixture();
    for list in [
        "/deviations",
        "/method/published",
        "/method/validation",
        "/collection/custody",
        "/results/controls",
        "/results/sensitivity",
    ] {
        *json.pointer_mut(list).unwrap() = json!([]);
    }
    for field in ["decoys", "path", "accounts", "redaction"] {
        json["results"][field] = Value::Null;
    }
    let text = visible(&read(&json).unwrap().to_html().unwrap());
    for part in [
        "No deviation from the plan is on record.",
        "No control was run.",
        "The plan declared no other set of assumptions, so the result stands on one.",
        "Nothing was withheld from the records that were scored.",
        "No event of custody is on record.",
    ] {
        assert!(text.contains(part), "{part}");
    }
    for limit in LIMITS {
        assert!(text.contains(limit), "{limit}");
    }
    json["plans"] = json!([]);
    assert!(
        read(&json)
            .unwrap_err()
            .to_string()
            .contains("plans: empty")
    );
}

#[test]
fn a_thousand_accounts_are_all_in_the_table_and_few_enough_in_the_chart() {
    let mut json = fixture();
    let accounts = (0..1000).map(|index| {
        json!({
            "pseudonym": format!("{index:064x}"),
            "role": if index < 30 { "supported" } else { "not-supported" },
            "exchanges": index,
            "log10_p": format!("-{}", 1 + index % 50),
        })
    });
    json["results"]["accounts"]["rows"] = accounts.collect();
    let html = read(&json).unwrap().to_html().unwrap();
    let (shown, _) = values(&html);
    let rows = shown
        .iter()
        .filter(|(pointer, _)| pointer.ends_with("/pseudonym"));
    assert_eq!(rows.count(), 1000);
    let chart = html.split_once("<title id=\"accounts-title\">").unwrap().1;
    let (chart, after) = chart.split_once("</svg>").unwrap();
    // Two more in the legend.
    assert_eq!(chart.matches("<circle").count(), 202);
    assert!(after.contains(
        "The 200 accounts with the smallest p out of 1000; the table below has all 1000."
    ));
}

#[test]
fn the_order_of_dates_is_kept_or_the_pair_is_named() {
    let names = [
        "key",
        "issuance",
        "plan",
        "beacon",
        "first_query",
        "last_query",
        "reveal",
    ];
    for pair in names.windows(2) {
        let mut json = fixture();
        let first = json["timeline"][pair[0]]["at"].take();
        json["timeline"][pair[0]]["at"] = json["timeline"][pair[1]]["at"].take();
        json["timeline"][pair[1]]["at"] = first;
        let error = read(&json).unwrap_err().to_string();
        assert!(error.contains("is not before"), "{error}");
    }
    let error = changed("/timeline/beacon/at", Value::Null)
        .unwrap_err()
        .to_string();
    assert!(error.contains("beacon round has no time"), "{error}");
}

#[test]
fn a_model_behind_an_interface_may_be_a_relay_unless_that_was_searched_for() {
    let relayed = "passed questions on to the provider";
    assert!(
        changed("/collection/profile", json!("two-collectors"))
            .unwrap()
            .contains(relayed)
    );
    assert!(
        !changed("/collection/profile", json!("weights"))
            .unwrap()
            .contains(relayed)
    );
    let search = "40 canaries; none in the log, attested by the custodian on 2026-12-01";
    let html = changed("/collection/relay_search", json!(search)).unwrap();
    assert!(!html.contains(relayed) && html.contains(search));
}

#[test]
fn certifications_hold_the_hashes_and_no_signature() {
    let json = fixture();
    let report = read(&json).unwrap();
    let (process, copies) = (
        certification_13(&report).unwrap(),
        certification_14(&report).unwrap(),
    );
    for material in json["materials"].as_array().unwrap() {
        let digest = material["sha256"].as_str().unwrap();
        assert!(process.contains(digest) && copies.contains(digest));
    }
    for part in [
        "/method/source",
        "/method/binary",
        "/method/self_test/sha256",
        "/results/analysis",
    ] {
        assert!(
            process.contains(json.pointer(part).unwrap().as_str().unwrap()),
            "{part}"
        );
    }
    assert!(process.contains("1716 results whose right answers are known, and 1716"));
    for text in [process, copies] {
        assert!(text.contains("Signature: ____") && text.contains("28 U.S.C. § 1746"));
        assert!(text.starts_with("DRAFT."));
    }
}

#[test]
fn json_of_another_shape_is_refused() {
    for (pointer, value, part) in [
        (
            "/results/rows/0/p/log10",
            json!("0.1877"),
            "log10 of a probability",
        ),
        (
            "/results/rows/0/p/log10",
            json!(-40),
            "log10 of a probability",
        ),
        (
            "/results/rows/0/effect/low",
            json!("0.09"),
            "outside of its interval",
        ),
        (
            "/results/rows/0/effect/low",
            json!("0.071234"),
            "4 significant digits",
        ),
        (
            "/results/rows/0/adjusted/log10",
            json!("-41"),
            "below the uncorrected one",
        ),
        ("/results/rows/0/rank/as_high", json!(1000), "control keys"),
        ("/results/decoys/bins/3/keys", json!(5000), "in bins"),
        ("/results/decoys/bins/3/to", json!("9"), "do not follow"),
        ("/results/path/points/3/answers", json!(1), "not in order"),
        ("/finding/null_runs/findings", json!(1001), "null_runs"),
        ("/finding/floor", json!("0"), "finding.floor"),
        ("/finding/scale", json!("my own"), "this version has"),
        ("/case", json!("two words"), "case"),
        ("/deviations/0", json!(" "), "/deviations/0"),
        (
            "/plans/1/fate",
            json!({"abandoned": "x"}),
            "none was carried out",
        ),
        ("/collection/scored", json!(1024), "1024 of 1023"),
        ("/subject", json!(["a", "b", "c"]), "report"),
        ("/format", json!("taggant-report/2"), "taggant-report/2"),
    ] {
        let mut json = fixture();
        *json.pointer_mut(pointer).unwrap() = value;
        let error = read(&json).unwrap_err();
        assert!(error.to_string().contains(part), "{pointer}: {error}");
        let unsupported = ["/format", "/finding/scale"].contains(&pointer);
        assert_eq!(
            error.kind() == ErrorKind::Unsupported,
            unsupported,
            "{pointer}"
        );
    }
    let mut json = fixture();
    json["note"] = json!("x");
    assert!(read(&json).is_err());
    let mut json = fixture();
    json["results"].as_object_mut().unwrap().remove("path");
    assert!(
        read(&json)
            .unwrap_err()
            .to_string()
            .contains("null is written")
    );
    let mut report = read(&fixture()).unwrap();
    report.finding.outcome = Outcome::NoSupport;
    assert!(
        report.to_json().is_err()
            && report.to_html().is_err()
            && certification_13(&report).is_err()
    );
}
