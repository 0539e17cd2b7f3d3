//! JUnit XML: one suite for each version, one test for each case that was put to it.

use crate::grid::{Cell, Found, Row, Status};
use crate::run::Outcome;
use anyhow::Result;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// The whole file.
///
/// # Errors
/// It cannot be written as XML.
pub fn text(outcome: &Outcome) -> Result<String> {
    let mut report = Report::new("oracle");
    for (i, column) in outcome.grid.columns.iter().enumerate() {
        let mut suite = TestSuite::new(column.to_string());
        let rows = outcome.grid.rows.iter();
        let asked = rows.filter_map(|row| Some((row, row.cells.get(i)?)));
        let asked = asked.filter(|(row, cell)| row.failure.is_some() || !cell.is_empty());
        suite.add_test_cases(asked.map(|(row, cell)| test(&column.to_string(), row, cell)));
        report.add_test_suite(suite);
    }
    let mut suite = TestSuite::new("known divergences");
    suite.add_test_cases(outcome.tally.stale.iter().map(|id| {
        let status = failed(NonSuccessKind::Failure, "its case does not diverge any more", "");
        TestCase::new(id.as_str(), status)
    }));
    report.add_test_suite(suite);
    Ok(report.to_string()?)
}

fn test(column: &str, row: &Row, cell: &Cell) -> TestCase {
    let mut test = TestCase::new(format!("{}: {}", row.label, row.describe), status(row, cell));
    test.set_classname(column);
    let known: Vec<String> = cell.found.iter().filter(|found| found.is_known()).map(line).collect();
    if !known.is_empty() {
        test.set_system_out(known.join("\n"));
    }
    test
}

fn status(row: &Row, cell: &Cell) -> TestCaseStatus {
    if let Some(why) = &row.failure {
        return failed(NonSuccessKind::Error, "could not run", why);
    }
    match cell.status() {
        Status::Agree | Status::Known => TestCaseStatus::success(),
        Status::Skip => TestCaseStatus::skipped(),
        Status::Disagree => {
            let found: Vec<&Found> = cell.found.iter().filter(|found| !found.is_known()).collect();
            let first = found.first().map_or("", |found| found.class.as_str());
            let all: Vec<String> = found.iter().map(|found| line(found)).collect();
            failed(NonSuccessKind::Failure, first, &all.join("\n"))
        }
    }
}

fn failed(kind: NonSuccessKind, message: &str, description: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message);
    status.set_description(description);
    status
}

fn line(found: &Found) -> String {
    let known =
        if found.is_known() { format!(" [known: {}]", found.known.join(", ")) } else { String::new() };
    format!("{}: {}: {}{known}", found.left, found.class, found.detail)
}
