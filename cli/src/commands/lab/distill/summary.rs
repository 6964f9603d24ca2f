//! What the lab found, in one file.

use super::Lab;
use super::bench::Bench;
use crate::failure::Result;

pub(super) fn write(_lab: &Lab<'_>, bench: &Bench) -> Result<()> {
    bench.lines("commands.sh", bench.commands().to_vec())
}
