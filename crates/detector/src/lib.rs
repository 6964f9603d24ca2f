//! Detection: units, exact tails, verdicts and reports.
