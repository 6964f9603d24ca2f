//! placeholder
use taggant_detector::stats::PValue;
#[derive(Debug)]
pub(crate) struct Table;
/// What the units of a table-driven mark say.
#[derive(Clone, Debug)]
pub(crate) struct Assessed {
    pub(crate) score: f64,
    pub(crate) expected: f64,
    pub(crate) p_value: PValue,
    pub(crate) exact: bool,
    pub(crate) weighted: Option<(f64, PValue)>,
}
impl Table {
    pub(crate) fn size(&self) -> usize { 0 }
    pub(crate) fn bucket(&self, _unit: &[u32]) -> usize { 0 }
    pub(crate) fn assess(&self, _buckets: &[u32]) -> Assessed { unimplemented!() }
}
