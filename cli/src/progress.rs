//! Progress bars on standard error; silent when it is not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over `total` things, such as `tokens`.
pub(crate) fn bar(total: u64, what: &'static str, unit: &str) -> ProgressBar {
    styled(
        total,
        what,
        &format!("{{prefix:12}} {{bar:32}} {{pos}}/{{len}} {unit}  {{elapsed}}, {{eta}} left"),
    )
}

/// A bar over bytes.
pub(crate) fn bytes(total: u64, what: &'static str) -> ProgressBar {
    styled(
        total,
        what,
        "{prefix:12} {bar:32} {bytes}/{total_bytes}  {elapsed}, {eta} left",
    )
}

fn styled(total: u64, what: &'static str, template: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    bar.set_style(style);
    bar.set_prefix(what);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
