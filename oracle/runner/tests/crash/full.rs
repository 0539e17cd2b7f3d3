//! A file system that is full, for real: a small one in memory, mounted in a namespace of the trial's own.

use libtest_mimic::Failed;
use std::process::{Command, Output};

/// Mounts a file system of 1 MiB at `$1`, makes an image there with `$2 $3`, fills what is left, and resizes the image with
/// the rest of the arguments.
const SCRIPT: &str = r#"set -e
mount -t tmpfs -o size=1m tmpfs "$1"; cd "$1"; shift
oracle=$1 format=$2; shift 2
"$oracle" __instar create -q --engine in-process -f "$format" disk.img 64k
dd if=/dev/zero of=rest bs=4k 2>/dev/null || true
before=$(sha256sum disk.img)
code=0; "$oracle" __instar resize -q -f "$format" "$@" || code=$?
if [ "$format" = raw ]; then [ "$before" = "$(sha256sum disk.img)" ]; fi
rm rest
if [ "$format" = qcow2 ]; then "$oracle" __instar check -q --engine in-process disk.img >/dev/null 2>&1 || [ $? = 3 ]; fi
"$oracle" __instar resize -q --engine in-process -f "$format" disk.img 1G
exit $code"#;

/// Why the trials cannot run here, if they cannot.
pub fn missing() -> Option<&'static str> {
    let mount = ["-rm", "sh", "-c", "mount -t tmpfs tmpfs /tmp"];
    let output = Command::new("unshare").args(mount).output();
    (!output.is_ok_and(|o| o.status.success())).then_some("no file system can be mounted in a namespace")
}

/// A resize into the full file system fails with one clear line, an image that is good, and one that can be resized once
/// there is room.
pub fn is_survived(engine: &str, format: &str, preallocation: &str) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", SCRIPT, "sh"]).arg(dir.path()).arg(env!("CARGO_BIN_EXE_oracle"));
    command.args([format, "--engine", engine, "--preallocation", preallocation, "disk.img", "16T"]);
    let Output { status, stderr, .. } = command.output()?;
    let said = String::from_utf8_lossy(&stderr);
    let clear = said.lines().count() == 1 && said.trim_end().ends_with("No space left on device");
    if status.code() != Some(1) || !clear {
        return Err(format!("{status}: {said}").into());
    }
    Ok(())
}
