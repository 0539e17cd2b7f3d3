//! The part of the page that says what differs: one block for each cell that a reader can open.

use super::opened::Opened;
use crate::evidence::{Evidence, Line};
use crate::grid::{Found, Row};
use crate::run::Outcome;
use maud::{Markup, html};

/// The cells that are opened, and every case that could not be run.
///
/// A link leads to what is inside a block: browsers open the block for it.
pub fn section(outcome: &Outcome, shown: &[(usize, &Row)], opened: &Opened) -> Markup {
    html! {
        h2 { "What differs" }
        @for (i, row) in shown {
            @if let Some(why) = &row.failure {
                details {
                    summary { span .tag.failed { "could not run" } (row.label) }
                    div id=(format!("d{i}")) { p { code { (why) } } (back(*i)) }
                }
            }
            @for (c, (cell, column)) in row.cells.iter().zip(&outcome.grid.columns).enumerate() {
                @if opened.has(*i, c) {
                    details {
                        summary {
                            span class=(format!("tag {}", cell.status().name())) { (cell.status().name()) }
                            (row.label) ", " (column) ": " span .soft { (row.describe) }
                        }
                        div id=(format!("d{i}-{c}")) { (cell_body(&cell.found)) (back(*i)) }
                    }
                }
            }
        }
    }
}

fn back(row: usize) -> Markup {
    html! { p { a href=(format!("#r{row}")) { "Back to the case" } } }
}

/// Findings, and below those of the same two sides their documents once.
fn cell_body(found: &[Found]) -> Markup {
    html! {
        @for (i, one) in found.iter().enumerate() {
            h3 {
                @if one.is_known() { span .tag.known { "known" } } @else { span .tag.disagree { "differs" } }
                code { (one.class) }
            }
            @if one.is_known() { p .soft { "Excused by " (one.known.join(", ")) } }
            p { (one.left) ": " code { (one.detail) } }
            @if let Some(evidence) = &one.evidence {
                @let later = found.iter().skip(i + 1).any(|other| same(other, evidence));
                @if !later { (documents(evidence, found)) }
            } @else {
                p .soft { "Its documents are with the first cases of this kind." }
            }
        }
    }
}

fn same(found: &Found, evidence: &std::sync::Arc<Evidence>) -> bool {
    found.evidence.as_ref().is_some_and(|other| std::sync::Arc::ptr_eq(other, evidence))
}

/// Both documents side by side.
fn documents(evidence: &Evidence, found: &[Found]) -> Markup {
    html! {
        table .docs {
            thead { tr { th .sign { span title="differs" { "≠" } } th { (evidence.left) } th { (evidence.right) } } }
            tbody { @for line in &evidence.lines { (row(line, found)) } }
        }
        @if evidence.omitted > 0 { p .soft { (evidence.omitted) " lines left out" } }
    }
}

fn row(line: &Line, found: &[Found]) -> Markup {
    // A class names a field from the document's own root: here it lies below `info` or `check`.
    let below = |found: &Found| line.path == found.field || line.path.ends_with(&format!(".{}", found.field));
    let class = match line.differs {
        true if found.iter().any(below) => "differs field",
        true => "differs",
        false => "",
    };
    html! {
        tr class=[(!class.is_empty()).then_some(class)] {
            td .sign { @if line.differs { "≠" } }
            td { (line.left) }
            td { (line.right) }
        }
    }
}
