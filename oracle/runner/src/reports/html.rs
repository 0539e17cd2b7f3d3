//! One page that needs nothing else: versions across, cases down, and below the table what differs.

use super::details;
use crate::grid::{Cell, Row, Status};
use crate::keep::Kept;
use crate::report::{replay, verdict};
use crate::run::Outcome;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// How the page looks.
const STYLE: &str = include_str!("page.css");
/// Nothing is loaded from anywhere, and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
/// How many rows are shown; of more, those in which nothing differs are left out first.
const MAX_ROWS: usize = 2000;

/// The whole page.
pub fn page(outcome: &Outcome, kept: &[Kept]) -> String {
    let shown = shown(&outcome.grid.rows);
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
                (cases(outcome, &shown))
                (details::section(outcome, &shown))
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
        p .soft { (tally.cases) " cases in " (format!("{:.1}", outcome.elapsed.as_secs_f64())) " s" }
        p class=(if bad { "verdict disagree" } else { "verdict agree" }) { (verdict(tally)) }
        ul .soft { @for note in &outcome.equipment.notes { li { (note) } } }
    }
}

fn findings(outcome: &Outcome, kept: &[Kept]) -> Markup {
    let tally = &outcome.tally;
    html! {
        @if !tally.causes.is_empty() { h2 { "Findings" } }
        @for (i, cause) in tally.causes.iter().enumerate() {
            @if let Some(group) = cause.first(&tally.groups) {
                h3 { span .tag.disagree { (cause.cases) " cases" } code { (group.class) } }
                p { code { (group.detail) } }
                @if let Some(kept) = kept.get(i) {
                    p { "Shrunk to: " (kept.describe) }
                    p .soft { code { (replay(kept)) } }
                }
                p .soft { "First in " a href=(format!("#r{}", group.job)) { (group.label) } "." }
                @let others = cause.others(&tally.groups);
                @if !others.is_empty() {
                    details {
                        summary { "Also seen as " (others.len()) " other kinds" }
                        div { ul { @for other in others { li { code { (other.class) } " " (other.jobs.len()) " cases" } } } }
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

fn cases(outcome: &Outcome, shown: &[(usize, &Row)]) -> Markup {
    let grid = &outcome.grid;
    html! {
        h2 #cases { "Cases" }
        @if shown.len() < grid.rows.len() {
            p { "Shown are " (shown.len()) " of " (grid.rows.len()) " cases; in those left out nothing differs that does not in these." }
        }
        (filter())
        div .scroll tabindex="0" role="region" aria-labelledby="cases" {
            table .grid {
                thead { tr { th scope="col" { "case" } @for column in &grid.columns { th scope="col" { (column) } } } }
                tbody { @for (i, row) in shown { (tr(*i, row, &grid.columns)) } }
            }
        }
    }
}

/// Which rows are shown, without a script.
fn filter() -> Markup {
    let choices =
        [("all", "all cases"), ("known", "something differs"), ("disagree", "something unexplained")];
    html! {
        div .filter role="radiogroup" aria-label="Which cases are shown" {
            @for (i, (id, text)) in choices.iter().enumerate() {
                input type="radio" name="show" id=(format!("show-{id}")) checked[i == 0];
                label for=(format!("show-{id}")) { (text) }
            }
        }
    }
}

fn tr(i: usize, row: &Row, columns: &[String]) -> Markup {
    let status = if row.failure.is_some() { Status::Disagree } else { row.status() };
    html! {
        tr id=(format!("r{i}")) class=(format!("row-{}", status.name())) {
            th scope="row" { span .label { (row.label) } span .soft { (row.describe) } }
            @match &row.failure {
                Some(_) => td .failed colspan=(columns.len()) { a href=(format!("#d{i}")) { "could not run" } },
                None => @for (c, cell) in row.cells.iter().enumerate() { (td(i, c, cell)) },
            }
        }
    }
}

fn td(i: usize, c: usize, cell: &Cell) -> Markup {
    let status = cell.status();
    let fresh = cell.found.iter().filter(|found| !found.is_known()).count();
    let said = format!("{} agree, {} skip, {} differ", cell.agree, cell.skip, cell.found.len());
    let link = format!("#d{i}-{c}");
    html! {
        td class=(status.name()) title=(said) {
            @match status {
                Status::Agree => "agree",
                Status::Skip => "skip",
                Status::Known => a href=(link) { "known " (cell.found.len()) },
                Status::Disagree => a href=(link) { "✗ differs " (fresh) },
            }
        }
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
                li { code { (id) } ", " (count) " trials: " (reason) }
            }
        }
    }
}
