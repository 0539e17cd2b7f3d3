//! The summary of a GitHub job: Markdown, short enough to be read there.

use crate::keep::Kept;
use crate::run::Outcome;
use std::fmt::Write;

/// How many findings are listed.
const MAX_FINDINGS: usize = 20;
/// How many characters of a finding's detail are shown.
const MAX_DETAIL: usize = 200;

/// The summary.
pub fn text(outcome: &Outcome, kept: &[Kept]) -> String {
    let tally = &outcome.tally;
    let seconds = outcome.seconds();
    // Writing to a string cannot fail.
    let mut text = format!("## oracle: {} cases in {seconds:.0} s\n\n", tally.cases);
    let _ = writeln!(text, "- compared: {}", code(&outcome.compared()));
    for (what, pace) in outcome.paces() {
        let _ = writeln!(text, "- {what}: {pace}");
    }
    text.push('\n');
    let _ = writeln!(text, "| oracle | agree | skip | known | disagree |\n|---|--:|--:|--:|--:|");
    for (name, counts) in &tally.oracles {
        let (agree, skip, known, disagree) = (counts.agree, counts.skip, counts.known, counts.disagree);
        let _ = writeln!(text, "| {name} | {agree} | {skip} | {known} | {disagree} |");
    }
    let _ = writeln!(text, "\n**{}**\n", crate::report::verdict(tally));
    for (i, cause) in tally.causes.iter().take(MAX_FINDINGS).enumerate() {
        let Some(group) = cause.first(&tally.groups) else { continue };
        let detail: String = group.detail.chars().take(MAX_DETAIL).collect();
        let _ =
            writeln!(text, "- {} ({} cases): {}", code(&group.class.to_string()), cause.cases, code(&detail));
        if let Some(kept) = kept.get(i) {
            let _ = writeln!(text, "  - {}", code(&kept.describe));
        }
    }
    for id in &tally.stale {
        let _ = writeln!(text, "- stale: {}", code(id));
    }
    for (label, why) in tally.failures.iter().take(MAX_FINDINGS) {
        let _ = writeln!(text, "- could not run {}: {}", code(label), code(why));
    }
    text
}

/// What a tool said as code, which no word of it can end.
fn code(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("`{}`", line.replace('`', "'"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_tool_said_cannot_leave_its_code() {
        assert_eq!(super::code("a`b\n# c"), "`a'b # c`");
    }
}
