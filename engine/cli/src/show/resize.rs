//! The outcome of a resize for programs, and what a job took.

use crate::args::EngineKind;
use crate::name::ImageName;
use instar_ops::{ResizeAction, ResizeOutcome};
use instar_vmm::Stats;
use serde::Serialize;
use std::time::Duration;

#[derive(Serialize)]
struct Document {
    filename: String,
    format: &'static str,
    action: &'static str,
    old_virtual_size: u64,
    new_virtual_size: u64,
    old_file_size: u64,
    new_file_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<StatsDocument>,
}

#[derive(Serialize)]
struct StatsDocument {
    engine: &'static str,
    total_microseconds: u64,
    guest_microseconds: u64,
    exits: u64,
    block_requests: u64,
    bytes_read: u64,
    bytes_written: u64,
    flushes: u64,
}

/// The document of a resize. Sizes are in bytes; a file's size is its length.
pub fn resize_json(name: &ImageName, outcome: &ResizeOutcome, stats: Option<(EngineKind, &Stats)>) -> String {
    super::document(&Document {
        filename: name.text(),
        format: crate::image::format_name(outcome.format),
        action: match outcome.action {
            ResizeAction::Grow => "grow",
            ResizeAction::Shrink => "shrink",
            ResizeAction::NoOp => "noop",
        },
        old_virtual_size: outcome.old_virtual_size,
        new_virtual_size: outcome.new_virtual_size,
        old_file_size: outcome.file_size_before,
        new_file_size: outcome.file_size_after,
        stats: stats.map(|(engine, stats)| stats_document(engine, stats)),
    })
}

fn stats_document(engine: EngineKind, stats: &Stats) -> StatsDocument {
    let microseconds = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
    StatsDocument {
        engine: engine_name(engine),
        total_microseconds: microseconds(stats.total_time),
        guest_microseconds: microseconds(stats.guest_time),
        exits: stats.exits,
        block_requests: stats.block_requests,
        bytes_read: stats.bytes_read,
        bytes_written: stats.bytes_written,
        flushes: stats.flushes,
    }
}

const fn engine_name(engine: EngineKind) -> &'static str {
    match engine {
        EngineKind::Kvm => "kvm",
        EngineKind::InProcess => "in-process",
    }
}

/// What a job took, one fact a line. There is no guest in process, so nothing is said of one.
pub fn stats_text(engine: EngineKind, stats: &Stats) -> String {
    let milliseconds = |d: Duration| format!("{:.3} ms", d.as_secs_f64() * 1000.0);
    let mut lines =
        vec![format!("engine: {}", engine_name(engine)), format!("time: {}", milliseconds(stats.total_time))];
    if engine == EngineKind::Kvm {
        lines.push(format!("time in guest: {}", milliseconds(stats.guest_time)));
        lines.push(format!("exits: {}", stats.exits));
        lines.push(format!("guest memory: {} bytes", stats.guest_memory));
    }
    lines.extend([
        format!("block requests: {}", stats.block_requests),
        format!("bytes read: {}", stats.bytes_read),
        format!("bytes written: {}", stats.bytes_written),
        format!("flushes: {}", stats.flushes),
    ]);
    lines.join("\n")
}
