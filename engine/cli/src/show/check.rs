//! `check` for people and for programs.

use crate::image::format_name;
use crate::name::ImageName;
use instar_ops::{CheckReport, Format};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    filename: String,
    format: &'static str,
    check_errors: u64,
    #[serde(skip_serializing_if = "is_zero")]
    image_end_offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    corruptions: u64,
    #[serde(skip_serializing_if = "is_zero")]
    leaks: u64,
    #[serde(skip_serializing_if = "is_zero")]
    corruptions_fixed: u64,
    #[serde(skip_serializing_if = "is_zero")]
    leaks_fixed: u64,
    #[serde(skip_serializing_if = "is_zero")]
    total_clusters: u64,
    #[serde(skip_serializing_if = "is_zero")]
    allocated_clusters: u64,
    #[serde(skip_serializing_if = "is_zero")]
    fragmented_clusters: u64,
    #[serde(skip_serializing_if = "is_zero")]
    compressed_clusters: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// QEMU's `ImageCheck` document: counts of zero are left out, except that of internal errors.
pub fn check_json(name: &ImageName, report: &CheckReport) -> String {
    super::document(&Document {
        filename: name.checked(),
        format: format_name(report.format),
        check_errors: report.check_errors,
        image_end_offset: shown_end(report),
        corruptions: report.corruptions,
        leaks: report.leaks,
        corruptions_fixed: report.corruptions_fixed,
        leaks_fixed: report.leaks_fixed,
        total_clusters: report.total_clusters,
        allocated_clusters: report.allocated_clusters,
        fragmented_clusters: report.fragmented_clusters,
        compressed_clusters: report.compressed_clusters,
    })
}

/// The summary for people.
pub fn check_text(report: &CheckReport) -> String {
    let mut out = repaired(report);
    let counts = [report.check_errors, report.corruptions, report.leaks];
    if counts == [0; 3] {
        out.push_str("No errors were found on the image.\n");
    }
    counted(
        &mut out,
        report.corruptions,
        "errors were found on the image.\n\
         Data may be corrupted, or further writes to the image may corrupt it.",
    );
    counted(
        &mut out,
        report.leaks,
        "leaked clusters were found on the image.\n\
         This means waste of disk space, but no harm to data.",
    );
    counted(&mut out, report.check_errors, "internal errors have occurred during the check.");
    out.push_str(&fragmentation(report));
    let end = shown_end(report);
    if end != 0 {
        out.push_str(&format!("Image end offset: {end}\n"));
    }
    out
}

/// Where the image ends, for those formats of which `qemu-img check` says it or says nothing at all.
const fn shown_end(report: &CheckReport) -> u64 {
    match report.format {
        Format::Vhdx | Format::Vmdk => 0,
        _ => report.image_end_offset,
    }
}

/// What precedes the counts of the second check.
fn repaired(report: &CheckReport) -> String {
    let CheckReport { corruptions_fixed, leaks_fixed, .. } = report;
    if (*corruptions_fixed, *leaks_fixed) == (0, 0) {
        return String::new();
    }
    format!(
        "The following inconsistencies were found and repaired:\n\n    {leaks_fixed} leaked clusters\n    \
         {corruptions_fixed} corruptions\n\nDouble checking the fixed image now...\n"
    )
}

fn counted(out: &mut String, count: u64, text: &str) {
    if count != 0 {
        out.push_str(&format!("\n{count} {text}\n"));
    }
}

fn fragmentation(report: &CheckReport) -> String {
    let (allocated, total) = (report.allocated_clusters, report.total_clusters);
    if allocated == 0 || total == 0 {
        return String::new();
    }
    format!(
        "{allocated}/{total} = {:.2}% allocated, {:.2}% fragmented, {:.2}% compressed clusters\n",
        percent(allocated, total),
        percent(report.fragmented_clusters, allocated),
        percent(report.compressed_clusters, allocated)
    )
}

#[expect(clippy::cast_precision_loss, reason = "two decimals are shown of a share of clusters")]
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use instar_ops::Format;

    const REPORT: CheckReport = CheckReport {
        format: Format::Qcow2,
        check_errors: 0,
        corruptions: 0,
        leaks: 0,
        corruptions_fixed: 0,
        leaks_fixed: 0,
        image_end_offset: 655_360,
        total_clusters: 64,
        allocated_clusters: 5,
        fragmented_clusters: 0,
        compressed_clusters: 0,
    };

    #[test]
    fn a_clean_image() {
        let text = "No errors were found on the image.\n5/64 = 7.81% allocated, 0.00% fragmented, \
                    0.00% compressed clusters\nImage end offset: 655360\n";
        assert_eq!(check_text(&REPORT), text);
    }

    #[test]
    fn a_broken_image() {
        let report = CheckReport { corruptions: 2, leaks: 5, allocated_clusters: 0, ..REPORT };
        let text = "\n2 errors were found on the image.\nData may be corrupted, or further writes \
                    to the image may corrupt it.\n\n5 leaked clusters were found on the image.\n\
                    This means waste of disk space, but no harm to data.\n\
                    Image end offset: 655360\n";
        assert_eq!(check_text(&report), text);
    }

    #[test]
    fn a_repaired_image() {
        let report = CheckReport { corruptions_fixed: 2, leaks_fixed: 5, ..REPORT };
        let text = check_text(&report);
        let first = "The following inconsistencies were found and repaired:\n\n    5 leaked clusters\n    2 \
                     corruptions\n\nDouble checking the fixed image now...\nNo errors were found on the image.\n";
        assert!(text.starts_with(first), "{text}");
    }
}
