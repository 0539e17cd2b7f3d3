//! The file takes no more room on the host than qemu-img's.

use super::support::different_course;
use crate::oracles::Oracle;
use crate::qcow2::walk;
use crate::verdict::Kind;
use crate::{JudgeError, Scope, Trial, Verdict};
use oracle_case::Preallocation;

/// See the module.
pub struct HostSize;

const NAME: &str = "host-size";
/// Clusters by which a qcow2 file may be longer than qemu-img's: first-fit may leave another gap.
const CLUSTERS: u64 = 2;
/// Bytes by which the allocation may differ: file systems allocate ahead and in units of their own.
const ALLOCATION: u64 = 128 << 10;

impl Oracle for HostSize {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "the file is at most 2 clusters (raw: not a byte) longer than qemu-img's, its allocation at most that and 128 KiB larger (free clusters of the fixture aside), and preallocated where asked"
    }

    fn scope(&self) -> Scope {
        Scope::Pair
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        let Some((left, right)) = trial.last_states() else {
            return Ok(Verdict::skip("nothing to compare with"));
        };
        if let Some(why) = different_course(trial) {
            return Ok(Verdict::skip(why));
        }
        let slack = trial.case.fixture.format.qcow2().map_or(0, |q| CLUSTERS * q.cluster_size());
        // qemu-img's shrink may happen to allocate a free cluster and to give its space back.
        let holes = free_bytes(trial);
        let mut findings = Vec::new();
        if left.len > right.len + slack {
            let detail = format!("{} bytes here, {} there", left.len, right.len);
            findings.push(trial.finding(NAME, "length", Kind::Extra, detail));
        }
        let (ours, theirs) = (left.allocated, right.allocated);
        let detail = format!("{ours} bytes allocated here, {theirs} there");
        if allocated_earlier(trial) {
            // The last resize was given a copy, in which nothing is allocated that reads as zeros.
            return Ok(Verdict::of(findings));
        }
        if ours > theirs + slack + holes + ALLOCATION {
            findings.push(trial.finding(NAME, "allocation", Kind::Extra, detail));
        } else if !trial.is_qcow2() && ours + ALLOCATION < theirs {
            findings.push(trial.finding(NAME, "allocation", Kind::Missing, detail));
        }
        Ok(Verdict::of(findings))
    }
}

/// Whether a resize before the last one was to allocate anything.
fn allocated_earlier(trial: &Trial) -> bool {
    let resizes = &trial.case.resizes;
    let earlier = resizes.iter().take(resizes.len().saturating_sub(1));
    earlier.into_iter().any(|resize: &oracle_case::Resize| resize.preallocation != Preallocation::Off)
}

/// Bytes of the fixture's free clusters, which may or may not be holes of the file.
fn free_bytes(trial: &Trial) -> u64 {
    let start = &trial.left.start;
    let Ok(layout) = walk(&start.path()) else {
        return 0;
    };
    let size = layout.header.cluster_size();
    let clusters = layout.file_len.div_ceil(size);
    let used = layout.refcounts.keys().filter(|cluster| **cluster < clusters).count() as u64;
    (clusters.saturating_sub(used) * size).min(start.allocated)
}
