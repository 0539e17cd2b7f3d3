//! What came of a campaign of crash states.

use super::{Campaign, CrashArgs};
use anyhow::{Context, Result};
use oracle_crash::{BadState, Cause};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Bad states of one class.
pub struct Group<'c> {
    /// `format/direction/kind`.
    class: &'c str,
    /// How many there were.
    count: usize,
    /// The case of the first one.
    case: usize,
    /// The first one.
    first: &'c BadState,
}

/// The bad states of a campaign by their class.
pub fn groups(campaign: &Campaign) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for (case, report) in campaign.reports.iter().enumerate() {
        for bad in report.iter().flat_map(|r| &r.bad) {
            let group = Group { class: &bad.class, count: 0, case, first: bad };
            groups.entry(&bad.class).or_insert(group).count += 1;
        }
    }
    groups.into_values().collect()
}

/// Writes the case and the cause of every group below `dir`.
///
/// # Errors
/// A file cannot be written.
pub fn keep(campaign: &Campaign, groups: &[Group], dir: &Path) -> Result<()> {
    for group in groups {
        let place = place(dir, group);
        std::fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
        let (_, case) = &campaign.cases[group.case];
        let cause =
            json!({"resize": group.first.resize, "cause": group.first.cause, "detail": group.first.detail});
        std::fs::write(place.join("case.json"), case.to_json())?;
        std::fs::write(place.join("bad.json"), serde_json::to_string_pretty(&cause)?)?;
    }
    Ok(())
}

fn place(dir: &Path, group: &Group) -> std::path::PathBuf {
    dir.join(group.class.replace('/', "-"))
}

/// The command that judges the first state of a group again.
fn replay(group: &Group, args: &CrashArgs) -> String {
    let case = place(&args.keep, group).join("case.json");
    let command = format!("oracle crash --seed {} --case {}", args.seed, case.display());
    match &group.first.cause {
        Cause::State(state) => format!("{command} --state '{}'", json!([group.first.resize, state])),
        _ => command,
    }
}

fn per_second(campaign: &Campaign) -> u64 {
    let micros = campaign.elapsed.as_micros().max(1);
    u64::try_from(u128::from(campaign.sum(|r| r.distinct)) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

/// Why cases were not run (to their end), and how many for each reason.
fn skipped(campaign: &Campaign) -> BTreeMap<&str, usize> {
    let mut reasons = BTreeMap::new();
    for why in campaign.reports.iter().flatten().filter_map(|r| r.skipped.as_deref()) {
        *reasons.entry(why).or_insert(0) += 1;
    }
    reasons
}

fn failures(campaign: &Campaign) -> Vec<String> {
    let labelled = campaign.cases.iter().zip(&campaign.reports);
    labelled.filter_map(|((label, _), report)| Some(format!("{label}: {}", report.as_ref().err()?))).collect()
}

/// Where the traces are from.
fn guests(campaign: &Campaign) -> String {
    let (all, guests) = (campaign.sum(|r| r.resizes), campaign.sum(|r| r.compared));
    match &campaign.no_guest {
        Some(why) => format!("traces: {all} of the engine in process, none of a guest: {why}"),
        None => format!(
            "traces: {} of the engine in process, {guests} of guests, which do the same",
            all - guests
        ),
    }
}

/// Prints it for people.
pub fn human(campaign: &Campaign, groups: &[Group], args: &CrashArgs) {
    println!(
        "{} cases, {} resizes, {} states built, {} of them different and judged ({} a second, fixtures included)",
        campaign.cases.len(),
        campaign.sum(|r| r.resizes),
        campaign.sum(|r| r.states),
        campaign.sum(|r| r.distinct),
        per_second(campaign),
    );
    println!("{}", guests(campaign));
    println!(
        "{} calls of the device in process and {} of a guest's were made to fail",
        campaign.sum(|r| r.faults),
        campaign.sum(|r| r.engine_faults)
    );
    println!("qemu-img was asked about {} states", campaign.opinions);
    if campaign.sum(|r| r.spared) > 0 {
        println!("not judged: {} states of disks of more than 256 Ki blocks", campaign.sum(|r| r.spared));
    }
    for (why, count) in skipped(campaign) {
        println!("not run (to the end): {count} cases: {why}");
    }
    for failure in failures(campaign) {
        println!("failed: {failure}");
    }
    for group in groups {
        let (label, case) = &campaign.cases[group.case];
        println!("\nBAD {} ({} states)\n  {}", group.class, group.count, group.first.detail);
        println!("  {label}: {}", case.describe());
        println!("  resize {} of it, {}", group.first.resize, json!(group.first.cause));
        println!("  {}", replay(group, args));
    }
    println!("{} bad states", groups.iter().map(|g| g.count).sum::<usize>());
}

/// Prints it as one JSON object.
///
/// # Errors
/// It cannot be written as JSON.
pub fn json(campaign: &Campaign, groups: &[Group], args: &CrashArgs) -> Result<()> {
    let bad = |group: &Group| {
        json!({
            "class": group.class,
            "count": group.count,
            "case": campaign.cases[group.case].1,
            "resize": group.first.resize,
            "cause": group.first.cause,
            "detail": group.first.detail,
            "replay": replay(group, args),
        })
    };
    let report: Value = json!({
        "cases": campaign.cases.len(),
        "resizes": campaign.sum(|r| r.resizes),
        "states": campaign.sum(|r| r.states),
        "distinct_states": campaign.sum(|r| r.distinct),
        "states_not_judged": campaign.sum(|r| r.spared),
        "states_per_second": per_second(campaign),
        "faults": campaign.sum(|r| r.faults),
        "guest_traces": campaign.sum(|r| r.compared),
        "guest_faults": campaign.sum(|r| r.engine_faults),
        "no_guest": campaign.no_guest,
        "opinions": campaign.opinions,
        "seconds": campaign.elapsed.as_secs_f64(),
        "skipped": skipped(campaign),
        "failures": failures(campaign),
        "bad": groups.iter().map(bad).collect::<Vec<_>>(),
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
