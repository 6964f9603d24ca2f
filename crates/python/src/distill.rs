//! The distillation test: was this model trained on text that carries a key?

mod findings;
mod lists;
mod served;

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use taggant_core::{Error, ErrorKind, LeafKey, Mark, Role};
use taggant_detector::distill::{self, Statistic};

use crate::errors::{Result, fault, type_name};
use crate::keys::Key;
use crate::record::{Digest, Record};
use crate::rows::{Row, each_some};

pub(crate) use findings::{AccountFinding, Finding, Findings, Outcome, Sequential};
pub(crate) use served::WindowIndex;

/// What is settled before anyone looks.
///
/// `statistic` decides: "plain", "supervised" or "difference"; None means the difference for probabilities with a reference, else the
/// supervised one where it is known what was served, else the plain one. `soft` is what the suspect's own pretraining counts for, in
/// served responses. `effect` is what is looked for, in standard deviations of a unit: it says how much is enough to say no. With
/// `decoys`, every key is also ranked among as many decoy keys of `seed`.
///
/// >>> from taggant.distill import Plan
/// >>> Plan(1e-4, statistic="plain")
/// Plan(alpha=1e-4, statistic='plain', soft=10, effect=0.02, decoys=0, seed=0)
#[pyclass(frozen, eq, get_all, module = "taggant.distill")]
#[derive(Clone, PartialEq)]
pub(crate) struct Plan {
    /// Chance of accusing a suspect that has nothing to do with the keys.
    alpha: f64,
    /// The statistic that decides, or None for the usual one.
    statistic: Option<&'static str>,
    /// M of the weights n / (M + n).
    soft: f64,
    /// The effect that is looked for, in standard deviations of a unit.
    effect: f64,
    /// Decoy keys that each key is ranked among.
    decoys: u32,
    /// Which decoys.
    seed: u64,
}

const STATISTICS: [Statistic; 3] = [
    Statistic::Plain,
    Statistic::Supervised,
    Statistic::Difference,
];

#[pymethods]
impl Plan {
    #[new]
    #[pyo3(signature = (alpha = 1e-6, *, statistic = None, soft = 10.0, effect = 0.02, decoys = 0, seed = 0))]
    fn new(
        alpha: f64,
        statistic: Option<&str>,
        soft: f64,
        effect: f64,
        decoys: u32,
        seed: u64,
    ) -> Result<Self> {
        let named = |name: &str| {
            let known = STATISTICS.iter().find(|known| known.name() == name);
            known.map(|known| known.name()).ok_or_else(|| {
                fault(
                    ErrorKind::Parameter,
                    format!(
                        "statistic `{}` is none of {}",
                        name.escape_debug(),
                        STATISTICS.map(Statistic::name).join(", ")
                    ),
                )
            })
        };
        let plan = Self {
            alpha,
            statistic: statistic.map(named).transpose()?,
            soft,
            effect,
            decoys,
            seed,
        };
        plan.settled()?;
        Ok(plan)
    }

    fn __repr__(&self) -> String {
        let statistic = self
            .statistic
            .map_or("None".to_owned(), |name| format!("'{name}'"));
        format!(
            "Plan(alpha={:e}, statistic={statistic}, soft={}, effect={}, decoys={}, seed={})",
            self.alpha, self.soft, self.effect, self.decoys, self.seed
        )
    }
}

impl Plan {
    fn statistic(&self) -> Option<Statistic> {
        STATISTICS
            .into_iter()
            .find(|known| Some(known.name()) == self.statistic)
    }

    /// The plan as the detector takes it.
    fn settled(&self) -> taggant_core::Result<distill::Plan> {
        let plan = distill::Plan::new(self.alpha)?
            .with_soft(self.soft)?
            .with_effect(self.effect)?
            .with_decoys(self.decoys, self.seed);
        Ok(match self.statistic() {
            Some(statistic) => plan.with_statistic(statistic),
            None => plan,
        })
    }
}

/// A distillation test that takes rows as they come. `taggant.distill.closed` and `taggant.distill.open` run one at once.
///
/// `record` says how the keys mark; `role` is the layer that is tested, "campaign" or "account", the record's first if None. A record of
/// two layers needs the campaign key to tell whose a window is. `tokenizer` is the digest of the tokenizer that the ids belong to, if you
/// know it.
///
/// >>> from taggant.distill import Plan, Test
/// >>> key = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/east")
/// >>> record = Record("gumbel", 2, key, tokenizer="00" * 32, vocabulary=50_000)
/// >>> test = Test.closed(record, Plan(1e-6))
/// >>> test.suspect([{"tokens": range(500), "prompt_tokens": [1, 2, 3]}])      # a model that never saw the key
/// >>> finding = test.findings(key).keys[0]
/// >>> finding.verdict, finding.statistic, finding.units
/// ('Inconclusive', 'plain', 496)
#[pyclass(frozen, module = "taggant.distill")]
pub(crate) struct Test {
    /// Taken only without the interpreter's lock, so that neither can wait for the other. None once it was answered.
    test: Mutex<Option<distill::Test>>,
    plan: Plan,
    layer: TestedLayer,
    open: bool,
    tokenizer: Option<[u8; 32]>,
}

/// The layer that is tested.
struct TestedLayer {
    record: Arc<taggant_core::Record>,
    role: Role,
    campaign: Option<LeafKey>,
}

#[pymethods]
impl Test {
    /// A test of a model that shows answers only.
    ///
    /// With `reference`, answers of a model that no key has touched will come, too. With `sequential`, a key, an e-value is kept that may be
    /// looked at after every answer: a bet on an effect of `planned` standard deviations of a unit.
    #[staticmethod]
    #[pyo3(signature = (record, plan = None, *, role = None, campaign = None, reference = false, sequential = None, planned = 0.02, tokenizer = None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "named arguments are what Python has for a table of options"
    )]
    fn closed(
        record: &Record,
        plan: Option<&Bound<'_, Plan>>,
        role: Option<&str>,
        campaign: Option<&Bound<'_, Key>>,
        reference: bool,
        sequential: Option<&Bound<'_, Key>>,
        planned: f64,
        tokenizer: Option<Digest>,
    ) -> Result<Self> {
        let (plan, layer) = prepared(record, plan, role, campaign, reference)?;
        let settled = plan.settled()?;
        let mut test =
            distill::Test::closed(&layer.record, layer.role, layer.campaign.as_ref(), settled)?;
        if reference {
            test = test.with_reference()?;
        }
        if let Some(key) = sequential {
            test = test.with_sequential(&key.get().leaf, planned)?;
        }
        Ok(Self::of(test, plan, layer, false, tokenizer))
    }

    /// A test of a model that shows next-token probabilities, beside those of a reference model or alone.
    #[staticmethod]
    #[pyo3(signature = (record, plan = None, *, role = None, campaign = None, reference = false, tokenizer = None))]
    fn open(
        record: &Record,
        plan: Option<&Bound<'_, Plan>>,
        role: Option<&str>,
        campaign: Option<&Bound<'_, Key>>,
        reference: bool,
        tokenizer: Option<Digest>,
    ) -> Result<Self> {
        let (plan, layer) = prepared(record, plan, role, campaign, reference)?;
        let settled = plan.settled()?;
        let test = distill::Test::open(
            &layer.record,
            layer.role,
            layer.campaign.as_ref(),
            settled,
            reference,
        )?;
        Ok(Self::of(test, plan, layer, true, tokenizer))
    }

    /// Adds answers of the suspect: rows as for `detect`. Windows of a row's `prompt_tokens`, and those met before in the answer, are not
    /// scored. After an error the rows before the faulty one are counted.
    fn suspect(&self, rows: &Bound<'_, PyAny>) -> Result<()> {
        self.each(rows, distill::Test::suspect)
    }

    /// Adds answers of the reference, best to the prompts that the suspect was asked.
    fn reference(&self, rows: &Bound<'_, PyAny>) -> Result<()> {
        self.each(rows, distill::Test::reference)
    }

    /// Adds what the suspect, and the reference beside it, expect before each token of a text.
    ///
    /// `text` is a row. `suspect` and `reference` are arrays of floats with a row for each token of the text and a column for each token of
    /// the vocabulary: row 3 is what the model expected before it saw token 3, so a model's outputs are moved on by one. `kind` is "logits"
    /// (of which log-probabilities are a kind) or "probabilities". Both models are compared at all tokens that are among the `top_k` most
    /// probable of either. They may also be pairs of arrays, ids and log-probabilities (or "probabilities"), of the most probable tokens;
    /// both are then cut to `top_k`, or to the shorter. Such a list must not hold the text's own next token for any reason but its
    /// probability.
    #[pyo3(signature = (text, suspect, reference = None, *, top_k = 32, kind = None))]
    fn probabilities(
        &self,
        py: Python<'_>,
        text: &Bound<'_, PyAny>,
        suspect: &Bound<'_, PyAny>,
        reference: Option<&Bound<'_, PyAny>>,
        top_k: usize,
        kind: Option<&str>,
    ) -> Result<()> {
        let row = Row::new(0, text)?;
        let sides = lists::Sides::read(suspect, reference, kind, &row.tokens)?;
        let layers = self.layer.record.layers();
        let cut = lists::Cut {
            top_k,
            vocabulary: self.layer.record.tokenizer().vocabulary,
            // Positions before the first whole window are never scored.
            first: layers.iter().map(|layer| layer.window).min().unwrap_or(0),
        };
        let numbers = sides.numbers()?;
        py.detach(|| {
            let pairs = numbers.pairs(cut, row.tokens.len())?;
            self.with(|test| {
                test.probabilities(&row.response(self.tokenizer), |position| {
                    match pairs.get(position) {
                        Some([suspect, reference]) => [suspect, reference],
                        None => [&[], &[]],
                    }
                })
            })
        })?;
        Ok(())
    }

    /// What is found, once: the test is over then.
    ///
    /// `key` is a Key that the record names, or a list of Keys that it need not name, such as those of several cohorts; p-values are held
    /// together by Holm's method. `served` is what was served under them. `threads` is how many threads compute.
    #[pyo3(signature = (key, served = None, *, threads = 1))]
    fn findings(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        served: Option<&Bound<'_, WindowIndex>>,
        threads: usize,
    ) -> Result<Findings> {
        let keys = self.tested(key)?;
        let leaves: Vec<&LeafKey> = keys.iter().map(|key| &key.get().leaf).collect();
        if self.plan.statistic() == Some(Statistic::Supervised) && served.is_none() {
            return Err(fault(
                ErrorKind::Parameter,
                "the supervised statistic needs to know what was served; give `served`, a WindowIndex",
            ));
        }
        let served = served.map(|served| served.get());
        let found = py.detach(|| {
            let test = self.take()?;
            test.findings(&leaves, served.map(|served| &served.index), threads, |_| ())
        })?;
        Ok(Findings::new(&keys, found, self.open)?)
    }

    /// What is found about accounts, once, each by its own key on the windows that it was served: the test is over then.
    ///
    /// `served` holds a WindowIndex for each of `keys`. P-values are held together by Holm's method. The statistic is the supervised one, or
    /// the difference where the plan says so.
    #[pyo3(signature = (keys, served, *, threads = 1))]
    fn accounts<'py>(
        &self,
        py: Python<'py>,
        keys: Vec<Bound<'py, Key>>,
        served: Vec<Bound<'py, WindowIndex>>,
        threads: usize,
    ) -> Result<Vec<AccountFinding>> {
        if keys.len() != served.len() {
            return Err(fault(
                ErrorKind::Parameter,
                format!(
                    "{} window indexes for {} keys; one for each is needed",
                    served.len(),
                    keys.len()
                ),
            ));
        }
        if self.plan.statistic() == Some(Statistic::Plain) {
            return Err(fault(
                ErrorKind::Parameter,
                "the plain statistic does not look at what accounts were served; plan the supervised one or the difference",
            ));
        }
        let leaves = keys.iter().map(|key| &key.get().leaf);
        let pairs: Vec<_> = leaves
            .zip(served.iter().map(|served| &served.get().index))
            .collect();
        let (statistic, found) = py.detach(|| self.take()?.accounts(&pairs, threads, |_| ()))?;
        let found = keys.iter().zip(found);
        Ok(found
            .map(|(key, found)| AccountFinding::new(key, statistic, found))
            .collect())
    }

    /// What was settled.
    #[getter]
    fn plan(&self) -> Plan {
        self.plan.clone()
    }

    fn __repr__(&self) -> String {
        format!(
            "Test.{}('{}', role='{}', alpha={:e})",
            if self.open { "open" } else { "closed" },
            self.layer.record.scheme().id(),
            self.layer.role,
            self.plan.alpha
        )
    }
}

/// Plan and layer, once they fit each other.
fn prepared(
    record: &Record,
    plan: Option<&Bound<'_, Plan>>,
    role: Option<&str>,
    campaign: Option<&Bound<'_, Key>>,
    reference: bool,
) -> Result<(Plan, TestedLayer)> {
    let plan = match plan {
        Some(plan) => plan.get().clone(),
        None => Plan::new(1e-6, None, 10.0, 0.02, 0, 0)?,
    };
    if plan.statistic() == Some(Statistic::Difference) && !reference {
        return Err(fault(
            ErrorKind::Parameter,
            "the difference needs a reference: a model that no key has touched; give `reference`",
        ));
    }
    Ok((plan, TestedLayer::new(record, role, campaign)?))
}

impl TestedLayer {
    fn new(record: &Record, role: Option<&str>, campaign: Option<&Bound<'_, Key>>) -> Result<Self> {
        let campaign = campaign.map(|key| &key.get().leaf);
        if let Some(campaign) = campaign {
            // Another campaign's key would share out the windows wrongly and find nothing, without a word.
            Mark::new(&record.record, &[campaign])?;
        }
        let first = record.record.layers().first().map(|layer| layer.role);
        let role = match role {
            Some(role) => role.parse()?,
            None => first.unwrap_or(Role::Campaign),
        };
        Ok(Self {
            record: Arc::new(record.record.clone()),
            role,
            campaign: campaign.cloned(),
        })
    }
}

impl Test {
    fn of(
        test: distill::Test,
        plan: Plan,
        layer: TestedLayer,
        open: bool,
        tokenizer: Option<Digest>,
    ) -> Self {
        Self {
            test: Mutex::new(Some(test)),
            plan,
            layer,
            open,
            tokenizer: tokenizer.map(|digest| digest.0),
        }
    }

    fn each(
        &self,
        rows: &Bound<'_, PyAny>,
        add: fn(&mut distill::Test, &taggant_detector::Response<'_>) -> taggant_core::Result<()>,
    ) -> Result<()> {
        each_some(rows, |rows| {
            self.with(|test| {
                for row in rows {
                    add(test, &row.response(self.tokenizer)).map_err(|error| row.fault(error))?;
                }
                Ok(())
            })
        })
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&mut distill::Test) -> taggant_core::Result<T>,
    ) -> taggant_core::Result<T> {
        let mut test = self.test.lock().unwrap_or_else(PoisonError::into_inner);
        work(test.as_mut().ok_or_else(over)?)
    }

    fn take(&self) -> taggant_core::Result<distill::Test> {
        let mut test = self.test.lock().unwrap_or_else(PoisonError::into_inner);
        test.take().ok_or_else(over)
    }

    /// The keys to be tested: one that the record names, or any of a list.
    fn tested<'py>(&self, value: &Bound<'py, PyAny>) -> Result<Vec<Bound<'py, Key>>> {
        let TestedLayer {
            record,
            role,
            campaign,
        } = &self.layer;
        if let Ok(key) = value.cast::<Key>() {
            let leaf = &key.get().leaf;
            let _ = match campaign {
                Some(campaign) if leaf != campaign => Mark::new(record, &[campaign, leaf])?,
                _ => Mark::new(record, &[leaf])?,
            };
            return Ok(vec![key.clone()]);
        }
        let keys: Vec<Bound<'py, Key>> = value.extract().map_err(|_| {
            pyo3::exceptions::PyTypeError::new_err(format!(
                "of type {}; give a Key, or a list of Keys",
                type_name(value)
            ))
        })?;
        if record.layers().len() > 1 && *role == Role::Campaign {
            return Err(fault(
                ErrorKind::Parameter,
                "a list of campaign keys and a record of two layers; each campaign key shares out the windows in its own way: test them \
                 one by one with their records",
            ));
        }
        Ok(keys)
    }
}

fn over() -> Error {
    Error::new(
        ErrorKind::Parameter,
        "this test was answered; what was settled must not be looked at twice: make a new one",
    )
}
