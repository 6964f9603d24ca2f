//! `power text | distill | attribute | twins`: how much text shows how much mark.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use serde_json::{Map, Value, json};
use taggant_core::schemes::Parameters;
use taggant_detector::power::{
    Attribution, CLOSED_KAPPA, Distillation, Effect, FEASIBLE, Goal, OPEN_KAPPA, Prices, Size,
    Twins, normal_units, power_at, sequential_units, units_needed,
};
use taggant_detector::stats::Law;

use crate::Answer;
use crate::args::{
    Plan, Power, PowerAttribute, PowerDistill, PowerText, PowerTwins, Preset, Student,
};
use crate::commands::generate::threshold;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::plot::{Curve, Plot};

pub(crate) fn run(command: &Power) -> Result<Answer> {
    match command {
        Power::Text(args) => text(args),
        Power::Distill(args) => distill(args),
        Power::Attribute(args) => attribute(args),
        Power::Twins(args) => twins(args),
    }
}

fn text(args: &PowerText) -> Result<Answer> {
    let goal = args.plan.goal()?;
    let (name, law) = scheme_law(&args.scheme, args.gamma, args.depth)?;
    let shift = args.effect.unwrap_or(match name {
        "tournament" => 1.2,
        "greenlist" => 0.74,
        _ => 2.1,
    });
    let effect = effect("--effect", shift)?;
    let sizes = Sizes::new(&law, effect, goal)?;
    let mut table = Table::new(&["units"]);
    for (label, units) in sizes.rows() {
        table.row(label, vec![count(units)]);
    }
    let screen = format!(
        "Marked text: {name}, each unit shifts by {shift} standard deviations.\n{}\n\n{table}\n{}\n{SIZES}\n{}\n{}",
        told(goal),
        "Units are tokens with their windows, each counted once: as many tokens as units, if the text does\n\
         not repeat itself, and the window's few at the start of each response.",
        match args.effect {
            Some(_) => "The effect is as given.",
            None =>
                "The effect was measured on SmolLM2-135M at temperature 1, top-p 0.95; colder sampling and surer\n\
                     models show less.",
        },
        "Marked units are taken to follow the null law, moved to that mean."
    );
    let json = object(
        [
            ("plan", json!("text")),
            ("scheme", json!(name)),
            ("effect", json!(shift)),
        ],
        &[plan_json(goal), sizes.json(None)],
    );
    deliver(&args.plan, &screen, &json, || {
        let asked = (shift, format!("{shift} (asked)"));
        let factors = [0.25, 0.5, 2.0, 4.0].map(|factor| factor * shift);
        let others = factors
            .into_iter()
            .filter_map(|shift| Some((Effect::new(shift).ok()?, digits(shift))))
            // A unit of this law may not be able to shift by so much.
            .filter(|(effect, _)| power_at(&law, 1, *effect, goal.alpha()).is_ok())
            .map(|(effect, label)| (effect.get(), label));
        let effects = ordered(others, asked);
        effect_plot(
            &law,
            goal,
            &effects,
            format!("Text under {name}, alpha {}", tiny(goal.alpha())),
            "effect of a unit (sd)",
            sizes.fixed.units,
        )
    })
}

fn distill(args: &PowerDistill) -> Result<Answer> {
    let goal = args.plan.goal()?.shared_by(args.keys)?;
    let suspect = Suspect::new(&args.student)?;
    let Suspect {
        law,
        student,
        prices,
        ..
    } = &suspect;
    let sizes = Sizes::new(law, student.effect(), goal)?;
    let mut table = Table::new(&["scored units", "tokens", "answers", "price"]);
    for (label, units) in sizes.rows() {
        let cost = prices.cost(units);
        table.row(
            label,
            vec![
                count(units),
                count(cost.tokens),
                count(cost.queries),
                money(cost.price),
            ],
        );
    }
    let mut screen = format!("{}\n{}", suspect.told(), told(goal));
    if args.keys > 1 {
        screen.push_str(&format!(" for each of {} keys", count(real(args.keys))));
    }
    screen.push_str(&format!(
        "\n\n{table}\n{SIZES}\n{}\n{LINEAR}",
        suspect.prices_told()
    ));
    let mut parts = vec![plan_json(goal), suspect.json(), sizes.json(Some(prices))];
    if let Some(have) = args.have {
        let power = power_at(law, have, student.effect(), goal.alpha())?;
        let least = student.detectable_share(law, have, goal);
        screen.push_str(&format!(
            "\n\nWith the {} units at hand: power {power:.2}.\n",
            count(real(have))
        ));
        screen.push_str(&match least {
            Some(share) => format!(
                "The smallest share they show with power {} is {}.",
                goal.power(),
                percent(share)
            ),
            None => format!(
                "Not even a student trained on nothing else would show with power {}.",
                goal.power()
            ),
        });
        parts.push(json!({"have": {"units": have, "power": power, "smallest_share": least}}));
    }
    let json = object(
        [
            ("plan", json!("distill")),
            ("keys", json!(args.keys)),
            ("effect", json!(student.effect().get())),
        ],
        &parts,
    );
    deliver(&args.plan, &screen, &json, || {
        let share = args.student.share;
        let asked = (
            student.effect().get(),
            format!("{} (asked)", percent(share)),
        );
        let others = [0.2, 0.5, 2.0, 5.0]
            .map(|factor| factor * share)
            .into_iter()
            .filter(|share| *share <= 1.0)
            .map(|share| (suspect.kappa * share, percent(share)));
        effect_plot(
            law,
            goal,
            &ordered(others, asked),
            format!(
                "Distillation, {}, alpha {}",
                suspect.name,
                tiny(goal.alpha())
            ),
            "share of the training text",
            sizes.fixed.units,
        )
    })
}

fn attribute(args: &PowerAttribute) -> Result<Answer> {
    let goal = args.plan.goal()?;
    let suspect = Suspect::new(&args.student)?;
    let Suspect {
        student, prices, ..
    } = &suspect;
    let routes = Attribution::new(student, args.accounts, goal)?;
    let rows = [
        ("shared", "one key for the whole campaign", routes.shared),
        ("omnibus", "a key each, all tested together", routes.omnibus),
        (
            "omnibus_formula",
            "  by the normal formula",
            routes.omnibus_formula,
        ),
        ("single", "a key each, one account named", routes.single),
    ];
    let mut table = Table::new(&["scored units", "tokens", "price"]);
    let mut parts = vec![plan_json(goal), suspect.json()];
    for (key, label, units) in rows {
        let units = units.ceil();
        let cost = prices.cost(units);
        table.row(
            label,
            vec![count(units), count(cost.tokens), money(cost.price)],
        );
        parts.push(json!({ key: size_json(units, Some(prices)) }));
    }
    let accounts = count(real(args.accounts));
    let equal = match args.accounts {
        1 => "One account with all of it.".to_owned(),
        _ => format!("{accounts} accounts with equal parts of it."),
    };
    let shared = routes.shared;
    let sentence = match (shared <= FEASIBLE, routes.single <= FEASIBLE) {
        (false, _) => "No route by watermark keys is feasible: even one shared key needs more text than a suspect can be made to write.".to_owned(),
        (true, false) => format!(
            "The shared campaign key is feasible and shows that the campaign was trained on; naming one of {accounts} accounts by \
             its own key is infeasible. To name accounts, test sealed twins: taggant power twins."
        ),
        (true, true) if args.accounts == 1 => "With one account the campaign's key is the account's: one test does both.".to_owned(),
        (true, true) => format!(
            "The shared campaign key is feasible and shows that the campaign was trained on; naming one of {accounts} accounts by \
             its own key takes {} times as much text. Sealed twins may be cheaper: taggant power twins.",
            count((routes.single / shared).round())
        ),
    };
    let screen = format!(
        "{}\n{equal} {}\n\n{table}\n{}\n\n{ROUTES}\n{}\n{LINEAR}",
        suspect.told(),
        told(goal),
        sentence.replace("; ", ";\n").replace(". ", ".\n"),
        suspect.prices_told(),
    );
    parts.push(json!({ "advice": sentence }));
    let json = object(
        [
            ("plan", json!("attribute")),
            ("accounts", json!(args.accounts)),
            ("effect", json!(student.effect().get())),
        ],
        &parts,
    );
    deliver(&args.plan, &screen, &json, || {
        let least = routes.shared.min(routes.omnibus);
        let most = routes.single.max(routes.omnibus);
        let range = ((least / 30.0).max(1.0), (4.0 * most).max(100.0));
        let curve = |label: &str, route: usize| Curve {
            label: label.to_owned(),
            points: Plot::sizes(range)
                .into_iter()
                .map(|size| (size, routes.powers_at(size)[route]))
                .collect(),
            asked: route == 0,
        };
        Ok(Plot {
            title: format!(
                "Accounts: {}; {} of the training text, alpha {}",
                accounts,
                percent(args.student.share),
                tiny(goal.alpha())
            ),
            unit: "scored units",
            curves: vec![
                curve("one shared key", 0),
                curve("keys tested together", 1),
                curve("one account named", 2),
            ],
            legend: "route",
            target: goal.power(),
            answer: routes.shared,
            label: format!("{} at {} units", goal.power(), count(routes.shared.ceil())),
            range,
        })
    })
}

fn twins(args: &PowerTwins) -> Result<Answer> {
    if args.accounts == 0 {
        return Err(Failure::new("accounts is 0; there must be at least 1"));
    }
    let goal = args.plan.goal()?.shared_by(args.accounts)?;
    let test = Twins::new(args.auc, args.twins)?;
    let needed = test.exchanges_needed(goal);
    let mut table = Table::new(&["exchanges"]);
    table.row("fixed size", vec![count(needed)]);
    let mut screen = format!(
        "Sealed twins: {} for each exchange, a served answer ranks above a sealed one with probability {}.\n{}",
        args.twins,
        args.auc,
        told(goal)
    );
    if args.accounts > 1 {
        screen.push_str(&format!(
            " for each of {} accounts",
            count(real(args.accounts))
        ));
    }
    screen.push_str(&format!(
        "\n\n{table}\nExchanges: those of one account whose served and sealed answers the suspect is asked about. Each\n\
         shifts the score by {:.3} standard deviations; for so small a p-value to exist takes at least {}.\n\
         By normal theory, rough below some dozens. The probability must come from a pilot: it depends on\n\
         how the student was trained.",
        test.effect().get(),
        count(test.fewest(goal.alpha())),
    ));
    let mut parts = vec![
        plan_json(goal),
        json!({"exchanges": number(needed), "feasible": needed <= FEASIBLE}),
    ];
    if let Some(have) = args.have {
        let power = test.power_at(have, goal.alpha())?;
        let (z, least) = (test.z_at(have), test.detectable_auc(have, goal));
        screen.push_str(&format!(
            "\n\nWith the {} exchanges at hand: z {z:.1} on average, power {power:.2}.\n",
            count(real(have))
        ));
        screen.push_str(&match least {
            Some(auc) => format!(
                "The smallest probability they show with power {} is {auc:.3}.",
                goal.power()
            ),
            None => "They are too few for any.".to_owned(),
        });
        parts.push(
            json!({"have": {"exchanges": have, "z": z, "power": power, "smallest_auc": least}}),
        );
    }
    let json = object(
        [
            ("plan", json!("twins")),
            ("auc", json!(args.auc)),
            ("twins", json!(args.twins)),
            ("accounts", json!(args.accounts)),
            ("effect", json!(test.effect().get())),
        ],
        &parts,
    );
    deliver(&args.plan, &screen, &json, || {
        let asked = (args.auc, format!("{} (asked)", args.auc));
        let others = [0.52, 0.55, 0.6, 0.7, 0.9]
            .into_iter()
            .filter(|auc| (auc - args.auc).abs() > 0.009)
            .map(|auc| (auc, auc.to_string()));
        let all = ordered(others, asked);
        let tests = all
            .iter()
            .map(|(auc, ..)| Ok(Twins::new(*auc, args.twins)?))
            .collect::<Result<Vec<_>>>()?;
        let most = tests
            .iter()
            .map(|test| test.exchanges_needed(goal))
            .fold(needed, f64::max);
        let range = (1.0, (2.0 * most).max(100.0));
        let curves = all
            .iter()
            .zip(&tests)
            .map(|((_, label, asked), test)| {
                let points = Plot::sizes(range)
                    .into_iter()
                    .map(|size| Ok((size, test.power_at(whole(size), goal.alpha())?)))
                    .collect::<Result<_>>()?;
                Ok(Curve {
                    label: label.clone(),
                    points,
                    asked: *asked,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Plot {
            title: format!(
                "Sealed twins, {} an exchange, alpha {}",
                args.twins,
                tiny(goal.alpha())
            ),
            unit: "exchanges",
            curves,
            legend: "served above sealed (AUC)",
            target: goal.power(),
            answer: needed,
            label: format!("{} at {} exchanges", goal.power(), count(needed)),
            range,
        })
    })
}

/// What the rows of a table of sizes mean.
const SIZES: &str = "\
Fixed size: units at which one test succeeds with that power, by exact tails (to 10^8 trials,
the normal formula beyond). Sequential: units until a test that may stop at any time succeeds,
on average, if the effect is as planned.";

const ROUTES: &str = "\
One key for all adds every account's evidence up and names nobody. Separate keys tested together
(chi-square, exact critical value) tell that some account is in; the normal formula asks for too
little where accounts are few. Named alone, an account has only its own part, and alpha is shared
out among all. Powers by normal theory.";

const LINEAR: &str = "\
Kappa comes from published experiments and is taken to be linear in the share: a planning number,
not a law. What repeats is not a new unit, so sizes above some millions are optimistic.";

/// The scheme's name and the null law of its units.
fn scheme_law(scheme: &str, gamma: Option<f64>, depth: Option<f64>) -> Result<(&'static str, Law)> {
    let given = [
        ("threshold", gamma.map(threshold).transpose()?),
        ("depth", depth),
    ];
    let given: Vec<_> = given
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    let parameters = Parameters::new(scheme, &given)?;
    let law = if let Some(threshold) = parameters.get("threshold") {
        const WHOLE: f64 = 4_294_967_296.0;
        Law::Binomial {
            trials: 1,
            p: threshold / WHOLE,
            q: (WHOLE - threshold) / WHOLE,
        }
    } else if let Some(depth) = parameters.get("depth") {
        Law::Binomial {
            trials: u32::try_from(whole(depth)).unwrap_or(u32::MAX),
            p: 0.5,
            q: 0.5,
        }
    } else {
        Law::Exponential
    };
    Ok((parameters.definition().name(), law))
}

fn effect(option: &str, shift: f64) -> Result<Effect> {
    Effect::new(shift).map_err(|error| Failure::from(error).context(option))
}

/// The suspect's model, as the arguments describe it.
struct Suspect {
    name: &'static str,
    law: Law,
    kappa: f64,
    share: f64,
    student: Distillation,
    prices: Prices,
    tokens_per_unit: f64,
    tokens_per_answer: f64,
    per_million: f64,
    /// What weights in hand change about the price.
    weights_told: &'static str,
}

impl Suspect {
    fn new(args: &Student) -> Result<Self> {
        let (name, scheme, kappa) = match args.preset {
            Preset::Closed => ("greenlist, answers only", "greenlist", CLOSED_KAPPA),
            Preset::Open => ("gumbel, weights", "gumbel", OPEN_KAPPA),
        };
        let kappa = args.kappa.unwrap_or(kappa);
        Ok(Self {
            name,
            law: scheme_law(scheme, None, None)?.1,
            kappa,
            share: args.share,
            student: Distillation::new(effect("--kappa", kappa)?, args.share)?,
            prices: Prices::new(
                args.tokens_per_unit,
                args.tokens_per_answer,
                args.price_per_million,
            )?,
            tokens_per_unit: args.tokens_per_unit,
            tokens_per_answer: args.tokens_per_answer,
            per_million: args.price_per_million,
            weights_told: match args.preset {
                Preset::Closed => "",
                Preset::Open => "\nWith the weights in hand, tokens are read, not bought.",
            },
        })
    }

    fn told(&self) -> String {
        format!(
            "A student with {} marked training text: {}.\n\
             A scored unit shifts by kappa × share = {} × {} = {} standard deviations.",
            percent(self.share),
            self.name,
            self.kappa,
            self.share,
            digits(self.student.effect().get())
        )
    }

    fn prices_told(&self) -> String {
        format!(
            "Tokens: {} for each scored unit. Answers: {} tokens each. Price: {} for a million\n\
             tokens, prompts not counted.{}",
            self.tokens_per_unit, self.tokens_per_answer, self.per_million, self.weights_told
        )
    }

    fn json(&self) -> Value {
        json!({"share": self.share, "kappa": self.kappa})
    }
}

/// Sizes of one test by each rule.
struct Sizes {
    fixed: Size,
    normal: f64,
    sequential: f64,
}

impl Sizes {
    fn new(law: &Law, effect: Effect, goal: Goal) -> Result<Self> {
        Ok(Self {
            fixed: units_needed(law, effect, goal)?,
            normal: normal_units(effect, goal).ceil(),
            sequential: sequential_units(law, effect, goal)?.ceil(),
        })
    }

    fn rows(&self) -> [(&'static str, f64); 3] {
        [
            ("fixed size", self.fixed.units),
            ("  by the normal formula", self.normal),
            ("sequential, on average", self.sequential),
        ]
    }

    fn json(&self, prices: Option<&Prices>) -> Value {
        let mut fixed = size_json(self.fixed.units, prices);
        if let Value::Object(fixed) = &mut fixed {
            fixed.insert("exact".to_owned(), self.fixed.exact.into());
        }
        json!({
            "fixed": fixed,
            "normal": size_json(self.normal, prices),
            "sequential": size_json(self.sequential, prices),
        })
    }
}

/// Whole numbers as such, as far as they are exact.
fn number(value: f64) -> Value {
    if value < 9e15 && value.fract() <= 0.0 {
        whole(value).into()
    } else {
        value.into()
    }
}

fn size_json(units: f64, prices: Option<&Prices>) -> Value {
    let mut size = Map::new();
    size.insert("units".to_owned(), number(units));
    size.insert("feasible".to_owned(), json!(units <= FEASIBLE));
    if let Some(prices) = prices {
        let cost = prices.cost(units);
        size.insert("tokens".to_owned(), number(cost.tokens));
        size.insert("answers".to_owned(), number(cost.queries));
        size.insert("price".to_owned(), json!(cost.price));
    }
    Value::Object(size)
}

impl Plan {
    fn goal(&self) -> Result<Goal> {
        Ok(Goal::new(self.alpha, self.power)?)
    }
}

fn told(goal: Goal) -> String {
    format!("Power {} at alpha {}", goal.power(), tiny(goal.alpha()))
}

fn plan_json(goal: Goal) -> Value {
    json!({"alpha": goal.alpha(), "power": goal.power()})
}

/// One object of all members, in order.
fn object<const N: usize>(first: [(&str, Value); N], parts: &[Value]) -> Value {
    let first = first
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    let rest = parts
        .iter()
        .filter_map(Value::as_object)
        .flatten()
        .map(|(name, value)| (name.clone(), value.clone()));
    Value::Object(first.chain(rest).collect())
}

/// Curves by growing value, the asked one among them.
fn ordered(
    others: impl Iterator<Item = (f64, String)>,
    (value, label): (f64, String),
) -> Vec<(f64, String, bool)> {
    let mut all: Vec<_> = others
        .map(|(value, label)| (value, label, false))
        .chain([(value, label, true)])
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all
}

fn effect_plot(
    law: &Law,
    goal: Goal,
    effects: &[(f64, String, bool)],
    title: String,
    legend: &'static str,
    answer: f64,
) -> Result<Plot> {
    let weakest = effects.last().map_or(1.0, |(effect, ..)| *effect);
    let strongest = effects.first().map_or(1.0, |(effect, ..)| *effect);
    let range = (
        (normal_units(Effect::new(strongest)?, goal) / 10.0).max(1.0),
        (normal_units(Effect::new(weakest)?, goal) * 2.0).max(100.0),
    );
    let curves = effects
        .iter()
        .map(|(effect, label, asked)| {
            let effect = Effect::new(*effect)?;
            // The power of a count saws as its critical value steps; whoever has n units may use fewer, so the best up to n is shown.
            let mut best = 0.0_f64;
            let points = Plot::sizes(range)
                .into_iter()
                .map(|size| {
                    best = best.max(power_at(law, whole(size), effect, goal.alpha())?);
                    Ok((size, best))
                })
                .collect::<Result<_>>()?;
            Ok(Curve {
                label: label.clone(),
                points,
                asked: *asked,
            })
        })
        .collect::<Result<_>>()?;
    Ok(Plot {
        title,
        unit: "scored units",
        curves,
        legend,
        target: goal.power(),
        answer,
        label: format!("{} at {} units", goal.power(), count(answer)),
        range,
    })
}

/// Writes the plan, and the plot if there is to be one.
fn deliver(
    plan: &Plan,
    screen: &str,
    json: &Value,
    plot: impl FnOnce() -> Result<Plot>,
) -> Result<Answer> {
    let svg = plan.svg.as_deref();
    if svg.is_some_and(files::is_stream) {
        return Err(
            Failure::new("--svg is -, and standard output is the plan's").hint("give --svg a file"),
        );
    }
    let drawn = match svg {
        Some(path) => {
            let mut output = Output::create(path)?;
            output.line(plot()?.to_svg()?.trim_end())?;
            Some(output.seal()?)
        }
        None => None,
    };
    let mut output = Output::create(Path::new("-"))?;
    if plan.json {
        output.line(&json.to_string())?;
    } else {
        output.line(screen)?;
    }
    output.finish()?;
    if let Some(drawn) = drawn {
        drawn.publish()?;
    }
    Ok(Answer::Yes)
}

/// Rows of right-aligned cells under their headings.
struct Table {
    rows: Vec<(&'static str, Vec<String>)>,
}

impl Table {
    fn new(headings: &[&str]) -> Self {
        let headings = headings.iter().map(|&heading| heading.to_owned());
        Self {
            rows: vec![("", headings.collect())],
        }
    }

    fn row(&mut self, label: &'static str, cells: Vec<String>) {
        self.rows.push((label, cells));
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let wide = |column: usize| {
            let widths = self.rows.iter().filter_map(|(_, cells)| cells.get(column));
            widths.map(String::len).max().unwrap_or(0)
        };
        for (label, cells) in &self.rows {
            write!(f, "{label:<34}")?;
            for (column, cell) in cells.iter().enumerate() {
                write!(f, "  {cell:>width$}", width = wide(column))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// A count with its thousands apart, in two decimals of a power of ten from ten million on, and called infeasible beyond a million
/// million.
fn count(number: f64) -> String {
    if number > FEASIBLE {
        return format!("{number:.1e} infeasible");
    }
    if number >= 1e7 {
        return format!("{number:.2e}");
    }
    let plain = format!("{number:.0}");
    let mut grouped = String::new();
    for (at, digit) in plain.chars().enumerate() {
        if at > 0 && (plain.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn money(price: f64) -> String {
    if price < 100.0 {
        format!("{price:.2}")
    } else if price >= 1e7 {
        format!("{price:.1e}")
    } else {
        count(price)
    }
}

fn percent(share: f64) -> String {
    format!("{} %", digits(100.0 * share))
}

/// Three significant digits, without a power of ten where four places do.
fn digits(number: f64) -> String {
    if number < 1e-3 {
        return format!("{number:.2e}");
    }
    let text = format!("{number:.2e}");
    text.parse::<f64>().unwrap_or(number).to_string()
}

/// A small probability: two digits and no more than needed.
fn tiny(alpha: f64) -> String {
    let text = format!("{alpha:.1e}");
    text.replace(".0e", "e")
}

/// A size as a whole number; those drawn and asked for are far below 2^53.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, and a cast saturates"
)]
fn whole(size: f64) -> u64 {
    size as u64
}

#[expect(clippy::cast_precision_loss, reason = "printed to a few digits")]
fn real(count: u64) -> f64 {
    count as f64
}
