//! Programs with qemu-img's command line, each with something of its own.

use std::io::Result;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A qemu-img that tells a wrong cluster size, and is right otherwise.
pub const LIAR: &str = r#"if [ "$1" = info ]; then qemu-img "$@" | sed 's/"cluster-size": [0-9]*/"cluster-size": 7/'; exit; fi
exec qemu-img "$@""#;

/// A qemu-img whose resize does not end.
pub const HANGING: &str = r#"[ "$1" = resize ] && exec sleep 600
exec qemu-img "$@""#;

/// A qemu-img whose resize crashes.
pub const CRASHING: &str = r#"[ "$1" = resize ] && kill -SEGV $$
exec qemu-img "$@""#;

/// One that does not even say its version.
pub const MUTE: &str = "exec sleep 600";

/// Another resizer: words of its own, and nothing but `resize`.
pub const STRANGER: &str = r#"[ "$1" = --version ] && { echo stranger 1.0; exit; }
[ "$1" = resize ] || { echo "stranger: no such command" >&2; exit 9; }
qemu-img "$@" >/dev/null 2>&1 || { echo "stranger: I would rather not" >&2; exit 9; }
echo done"#;

/// The same, but what was the first sector is zero afterwards.
pub const CARELESS: &str = r#"[ "$1" = --version ] && { echo careless 1.0; exit; }
[ "$1" = resize ] || exit 9
qemu-img "$@" >/dev/null 2>&1 && dd if=/dev/zero of=disk.img bs=512 count=1 conv=notrunc 2>/dev/null"#;

/// instar as somebody else's program.
pub const DISGUISED: &str = r#"[ "$1" = --version ] && { echo disguise 1.0; exit; }
verb=$1
shift
exec 'ORACLE' __instar "$verb" --engine in-process "$@""#;

/// Makes a program `name` in `dir`.
pub fn write(dir: &Path, name: &str, script: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    let script = script.replace("ORACLE", env!("CARGO_BIN_EXE_oracle"));
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}
