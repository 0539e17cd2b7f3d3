//! Internal snapshots outlive every resize: going back to one gives the old size and the old content.

use super::support::{check_content, required, unexpected_course, unusable};
use crate::oracles::Oracle;
use crate::subject::{IMAGE, Qemu, Subject};
use crate::verdict::{Finding, Kind};
use crate::{JudgeError, Scope, State, Trial, Verdict};
use oracle_case::content_after;
use oracle_case::parts::part_name;
use serde_json::Value;

/// See the module.
pub struct Snapshots;

const NAME: &str = "snapshots";
/// L2 tables that going back may cut off: qemu-img allocates each of them first.
const MAX_TABLES: u64 = 64;

impl Oracle for Snapshots {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "the list of snapshots stays; qemu-img snapshot -a restores size and content of each, and leaves no more errors than there were"
    }

    fn scope(&self) -> Scope {
        Scope::Alone
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        if trial.case.fixture.snapshots.is_empty() {
            return Ok(Verdict::skip("no snapshots"));
        }
        if let Some(why) = unexpected_course(trial) {
            return Ok(Verdict::skip(why));
        }
        let Some(reader) = trial.desk.newest() else {
            return Ok(Verdict::skip("no qemu-img reads this"));
        };
        let mut findings = same_list(trial, reader)?;
        if let Some(why) = cannot_go_back(trial) {
            return Ok(if findings.is_empty() { Verdict::skip(why) } else { Verdict::of(findings) });
        }
        for (index, snapshot) in trial.case.fixture.snapshots.iter().enumerate() {
            findings.extend(go_back(trial, reader, index, snapshot.after)?);
        }
        Ok(Verdict::of(findings))
    }
}

/// Why qemu-img cannot go back to a snapshot, if it cannot.
fn cannot_go_back(trial: &Trial) -> Option<&'static str> {
    let fixture = &trial.case.fixture;
    let options = fixture.format.qcow2()?;
    let (now, then) = (options.l1_entries(trial.expected_content().size()), options.l1_entries(fixture.size));
    if !fixture.bitmaps.is_empty() {
        return Some("qemu-img goes back with no disk that has bitmaps");
    }
    if let Some(why) = unusable(trial) {
        return Some(why);
    }
    (now.saturating_sub(then) > MAX_TABLES)
        .then_some("qemu-img takes too long over the tables that it cuts off")
}

fn same_list(trial: &Trial, reader: &Qemu) -> Result<Vec<Finding>, JudgeError> {
    let list = |image: &State| -> Result<Option<Value>, JudgeError> {
        let answer = trial.desk.info(reader, image, None)?;
        Ok(answer.json.as_ref().and_then(|info| info.get("snapshots")).cloned())
    };
    let (before, after) = (list(&trial.left.start)?, list(trial.left.last())?);
    let detail = || format!("{before:?} before, {after:?} after");
    let changed = (before != after).then(|| trial.finding(NAME, "list", Kind::Differs, detail()));
    Ok(changed.into_iter().collect())
}

/// Goes back to the snapshot number `index`, taken after so many writes.
fn go_back(trial: &Trial, reader: &Qemu, index: usize, writes: usize) -> Result<Vec<Finding>, JudgeError> {
    let applied = |image: &State| -> Result<_, JudgeError> {
        let dir = trial.desk.scratch()?;
        image.copy_to(&dir)?;
        let (opening, file) = trial.case.fixture.format.opening(IMAGE, false);
        let mut words = vec!["-a".to_string(), part_name('s', index)];
        words.extend(opening.into_iter().chain([file]));
        Ok((reader.run(&dir, "snapshot", &words)?, dir))
    };
    let (ran, dir) = applied(trial.left.last())?;
    if !ran.success() {
        // Narrow refcounts may have no room for another user of the same clusters, resized or not.
        let (before, _) = applied(&trial.left.start)?;
        let finding = before.success().then(|| trial.finding(NAME, "apply", Kind::Failed, ran.summary()));
        return Ok(finding.into_iter().collect());
    }
    let image = State::of(dir)?;
    let content = content_after(&trial.case.fixture, writes);
    let info = trial.desk.info(reader, &image, None)?;
    let size = info.json.as_ref().and_then(|info| info.get("virtual-size")).and_then(Value::as_u64);
    if size != Some(content.size()) {
        let detail = format!("{size:?} bytes, {} expected", content.size());
        return Ok(vec![trial.finding(NAME, "size", Kind::Differs, detail)]);
    }
    let mut findings = check_content(trial, NAME, reader, &image, &content)?;
    let (before, after) = (trial.desk.check(reader, trial.left.last())?, trial.desk.check(reader, &image)?);
    match required(trial, NAME, "check", &after) {
        Err(finding) => findings.push(*finding),
        Ok(_) if before.ran.ending != after.ran.ending => {
            findings.push(trial.finding(NAME, "check", Kind::Broken, after.ran.summary()));
        }
        Ok(_) => {}
    }
    Ok(findings)
}
