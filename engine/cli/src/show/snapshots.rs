//! The table of internal snapshots in `info` for people.

use super::bytes::human;
use super::node::{Described, text};
use crate::message::printable;
use instar_ops::Snapshot;

/// Appends the table, if the image has snapshots.
pub fn list(out: &mut String, image: &Described<'_>) {
    let rows: Vec<String> = image.snapshots().map(row).collect();
    if rows.is_empty() {
        return;
    }
    out.push_str("Snapshot list:\n");
    let columns = ["TAG", "VM_SIZE", "DATE", "VM_CLOCK", "ICOUNT"].map(str::to_owned);
    out.push_str(&aligned("ID", &columns));
    rows.iter().for_each(|row| out.push_str(row));
}

fn row(snapshot: &Snapshot) -> String {
    let name = |bytes: &[u8]| printable(&text(bytes));
    let columns = [
        name(&snapshot.name),
        human(snapshot.vm_state_size),
        local_time(snapshot.date_sec),
        clock(snapshot.vm_clock_nsec),
        snapshot.icount.map_or("--".to_owned(), |i| i.to_string()),
    ];
    aligned(&name(&snapshot.id), &columns)
}

fn aligned(id: &str, [tag, size, date, clock, icount]: &[String; 5]) -> String {
    format!("{id:<7} {tag:<16} {size:>8} {date:>19} {clock:>15} {icount:>10}\n")
}

/// A guest's clock as hours, minutes, seconds and milliseconds.
fn clock(nanoseconds: u64) -> String {
    let milliseconds = nanoseconds / 1_000_000;
    let seconds = milliseconds / 1000;
    format!("{:04}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, milliseconds % 1000)
}

/// Date and time of day where this process is.
fn local_time(seconds: u32) -> String {
    let when = libc::time_t::from(seconds);
    // SAFETY: tm is a plain C struct whose only pointer may be null.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call, which keeps neither.
    if unsafe { libc::localtime_r(&raw const when, &raw mut parts) }.is_null() {
        return seconds.to_string();
    }
    let mut out = String::new();
    out.push_str(&format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        parts.tm_year + 1900,
        parts.tm_mon + 1,
        parts.tm_mday,
        parts.tm_hour,
        parts.tm_min,
        parts.tm_sec
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_has_milliseconds() {
        assert_eq!(clock(0), "0000:00:00.000");
        assert_eq!(clock(3_723_004_567_891), "0001:02:03.004");
    }

    #[test]
    fn long_names_push_the_rest() {
        let columns = ["a long name for a snapshot here", "0 B", "d", "c", "0"].map(str::to_owned);
        let line = aligned("2", &columns);
        assert!(line.starts_with("2       a long name for a snapshot here      0 B "));
    }
}
