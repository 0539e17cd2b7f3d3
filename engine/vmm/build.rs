//! Builds the guest's binaries and checks that each fits its place in the guest's memory.
//!
//! `INSTAR_GUEST_DIR` may name a directory with prebuilt ones instead.

#[path = "src/segments.rs"]
mod segments;

use instar_abi::layout::{self, Area};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What the guest is built for.
const TARGET: &str = "x86_64-unknown-none";
/// Names a directory with prebuilt guest binaries.
const PREBUILT: &str = "INSTAR_GUEST_DIR";
/// The binaries and where each lies.
const BINARIES: [(&str, Area); 7] = [
    ("instar-core", layout::CORE),
    ("instar-resize", layout::OPERATION),
    ("instar-info", layout::OPERATION),
    ("instar-check", layout::OPERATION),
    ("instar-create", layout::OPERATION),
    ("instar-unlock", layout::OPERATION),
    ("instar-misbehave", layout::OPERATION),
];
/// What the guest is made of, from the workspace's root.
const SOURCES: [&str; 7] =
    ["guest", "engine/abi", "engine/formats", "engine/planner", "engine/ops", "Cargo.toml", "Cargo.lock"];
/// The outer build's settings, which are not the guest's: `RUSTFLAGS` for coverage, clippy's wrapper.
const FOREIGN: [&str; 8] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_INCREMENTAL",
    "CARGO_BUILD_",
    "CARGO_TARGET_",
    "CARGO_PROFILE_",
];

/// The guest has no vector registers: ciphers and hashes do without.
const SOFT: [&str; 6] =
    ["--cfg", "aes_backend=\"soft\"", "--cfg", "sha1_backend=\"soft\"", "--cfg", "sha2_backend=\"soft\""];

fn main() {
    println!("cargo:rerun-if-env-changed={PREBUILT}");
    if env::var_os("CARGO_CFG_FUZZING").is_some() {
        // Fuzzers play the guest, and their toolchain may have no target for it.
        return without_guest();
    }
    let directory = env::var_os(PREBUILT).map_or_else(build, PathBuf::from);
    for (name, area) in BINARIES {
        check(&directory.join(name), area);
    }
    println!("cargo:rustc-env={PREBUILT}={}", directory.display());
}

/// Lets the program be built with binaries that have nothing in them.
fn without_guest() {
    let directory = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    for (name, _) in BINARIES {
        fs::write(directory.join(name), []).expect("the directory is ours");
    }
    println!("cargo:rustc-env={PREBUILT}={}", directory.display());
}

/// Builds the guest; returns the directory with its binaries.
fn build() -> PathBuf {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let root = manifest.ancestors().nth(2).expect("engine/vmm lies in the workspace");
    for source in SOURCES {
        println!("cargo:rerun-if-changed={}", root.join(source).display());
    }
    require_target();
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("guest");
    let status = cargo(root, &target).status().expect("cargo can be run");
    assert!(status.success(), "the guest's build failed; its messages are above");
    target.join(TARGET).join("guest")
}

/// The nested build, with a target directory of its own: the outer one is locked.
fn cargo(root: &Path, target: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").expect("set by cargo"));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if FOREIGN
            .iter()
            .any(|foreign| text == *foreign || (foreign.ends_with('_') && text.starts_with(foreign)))
        {
            cargo.env_remove(&name);
        }
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", SOFT.join("\u{1f}"));
    cargo.current_dir(root).args(["build", "--quiet", "--locked", "-p", "instar-guest", "--bins"]);
    cargo.args(["--profile", "guest", "--target", TARGET, "--target-dir"]).arg(target);
    cargo
}

/// Says what to do if the compiler cannot build for the guest.
fn require_target() {
    let rustc = env::var_os("RUSTC").expect("set by cargo");
    let asked = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    let found = asked.is_ok_and(|answer| Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_dir());
    assert!(found, "the guest needs a target that is not installed: rustup target add {TARGET}");
}

/// Fails the build if a binary does not fit.
fn check(path: &Path, area: Area) {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    if let Err(what) = segments::segments(&bytes, area) {
        let (base, kib) = (area.base, area.len >> 10);
        panic!("{} does not fit its {kib} KiB at {base:#x}: {what}", path.display());
    }
}
