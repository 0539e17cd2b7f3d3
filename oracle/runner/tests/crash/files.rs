//! `oracle crash` in guests on images that are more than one plain file: each file of such an image is in the trace, and calls
//! about it fail.

use libtest_mimic::Failed;
use serde_json::Value;
use std::process::Command;

/// Images, and how many of their resizes change something.
const CASES: [(&str, u64); 6] = [
    (
        r#"{"fixture": {"size": 262144, "format": {"qcow2": {"version": 3, "cluster_bits": 12, "refcount_bits": 16}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 262144}], "data_file": {}},
            "resizes": [{"size": "100K", "shrink": true}, {"size": "1M", "preallocation": "metadata"}]}"#,
        2,
    ),
    (
        r#"{"fixture": {"size": 66048, "format": {"qcow2": {"version": 3, "cluster_bits": 12, "refcount_bits": 16}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 4096, "len": 5000}],
            "backing": {"format": "qcow2", "size": 262144, "writes": [{"kind": "data", "pattern": 7, "offset": 0, "len": 262144}]}},
            "resizes": [{"size": "256K"}]}"#,
        1,
    ),
    (
        r#"{"fixture": {"size": 262144, "format": {"qcow2": {"version": 3, "cluster_bits": 12, "refcount_bits": 16, "encryption": "aes"}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 262144}]},
            "resizes": [{"size": "100K", "shrink": true}, {"size": "1G"}]}"#,
        2,
    ),
    (
        r#"{"fixture": {"size": 262144, "format": {"qcow2": {"version": 3, "cluster_bits": 12, "refcount_bits": 16, "encryption": "luks"}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 262144}]}, "resizes": [{"size": "1G"}]}"#,
        1,
    ),
    (
        r#"{"fixture": {"size": 4194304, "maker": "own", "format": {"vmdk": {"subformat": "twoGbMaxExtentSparse", "extent_sectors": 4096}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 131072}]},
            "resizes": [{"size": "60M"}, {"size": "3M", "shrink": true}]}"#,
        2,
    ),
    (
        r#"{"fixture": {"size": 6291456, "maker": "own", "format": {"vmdk": {"subformat": "twoGbMaxExtentFlat", "extent_sectors": 4096}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 131072}]},
            "resizes": [{"size": "3M", "shrink": true}, {"size": "60M"}]}"#,
        2,
    ),
];

/// All of them, with every call failing.
pub fn are_followed() -> Result<(), Failed> {
    for (case, resizes) in CASES {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("case.json");
        std::fs::write(&path, case)?;
        let mut oracle = Command::new(env!("CARGO_BIN_EXE_oracle"));
        oracle.args(["crash", "--engine", "kvm", "--opinion-every", "200", "--output", "json", "--case"]);
        let output = oracle.arg(&path).arg("--keep").arg(dir.path()).output()?;
        let report: Value = serde_json::from_slice(&output.stdout)
            .map_err(|e| format!("{e}: {}", String::from_utf8_lossy(&output.stderr)))?;
        let count = |what: &str| report[what].as_u64().unwrap_or(0);
        let few = count("guest_traces") != resizes || count("guest_faults") < 2 || count("faults") < 8;
        if !output.status.success() || few {
            return Err(format!("{}: {report:#}", output.status).into());
        }
    }
    Ok(())
}
