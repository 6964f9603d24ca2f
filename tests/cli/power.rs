//! Plans: tables, objects, plots, and what cannot be planned.

use serde_json::Value;

use crate::Desk;

fn plan(desk: &Desk, arguments: &str) -> Value {
    let ran = desk.good(&format!("power {arguments} --json"));
    assert_eq!(ran.json().len(), 1, "{}", ran.stdout);
    ran.json()[0].clone()
}

fn units(size: &Value) -> f64 {
    size["units"].as_f64().unwrap()
}

#[test]
fn sizes_of_marked_text_follow_scheme_and_effect() {
    let desk = Desk::empty();
    let default = ["gumbel", "tournament", "greenlist"]
        .map(|scheme| plan(&desk, &format!("text --scheme {scheme}")));
    let effects = default.clone().map(|plan| plan["effect"].as_f64().unwrap());
    assert_eq!(format!("{effects:?}"), "[2.1, 1.2, 0.74]");
    for plan in &default {
        assert_eq!(plan["fixed"]["exact"], true, "{plan}");
        assert!(units(&plan["fixed"]) < 200.0 && units(&plan["sequential"]) > 5.0);
    }
    let weak = plan(&desk, "text --scheme greenlist --gamma 0.5 --effect 0.1");
    let weaker = plan(&desk, "text --scheme greenlist --gamma 0.5 --effect 0.05");
    let ratio = units(&weaker["fixed"]) / units(&weak["fixed"]);
    assert!((ratio - 4.0).abs() < 0.05, "{ratio}");
    let shown = desk.good("power text --scheme tournament --depth 20 --effect 0.5");
    assert!(
        shown.stdout.contains("fixed size") && shown.stdout.contains("sequential"),
        "{}",
        shown.stdout
    );
}

#[test]
fn distillation_is_counted_in_units_tokens_answers_and_money() {
    let desk = Desk::empty();
    let told = plan(&desk, "distill --share 0.05 --have 88797");
    assert_eq!(told["effect"], 0.05 * 0.407);
    assert_eq!(told["normal"]["units"], 87_948);
    let fixed = &told["fixed"];
    let amount = |name: &str| fixed[name].as_f64().unwrap();
    assert!((amount("tokens") - 3.0 * units(fixed)).abs() < 0.5);
    assert!((amount("answers") - (units(fixed) / 100.0).ceil()).abs() < 0.5);
    // What needs that much is what that much could have shown.
    assert!((told["have"]["power"].as_f64().unwrap() - 0.9).abs() < 2e-3);
    assert!((told["have"]["smallest_share"].as_f64().unwrap() - 0.05).abs() < 1e-3);
    let many = plan(&desk, "distill --share 0.05 --keys 24000");
    assert!((many["alpha"].as_f64().unwrap() * 24_000.0 / 1e-6 - 1.0).abs() < 1e-9);
    assert!(units(&many["fixed"]) > 1.6 * units(fixed));

    let open = plan(
        &desk,
        "distill --share 1 --preset open --kappa 0.02 --have 50",
    );
    assert_eq!(open["effect"], 0.02);
    assert_eq!(open["have"]["smallest_share"], Value::Null);

    let ran = desk.good("power distill --share 0.0001 --preset open --keys 24000");
    assert!(ran.stdout.contains("infeasible"), "{}", ran.stdout);
    let ran = desk.good("power distill --share 1e-200");
    assert!(ran.stdout.contains("infeasible"), "{}", ran.stdout);
}

#[test]
fn routes_to_accounts_say_which_is_feasible() {
    let desk = Desk::empty();
    let told = plan(&desk, "attribute --accounts 24000 --share 0.2");
    let sizes = ["shared", "omnibus_formula", "single"].map(|route| units(&told[route]));
    for (found, published) in sizes.into_iter().zip([5.5e3, 4.8e9, 5.3e12]) {
        assert!((found / published - 1.0).abs() < 0.01, "{told}");
    }
    assert_eq!(told["single"]["feasible"], false);
    let advice = |accounts: u64| {
        let ran = desk.good(&format!(
            "power attribute --accounts {accounts} --share 0.2"
        ));
        ran.stdout.replace('\n', " ")
    };
    assert!(advice(24_000).contains("by its own key is infeasible. To name accounts"));
    assert!(advice(10).contains("times as much text"));
    assert!(advice(1).contains("one test does both"));
}

#[test]
fn twins_are_counted_in_exchanges() {
    let desk = Desk::empty();
    let told = plan(
        &desk,
        "twins --auc 0.6 --twins 4 --accounts 24000 --have 667",
    );
    assert_eq!(told["exchanges"], 589);
    assert!((told["have"]["z"].as_f64().unwrap() - 8.28).abs() < 0.01);
    assert!((told["have"]["smallest_auc"].as_f64().unwrap() - 0.594).abs() < 1e-3);
    let few = plan(&desk, "twins --auc 0.99 --twins 1 --have 3");
    assert_eq!(few["have"]["smallest_auc"], Value::Null);
    assert_eq!(few["exchanges"], 20);
}

#[test]
fn plots_are_whole_files_and_the_same_each_time() {
    let desk = Desk::empty();
    for arguments in [
        "text --scheme greenlist",
        "text --scheme gumbel --effect 1e-9",
        "distill --share 1",
        "distill --share 0.00001 --preset open",
        "attribute --accounts 1 --share 1",
        "attribute --accounts 1000000 --share 0.001",
        "twins --auc 0.501 --accounts 10",
        "twins --auc 0.999",
    ] {
        desk.good(&format!("power {arguments} --svg a.svg"));
        desk.good(&format!("power {arguments} --svg b.svg --json"));
        let drawn = desk.read("a.svg");
        assert_eq!(drawn, desk.read("b.svg"));
        assert!(drawn.starts_with("<svg") && drawn.trim_end().ends_with("</svg>"));
        for part in ["power", "logarithmic", "<polyline"] {
            assert!(drawn.contains(part), "{arguments}: {part}");
        }
        assert!(!drawn.contains("NaN"), "{arguments}");
    }
    assert_eq!(desk.names(), ["a.svg", "b.svg"]);
    let said = desk.bad("power twins --auc 0.6 --svg no/such/folder/a.svg");
    assert!(said.contains("no/such/folder"), "{said}");
    let said = desk.bad("power twins --auc 0.6 --svg -");
    assert!(said.contains("next: give --svg a file"), "{said}");
}

#[test]
fn what_cannot_be_planned_is_named() {
    let desk = Desk::empty();
    for (arguments, part) in [
        ("text --scheme gumble", "scheme `gumble`"),
        ("text --scheme gumbel --gamma 0.5", "has no parameter"),
        ("text --scheme greenlist --gamma 1.5", "--gamma is 1.5"),
        ("text --scheme tournament --depth 33", "33"),
        ("text --scheme gumbel --effect 0", "effect is 0"),
        ("text --scheme gumbel --effect=-1", "effect is -1"),
        ("text --scheme gumbel --effect inf", "effect is inf"),
        ("text --scheme greenlist --effect 1.8", "1.7321"),
        ("text --scheme gumbel --alpha 0", "alpha is 0"),
        ("text --scheme gumbel --alpha 1", "alpha is 1"),
        ("text --scheme gumbel --alpha nan", "alpha is NaN"),
        ("text --scheme gumbel --power 1", "power is 1"),
        ("distill --share 0", "share is 0"),
        ("distill --share 1.01", "share is 1.01"),
        ("distill --share nan", "share is NaN"),
        ("distill --share 0.1 --kappa 0", "effect is 0"),
        ("distill --share 0.1 --kappa 30", "1.7321"),
        ("distill --share 0.1 --keys 0", "keys is 0"),
        (
            "distill --share 0.1 --tokens-per-answer 0",
            "tokens per answer is 0",
        ),
        (
            "distill --share 0.1 --price-per-million=-1",
            "price per million is -1",
        ),
        ("attribute --accounts 0 --share 0.2", "accounts is 0"),
        ("attribute --accounts 3 --share 2", "share is 2"),
        ("twins --auc 0.5", "no separation"),
        ("twins --auc 0.2", "no number of exchanges suffices"),
        ("twins --auc 1", "auc is 1"),
        ("twins --auc nan", "auc is NaN"),
        ("twins --auc 0.6 --twins 0", "twins is 0"),
        ("twins --auc 0.6 --accounts 0", "accounts is 0"),
    ] {
        let said = desk.bad(&format!("power {arguments}"));
        assert!(said.contains(part), "{arguments}: {said}");
    }
}
