//! One page that needs nothing else: versions across, cases down, and below the table what differs.

use super::opened::Opened;
use super::{details, table};
use crate::grid::Row;
use crate::keep::Kept;
use crate::report::{replay, verdict};
use crate::run::Outcome;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::collections::BTreeSet;

/// How the page looks.
const STYLE: &str = include_str!("page.css");
/// Nothing is loaded from anywhere, and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
/// How many rows are shown; of more, those in which nothing differs are left out first.
const MAX_ROWS: usize = 2000;
/// How many pairs of subjects a finding names.
const MAX_BETWEEN: usize = 6;

/// The whole page.
pub fn page(outcome: &Outcome, kept: &[Kept]) -> String {
    let shown = shown(&outcome.grid.rows);
    let opened = Opened::of(outcome, &shown);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width";
                title { "oracle: " (verdict(&outcome.tally)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(outcome))
                (findings(outcome, kept))
                (table::section(outcome, &shown, &opened))
                (details::section(outcome, &shown, &opened))
                (sums(outcome))
            }
        }
    };
    page.into_string()
}

/// Rows with their indices, not too many.
fn shown(rows: &[Row]) -> Vec<(usize, &Row)> {
    let mut shown: Vec<(usize, &Row)> = rows.iter().enumerate().collect();
    if shown.len() > MAX_ROWS {
        shown.sort_by_key(|(i, row)| (row.failure.is_none(), std::cmp::Reverse(row.status()), *i));
        shown.truncate(MAX_ROWS);
        shown.sort_by_key(|(i, _)| *i);
    }
    shown
}

fn head(outcome: &Outcome) -> Markup {
    let tally = &outcome.tally;
    let bad = !tally.groups.is_empty() || !tally.stale.is_empty() || !tally.failures.is_empty();
    html! {
        h1 { "oracle" }
        p class=(if bad { "verdict disagree" } else { "verdict agree" }) { (verdict(tally)) }
        ul .soft { @for (what, pace) in outcome.paces() { li { (what) ": " (pace) } } }
        details {
            summary { "Compared: " (outcome.compared()) }
            div { ul .soft { @for note in &outcome.equipment.notes { li { (note) } } } }
        }
    }
}

fn findings(outcome: &Outcome, kept: &[Kept]) -> Markup {
    let tally = &outcome.tally;
    html! {
        @if !tally.causes.is_empty() { h2 { "Findings" } }
        @for (i, cause) in tally.causes.iter().enumerate() {
            @if let Some(group) = cause.first(&tally.groups) {
                h3 id=(format!("f{i}")) { span .tag.disagree { (count(cause.cases, "case")) } code { (group.class) } }
                p { code { (group.detail) } }
                p .soft { "Between " (between(&group.between)) }
                @if let Some(kept) = kept.get(i) {
                    p { "Simplest case: " (kept.describe) }
                    p .soft { code { (replay(kept)) } }
                }
                p .soft { "First in " a href=(format!("#r{}", group.job)) { (group.label) } "." }
                @let others = cause.others(&tally.groups);
                @if !others.is_empty() {
                    details {
                        summary { "Also seen as " (count(others.len(), "other kind")) }
                        div { ul { @for other in others { li { code { (other.class) } " " (count(other.jobs.len(), "case")) } } } }
                    }
                }
            }
        }
        @if !tally.stale.is_empty() {
            h2 { "Stale" }
            ul { @for id in &tally.stale { li { code { (id) } ": its case does not diverge any more" } } }
        }
    }
}

/// A number with its noun.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Who differs from whom, as long as the list is one that is read.
fn between(pairs: &BTreeSet<String>) -> String {
    let named: Vec<&str> = pairs.iter().take(MAX_BETWEEN).map(String::as_str).collect();
    match pairs.len().saturating_sub(MAX_BETWEEN) {
        0 => named.join("; "),
        more => format!("{}; and {more} other pairs", named.join("; ")),
    }
}

fn sums(outcome: &Outcome) -> Markup {
    let tally = &outcome.tally;
    html! {
        h2 { "Oracles" }
        table .plain {
            thead { tr { th { "oracle" } th { "agree" } th { "skip" } th { "known" } th { "disagree" } } }
            tbody {
                @for (name, counts) in &tally.oracles {
                    tr { td { (name) } td { (counts.agree) } td { (counts.skip) } td { (counts.known) } td { (counts.disagree) } }
                }
            }
        }
        h2 { "Known divergences" }
        ul {
            @for (id, count) in &tally.known {
                @let reason = outcome.known.iter().find(|known| known.id == *id).map_or("", |known| &known.reason);
                li id=(format!("known-{id}")) { code { (id) } ", " (count) " trials: " (reason) }
            }
        }
    }
}
