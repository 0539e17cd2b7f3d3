//! The table of the page: versions across, cases down.

use super::opened::Opened;
use crate::grid::{Cell, Column, Grid, Origin, Row, Status};
use crate::run::Outcome;
use maud::{Markup, html};

/// What a cell shows for each status; the number of findings follows.
const SIGNS: [(Status, &str, &str); 4] = [
    (Status::Agree, "✓", "all oracles that have something to say agree"),
    (Status::Known, "≈", "differs in so many ways, all of them known"),
    (Status::Disagree, "✗", "differs in so many ways that nothing explains"),
    (Status::Skip, "–", "nothing to say; the summary has the reasons"),
];

/// The table with its buttons and its legend.
pub fn section(outcome: &Outcome, shown: &[(usize, &Row)], opened: &Opened) -> Markup {
    let grid = &outcome.grid;
    html! {
        h2 #cases { "Cases" }
        @if shown.len() < grid.rows.len() {
            p { "Shown are " (shown.len()) " of " (grid.rows.len()) " cases; in those left out nothing differs that does not in these." }
        }
        (filter())
        (legend())
        div .scroll tabindex="0" role="region" aria-labelledby="cases" {
            table .grid {
                (head(grid))
                tbody { @for (i, row) in shown { (tr(*i, row, grid, opened)) } }
            }
        }
    }
}

/// Two lines: where the answers come from, and the versions.
fn head(grid: &Grid) -> Markup {
    let origins = [
        (Origin::Alone, "instar"),
        (Origin::Live, "qemu-img, run here"),
        (Origin::Baseline, "qemu-img, from baselines"),
        (Origin::Pair, "here and there"),
    ];
    let count = |origin| grid.columns.iter().filter(|column| column.origin == origin).count();
    html! {
        thead {
            tr {
                th rowspan="2" scope="col" { "case" }
                @for (origin, title) in origins {
                    @let count = count(origin);
                    @if count > 0 { th scope="colgroup" colspan=(count) class=(edge(origin)) { span { (title) } } }
                }
            }
            tr { @for (c, column) in grid.columns.iter().enumerate() {
                th scope="col" class=[first(grid, c).then_some("edge")] { (name(column)) }
            } }
        }
    }
}

fn edge(origin: Origin) -> &'static str {
    if origin == Origin::Alone { "" } else { "edge" }
}

/// Whether a column is the first of those with the same origin.
fn first(grid: &Grid, column: usize) -> bool {
    let origin = |c: usize| grid.columns.get(c).map(|column| column.origin);
    column > 0 && origin(column) != origin(column - 1)
}

fn name(column: &Column) -> &str {
    if column.origin == Origin::Alone { "alone" } else { &column.version }
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

fn legend() -> Markup {
    html! {
        ul .legend aria-label="Legend" {
            @for (status, sign, meaning) in SIGNS { li { span class=(format!("tag {}", status.name())) { (sign) } (meaning) } }
            li { span .tag .none { "\u{a0}" } "not asked" }
        }
    }
}

fn tr(i: usize, row: &Row, grid: &Grid, opened: &Opened) -> Markup {
    let status = if row.failure.is_some() { Status::Disagree } else { row.status() };
    html! {
        tr id=(format!("r{i}")) class=(format!("row-{}", status.name())) {
            th scope="row" { span .label { (row.label) } span .soft { (row.describe) } }
            @match &row.failure {
                Some(_) => td .failed colspan=(grid.columns.len()) { a href=(format!("#d{i}")) { "could not run" } },
                None => @for (c, cell) in row.cells.iter().enumerate() {
                    (td(cell, opened.link(i, row, c), first(grid, c)))
                },
            }
        }
    }
}

fn td(cell: &Cell, link: Option<String>, edge: bool) -> Markup {
    let status = cell.status();
    let sign = SIGNS.iter().find(|(one, ..)| *one == status).map_or("", |(_, sign, _)| sign);
    let mut class = if cell.is_empty() { "none".to_string() } else { status.name().to_string() };
    if edge {
        class += " edge";
    }
    let mut said = Vec::new();
    let counts = [(cell.agree, "agree"), (cell.skip, "skip"), (cell.found.len(), "differ")];
    said.extend(counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")));
    let fresh = cell.found.iter().filter(|found| !found.is_known()).count();
    let count = if status == Status::Known { cell.found.len() } else { fresh };
    html! {
        @if cell.is_empty() {
            td class=(class) {}
        } @else {
            td class=(class) title=(said.join(", ")) {
                @match (status, link) {
                    (Status::Known | Status::Disagree, Some(link)) => a href=(link) { (sign) (count) },
                    (Status::Known | Status::Disagree, None) => { (sign) (count) },
                    _ => (sign),
                }
            }
        }
    }
}
