//! Which cells have a block of their own below the table. All would be too much for a page: a known divergence may
//! show in thousands of cells, and one bug in all of them.

use crate::grid::{Row, Status};
use crate::run::Outcome;
use std::collections::{BTreeMap, BTreeSet};

/// How many cells have a block although both sides' documents were kept with others of their kind.
const MAX_PLAIN: usize = 1000;

/// Where the links of cells lead.
pub struct Opened {
    cells: BTreeSet<(usize, usize)>,
    /// The finding of every class, by its index.
    findings: BTreeMap<String, usize>,
}

impl Opened {
    /// Chooses among the rows that are shown: every cell with documents, and the first ones in which something differs
    /// that is not known.
    pub fn of(outcome: &Outcome, shown: &[(usize, &Row)]) -> Self {
        let (mut cells, mut plain) = (BTreeSet::new(), 0);
        for (i, row) in shown {
            for (c, cell) in row.cells.iter().enumerate() {
                let documented = cell.found.iter().any(|found| found.evidence.is_some());
                let wanted = cell.status() == Status::Disagree && plain < MAX_PLAIN;
                plain += usize::from(wanted && !documented);
                if documented || wanted {
                    cells.insert((*i, c));
                }
            }
        }
        let tally = &outcome.tally;
        let classes = tally.causes.iter().enumerate().flat_map(|(i, cause)| {
            cause
                .groups
                .iter()
                .filter_map(move |group| Some((tally.groups.get(*group)?.class.to_string(), i)))
        });
        Self { cells, findings: classes.collect() }
    }

    /// Whether a cell has a block.
    pub fn has(&self, row: usize, column: usize) -> bool {
        self.cells.contains(&(row, column))
    }

    /// Where a cell's link leads: to its block, or else to its finding or its known divergence.
    pub fn link(&self, i: usize, row: &Row, column: usize) -> Option<String> {
        let found = &row.cells.get(column)?.found;
        if self.has(i, column) {
            return Some(format!("#d{i}-{column}"));
        }
        let fresh = found.iter().filter(|found| !found.is_known());
        let finding = fresh.filter_map(|found| self.findings.get(&found.class)).next();
        let known = || found.iter().flat_map(|found| &found.known).next().map(|id| format!("#known-{id}"));
        finding.map(|i| format!("#f{i}")).or_else(known)
    }
}
