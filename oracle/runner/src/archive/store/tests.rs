//! Archives of scripts that say a version.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Archive;

/// One test at a time: a script that is still open for writing in a child of another test cannot be started.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fake(dir: &Path, version: &str) {
    fs::create_dir_all(dir).unwrap();
    let file = dir.join("qemu-img");
    fs::write(&file, format!("#!/bin/sh\necho 'qemu-img version {version}'\n")).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

fn archive() -> (tempfile::TempDir, Archive) {
    let dir = tempfile::tempdir().unwrap();
    for version in ["0.2.7", "0.2.10", "0.3.0"] {
        fake(&dir.path().join(version), version);
    }
    fs::create_dir(dir.path().join("fetching-x")).unwrap();
    let archive = Archive::at(Some(dir.path())).unwrap();
    (dir, archive)
}

#[test]
fn a_prefix_selects_the_newest_match() {
    let _alone = alone();
    let (_dir, archive) = archive();
    let [entry] = archive.select("0.2").unwrap().try_into().unwrap();
    assert_eq!(entry.version.to_string(), "0.2.10");
    assert!(entry.qemu_io.is_none());
}

#[test]
fn a_missing_version_lists_what_is_there() {
    let _alone = alone();
    let (_dir, archive) = archive();
    let message = archive.select("0.4").unwrap_err().to_string();
    assert!(message.contains("no qemu-img 0.4") && message.contains("0.2.7, 0.2.10, 0.3.0"), "{message}");
}

#[test]
fn a_path_is_asked_for_its_version() {
    let _alone = alone();
    let (dir, archive) = archive();
    fake(&dir.path().join("elsewhere"), "0.9.9 (some build)");
    let path = dir.path().join("elsewhere/qemu-img");
    let [entry] = archive.select(path.to_str().unwrap()).unwrap().try_into().unwrap();
    assert_eq!(entry.version.to_string(), "0.9.9");
}

#[test]
fn a_version_that_does_not_run_is_named() {
    let _alone = alone();
    let (dir, archive) = archive();
    fs::write(dir.path().join("0.3.0/qemu-img"), "#!/bin/sh\nexit 1\n").unwrap();
    let message = format!("{:#}", archive.entries().unwrap_err());
    assert!(message.contains("0.3.0/qemu-img says no version"), "{message}");
}
